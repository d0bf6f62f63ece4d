using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A scenario: connections through an idle balancer, their use, and failures.</summary>
/// <remarks>
/// <code>
///   client ── pool of connections ═══ network: rtt, loss ═══ balancer ── endpoints
///   one request at a time             all of it on this side   at the servers' door
/// </code>
/// </remarks>
internal sealed record Scenario
{
    /// <summary>Where it comes from: a file, or a built-in name.</summary>
    public required string Name { get; init; }

    /// <summary>The balancer's name, where it has one.</summary>
    public BalancerPreset? Preset { get; init; }

    public required BalancerRule Rule { get; init; }

    /// <summary>In all; a multiple of <see cref="Pool"/>.</summary>
    public int Connections { get; init; } = 1;

    /// <summary>Connections of each client.</summary>
    public int Pool { get; init; } = 1;

    /// <summary>Which of its connections a client uses next.</summary>
    public PoolPick Pick { get; init; }

    /// <summary>Whether a connection that has ended is replaced at once, or when a request needs it.</summary>
    public bool ReopensAtOnce { get; init; } = true;

    public required Arrival Requests { get; init; }

    /// <summary>How long a server works on a request; null where it responds at once.</summary>
    public ServiceTime? ServiceTime { get; init; }

    /// <summary>How long a client waits for a response before it answers 504.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a client waits for a connection before it answers 503.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often a request is tried again after a reset or a failed connect.</summary>
    public int Retries { get; init; }

    public TimeSpan Duration { get; init; } = TimeSpan.FromHours(24);

    /// <summary>The client ends' keepalive, all three values; null where it is off.</summary>
    public KeepaliveSettings? Keepalive { get; init; }

    /// <summary>The server ends' keepalive, all three values; null where it is off.</summary>
    public KeepaliveSettings? ServerKeepalive { get; init; }

    /// <summary>CONFIG_HZ of kernels whose timers fire late; null for timers that fire on time.</summary>
    public int? TimerHz { get; init; }

    public TimeSpan RoundTrip { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>The part of all packets that is lost, each direction, 0..1.</summary>
    public double Loss { get; init; }

    /// <summary>How long the network loses everything when it does, on average; zero for packets lost independently.</summary>
    public TimeSpan LossBurst { get; init; }

    /// <summary>Servers behind the balancer.</summary>
    public int Endpoints { get; init; } = 1;

    public ImmutableArray<Failure> Failures { get; init; } = [];

    /// <summary>
    /// How often an endpoint that was taken out of the pool is tried again; null where none is taken out. One is when a connection to it
    /// dies of unanswered probes.
    /// </summary>
    public TimeSpan? RemovalCheck { get; init; }

    /// <summary>When the balancer starts anew and knows no connection any more, in order.</summary>
    public ImmutableArray<TimeSpan> Restarts { get; init; } = [];

    public long Seed { get; init; } = 1;

    public int Clients => Connections / Pool;
}

/// <summary>Which connection of its pool a client uses.</summary>
internal enum PoolPick
{
    /// <summary>One after another.</summary>
    RoundRobin,

    Random,

    /// <summary>The one used last: the others are spare.</summary>
    LastUsed,
}

/// <summary>An endpoint that fails, and returns.</summary>
/// <param name="Endpoint">Which, from 0.</param>
/// <param name="At">When; null for at random times.</param>
/// <param name="Every">From one return to the next failure, on average; null where it fails once.</param>
/// <param name="Lasts">How long it is away.</param>
/// <param name="IsSilent">The whole host is gone and answers nothing; otherwise its kernel resets connections and refuses new ones.</param>
internal sealed record Failure(int Endpoint, TimeSpan? At, TimeSpan? Every, TimeSpan Lasts, bool IsSilent);
