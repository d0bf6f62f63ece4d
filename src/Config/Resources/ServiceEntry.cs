using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An Istio ServiceEntry (networking.istio.io). A mesh makes them for VirtualDestinations and ExternalServices.</summary>
public sealed record ServiceEntry : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "ServiceEntry";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.ServiceEntry;

    internal override string? Home => Metadata.Namespace;

    /// <summary>Virtual addresses, IP or CIDR.</summary>
    public ImmutableArray<Positioned<string>> Addresses { get; init; } = [];

    /// <summary>The addresses written into it.</summary>
    public ImmutableArray<MeshWorkload> Endpoints { get; init; } = [];

    /// <summary>Labels of the WorkloadEntries behind it, in the same namespace.</summary>
    public ImmutableArray<KeyValuePair<string, string>> WorkloadSelector { get; init; } = [];

    /// <summary>Whether connections go to the addresses of its hosts where nothing else is said: not with STATIC, nor with NONE and addresses.</summary>
    public bool DialsHosts { get; init; }
}
