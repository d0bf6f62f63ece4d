using System.Globalization;

namespace Keepalive.Config;

/// <summary>The keepalive values a rule sets, as the kernel takes them.</summary>
/// <param name="Time">TCP_KEEPIDLE: seconds without traffic before the first probe, 1..32767; null leaves the socket's own value.</param>
/// <param name="Interval">TCP_KEEPINTVL: seconds between unanswered probes, 1..32767; null leaves the socket's own value.</param>
/// <param name="Probes">TCP_KEEPCNT: unanswered probes before the connection ends, 1..127; null leaves the socket's own value.</param>
/// <remarks>All three null still means SO_KEEPALIVE is switched on. Limits: MAX_TCP_KEEP* in the kernel's include/net/tcp.h.</remarks>
public readonly record struct KeepaliveSettings(int? Time, int? Interval, int? Probes)
{
    /// <summary>The largest <see cref="Time"/> Linux accepts, seconds.</summary>
    public const int MaxTime = 32767;

    /// <summary>The largest <see cref="Interval"/> Linux accepts, seconds.</summary>
    public const int MaxInterval = 32767;

    /// <summary>The largest <see cref="Probes"/> Linux accepts.</summary>
    public const int MaxProbes = 127;

    /// <summary>The values of a Linux socket if neither its application nor a sysctl sets others.</summary>
    public static KeepaliveSettings LinuxDefaults { get; } = new(7200, 75, 9);

    /// <summary>These values, and others where these leave the socket's own.</summary>
    public KeepaliveSettings Or(KeepaliveSettings others) => new(Time ?? others.Time, Interval ?? others.Interval, Probes ?? others.Probes);

    /// <summary><c>time 700s interval 10s probes 20</c>; a value that is not set is not named.</summary>
    public override string ToString()
    {
        var parts = new List<string>(3);
        if (Time is { } time)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"time {time}s"));
        }

        if (Interval is { } interval)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"interval {interval}s"));
        }

        if (Probes is { } probes)
        {
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"probes {probes}"));
        }

        return parts.Count == 0 ? "keepalive on, the socket's own values" : string.Join(' ', parts);
    }
}
