using System.Globalization;

namespace Keepalive.CommandLine;

/// <summary>How times and counts are written for people.</summary>
public static class Words
{
    /// <summary><c>5s</c>, <c>2.5s</c>, <c>350s</c>.</summary>
    public static string Duration(TimeSpan duration) => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:0.###}s");

    /// <summary><c>1 packet</c>, <c>2 packets</c>.</summary>
    public static string Count(long count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");

    /// <summary>A part of the whole as <c>49.4 %</c>; one that is small has as many digits as it takes to see that it is not nothing.</summary>
    /// <param name="part">0..1.</param>
    /// <param name="digits">Behind the point, at most, of one that is not small.</param>
    public static string Percent(double part, int digits = 1)
    {
        var needed = part > 0 ? Math.Clamp(1 - (int)Math.Floor(Math.Log10(100 * part)), digits, 15) : digits;
        return (100 * part).ToString("0." + new string('#', needed), CultureInfo.InvariantCulture) + " %";
    }

    /// <summary>A part that may be tiny: <c>1e-6</c>, <c>0</c>.</summary>
    public static string Part(double part) => part == 0 ? "0" : part.ToString("0.###e+0", CultureInfo.InvariantCulture);
}
