using System.Globalization;

namespace Keepalive.Agent.Reports;

/// <summary>Lengths of time as people read them.</summary>
internal static class Spans
{
    /// <summary>Whole seconds, rounded up: <c>917s</c>.</summary>
    public static string Whole(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(time.TotalSeconds)}s");

    /// <summary>Whole seconds, rounded down: <c>42s</c>, <c>11m39s</c>, <c>1h59m</c>.</summary>
    public static string Seconds(long milliseconds) =>
        milliseconds < 60_000 ? string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000}s") : Short(milliseconds);

    /// <summary><c>850ms</c>, <c>12.3s</c>, <c>11m39s</c>, <c>1h59m</c>.</summary>
    public static string Short(long milliseconds) => milliseconds switch
    {
        < 1000 => $"{milliseconds}ms",
        < 60_000 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000.0:0.0}s"),
        < 3_600_000 => $"{milliseconds / 60_000}m{milliseconds / 1000 % 60:00}s",
        _ => $"{milliseconds / 3_600_000}h{milliseconds / 60_000 % 60:00}m",
    };
}
