using System.Globalization;

namespace Keepalive.Benchmarks;

/// <summary>Prints each figure on a line of its own and compares it with its goal.</summary>
internal static class Report
{
    public static void Title(string text) => Console.WriteLine($"\n{text}");

    /// <summary>A figure without a goal.</summary>
    public static void Line(string what, string figure) => Console.WriteLine($"  {what,-62} {figure}");

    public static void Line(string what, Series series, string unit) => Line(what, $"{series} {unit}");

    /// <summary>A figure with an upper limit. A missed goal is reported and is no error.</summary>
    public static void Goal(string what, double measured, double atMost, string figure, string unit)
    {
        var verdict = measured <= atMost
            ? "met"
            : string.Create(CultureInfo.InvariantCulture, $"MISSED by {(measured / atMost) - 1:0.0%}");
        Line(what, string.Create(CultureInfo.InvariantCulture, $"{figure} {unit}   goal ≤ {atMost:0.##} {unit}: {verdict}"));
    }

    public static void Goal(string what, Series series, double atMost, string unit) => Goal(what, series.Median, atMost, series.ToString(), unit);

    /// <summary>A figure with a lower limit.</summary>
    public static void AtLeast(string what, Series series, double atLeast, string unit)
    {
        var verdict = series.Median >= atLeast ? "met" : string.Create(CultureInfo.InvariantCulture, $"MISSED by {1 - (series.Median / atLeast):0.0%}");
        Line(what, string.Create(CultureInfo.InvariantCulture, $"{series} {unit}   goal ≥ {atLeast:0.##} {unit}: {verdict}"));
    }
}
