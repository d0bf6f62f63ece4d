using System.Collections.Immutable;

namespace Keepalive.Config;

/// <summary>When Linux probes a connection that has gone quiet, and when it gives it up: the earliest and the latest instants.</summary>
/// <remarks>
/// <para>
/// Instants count from the last packet that the socket received (sending alone does not restart the clock, the answer to it does). A timer
/// that runs when a connection goes quiet is not moved, so an instant depends on where in its wait the timer is, and on the
/// <see cref="TimerWheel"/>: between earliest and latest all are possible.
/// </para>
/// <para>
/// After an answered probe the timer waits <see cref="Interval"/> before it looks at the clock again. Where the interval is longer than the
/// time, that is what comes between two probes of a quiet connection, and what the latest instants assume.
/// </para>
/// <para>
/// It holds for sockets with nothing unacknowledged (those are retransmitted, not probed) and without TCP_USER_TIMEOUT, which replaces the
/// number of probes. From tcp_keepalive_timer in the kernel's net/ipv4/tcp_timer.c.
/// </para>
/// </remarks>
public sealed record KeepaliveSchedule
{
    private static readonly ImmutableArray<TimerWheel> s_commonWheels = [.. TimerWheel.CommonHz.Select(static hz => new TimerWheel(hz))];

    /// <summary>The schedule of a socket whose values are all known.</summary>
    /// <param name="settings">All three values, within the kernel's limits.</param>
    /// <param name="hz">
    /// CONFIG_HZ of the kernel, see <see cref="TimerWheel"/>; where it is not known, the latest instants are those of the worst of
    /// <see cref="TimerWheel.CommonHz"/>.
    /// </param>
    /// <exception cref="ArgumentException">A value is missing.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The kernel would not take a value.</exception>
    public KeepaliveSchedule(KeepaliveSettings settings, int? hz = null)
    {
        if (settings is not { Time: { } time, Interval: { } interval, Probes: { } probes })
        {
            throw new ArgumentException("a schedule needs time, interval and probes", nameof(settings));
        }

        Time = Within(time, KeepaliveSettings.MaxTime, nameof(KeepaliveSettings.Time));
        Interval = Within(interval, KeepaliveSettings.MaxInterval, nameof(KeepaliveSettings.Interval));
        Probes = Within(probes, KeepaliveSettings.MaxProbes, nameof(KeepaliveSettings.Probes));
        Wheels = hz is { } known ? [new TimerWheel(known)] : s_commonWheels;
    }

    /// <summary>Seconds without traffic before the first probe, 1..32767.</summary>
    public int Time { get; }

    /// <summary>Seconds between unanswered probes, 1..32767.</summary>
    public int Interval { get; }

    /// <summary>Unanswered probes before the connection ends, 1..127.</summary>
    public int Probes { get; }

    /// <summary>The timer wheel of the kernel; all possible ones if it is unknown.</summary>
    internal ImmutableArray<TimerWheel> Wheels { get; }

    /// <summary>The nominal instant of death, and the earliest: all probes go unanswered.</summary>
    public TimeSpan Death => Nominal(Probes);

    /// <summary>The latest instant of death.</summary>
    public TimeSpan LatestDeath => Latest(Probes);

    /// <summary>The nominal instant of a probe, and the earliest, all before it unanswered.</summary>
    /// <param name="number">1 is the first, <see cref="Probes"/> the last.</param>
    public TimeSpan Probe(int number) => Nominal(Preceding(number));

    /// <summary>The latest instant of a probe, all before it unanswered.</summary>
    /// <param name="number">1 is the first, <see cref="Probes"/> the last.</param>
    public TimeSpan LatestProbe(int number) => Latest(Preceding(number));

    /// <summary>Whether a quiet connection stays known to a balancer, also when its timer fires as late as it can.</summary>
    /// <param name="idleTimeout">
    /// The balancer's idle timeout. Its clock starts up to one way before the socket's and a probe takes another to reach it: take off one
    /// round trip where that counts.
    /// </param>
    /// <param name="lostProbes">
    /// Probes lost in a row before they reach the balancer, at least 0; as many as <see cref="Probes"/> end the connection.
    /// </param>
    /// <remarks>For balancers that any packet refreshes.</remarks>
    public bool Survives(TimeSpan idleTimeout, int lostProbes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lostProbes);
        return lostProbes < Probes && Latest(lostProbes) < idleTimeout;
    }

    /// <summary>The time between two probes of a quiet connection if each is answered and timers are never late.</summary>
    /// <param name="roundTrip">From a probe to its answer, less than <see cref="Interval"/>.</param>
    public TimeSpan AnsweredCycle(TimeSpan roundTrip)
    {
        // The answer restarts the clock; the timer, which the probe has set to the interval, is then set to what is left.
        var (interval, afterAnswer) = (TimeSpan.FromSeconds(Interval), TimeSpan.FromSeconds(Time) + roundTrip);
        return interval > afterAnswer ? interval : afterAnswer;
    }

    /// <summary>How many probes a quiet connection sends when each is answered, timers never late.</summary>
    /// <param name="window">From the first of them to the end of the time looked at; negative where the first is not reached.</param>
    /// <param name="roundTrip">From a probe to its answer, less than <see cref="Interval"/>.</param>
    public long AnsweredProbes(TimeSpan window, TimeSpan roundTrip) =>
        window < TimeSpan.Zero ? 0 : 1 + (window.Ticks / AnsweredCycle(roundTrip).Ticks);

    private TimeSpan Nominal(int unanswered) => TimeSpan.FromSeconds(Time + (long)unanswered * Interval);

    private TimeSpan Latest(int unanswered)
    {
        var latest = TimeSpan.Zero;
        foreach (var wheel in Wheels)
        {
            var first = TimerWheel.LongestOf(wheel.ToJiffies(Math.Max(Time, Interval)));
            var all = wheel.ToTime(first + (unanswered * TimerWheel.LongestOf(wheel.ToJiffies(Interval))));
            latest = all > latest ? all : latest;
        }

        return latest;
    }

    private int Preceding(int number)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(number, Probes);
        return number - 1;
    }

    private static int Within(int value, int max, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, max, name);
        return value;
    }
}
