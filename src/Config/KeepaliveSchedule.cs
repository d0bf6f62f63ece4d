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
/// It holds for sockets with nothing unacknowledged (those are retransmitted, not probed). A TCP_USER_TIMEOUT replaces the number of probes:
/// the connection ends when a probe is due, one is unanswered, and that time has passed. From tcp_keepalive_timer in the kernel's
/// net/ipv4/tcp_timer.c.
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
    /// <param name="userTimeout">TCP_USER_TIMEOUT in milliseconds; 0 is none.</param>
    /// <exception cref="ArgumentException">A value is missing.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The kernel would not take a value.</exception>
    public KeepaliveSchedule(KeepaliveSettings settings, int? hz = null, int userTimeout = 0)
    {
        if (settings is not { Time: { } time, Interval: { } interval, Probes: { } probes })
        {
            throw new ArgumentException("a schedule needs time, interval and probes", nameof(settings));
        }

        Time = Within(time, KeepaliveSettings.MaxTime, nameof(KeepaliveSettings.Time));
        Interval = Within(interval, KeepaliveSettings.MaxInterval, nameof(KeepaliveSettings.Interval));
        Probes = Within(probes, KeepaliveSettings.MaxProbes, nameof(KeepaliveSettings.Probes));
        ArgumentOutOfRangeException.ThrowIfNegative(userTimeout);
        UserTimeoutMilliseconds = userTimeout;
        LostProbes = userTimeout == 0 ? Probes
            : UserTimeout.IsShort(userTimeout, Time, Interval, Probes) ? UserTimeout.LostProbes(userTimeout, Time, Interval, Probes)
            : Overdue;
        Wheels = hz is { } known ? [new TimerWheel(known)] : s_commonWheels;
    }

    /// <summary>Seconds without traffic before the first probe, 1..32767.</summary>
    public int Time { get; }

    /// <summary>Seconds between unanswered probes, 1..32767.</summary>
    public int Interval { get; }

    /// <summary>Unanswered probes before the connection ends, 1..127.</summary>
    public int Probes { get; }

    /// <summary>TCP_USER_TIMEOUT; 0 is none.</summary>
    public int UserTimeoutMilliseconds { get; }

    /// <summary>Lost probes in a row that end the connection: <see cref="Probes"/>, or fewer or more with a user timeout.</summary>
    public int LostProbes { get; }

    /// <summary>The timer wheel of the kernel; all possible ones if it is unknown.</summary>
    internal ImmutableArray<TimerWheel> Wheels { get; }

    /// <summary>The earliest instant of death: all probes go unanswered. Without a user timeout it is the nominal one, too.</summary>
    public TimeSpan Death
    {
        get
        {
            if (UserTimeoutMilliseconds == 0)
            {
                return Nominal(Probes);
            }

            // The fewest unanswered probes at which late timers reach the user timeout.
            var fewest = Math.Max(1, Wheels.Min(wheel => Steps(ToJiffies(wheel) - FirstOf(wheel), StepOf(wheel))));
            var (timeout, probe) = (TimeSpan.FromMilliseconds(UserTimeoutMilliseconds), Nominal(fewest));
            return timeout > probe ? timeout : probe;
        }
    }

    /// <summary>The latest instant of death.</summary>
    public TimeSpan LatestDeath => UserTimeoutMilliseconds == 0 ? Latest(Probes) : Wheels.Max(wheel =>
    {
        // The timer before the last one fires at its latest, or just too early for the user timeout.
        var before = FirstOf(wheel) + ((Overdue - 1) * StepOf(wheel));
        return wheel.ToTime(Math.Max(FirstOf(wheel), Math.Min(before, ToJiffies(wheel))) + StepOf(wheel));
    });

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
    /// Probes lost in a row before they reach the balancer, at least 0; as many as <see cref="LostProbes"/> end the connection.
    /// </param>
    /// <remarks>For balancers that any packet refreshes.</remarks>
    public bool Survives(TimeSpan idleTimeout, int lostProbes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lostProbes);
        return lostProbes < LostProbes && Latest(lostProbes) < idleTimeout;
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

    private TimeSpan Nominal(long unanswered) => TimeSpan.FromSeconds(Time + unanswered * Interval);

    private TimeSpan Latest(int unanswered)
    {
        var latest = TimeSpan.Zero;
        foreach (var wheel in Wheels)
        {
            var all = wheel.ToTime(FirstOf(wheel) + (unanswered * StepOf(wheel)));
            latest = all > latest ? all : latest;
        }

        return latest;
    }

    /// <summary>The unanswered probes at which the user timeout has passed, if timers are never late.</summary>
    private int Overdue => (int)Math.Max(1, Steps(UserTimeoutMilliseconds - (Time * 1000L), Interval * 1000L));

    /// <summary>The latest first probe, jiffies.</summary>
    private long FirstOf(TimerWheel wheel) => TimerWheel.LongestOf(wheel.ToJiffies(Math.Max(Time, Interval)));

    /// <summary>The latest wait between unanswered probes, jiffies.</summary>
    private long StepOf(TimerWheel wheel) => TimerWheel.LongestOf(wheel.ToJiffies(Interval));

    /// <summary>The user timeout in jiffies, a part of one as a whole.</summary>
    private long ToJiffies(TimerWheel wheel) => (((long)UserTimeoutMilliseconds * wheel.Hz) + 999) / 1000;

    private static long Steps(long length, long step) => (length + step - 1) / step;

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
