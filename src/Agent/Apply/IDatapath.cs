using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Apply;

/// <summary>One way of reaching the node's TCP sockets. Everything above it sees records only.</summary>
/// <remarks>
/// <code>
///   /proc ──► namespaces ──► dump (sock_diag) ──► match ──► owner ──► judge ──► write, read back
///                 │ gated by their connection counters                            │
///                 └────────────────────────── SocketRecord ◄──────────────────────┘
/// </code>
/// A pass runs on one thread at a time and holds nothing of an application's between two passes.
/// </remarks>
internal interface IDatapath : IDisposable
{
    /// <summary>The name <c>--datapath</c> takes.</summary>
    string Name { get; }

    /// <summary>What its passes have done to sockets.</summary>
    ApplyCounts Counts { get; }

    /// <summary>Brings the sockets of the node into line with <paramref name="policy"/> and reports each socket it looked at.</summary>
    /// <param name="policy">What is in force; a snapshot, never half of one.</param>
    /// <param name="scope">How much to look at and what is allowed.</param>
    /// <param name="sink">Told of every socket looked at, on the calling thread.</param>
    /// <exception cref="Keepalive.Linux.LinuxException">The pass as a whole could not run. What concerns one socket, process or namespace is
    /// a record or a count, never an exception.</exception>
    PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink);
}

/// <summary>Whether a policy counts in a network namespace.</summary>
internal enum Exemption
{
    /// <summary>It does.</summary>
    None,

    /// <summary>Its sockets are left alone, whatever the policy says; what was set on them is given back.</summary>
    LeftAlone,

    /// <summary>That is not known yet: until it is, nothing is set and nothing given back.</summary>
    NotKnown,
}

/// <summary>Tells whether a policy counts in a network namespace.</summary>
/// <param name="inode">The network namespace.</param>
/// <param name="processes">Processes in it, where they are known.</param>
internal delegate Exemption NamespaceExemption(ulong inode, IEnumerable<int> processes);

/// <summary>Receives what a pass finds.</summary>
internal interface ISocketSink
{
    /// <summary>The sockets of a namespace follow; those of it not reported before <see cref="EndNamespace"/> no longer exist.</summary>
    void BeginNamespace(ulong inode);

    /// <summary>One socket as it is at this moment. A socket changed in the course of a pass is reported again, outside of its
    /// namespace's frame.</summary>
    void Socket(in SocketRecord record);

    void EndNamespace(ulong inode);

    /// <summary>The namespace, and every socket in it, is gone.</summary>
    void NamespaceGone(ulong inode);
}
