using Keepalive.Config;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Which objects of the cluster are policies.</summary>
internal enum PolicyOrigin
{
    /// <summary>Gloo's, where the cluster has the kind, else Istio's.</summary>
    Auto,

    /// <summary>Gloo's ConnectionPolicies.</summary>
    Gloo,

    /// <summary>Istio's DestinationRules.</summary>
    Istio,

    Both,
}

/// <summary>What is wanted of the cluster.</summary>
internal sealed record ClusterOptions
{
    public required ApiAccess Access { get; init; }

    public PolicyOrigin From { get; init; }

    public Side Side { get; init; }

    /// <summary>The name of this node in the cluster; null where not known, and then pods are not looked at.</summary>
    public string? NodeName { get; init; }

    /// <summary>The only namespaces whose sockets are set; empty is all.</summary>
    public IReadOnlyList<string> Namespaces { get; init; } = [];

    /// <summary>Namespaces whose sockets are left alone.</summary>
    public IReadOnlyList<string> ExcludedNamespaces { get; init; } = [];

    public WatchTiming Timing { get; init; } = new();
}
