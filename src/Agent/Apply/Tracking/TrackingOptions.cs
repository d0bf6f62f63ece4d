using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>What a datapath looks at, and what it remembers sockets by.</summary>
internal sealed record TrackingOptions
{
    /// <summary>The clock of dumps, audits and spreads.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Paths of the only namespaces to look at; empty for all of the node.</summary>
    public required IReadOnlyList<string> Only { get; init; }

    /// <summary>Namespaces that are held at a time: each takes some descriptors.</summary>
    public required int MostNamespaces { get; init; }

    /// <summary>What a predecessor knew; emptied as its sockets are met again.</summary>
    public required InheritedSockets Inherited { get; init; }

    /// <summary>Where changes are noted; null where none are made or kept.</summary>
    public required StateFile? State { get; init; }

    /// <summary>Which namespaces are left alone; null is none.</summary>
    public NamespaceExemption? Exempts { get; init; }

    /// <summary>Whether the namespaces are all of the node's.</summary>
    public bool LooksEverywhere => Only.Count == 0;
}
