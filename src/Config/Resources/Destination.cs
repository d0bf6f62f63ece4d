using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>Something a policy can select.</summary>
public abstract record Destination : Resource
{
    /// <summary>How <c>applyToDestinations</c> calls this kind.</summary>
    public abstract DestinationKind DestinationKind { get; }

    /// <summary>Its host names.</summary>
    public ImmutableArray<Positioned<string>> Hosts { get; init; } = [];

    /// <summary>Its ports.</summary>
    public ImmutableArray<DestinationPort> Ports { get; init; } = [];

    /// <summary>Whether connections to it can be on any port.</summary>
    public virtual bool IsAnyPort => Ports.IsEmpty;

    /// <summary>The namespace whose DestinationRules Istio takes for clients without one in their own; null if it is not known.</summary>
    internal virtual string? Home => null;

    /// <summary>The names clients dial, which are what a DestinationRule selects by.</summary>
    public virtual IEnumerable<string> DialledHosts => Hosts.Select(static host => host.Value);
}

/// <summary>One entry of a destination's <c>ports</c>.</summary>
/// <param name="Number">The number clients ask for, 1..65535.</param>
/// <param name="Name">Its name, or null.</param>
/// <param name="Protocol">Its protocol.</param>
/// <param name="Target">The port behind it; null is the same number.</param>
/// <param name="Position">Where the entry starts.</param>
public sealed record DestinationPort(
    Positioned<long> Number, Positioned<string>? Name, Positioned<string>? Protocol, PortSelector? Target, SourcePosition Position);
