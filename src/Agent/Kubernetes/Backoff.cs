namespace Keepalive.Agent.Kubernetes;

/// <summary>How long to wait before a kind is asked for again. No clock, and the random numbers are the caller's.</summary>
/// <param name="timing">The waits without their jitter.</param>
/// <param name="random">Numbers from 0 to less than 1.</param>
internal sealed class Backoff(WatchTiming timing, Func<double> random)
{
    /// <summary>Retry-After replies in a row that are honoured before the wait grows all the same.</summary>
    private const int MostBusy = 10;

    /// <summary>Failures that a watch counts as that said something and ended soon.</summary>
    private const int MostShortWatches = 3;

    /// <summary>A server that asks for as much is not believed.</summary>
    private static readonly TimeSpan s_longestAsked = TimeSpan.FromMinutes(10);

    private int _failures;
    private int _busy;

    /// <summary>The wait before a list that follows a good watch.</summary>
    public TimeSpan BeforeList => timing.Backoff * random();

    /// <summary>The wait before the next look for a kind that the server does not have.</summary>
    public TimeSpan WhileAbsent => Jittered(timing.LookForAbsent);

    /// <summary>A watch lasted: failures count from none again.</summary>
    public void Lasted() => _failures = 0;

    /// <summary>A watch said something and ended soon: a proxy that lets something through and hangs up, again and again, is asked less often, but not
    /// as seldom as a server that fails.</summary>
    public void EndedSoon() => _failures = Math.Min(_failures, MostShortWatches);

    /// <summary>The server opened a watch: it is not busy any more.</summary>
    public void Opened() => _busy = 0;

    /// <summary>The wait after a failure: twice as long as after the one before, or as long as a busy server asks for.</summary>
    /// <param name="asked">What the server asks for; null where it does not.</param>
    public TimeSpan AfterFailure(TimeSpan? asked = null)
    {
        var least = asked < s_longestAsked ? asked.Value : TimeSpan.Zero;
        if (asked < s_longestAsked && _busy++ < MostBusy)
        {
            return least + (Larger(least, timing.Backoff) * random());
        }
        var doubled = timing.Backoff * Math.Pow(2, Math.Min(_failures++, 20));
        var wait = Jittered(doubled < timing.LongestBackoff ? doubled : timing.LongestBackoff);
        return least > wait ? Jittered(least) + (least / 2) : wait;
    }

    private TimeSpan Jittered(TimeSpan wait) => wait * (0.5 + random());

    private static TimeSpan Larger(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
