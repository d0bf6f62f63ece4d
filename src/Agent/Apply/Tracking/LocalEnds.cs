using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Finds connections whose other end is in the same network namespace: another socket there has their local end as its remote
/// one.</summary>
/// <remarks>
/// This also finds connections that a REDIRECT rule sends to a proxy in the same pod. Their remote address is another host's, but the
/// proxy's socket names the application's end. A connection to another host is not compared: its remote address does not belong to the
/// namespace.
/// </remarks>
internal sealed class LocalEnds
{
    /// <summary>The maximum number of addresses and of ends that are kept between dumps. A tenant can give its namespace any number of
    /// addresses.</summary>
    private const int MaxKept = 1024;

    private readonly HashSet<UInt128> _addresses = [];
    private readonly HashSet<SocketEndpoint> _remotes = [];
    private UInt128 _lastAddress;
    private bool _isFirst = true;
    private bool _isBegun;

    /// <summary>Begins a dump of the namespace.</summary>
    public void Begin()
    {
        // The first dump does not know the namespace's addresses until its end.
        _isFirst = !_isBegun;
        _isBegun = true;
        _remotes.Clear();
        if (_remotes.Capacity > MaxKept)
        {
            _remotes.TrimExcess();
        }
        if (_addresses.Count > MaxKept)
        {
            _addresses.Clear();
            _isFirst = true;
        }
    }

    /// <summary>Adds a socket of the dump.</summary>
    public void Add(in SeenSocket seen)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        if (remote.Port == 0)
        {
            return;   // not connected
        }
        if (local.Address != _lastAddress)
        {
            _lastAddress = local.Address;
            _addresses.Add(local.Address);
        }
        if (_isFirst || remote.Address == _lastAddress || _addresses.Contains(remote.Address))
        {
            _remotes.Add(remote);
        }
    }

    /// <summary>Whether the other end of a connection is among the sockets of the dump.</summary>
    public bool Contains(SocketEndpoint local) => _remotes.Contains(local);
}
