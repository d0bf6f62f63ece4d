using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An ExternalEndpoint (networking.gloo.solo.io/v2): one address behind an <see cref="ExternalService"/> that selects it.</summary>
public sealed record ExternalEndpoint : Resource
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "ExternalEndpoint";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>An IP address, a host name, or <c>unix://</c> and a path, which no TCP connection goes to.</summary>
    public Positioned<string>? Address { get; init; }

    /// <summary>Its ports.</summary>
    public ImmutableArray<NamedPort> Ports { get; init; } = [];
}
