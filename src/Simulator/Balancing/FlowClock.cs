namespace Keepalive.Simulator.Balancing;

/// <summary>How far a balancer is with a connection.</summary>
internal enum FlowPhase
{
    /// <summary>Packets pass.</summary>
    Open,

    /// <summary>The idle timeout has passed.</summary>
    Expired,

    /// <summary>The ends have closed or reset it themselves; stragglers pass.</summary>
    Closed,
}

/// <summary>The state of the balancer's rule for one connection.</summary>
internal record struct FlowClock
{
    public FlowPhase Phase { get; set; }

    /// <summary>When the client last restarted the clock.</summary>
    public TimeSpan Client { get; set; }

    /// <summary>When the server last restarted the clock.</summary>
    public TimeSpan Server { get; set; }

    /// <summary>The clock of a connection that begins now.</summary>
    public static FlowClock StartedAt(TimeSpan now) => new() { Client = now, Server = now };
}
