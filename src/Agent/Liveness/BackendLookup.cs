using Keepalive.Agent.Kubernetes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Looks up the backends of new connections to virtual addresses in the node's connection tracking, all of a pass together.</summary>
/// <remarks>Connections are added under the monitor's lock. <see cref="Resolve"/> is called on the pass thread and does not need it.</remarks>
internal sealed class BackendLookup(Backends backends, LivenessLog log)
{
    private readonly List<WatchedConnection> _unresolved = [];

    public void Add(WatchedConnection connection) => _unresolved.Add(connection);

    /// <summary>Returns the connections that were added since the last call and go to another end than their address says.</summary>
    public List<(WatchedConnection Connection, SocketEndpoint Backend)> Resolve()
    {
        var found = new List<(WatchedConnection, SocketEndpoint)>();
        if (_unresolved.Count == 0)
        {
            return found;
        }
        ConnectionEnds[] ends = [.. _unresolved.Select(connection => new ConnectionEnds(connection.Local, connection.Remote))];
        var resolved = new SocketEndpoint?[ends.Length];
        backends.Resolve(ends, resolved);
        log.Backends(backends.Trouble);
        for (var i = 0; i < resolved.Length; i++)
        {
            if (resolved[i] is { } backend)
            {
                found.Add((_unresolved[i], backend));
            }
        }
        _unresolved.Clear();
        return found;
    }
}
