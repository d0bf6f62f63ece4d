using Keepalive.Agent.Capture;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A network namespace and the connections watched in it. Guarded by the monitor's lock.</summary>
internal sealed class WatchedScope(ulong inode, int id)
{
    /// <summary>The maximum number of connections that are kept until the kernel reports how they ended.</summary>
    private const int MaxUnexplained = 256;

    /// <summary>How long to wait for the kernel's report, in nanoseconds. The namespace is watched meanwhile.</summary>
    public const long Patience = 60_000_000_000;

    private readonly Dictionary<string, long> _distrusted = [];
    private readonly Queue<ulong> _unexplained = new();
    private CaptureDemand? _demand;

    public ulong Inode { get; } = inode;

    /// <summary>The mark of its packets; never used for another namespace.</summary>
    public int Id { get; } = id;

    /// <summary>The Kubernetes namespace of its pod; empty if unknown. It is kept, because it is also needed after the pod's end.</summary>
    public string PodNamespace { get; set; } = "";

    /// <summary>The workload of the last socket that was found here. It also counts for handshakes of sockets that no pass has found
    /// yet.</summary>
    public string Workload { get; set; } = "";

    /// <summary>Connections that left the kernel's table without a known reason, by cookie. The kernel reports it when the application
    /// closes the socket.</summary>
    public Dictionary<ulong, WatchedConnection> Unexplained { get; } = [];

    /// <summary>Whether captured replies to a workload's connections are ignored, because the kernel did not receive them.</summary>
    public bool Distrusts(string workload, long now) => _distrusted.Count > 0 && _distrusted.TryGetValue(workload, out var until) && now < until;

    /// <summary>Whether captured replies to any workload's connections are ignored.</summary>
    public bool DistrustsAny(long now) => _distrusted.Count > 0 && _distrusted.Values.Any(until => now < until);

    /// <summary>Ignores captured replies to a workload's connections until a time. The other workloads here are not affected: a process can make
    /// its own sockets drop replies.</summary>
    public void Distrust(string workload, long until)
    {
        if (_distrusted.Count >= FarEnd.MaxVotes)
        {
            _distrusted.Clear();
        }
        _distrusted[workload] = until;
    }

    public Dictionary<ulong, WatchedConnection> Connections { get; } = [];

    /// <summary>The number of the last listing of its sockets.</summary>
    public long Listing { get; set; }

    /// <summary>How many of <see cref="Connections"/> the last listing contained.</summary>
    public int Listed { get; set; }

    /// <summary>Its own addresses. Packets to other addresses are forwarded.</summary>
    public HashSet<UInt128> LocalAddresses { get; set; } = [];

    /// <summary>Endpoints that left the pool because of connections from here, and the local ends of those connections. The capture goes on
    /// until they answer, because only a capture sees a handshake that ends before the next pass.</summary>
    public Dictionary<PooledEndpoint, SocketEndpoint> Awaited { get; } = [];

    /// <summary>A number that changes whenever a connection comes or goes.</summary>
    public long Version { get; set; }

    /// <summary>How many times packets were dropped here because they were not read in time.</summary>
    public long Gaps { get; set; }

    /// <summary>The value of <see cref="Gaps"/> when a pass last read the kernel's counts here.</summary>
    public long GapsRead { get; set; }

    /// <summary>Whether to watch this namespace.</summary>
    public bool IsWatched => Connections.Count > 0 || Awaited.Count > 0 || Unexplained.Count > 0;

    /// <summary>Keeps a connection that left the kernel's table without a known reason. Above the maximum number, the oldest is
    /// dropped.</summary>
    public void LeaveUnexplained(WatchedConnection connection)
    {
        while (_unexplained.Count >= MaxUnexplained)
        {
            Unexplained.Remove(_unexplained.Dequeue());
        }
        Unexplained[connection.Cookie] = connection;
        _unexplained.Enqueue(connection.Cookie);
    }

    /// <summary>Removes awaited endpoints that returned to the pool or were removed from it, and connections that their application did not
    /// close in time.</summary>
    public void DropAnswered(long now)
    {
        foreach (var (cookie, left) in Unexplained)
        {
            if (left is { IsClosing: true, HasReset: false, KernelUnanswered: 0 })
            {
                // Its last packets came after the pass that missed it: one of its ends closed it.
                Unexplained.Remove(cookie);
            }
        }
        while (_unexplained.TryPeek(out var oldest) && (!Unexplained.TryGetValue(oldest, out var left) || now - left.LeftAt > Patience))
        {
            Unexplained.Remove(_unexplained.Dequeue());
        }
        foreach (var endpoint in Awaited.Keys)
        {
            if ((endpoint.IsIn && !endpoint.FarEnd.IsQuestioned) || endpoint.IsRemoved)
            {
                Awaited.Remove(endpoint);
                Version++;
            }
        }
    }

    /// <summary>Whether an answer came here from another host or namespace. Forwarded packets are captured too, and belong to another
    /// namespace.</summary>
    public bool IsAnswerFromAfar(SocketEndpoint from, SocketEndpoint to) => LocalAddresses.Contains(to.Address) && !LocalAddresses.Contains(from.Address);

    public CaptureDemand ToDemand() => _demand is { } known && known.Version == Version
        ? known
        : _demand = new CaptureDemand(
            Inode,
            Id,
            Version,
            [.. Connections.Values.Select(connection => connection.Pid).Where(pid => pid > 0).Distinct().Take(16)],
            Connections.Values.Select(connection => connection.Local).Concat(Awaited.Values).Select(local => local.Address).ToHashSet(),
            Connections.Values.Select(connection => connection.Remote).Concat(Awaited.Keys.Select(endpoint => endpoint.Front ?? endpoint.Remote))
                .Select(remote => remote.Address).ToHashSet());
}
