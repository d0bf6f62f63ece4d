namespace Keepalive.Simulator.Discover;

/// <summary>An idle timeout, as far as it is known.</summary>
/// <param name="From">The longest idle time after which connections were still known, and none was dropped sooner.</param>
/// <param name="To">The shortest idle time after which connections were dropped, and none was known later; null if none was dropped.</param>
internal readonly record struct Bracket(TimeSpan From, TimeSpan? To)
{
    /// <summary>Clocks of balancers tick: around the timeout, one connection may be known and a younger one not.</summary>
    private static readonly TimeSpan s_ticks = TimeSpan.FromSeconds(1.5);

    /// <summary>How much longer than one that was dropped another was known.</summary>
    public TimeSpan Overlap { get; private init; }

    /// <summary>The longest idle time after which one was known, if another was dropped sooner.</summary>
    public TimeSpan Longest { get; private init; }

    /// <summary>Whether longer idle times were survived than one that was not, by more than a balancer's clock explains.</summary>
    public bool IsContradictory => Overlap > ((Longest - Overlap) * 0.15) + s_ticks;

    /// <summary>How much is unknown.</summary>
    public TimeSpan Width => To is { } to ? to - From : TimeSpan.MaxValue;

    /// <summary>The bracket around the timeouts that agree with some idle times.</summary>
    /// <param name="known">Idle times after which connections were known, at least.</param>
    /// <param name="dropped">Idle times after which they were not, at most.</param>
    public static Bracket Of(List<TimeSpan> known, List<TimeSpan> dropped)
    {
        var longest = known.Count > 0 ? known.Max() : TimeSpan.Zero;
        if (dropped.Count == 0)
        {
            return new Bracket(longest, null);
        }
        var shortest = dropped.Min();
        if (shortest >= longest)
        {
            return new Bracket(longest, shortest);
        }
        return new Bracket(
            known.Where(idle => idle <= shortest).DefaultIfEmpty(TimeSpan.Zero).Max(),
            dropped.Where(idle => idle >= longest).DefaultIfEmpty(longest).Min())
        { Overlap = longest - shortest, Longest = longest };
    }
}
