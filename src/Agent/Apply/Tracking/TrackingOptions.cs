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
    public required int MostNamespaces { get; init; }

    /// <summary>The state of a predecessor; a socket is removed when it is found.</summary>
    public required InheritedSockets Inherited { get; init; }

    /// <summary>The file in which changes are noted; null if none are made or no state is kept.</summary>
    public required StateFile? State { get; init; }

    /// <summary>The inode number of the node's own network namespace.</summary>
    public ulong NodesNamespace { get; init; } = ProcFs.NodesNetworkNamespace();

    /// <summary>Which namespaces are left alone; null is none.</summary>
    public NamespaceExemption? Exempts { get; init; }

    /// <summary>Which sockets of the node's own namespace are left alone; null is none.</summary>
    public HostExemption? HostExempts { get; init; }

    /// <summary>Whether the namespaces are all of the node's.</summary>
    public bool LooksEverywhere => Only.Count == 0;
}
