using System.Globalization;

namespace Keepalive.Benchmarks;

/// <summary>Repeated measurements of one thing.</summary>
internal sealed class Series
{
    private readonly List<double> _values = [];

    public int Count => _values.Count;

    public double Median
    {
        get
        {
            double[] sorted = [.. _values.Order()];
            var middle = sorted.Length / 2;
            return sorted.Length % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        }
    }

    public double Max => _values.Max();

    public void Add(double value) => _values.Add(value);

    public void Add(TimeSpan value) => _values.Add(value.TotalMilliseconds);

    /// <summary>Every measurement divided by <paramref name="peer"/>'s measurement of the same round.</summary>
    public Series RelativeTo(Series peer)
    {
        var ratios = new Series();
        for (var i = 0; i < _values.Count; i++)
        {
            ratios.Add(_values[i] / peer._values[i]);
        }
        return ratios;
    }

    /// <summary><c>12.3 (11.9–14.0)</c>: the median, the minimum and the maximum.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Rounded(Median)} ({Rounded(_values.Min())}–{Rounded(Max)})");

    private static string Rounded(double value) => Math.Abs(value) switch
    {
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        >= 0.1 => value.ToString("0.00", CultureInfo.InvariantCulture),
        _ => value.ToString("0.0000", CultureInfo.InvariantCulture),
    };
}
