namespace Keepalive.Simulator.Discover;

/// <summary>An idle timeout, as far as it is known.</summary>
/// <param name="Least">The longest idle time after which a connection was still known.</param>
/// <param name="Most">The shortest idle time after which one was not; null if there was none.</param>
internal readonly record struct Bracket(TimeSpan Least, TimeSpan? Most)
{
    /// <summary>Clocks of balancers tick: around the timeout, one connection may be known and a younger one not.</summary>
    private static readonly TimeSpan s_ticks = TimeSpan.FromSeconds(1.5);

    /// <summary>Whether longer idle times were survived than one that was not, by more than a balancer's clock explains.</summary>
    public bool IsContradictory => Most is { } most && Least > (most * 1.15) + s_ticks;

    /// <summary>The shortest timeout that agrees with what was observed.</summary>
    public TimeSpan From => Most is { } most && most < Least ? most : Least;

    /// <summary>The longest timeout that agrees with what was observed; null if nothing was forgotten.</summary>
    public TimeSpan? To => Most is { } most && most < Least ? Least : Most;

    /// <summary>How much is unknown.</summary>
    public TimeSpan Width => To is { } to ? to - From : TimeSpan.MaxValue;

    public Bracket Survived(TimeSpan idle) => idle > Least ? this with { Least = idle } : this;

    public Bracket Forgotten(TimeSpan idle) => Most is not { } most || idle < most ? this with { Most = idle } : this;
}
