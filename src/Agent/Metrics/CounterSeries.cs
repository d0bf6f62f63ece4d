using System.Runtime.InteropServices;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>The series of one counter, from totals that somebody else keeps. A series ends when its key is missing from the totals; keys beyond the limit share a series.</summary>
/// <param name="counter">The counter.</param>
/// <param name="labels">The values of its labels.</param>
/// <param name="fold">The key of the combined series, for keys beyond the limit.</param>
/// <param name="limit">The number of keys with a series of their own.</param>
internal sealed class CounterSeries<TKey>(Counter counter, Func<TKey, string[]> labels, Func<TKey, TKey> fold, int limit = MetricCatalogue.MaxSeries)
    where TKey : notnull
{
    private readonly Dictionary<TKey, Series> _series = [];
    private int _own;
    private int _round;

    /// <summary>Makes the series those of <paramref name="totals"/>.</summary>
    public void Show(IReadOnlyCollection<KeyValuePair<TKey, long>> totals)
    {
        _round++;
        foreach (var (key, total) in totals)
        {
            ref var series = ref CollectionsMarshal.GetValueRefOrAddDefault(_series, key, out var isKnown);
            if (!isKnown)
            {
                var isOwn = _own < limit;
                _own += isOwn ? 1 : 0;
                series = new Series(counter.WithLabels(LabelText.Of(labels(isOwn ? key : fold(key)))), isOwn, 0, 0);
            }
            // A total that became smaller was forgotten and has begun again at 0.
            series.Child.Inc(total < series.Total ? total : total - series.Total);
            series = series with { Total = total, Round = _round };
        }
        foreach (var (key, series) in _series)
        {
            if (series.Round == _round)
            {
                continue;
            }
            _series.Remove(key);
            if (series.IsOwn)
            {
                series.Child.Remove();
                _own--;
            }
        }
    }

    private readonly record struct Series(Counter.Child Child, bool IsOwn, long Total, int Round);
}
