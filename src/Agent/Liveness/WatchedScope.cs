using Keepalive.Agent.Capture;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A network namespace and the connections watched in it. Guarded by the monitor's lock.</summary>
internal sealed class WatchedScope(ulong inode, int id)
{
    private CaptureDemand? _demand;

    public ulong Inode { get; } = inode;

    /// <summary>What its packets are marked with; never used for another.</summary>
    public int Id { get; } = id;

    /// <summary>The cluster's namespace whose pod lives here, empty where none is known. Kept, as it is also asked for after the pod's end.</summary>
    public string Workload { get; set; } = "";

    public Dictionary<ulong, WatchedConnection> Connections { get; } = [];

    /// <summary>Its own addresses; what goes to others is on its way through.</summary>
    public HashSet<UInt128> LocalAddresses { get; set; } = [];

    /// <summary>Endpoints that left the pool for connections from here, and the ends these had: the capture goes on until they answer, as
    /// a handshake that is over before the next pass is seen by nothing else.</summary>
    public Dictionary<PooledEndpoint, SocketEndpoint> Awaited { get; } = [];

    /// <summary>Changes whenever a connection comes or goes.</summary>
    public long Version { get; set; }

    /// <summary>Times that packets were dropped here because they were not taken soon enough.</summary>
    public long Gaps { get; set; }

    /// <summary>Whether anything here is to be captured.</summary>
    public bool IsWatched => Connections.Count > 0 || Awaited.Count > 0;

    /// <summary>Forgets endpoints that are back, or that the pool has forgotten.</summary>
    public void DropAnswered()
    {
        foreach (var endpoint in Awaited.Keys)
        {
            if (endpoint.IsIn || endpoint.IsForgotten)
            {
                Awaited.Remove(endpoint);
                Version++;
            }
        }
    }

    public CaptureDemand ToDemand() => _demand is { } known && known.Version == Version
        ? known
        : _demand = new CaptureDemand(
            Inode,
            Id,
            Version,
            [.. Connections.Values.Select(connection => connection.Pid).Where(pid => pid > 0).Distinct().Take(16)],
            Connections.Values.Select(connection => connection.Local).Concat(Awaited.Values).Select(local => local.Address).ToHashSet(),
            Connections.Values.Select(connection => connection.Remote).Concat(Awaited.Keys.Select(endpoint => endpoint.Remote))
                .Select(remote => remote.Address).ToHashSet());
}
