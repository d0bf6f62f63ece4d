using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>A Kubernetes Service (v1). Only what leads to addresses is kept.</summary>
public sealed record Service : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "Service";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.Service;

    /// <summary>Its cluster IPs, external IPs and the IPs of its load balancer. A headless service may have none.</summary>
    public ImmutableArray<Positioned<string>> Addresses { get; init; } = [];

    /// <summary>Labels of the pods behind it.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Selector { get; init; } = [];

    /// <summary>Whether it has ports that are not TCP; <see cref="Destination.Ports"/> has the TCP ones only.</summary>
    public bool HasOtherProtocols { get; init; }

    internal override string? Home => Metadata.Namespace;

    /// <inheritdoc/>
    public override bool IsAnyPort => Ports.IsEmpty && !HasOtherProtocols;

    /// <inheritdoc/>
    public override IEnumerable<string> DialledHosts => [$"{Metadata.Name.Value}.{Metadata.Namespace}.svc.cluster.local"];
}
