using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Serving;

namespace Keepalive.Agent.Running;

/// <summary>The options of <c>run</c>, by owner. Each part gets only its own record.</summary>
internal sealed record RunOptions
{
    public required StartOptions Start { get; init; }

    public required LogOptions Log { get; init; }

    public required PolicyOptions Policies { get; init; }

    /// <summary>The options for the cluster's API; null if it is not used.</summary>
    public ClusterOptions? Cluster { get; init; }

    public required StateOptions State { get; init; }

    public required DatapathRequest Datapath { get; init; }

    public required CaptureOptions Capture { get; init; }

    public required PassOptions Passes { get; init; }

    public required ListenAddresses Addresses { get; init; }
}
