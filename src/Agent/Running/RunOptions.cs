using Keepalive.Agent.Serving;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>The options of <c>run</c>.</summary>
internal sealed record RunOptions
{
    public required IReadOnlyList<string> Policies { get; init; }

    /// <summary>The options for the cluster's API; null if it is not used.</summary>
    public Kubernetes.ClusterOptions? Cluster { get; init; }

    /// <summary>The addresses to listen on.</summary>
    public required ListenAddresses Addresses { get; init; }

    public required TimeSpan Interval { get; init; }

    public required DatapathKind Datapath { get; init; }

    /// <summary>The cgroup for bpf; null for the root of the version 2 hierarchy.</summary>
    public required string? Cgroup { get; init; }

    /// <summary>The datapath that these options ask for.</summary>
    public DatapathRequest RequestDatapath(DescriptorShares descriptors) => new(Datapath, Cgroup, Namespaces, descriptors.Namespaces);

    public required ExistingMode Existing { get; init; }

    public required Side Side { get; init; }

    public required bool DryRun { get; init; }

    public required bool Once { get; init; }

    public required bool RestoreOnExit { get; init; }

    public required IReadOnlyList<string> Namespaces { get; init; }

    public required string StateDirectory { get; init; }

    /// <summary>Whether to capture probes; null if not given.</summary>
    public required bool? Capture { get; init; }

    public required bool JsonLog { get; init; }

    public required LogLevel LogLevel { get; init; }
}
