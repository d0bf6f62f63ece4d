using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>One address behind an Istio ServiceEntry: the <c>spec</c> of a WorkloadEntry, or an entry of <c>endpoints</c>.</summary>
public sealed record MeshWorkload
{
    /// <summary>An IP address, a host name, or <c>unix://</c> and a path, which no TCP connection goes to.</summary>
    public Positioned<string>? Address { get; init; }

    /// <summary>The port to dial for each of the ServiceEntry's ports, by its name.</summary>
    public ImmutableArray<KeyValuePair<string, long>> Ports { get; init; } = [];

    /// <summary>The labels that <c>workloadSelector</c> and the selectors of Services match.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Labels { get; init; } = [];

    /// <summary>Whether an address is a path in a file system, which TCP has nothing to do with.</summary>
    internal static bool IsPath(string address) => address.StartsWith("unix:", StringComparison.Ordinal);
}

/// <summary>An Istio WorkloadEntry (networking.istio.io).</summary>
public sealed record WorkloadEntry : Resource
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "WorkloadEntry";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>Its <c>spec</c>.</summary>
    public required MeshWorkload Workload { get; init; }

    /// <summary>Whether it names the network that it is in. It then needs no address: the gateway of the network is dialled.</summary>
    public bool HasNetwork { get; init; }
}
