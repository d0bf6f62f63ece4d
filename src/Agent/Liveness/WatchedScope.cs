using Keepalive.Agent.Capture;

namespace Keepalive.Agent.Liveness;

/// <summary>A network namespace and the connections watched in it. Guarded by the monitor's lock.</summary>
internal sealed class WatchedScope(ulong inode, int id)
{
    private CaptureDemand? _demand;

    public ulong Inode { get; } = inode;

    /// <summary>What its packets are marked with; never used for another.</summary>
    public int Id { get; } = id;

    public Dictionary<ulong, WatchedConnection> Connections { get; } = [];

    /// <summary>Its own addresses; what goes to others is on its way through.</summary>
    public HashSet<UInt128> LocalAddresses { get; set; } = [];

    /// <summary>Changes whenever a connection comes or goes.</summary>
    public long Version { get; set; }

    public CaptureDemand ToDemand() => _demand is { } known && known.Version == Version
        ? known
        : _demand = new CaptureDemand(
            Inode,
            Id,
            Version,
            [.. Connections.Values.Select(connection => connection.Pid).Where(pid => pid > 0).Distinct().Take(16)],
            Connections.Values.Select(connection => connection.Local.Address).ToHashSet(),
            Connections.Values.Select(connection => connection.Remote.Address).ToHashSet());
}
