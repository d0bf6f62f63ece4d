using System.Runtime.InteropServices;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A network namespace and the connections watched in it. Guarded by the monitor's lock.</summary>
internal sealed class WatchedScope(ulong inode, int id)
{
    /// <summary>The maximum number of connections that are kept until the kernel reports how they ended.</summary>
    private const int MaxUnexplained = 256;

    /// <summary>How long to wait for the kernel's report, in nanoseconds. The namespace is watched meanwhile.</summary>
    public const long Patience = 60_000_000_000;

    /// <summary>The number of processes that the capture may use to enter the namespace.</summary>
    private const int MaxProcesses = 16;

    private readonly Dictionary<UInt128, int> _locals = [];
    private readonly Dictionary<UInt128, int> _remotes = [];
    private readonly Dictionary<int, int> _processes = [];
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

    public SocketTable<WatchedConnection> Connections { get; } = new();

    /// <summary>The number of the last listing of its sockets.</summary>
    public int Listing { get; set; }

    /// <summary>How many of <see cref="Connections"/> the last listing contained.</summary>
    public int Listed { get; set; }

    /// <summary>Its own addresses. Packets to other addresses are forwarded.</summary>
    public HashSet<UInt128> LocalAddresses { get; set; } = [];

    /// <summary>Endpoints that left the pool because of connections from here, and the local ends of those connections. The capture goes on
    /// until they answer, because only a capture sees a handshake that ends before the next pass.</summary>
    public Dictionary<PooledEndpoint, SocketEndpoint> Awaited { get; } = [];

    /// <summary>A number that changes whenever the addresses of its connections or their processes change.</summary>
    public long Version { get; set; }

    /// <summary>Until this time no connection has to be asked for: a lower limit, in nanoseconds since 1970.</summary>
    public long DoubtAt { get; set; } = long.MaxValue;

    /// <summary>How many times packets were dropped here because they were not read in time.</summary>
    public int Gaps { get; set; }

    /// <summary>The value of <see cref="Gaps"/> when a pass last read the kernel's counts here.</summary>
    public int GapsRead { get; set; }

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
            [.. _processes.Keys.Take(MaxProcesses)],
            _locals.Keys.Concat(Awaited.Values.Select(local => local.Address)).ToHashSet(),
            _remotes.Keys.Concat(Awaited.Keys.Select(endpoint => (endpoint.Front ?? endpoint.Remote).Address)).ToHashSet());

    /// <summary>Adds a connection.</summary>
    public void Enter(WatchedConnection connection)
    {
        Connections.Add(connection);
        Count(_locals, connection.Local.Address);
        Count(_remotes, connection.Remote.Address);
    }

    /// <summary>Removes a connection. Returns false if it was not here.</summary>
    public bool Leave(WatchedConnection connection)
    {
        if (!Connections.Remove(connection.Cookie))
        {
            return false;
        }
        HeldBy(connection, 0);
        Discount(_locals, connection.Local.Address);
        Discount(_remotes, connection.Remote.Address);
        return true;
    }

    /// <summary>Sets the process that holds a connection; 0 if it is unknown.</summary>
    public void HeldBy(WatchedConnection connection, int pid)
    {
        if (connection.Pid == pid)
        {
            return;
        }
        if (pid > 0)
        {
            Count(_processes, pid);
        }
        if (connection.Pid > 0)
        {
            Discount(_processes, connection.Pid);
        }
        connection.Pid = pid;
    }

    private void Count<T>(Dictionary<T, int> counts, T key)
        where T : notnull
    {
        ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, key, out var isKnown);
        count++;
        Version += isKnown ? 0 : 1;
    }

    private void Discount<T>(Dictionary<T, int> counts, T key)
        where T : notnull
    {
        ref var count = ref CollectionsMarshal.GetValueRefOrNullRef(counts, key);
        if (--count == 0)
        {
            counts.Remove(key);
            Version++;
        }
    }
}
