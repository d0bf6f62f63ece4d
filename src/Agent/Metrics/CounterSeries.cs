using System.Runtime.InteropServices;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>The series of one counter whose counts somebody else keeps. A series ends with what it counts; of too many, the later ones are counted together.</summary>
/// <param name="counter">The counter.</param>
/// <param name="labels">The values of its labels.</param>
/// <param name="fold">What counts in place of one that gets no series of its own.</param>
internal sealed class CounterSeries<TKey>(Counter counter, Func<TKey, string[]> labels, Func<TKey, TKey> fold)
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
                var isOwn = _own < MetricCatalogue.MostSeries;
                _own += isOwn ? 1 : 0;
                series = new Series(counter.WithLabels(LabelText.Of(labels(isOwn ? key : fold(key)))), isOwn, 0, 0);
            }
            // Whose count is less than before has begun again.
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
