using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Facts about a product that forgets idle TCP connections: a load balancer, a NAT, a firewall, a proxy.</summary>
public sealed record BalancerPreset
{
    /// <summary>Its name in commands: lower case, digits and dashes.</summary>
    public required string Name { get; init; }

    /// <summary>The product, and the part of it where that matters.</summary>
    public required string Product { get; init; }

    /// <summary>The idle timeout it has by default, seconds; null where it has none until one is configured.</summary>
    public required int? IdleTimeout { get; init; }

    /// <summary>The shortest idle timeout it can be given, seconds; null where that is not known or nothing can be configured.</summary>
    public int? MinIdleTimeout { get; init; }

    /// <summary>The longest idle timeout it can be given, seconds; null where that is not known or nothing can be configured.</summary>
    public int? MaxIdleTimeout { get; init; }

    /// <summary>Whether the idle timeout can be changed.</summary>
    public bool IsConfigurable { get; init; } = true;

    /// <summary>The behaviour when the idle timeout has passed.</summary>
    public required ExpiryClass Expiry { get; init; }

    /// <summary>The packets that restart the idle clock.</summary>
    public required Refresh Refresh { get; init; }

    /// <summary>
    /// Whether keepalive probes get no answer, at once or after some, also while the connection is healthy: keepalive then ends the
    /// connections that it is meant to keep.
    /// </summary>
    public bool DropsProbes { get; init; }

    /// <summary>Facts that no source confirms. They are what is most likely, and to be measured before relying on them.</summary>
    public BalancerFacts Unverified { get; init; }

    /// <summary>Where the facts are from, https; the first is the main one.</summary>
    public required ImmutableArray<string> Sources { get; init; }

    /// <summary>Remarks in one line; may be empty.</summary>
    public string Notes { get; init; } = "";

    /// <summary>The behaviour to simulate.</summary>
    public IdleBehaviour Behaviour => new(Expiry, Refresh) { DropsProbes = DropsProbes };

    /// <summary>Why an idle timeout has to be given, a predicate; null where it has one by default.</summary>
    public string? WhyNoTimeout => IdleTimeout is not null ? null
        : IsVerified(BalancerFacts.IdleTimeout) ? "has no idle timeout until one is configured"
        : "has a default idle timeout that no source states";

    /// <summary>Why it cannot have an idle timeout, a sentence without its end; null where it can, or nothing is known of it.</summary>
    /// <param name="idleTimeout">Seconds.</param>
    public string? RefusalOf(double idleTimeout) =>
        !IsConfigurable && IdleTimeout is { } only && idleTimeout != only ? $"{Name} always has {only}s"
        : idleTimeout < MinIdleTimeout ? $"{Name} takes {MinIdleTimeout}s at least"
        : idleTimeout > MaxIdleTimeout ? $"{Name} takes {MaxIdleTimeout}s at most"
        : null;

    /// <summary>Why its idle timeout cannot be made longer, a sentence without its end; null where it can, as far as is known.</summary>
    /// <param name="idleTimeout">Seconds; null where it is not known.</param>
    public string? WhyNoLonger(double? idleTimeout) =>
        !IsConfigurable ? $"{Name} always has {IdleTimeout}s"
        : idleTimeout >= MaxIdleTimeout ? $"{Name} takes {MaxIdleTimeout}s at most"
        : null;

    /// <summary>Whether a source confirms all of these facts.</summary>
    public bool IsVerified(BalancerFacts facts) => (Unverified & facts) == BalancerFacts.None;
}

/// <summary>The facts of a <see cref="BalancerPreset"/> that a source can confirm.</summary>
[Flags]
public enum BalancerFacts
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The idle timeout and its range.</summary>
    IdleTimeout = 1,

    /// <summary>The behaviour when it has passed.</summary>
    Expiry = 2,

    /// <summary>The packets that restart the clock.</summary>
    Refresh = 4,

    /// <summary>Every one.</summary>
    All = IdleTimeout | Expiry | Refresh,
}
