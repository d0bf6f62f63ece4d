using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>A VirtualDestination (networking.gloo.solo.io/v2): a host name for services in several clusters.</summary>
public sealed record VirtualDestination : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "VirtualDestination";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.VirtualDestination;

    /// <summary>The Services behind it, any of which.</summary>
    public ImmutableArray<ObjectSelector> Services { get; init; } = [];

    /// <summary>The ExternalServices behind it, any of which.</summary>
    public ImmutableArray<ObjectSelector> ExternalServices { get; init; } = [];

    /// <summary>The ExternalWorkloads behind it, any of which.</summary>
    public ImmutableArray<ObjectSelector> ExternalWorkloads { get; init; } = [];
}
