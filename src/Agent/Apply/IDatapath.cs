using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Apply;

/// <summary>A way to reach the node's TCP sockets. The floors above it see records only.</summary>
/// <remarks>
/// <code>
///   /proc ──► namespaces ──► dump (sock_diag) ──► match ──► owner ──► judge ──► write, read back
///                 │ gated by their connection counters                            │
///                 └────────────────────────── SocketRecord ◄──────────────────────┘
/// </code>
/// A pass runs on one thread at a time. Between two passes the datapath holds no socket of an application.
/// </remarks>
internal interface IDatapath : IDisposable
{
    /// <summary>The value of <c>--datapath</c> that selects it.</summary>
    string Name { get; }

    /// <summary>The changes of sockets by its passes, and the failures.</summary>
    ApplyCounts Counts { get; }

    /// <summary>Applies <paramref name="policy"/> to the sockets of the node and reports each socket that it examines.</summary>
    /// <param name="policy">The policy in force: a snapshot, always complete in itself.</param>
    /// <param name="scope">How much to examine, and which changes are allowed.</param>
    /// <param name="sink">Receives a record of each examined socket, on the calling thread.</param>
    /// <exception cref="Keepalive.Linux.LinuxException">The pass as a whole could not run. A problem of one socket, process or namespace
    /// is a record or a count, never an exception.</exception>
    PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink);
}

/// <summary>Whether policies apply to a network namespace.</summary>
internal enum Exemption
{
    /// <summary>They apply.</summary>
    None,

    /// <summary>They do not apply: its sockets are not set, and sockets that were set are restored.</summary>
    LeftAlone,

    /// <summary>It is not known yet. Until it is known, no socket is set and none is restored.</summary>
    NotKnown,
}

/// <summary>How policies apply to the connections of a network namespace or of a workload.</summary>
/// <param name="Exemption">Whether they apply.</param>
/// <param name="Client">The workload, for policies that are for certain workloads only; null if it is not one of the cluster.</param>
internal readonly record struct ClientStanding(Exemption Exemption, ClientWorkload? Client = null)
{
    public static implicit operator ClientStanding(Exemption exemption) => new(exemption);
}

/// <summary>Tells how policies apply to a network namespace.</summary>
/// <param name="inode">The network namespace.</param>
/// <param name="processes">Its processes, if they are known.</param>
internal delegate ClientStanding NamespaceExemption(ulong inode, IEnumerable<int> processes);

/// <summary>Decides how policies apply to a socket in the node's own network namespace. Pods with the node's network share it with all
/// other processes there.</summary>
/// <param name="Of">Returns how they apply to a workload's sockets.</param>
/// <param name="MayExempt">Whether there may be a workload to which policies do not apply. New connections then wait for a pass, which
/// knows their workload.</param>
internal sealed record HostExemption(Func<string, ClientStanding> Of, Func<bool> MayExempt);

/// <summary>Receives what a pass finds.</summary>
internal interface ISocketSink
{
    /// <summary>Begins a namespace: its sockets follow. A socket of it that is not reported before <see cref="EndNamespace"/> no longer
    /// exists.</summary>
    void BeginNamespace(ulong inode);

    /// <summary>Whether it needs only the changes of a namespace, once it has received all sockets of it.</summary>
    bool TakesChanges => false;

    /// <summary>Begins the changes of a namespace. A socket that a rule selects follows only if its record differs from its last one. Its
    /// values, its state and the number of its unanswered probes, which is 0, are then as they were, and nothing was received on it. All
    /// sockets that no rule selects follow. Sockets that are gone are reported by <see cref="Gone"/>.</summary>
    void BeginChanges(ulong inode) => BeginNamespace(inode);

    /// <summary>Reports that a socket is gone. Comes between <see cref="BeginChanges"/> and <see cref="EndNamespace"/>, after the
    /// records, or outside of the frame of its namespace.</summary>
    void Gone(ulong inode, ulong cookie)
    {
    }

    /// <summary>Reports one socket in its present state. A socket that is changed in the course of a pass is reported again, outside of
    /// the frame of its namespace.</summary>
    void Socket(in SocketRecord record);

    void EndNamespace(ulong inode);

    /// <summary>Reports that a namespace is gone, with every socket in it.</summary>
    void NamespaceGone(ulong inode);
}
