using Keepalive.Agent.Sockets;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The namespaces that a datapath examines, and the state that it keeps of sockets.</summary>
internal sealed record TrackingOptions
{
    /// <summary>The clock of dumps, audits and spreads.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Paths of the only namespaces to examine; empty for all of the node.</summary>
    public required IReadOnlyList<string> Only { get; init; }

    /// <summary>The limit of namespaces held at a time: each takes some descriptors.</summary>
    public required int MaxNamespaces { get; init; }

    /// <summary>The state of a predecessor; a socket is removed when it is found.</summary>
    public required InheritedSockets Inherited { get; init; }

    /// <summary>The file in which changes are noted; null if none are made or no state is kept.</summary>
    public required StateFile? State { get; init; }

    /// <summary>The inode number of the node's own network namespace.</summary>
    public ulong NodesNamespace { get; init; } = ProcFs.NodesNetworkNamespace();

    /// <summary>Decides which namespaces are exempt from policies; null if none is.</summary>
    public NamespaceExemption? Exempts { get; init; }

    /// <summary>Decides which sockets of the node's own namespace are exempt from policies; null if none is.</summary>
    public HostExemption? HostExempts { get; init; }

    /// <summary>Whether all namespaces of the node are examined.</summary>
    public bool LooksEverywhere => Only.Count == 0;
}
