using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An Endpoints object (v1): the addresses behind the <see cref="Service"/> of the same name, as older tools print them.</summary>
public sealed record Endpoints : Resource
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "Endpoints";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>Its subsets, each as a slice of the Service.</summary>
    public ImmutableArray<EndpointSlice> Slices { get; init; } = [];
}
