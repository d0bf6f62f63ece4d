using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An ExternalService (networking.gloo.solo.io/v2): something outside the mesh, known by host names or by addresses.</summary>
public sealed record ExternalService : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "ExternalService";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.ExternalService;

    /// <summary>IP addresses and CIDR blocks. Not together with <see cref="Destination.Hosts"/>.</summary>
    public ImmutableArray<Positioned<string>> Addresses { get; init; } = [];

    /// <summary>Labels of the ExternalEndpoints behind it.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Selector { get; init; } = [];
}
