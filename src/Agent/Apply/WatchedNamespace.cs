using Keepalive.Agent.Sockets;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply;

/// <summary>A namespace that is held open, and the sockets tracked in it.</summary>
internal sealed class WatchedNamespace(ulong inode, NamespaceSockets handle) : IDisposable
{
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
    public object? ComparedWith { get; set; }

    public void Dispose() => Handle.Dispose();
}
