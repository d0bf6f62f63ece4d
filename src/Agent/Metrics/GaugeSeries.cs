using System.Runtime.InteropServices;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>The series of one gauge, which come and go with what they tell of.</summary>
/// <param name="gauge">The gauge.</param>
/// <param name="labels">The values of its labels.</param>
internal sealed class GaugeSeries<TKey>(Gauge gauge, Func<TKey, string[]> labels)
    where TKey : notnull
{
    private readonly Dictionary<TKey, Series> _series = [];
    private IReadOnlyCollection<KeyValuePair<TKey, double>>? _shown;
    private int _round;

    /// <summary>Makes the series those of <paramref name="rows"/>. A collection that was shown last is not looked at again.</summary>
    public void Show(IReadOnlyCollection<KeyValuePair<TKey, double>> rows)
    {
        if (ReferenceEquals(rows, _shown))
        {
            return;
        }
        _round++;
        foreach (var (key, value) in rows)
        {
            ref var series = ref CollectionsMarshal.GetValueRefOrAddDefault(_series, key, out var isKnown);
            series = new Series(isKnown ? series.Child : gauge.WithLabels(LabelText.Of(labels(key))), _round);
            series.Child.Set(value);
        }
        foreach (var (key, series) in _series)
        {
            if (series.Round != _round)
            {
                series.Child.Remove();
                _series.Remove(key);
            }
        }
        _shown = rows;
    }

    /// <summary>Ends all series.</summary>
    public void Withdraw() => Show([]);

    private readonly record struct Series(Gauge.Child Child, int Round);
}
