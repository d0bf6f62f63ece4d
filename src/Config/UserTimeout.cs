using System.Globalization;

namespace Keepalive.Config;

/// <summary>The effect of TCP_USER_TIMEOUT on a connection that sends keepalive probes.</summary>
/// <remarks>
/// Where it is set, the kernel does not count probes. When a probe is due, it ends the connection if one is unanswered and nothing was
/// received for that long (net/ipv4/tcp_timer.c, tcp_keepalive_timer):
/// <code>
///   time 4s, interval 2s, probes 6      4s ─ 6s ─ 8s ─ 10s ─ 12s ─ 14s ─ 16s
///   without a user timeout              1    2    3    4     5     6     ends
///   with 3s                             1    ends
///   with 9s                             1    2    3    ends
/// </code>
/// All times are in milliseconds, keepalive values in seconds and as a socket can have them: a sysctl's may be beyond its own limits.
/// </remarks>
public static class UserTimeout
{
    /// <summary>The longest one, in milliseconds: the option is an int.</summary>
    public const int Max = int.MaxValue;

    /// <summary>Milliseconds that data in flight waits without a user timeout, with Linux's defaults: tcp_retries2 of 15, the first
    /// after 200 ms and the last ones 120 s apart (net/ipv4/tcp_timer.c, retransmits_timed_out). A user timeout takes its place, a longer one too.</summary>
    public const int Retransmissions = 924_600;

    /// <summary>The shortest one that ends no connection before its probes are spent: time + interval × probes. It is also the one that
    /// ends a connection with data in flight as soon as a quiet one.</summary>
    public static int Covering(int time, int interval, int probes) => (int)Math.Clamp(Math.Min(time + ((long)interval * probes), Max) * 1000, 1, Max);

    /// <summary>The same for values that a policy sets; the others are Linux's.</summary>
    public static int Covering(KeepaliveSettings settings)
    {
        var all = settings.Or(KeepaliveSettings.LinuxDefaults);
        return Covering(all.Time!.Value, all.Interval!.Value, all.Probes!.Value);
    }

    /// <summary>Whether it ends a connection before its probes are spent. With one probe it cannot: the kernel waits for one in any
    /// case.</summary>
    /// <param name="timeout">The user timeout; 0 is none.</param>
    /// <param name="time">TCP_KEEPIDLE.</param>
    /// <param name="interval">TCP_KEEPINTVL.</param>
    /// <param name="probes">TCP_KEEPCNT.</param>
    public static bool IsShort(int timeout, int time, int interval, int probes) =>
        timeout > 0 && probes > 1 && timeout < Covering(time, interval, probes);

    /// <summary>The same for values that a policy sets; the others are Linux's.</summary>
    public static bool IsShort(int timeout, KeepaliveSettings settings)
    {
        var all = settings.Or(KeepaliveSettings.LinuxDefaults);
        return IsShort(timeout, all.Time!.Value, all.Interval!.Value, all.Probes!.Value);
    }

    /// <summary>Whether data in flight waits longer with it than without.</summary>
    public static bool ProlongsRetransmission(int timeout) => timeout > Retransmissions;

    /// <summary>The number of lost probes in a row after which a connection may end. Without a user timeout it is the number of
    /// probes.</summary>
    /// <remarks>The kernel's timers may be late. A user timeout that only just is too short then takes away one probe.</remarks>
    public static int LostProbes(int timeout, int time, int interval, int probes)
    {
        if (!IsShort(timeout, time, interval, probes))
        {
            return probes;
        }

        var after = timeout - ((long)time * 1000);
        var step = Math.Max(interval, 1) * 1000L;
        return (int)Math.Clamp((after + step - 1) / step, 1, probes - 1);
    }

    /// <summary>The least number of unanswered probes at which the kernel may end a connection, however late its timers are.</summary>
    public static int LeastLostProbes(int timeout, int time, int interval, int probes)
    {
        if (timeout <= 0)
        {
            return probes;
        }

        // Timers are late by 8/63 of their time at most (TimerWheel).
        var late = (timeout * 63L / 71) - ((long)time * 1000);
        return (int)Math.Clamp(late / (Math.Max(interval, 1) * 1000L), 1, Math.Max(probes, 1));
    }

    /// <summary>A user timeout as people write it: <c>30s</c>, <c>2m5s</c>, <c>1500ms</c>.</summary>
    public static string Format(int milliseconds) =>
        milliseconds % 1000 == 0 ? GoDuration.FormatSeconds(milliseconds / 1000) : string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms");
}
