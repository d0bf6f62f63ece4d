using Keepalive.Agent.Policies;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A namespace that is held open, and the sockets tracked in it.</summary>
/// <param name="inode">Its inode number.</param>
/// <param name="handle">What is held open of it.</param>
/// <param name="account">Who has to answer for what it costs; null is the node itself.</param>
internal sealed class WatchedNamespace(ulong inode, NamespaceSockets handle, string? account = null) : IDisposable
{
    /// <summary>Who has to answer for what it costs, as <see cref="Accountable"/> names it; null is the node itself.</summary>
    public string? Account { get; } = account;

    /// <summary>How far the search for the owners of its sockets has come, which goes on in the next pass.</summary>
    public SearchProgress Progress { get; } = new();

    public ulong Inode { get; } = inode;

    public NamespaceSockets Handle { get; } = handle;

    public Dictionary<ulong, TrackedSocket> Sockets { get; } = [];

    /// <summary>The connection counters at the last dump; any other value means that sockets came or went.</summary>
    public TcpActivity? Activity { get; set; }

    /// <summary>When the namespace is dumped even if nothing is known to have changed.</summary>
    public long DumpAt { get; set; }

    /// <summary>Number of dumps so far: what a dump did not see is gone.</summary>
    public long Dumps { get; set; }

    /// <summary>The first pass in which a socket that is not settled wants another try.</summary>
    public long NextTry { get; set; } = long.MaxValue;

    /// <summary>Whether the policy counts in it.</summary>
    public Exemption Exemption { get; set; }

    /// <summary>The policy the sockets were last compared with.</summary>
    public PolicySnapshot? ComparedWith { get; set; }

    public void Dispose() => Handle.Dispose();
}
