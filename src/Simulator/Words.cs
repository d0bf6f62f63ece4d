using System.Globalization;

namespace Keepalive.Simulator;

/// <summary>How times and counts are written for people.</summary>
internal static class Words
{
    /// <summary><c>5s</c>, <c>2.5s</c>, <c>350s</c>.</summary>
    public static string Duration(TimeSpan duration) => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:0.###}s");

    /// <summary><c>1 packet</c>, <c>2 packets</c>.</summary>
    public static string Count(long count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");
}
