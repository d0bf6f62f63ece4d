namespace Keepalive.Agent.Kubernetes;

/// <summary>How long to wait before the next request for a kind. It has no clock, and the caller supplies the random numbers.</summary>
/// <param name="timing">The waits without jitter.</param>
/// <param name="random">Numbers from 0 to less than 1.</param>
internal sealed class Backoff(WatchTiming timing, Func<double> random)
{
    /// <summary>The maximum number of Retry-After replies in a row that are followed. After that, the wait grows as after other
    /// failures.</summary>
    private const int MaxBusy = 10;

    /// <summary>The maximum number of failures to count after a watch that had events and ended soon.</summary>
    private const int MaxShortWatches = 3;

    private const double MaxJitter = 1.5;

    /// <summary>The limit for Retry-After. A longer time is ignored.</summary>
    private static readonly TimeSpan s_maxAsked = TimeSpan.FromMinutes(10);

    private int _failures;
    private int _busy;

    /// <summary>The wait before a list that follows a good watch.</summary>
    public TimeSpan BeforeList => timing.Backoff * random();

    /// <summary>The wait before the next request for a kind that the server does not have.</summary>
    public TimeSpan WhileAbsent => Jittered(timing.LookForAbsent);

    /// <summary>Records that a watch lasted: the count of failures starts again at 0.</summary>
    public void Lasted() => _failures = 0;

    /// <summary>Records that a watch had events and ended soon. A proxy that passes some events and then disconnects, again and again, gets
    /// fewer requests than a good server, but more than a server that fails.</summary>
    public void EndedSoon() => _failures = Math.Min(_failures, MaxShortWatches);

    /// <summary>Records that the server opened a watch: it is not busy any more.</summary>
    public void Opened() => _busy = 0;

    /// <summary>Returns the wait after a failure: twice the wait before, or the time that a busy server asks for.</summary>
    /// <param name="asked">The time that the server asks for; null if it does not.</param>
    /// <param name="isKnown">Whether anything is known of the cluster.</param>
    public TimeSpan AfterFailure(TimeSpan? asked = null, bool isKnown = true)
    {
        var least = asked < s_maxAsked ? asked.Value : TimeSpan.Zero;
        if (asked < s_maxAsked && _busy++ < MaxBusy)
        {
            return least + (Larger(least, timing.Backoff) * random());
        }
        var doubled = timing.Backoff * Math.Pow(2, Math.Min(_failures++, 20));
        var most = isKnown ? timing.MaxBackoff : Smaller(timing.MaxBackoff, timing.MaxWhileUnknown / MaxJitter);
        var wait = Jittered(Smaller(doubled, most));
        return least > wait ? Jittered(least) + (least / 2) : wait;
    }

    private TimeSpan Jittered(TimeSpan wait) => wait * (MaxJitter - 1 + random());

    private static TimeSpan Smaller(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Larger(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
