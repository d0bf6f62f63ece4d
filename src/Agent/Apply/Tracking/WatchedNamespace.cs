using Keepalive.Agent.Policies;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A namespace that is held open, and its tracked sockets.</summary>
/// <param name="inode">Its inode number.</param>
/// <param name="handle">The open handle of it.</param>
/// <param name="account">The owner that is charged for it; null for the node itself.</param>
internal sealed class WatchedNamespace(ulong inode, NamespaceSockets handle, string? account = null) : IDisposable
{
    /// <summary>The node's own network namespace, where units and pods with the node's network live.</summary>
    private static readonly ulong s_nodes = ProcFs.Inode("/proc/1/ns/net");

    /// <summary>Its owner. All sockets in it belong to the same workload unless it is <see cref="IsShared"/>.</summary>
    public ProcessOwner Owner { get; init; } = ProcessOwner.Node;

    /// <summary>Whether it is the node's own.</summary>
    public bool IsNodes { get; } = inode == s_nodes;

    /// <summary>Whether sockets of several workloads may be in it: it is the node's own, or an administrator made it and not for a pod. A namespace
    /// that a workload makes belongs to that workload.</summary>
    public bool IsShared => IsNodes || (!Owner.IsPod && Handle.IsOfOwnUserNamespace);

    /// <summary>The owner that is charged for it, as <see cref="Accountable"/> names it; null for the node itself.</summary>
    public string? Account { get; } = account;

    /// <summary>The progress of the search for the owners of its sockets, which the next pass continues.</summary>
    public SearchProgress Progress { get; } = new();

    public ulong Inode { get; } = inode;

    public NamespaceSockets Handle { get; } = handle;

    public Dictionary<ulong, TrackedSocket> Sockets { get; } = [];

    /// <summary>Finds the connections whose other end is here, too.</summary>
    public LocalEnds LocalEnds { get; } = new();

    /// <summary>The connection counters at the last dump. Any other value means that sockets came or went.</summary>
    public TcpActivity? Activity { get; set; }

    /// <summary>The time of the next dump, even if nothing is known to have changed.</summary>
    public long DumpAt { get; set; }

    /// <summary>Number of dumps so far. A socket that the last dump did not show is gone.</summary>
    public long Dumps { get; set; }

    /// <summary>The first pass in which an unsettled socket is due for another try.</summary>
    public long NextTry { get; set; } = long.MaxValue;

    /// <summary>Whether policies apply to it.</summary>
    public Exemption Exemption { get; set; }

    /// <summary>The policy with which its sockets were last matched.</summary>
    public PolicySnapshot? ComparedWith { get; set; }

    public void Dispose() => Handle.Dispose();
}
