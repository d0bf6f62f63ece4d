using System.Collections.Immutable;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Advice;

/// <summary>The requirements of a policy.</summary>
internal sealed record AdviceRequest
{
    /// <summary>The choices of kernel/Kconfig.hz: distributions build their kernels with one of these.</summary>
    public static ImmutableArray<int> CommonHz { get; } = [100, 250, 300, 1000];

    public BalancerPreset? Preset { get; init; }

    public required BalancerRule Rule { get; init; }

    /// <summary>Whether nothing is known of what the balancer does at expiry. The advice does not depend on it, the simulated failures do.</summary>
    public bool IsExpiryAssumed { get; init; }

    /// <summary>Whether it is known not to end TCP: where only payload counts, it ignores probes rather than answers them.</summary>
    public bool IsFirewall { get; init; }

    /// <summary>The part of all packets that is lost, each direction.</summary>
    public double Loss { get; init; }

    public TimeSpan RoundTrip { get; init; } = TimeSpan.FromMilliseconds(50);

    public int Connections { get; init; } = 1000;

    /// <summary>A dead peer has to be known after that; null for no matter when.</summary>
    public TimeSpan? DetectWithin { get; init; }

    /// <summary>How long a client waits for a response at most; null where responses come at once.</summary>
    public TimeSpan? ServiceTime { get; init; }

    /// <summary>Whether a connection is forgotten while its client waits, if nobody probes.</summary>
    public bool OutlastsIdleTimeout => ServiceTime is { } time && time + RoundTrip >= Rule.IdleTimeout;

    /// <summary>The part of the waits that may end with the connection forgotten.</summary>
    public double Target { get; init; } = 1e-6;

    /// <summary>CONFIG_HZ of the kernels that will probe; null where it is not known.</summary>
    public int? Hz { get; init; }

    /// <summary>That of the kernels for which the advice has to hold.</summary>
    public ImmutableArray<int> AssumedHz => Hz is { } known ? [known] : CommonHz;

    /// <summary>Where the balancer is, for the policy: an address, with a port or without.</summary>
    public string? Address { get; init; }

    /// <summary>The application whose own settings are wanted, one of <see cref="ApplicationSettings.Names"/>; null for none.</summary>
    public string? Application { get; init; }
}
