namespace Keepalive.Config.Balancers;

/// <summary>How keepalive values stand to a balancer.</summary>
public enum BalancerStanding
{
    /// <summary>A quiet connection is kept, also when a probe is lost.</summary>
    Kept,

    /// <summary>It is kept as long as no probe is lost.</summary>
    NoMargin,

    /// <summary>The balancer forgets it before the first probe is sure to have gone out.</summary>
    Forgotten,

    /// <summary>Only payload counts for the balancer: no keepalive values help.</summary>
    PayloadNeeded,

    /// <summary>Probes are not answered, in the long run: keepalive itself ends the connection.</summary>
    ProbesUnanswered,

    /// <summary>The balancer has no idle timeout until one is configured, or none that is known.</summary>
    Unknown,

    /// <summary>The values leave the time to the network namespace of each socket.</summary>
    Depends,
}

/// <summary>Whether a quiet connection with some keepalive values stays known to a balancer.</summary>
public sealed record BalancerVerdict
{
    /// <summary>Judges values against a balancer.</summary>
    /// <param name="settings">The values; what they leave open is taken to be <see cref="KeepaliveSettings.LinuxDefaults"/>.</param>
    /// <param name="balancer">The balancer.</param>
    /// <param name="idleTimeout">Its idle timeout where it was configured, seconds; null takes the balancer's own.</param>
    /// <param name="userTimeout">TCP_USER_TIMEOUT in milliseconds; 0 is none.</param>
    public BalancerVerdict(KeepaliveSettings settings, BalancerPreset balancer, double? idleTimeout = null, int userTimeout = 0)
    {
        ArgumentNullException.ThrowIfNull(balancer);
        (Balancer, Settings) = (balancer, settings);
        IdleTimeout = idleTimeout ?? balancer.IdleTimeout;
        Unconfirmed = balancer.Unverified & (BalancerFacts.Refresh | (idleTimeout is null ? BalancerFacts.IdleTimeout : BalancerFacts.None));
        Schedule = new KeepaliveSchedule(settings.Or(KeepaliveSettings.LinuxDefaults), userTimeout: userTimeout);
        LostProbes = IdleTimeout is { } timeout ? Survived(Schedule, timeout) : -1;
        Standing = balancer.DropsProbes ? BalancerStanding.ProbesUnanswered
            : balancer.Refresh == Refresh.PayloadOnly ? BalancerStanding.PayloadNeeded
            : IdleTimeout is null ? BalancerStanding.Unknown
            : settings.Time is null ? BalancerStanding.Depends
            : LostProbes switch { < 0 => BalancerStanding.Forgotten, 0 => BalancerStanding.NoMargin, _ => BalancerStanding.Kept };
    }

    /// <summary>The values, without those of Linux.</summary>
    public KeepaliveSettings Settings { get; }

    /// <summary>
    /// The longest <c>time</c> of a network namespace with which it keeps connections although probes are lost; null if there is none.
    /// </summary>
    public int? KeptUpTo => Advise()?.Time;

    /// <summary>The balancer.</summary>
    public BalancerPreset Balancer { get; }

    /// <summary>Seconds without traffic after which it forgets a connection; null where it has no default.</summary>
    public double? IdleTimeout { get; }

    /// <summary>The facts behind the verdict that no source confirms. An idle timeout that was given needs no source.</summary>
    public BalancerFacts Unconfirmed { get; }

    /// <summary>When the kernel probes.</summary>
    public KeepaliveSchedule Schedule { get; }

    /// <summary>Whether and how the connection is kept.</summary>
    public BalancerStanding Standing { get; }

    /// <summary>Probes in a row that may be lost before the balancer forgets the connection; -1 where it does without any being lost.</summary>
    public int LostProbes { get; }

    /// <summary>Whether the balancer closes the connection before the first probe.</summary>
    public bool ClosesBeforeProbes => IdleTimeout is { } timeout && Schedule.Probe(1).TotalSeconds >= timeout;

    /// <summary>Whether only the user timeout leaves no margin for a lost probe.</summary>
    public bool IsCutShort => Standing == BalancerStanding.NoMargin && Schedule.UserTimeoutMilliseconds > 0 && Schedule.Probes > 1
        && new KeepaliveSchedule(Settings.Or(KeepaliveSettings.LinuxDefaults)).Survives(TimeSpan.FromSeconds(IdleTimeout!.Value), 1);

    /// <summary>Probes an hour that a quiet connection sends while all are answered.</summary>
    public double ProbesPerHour => 3600.0 / Math.Max(Schedule.Time, Schedule.Interval);

    /// <summary>
    /// Values that keep the connection although two probes in a row are lost, and outlast a brief outage: its own as far as they do, else
    /// the longest interval, the longest round <c>time</c> and the fewest probes that go with it.
    /// </summary>
    /// <param name="shortest">The shortest idle timeout on the path, seconds, if other balancers must keep the connection, too.</param>
    /// <returns>All three; null where the idle timeout is too short for whole seconds.</returns>
    public KeepaliveSettings? Advise(double? shortest = null)
    {
        if ((shortest ?? IdleTimeout) is not { } timeout)
        {
            return null;
        }

        foreach (var longest in (ReadOnlySpan<int>)[int.MaxValue, 30, 10, 5, 3, 2, 1])
        {
            var interval = Math.Min(Schedule.Interval, longest);
            var probes = Math.Max(Math.Max(Schedule.Probes, 3), (BalancerCheck.BriefOutage + interval - 1) / interval);
            foreach (var time in (ReadOnlySpan<int>)[Schedule.Time, 7200, 3600, 1800, 900, 600, 300, 240, 200, 180, 150, 120, 90, 60, 45, 30, 20, 15, 10, 5, 3, 2, 1])
            {
                var advised = new KeepaliveSettings(time, interval, probes);
                // Its own time and interval may stay as they are, also if the interval is longer. A longer time than its own keeps nothing.
                var isPossible = time <= Schedule.Time && (interval <= time || (time == Schedule.Time && interval == Schedule.Interval));
                if (isPossible && new KeepaliveSchedule(advised).Survives(TimeSpan.FromSeconds(timeout), 2))
                {
                    return advised;
                }
            }
        }

        return null;
    }

    private static int Survived(KeepaliveSchedule schedule, double idleTimeout)
    {
        // A long user timeout allows very many.
        var (lost, ends) = (-1, schedule.LostProbes);
        while (ends - lost > 1)
        {
            var middle = lost + ((ends - lost) / 2);
            (lost, ends) = schedule.Survives(TimeSpan.FromSeconds(idleTimeout), middle) ? (middle, ends) : (lost, middle);
        }

        return lost;
    }
}
