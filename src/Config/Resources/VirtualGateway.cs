using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>A VirtualGateway (networking.gloo.solo.io/v2): listeners on gateway workloads, which accept connections.</summary>
public sealed record VirtualGateway : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "VirtualGateway";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.VirtualGateway;

    /// <summary>The workloads it runs on, any of which: selectors of pods.</summary>
    public ImmutableArray<ObjectSelector> Workloads { get; init; } = [];

    /// <inheritdoc/>
    public override bool IsAnyPort => false;
}
