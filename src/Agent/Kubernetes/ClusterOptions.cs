using Keepalive.Config;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The kind of the cluster's objects that are policies.</summary>
internal enum PolicyOrigin
{
    /// <summary>Gloo's ConnectionPolicies if the cluster has the kind, else Istio's DestinationRules.</summary>
    Auto,

    /// <summary>Gloo's ConnectionPolicies.</summary>
    Gloo,

    /// <summary>Istio's DestinationRules.</summary>
    Istio,

    Both,
}

/// <summary>The options for the cluster's API.</summary>
internal sealed record ClusterOptions
{
    public required ApiAccess Access { get; init; }

    public PolicyOrigin From { get; init; }

    /// <summary>Whether the mesh-wide settings of every revision of Istio are read, and not only those of the default one.</summary>
    public bool MeshRevisions { get; init; }

    /// <summary>Whether policies of proxies (Envoy Gateway, kgateway, Gloo Edge) are read, with the routes and Gateways that they are
    /// attached to.</summary>
    public bool ProxyPolicies { get; init; }

    public Side Side { get; init; }

    /// <summary>The name of this node in the cluster; null if unknown, and then pods are not read.</summary>
    public string? NodeName { get; init; }

    /// <summary>The agent's own pod, which has the Events about policy files; null if unknown, and then there are none.</summary>
    public ObjectReference? Pod { get; init; }

    /// <summary>The only Kubernetes namespaces whose sockets are set; empty for all.</summary>
    public IReadOnlyList<string> Namespaces { get; init; } = [];

    /// <summary>Kubernetes namespaces whose sockets the agent does not change.</summary>
    public IReadOnlyList<string> ExcludedNamespaces { get; init; } = [];

    /// <summary>The least time and interval that pods and namespaces may choose for their own connections by annotation; null if they may
    /// not choose any.</summary>
    public KeepaliveSettings? LeastOfPods { get; init; }

    public WatchTiming Timing { get; init; } = new();
}
