using System.Runtime.InteropServices;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Finds connections that never leave their network namespace, from both ends as the sockets of the namespace show them.</summary>
/// <remarks>
/// <code>
///   plain:     A ──► B                     two sockets: (A, B) and (B, A)
///   REDIRECT:  A ──► VIP ──┐               two sockets: (A, VIP) and (P, A); P is the end that the proxy listens on
///                    P ◄───┘
/// </code>
/// <para>
/// The first is certain: nobody has a socket with the address of another host as its own. The second is not. A program can make a
/// connection whose remote end is another program's local end, for example a connection to its server, or one from a port that both use
/// (IP_LOCAL_PORT_RANGE). So the second counts only if (P, A) was accepted, its own other end is not there, and both sockets belong to the
/// same workload. If (P, A) has received or sent a FIN, its other end may be gone and the port used again for another connection: it is not
/// the other end of an established one. A tenant can then only make its own connections look local. If they belong to different ones, as on a host whose proxy
/// runs as another user, the namespace's connection tracking must say that P answers (A, VIP): only an administrator can make it so.
/// </para>
/// <para>A dump is not one moment. A connection that is made meanwhile may be judged wrongly until the next dump.</para>
/// </remarks>
internal sealed class LocalEnds
{
    /// <summary>The maximum number of addresses and of connections that are kept between dumps. A tenant can give its namespace any number of
    /// addresses.</summary>
    private const int MaxKept = 1024;

    /// <summary>The maximum number of ends for which the kernel is asked whether somebody listens, for one workload. A pod's proxy listens on
    /// one or two.</summary>
    private const int MaxListeners = 16;

    /// <summary>The maximum number of questions to connection tracking in a dump.</summary>
    private const int MaxTranslations = 1024;

    /// <summary>The number of connections for which room is added at a time.</summary>
    private const int Part = 1024;

    private const TcpStates Connected =
        TcpStates.Established | TcpStates.CloseWait | TcpStates.FinWait1 | TcpStates.FinWait2 | TcpStates.LastAck | TcpStates.Closing;

    private readonly Dictionary<UInt128, long> _addresses = [];
    private readonly Dictionary<Connection, (string Workload, bool IsEstablished)> _within = [];
    private readonly Dictionary<(SocketEndpoint End, string Workload), bool> _redirected = [];
    private readonly HashSet<Connection> _accepted = [];
    private readonly HashSet<SocketEndpoint> _acceptedFrom = [];
    private readonly List<Waiting[]> _waiting = [];
    private int _waitingCount;
    private int _translations;
    private UInt128 _lastAddress;
    private long _dump;
    private long _complete;
    private bool _redirects;
    private bool _hasReportedEarly;

    /// <summary>Whether connections that are local may have been taken for others, because the dump showed an address or a redirected
    /// connection for the first time. The next dump knows them from its beginning.</summary>
    public bool IsIncomplete { get; private set; }

    /// <summary>Whether the last dump showed connections that are local, or may be. If not, only addresses show that one is.</summary>
    public bool HasAny => _within.Count > 0 || _redirected.Count > 0 || _acceptedFrom.Count > 0;

    // The first dump does not know the namespace's addresses until its end.
    private bool IsFirst => _complete == _dump;

    /// <summary>Whether the addresses of a connection show that it does not leave its host.</summary>
    public static bool IsByAddress(in SocketEndpoint local, in SocketEndpoint remote) => Endpoint.StayOnHost(local.Address, remote.Address);

    /// <summary>Whether the addresses of a new connection show if it is local, and whether others are, without a dump.</summary>
    public bool AreDecided(in SocketEndpoint local, in SocketEndpoint remote) =>
        IsByAddress(in local, in remote) || (_addresses.ContainsKey(local.Address) && !_addresses.ContainsKey(remote.Address));

    /// <summary>Begins a dump of the namespace.</summary>
    public void Begin()
    {
        _dump++;
        _within.Clear();
        _redirected.Clear();
        _accepted.Clear();
        _acceptedFrom.Clear();
        _translations = 0;
        if (_addresses.Count > MaxKept || _complete == 0)
        {
            _addresses.Clear();
            _complete = _dump;
        }
        DropWaiting();
        (_lastAddress, _hasReportedEarly, IsIncomplete) = (default, false, false);
    }

    /// <summary>Whether a socket of the dump may be one end of a local connection, and must be added.</summary>
    public bool Wants(in SeenSocket seen)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        // The kernel proves the address of a socket only when its handshake is over.
        if (remote.Port == 0 || ((TcpStates)(1u << (int)seen.State) & Connected) == 0)
        {
            return false;
        }
        if (local.Address != _lastAddress)
        {
            _lastAddress = local.Address;
            ref var shown = ref CollectionsMarshal.GetValueRefOrAddDefault(_addresses, local.Address, out var isKnown);
            shown = _dump;
            IsIncomplete |= !isKnown && !IsFirst;
        }
        // Between two loopback addresses nothing has to be found: their addresses show it.
        return (IsFirst || remote.Address == _lastAddress || _addresses.ContainsKey(remote.Address))
            && !(Endpoint.IsLoopback(local.Address) && Endpoint.IsLoopback(remote.Address));
    }

    /// <summary>Adds a socket that is wanted.</summary>
    public void Add(in SeenSocket seen, string workload)
    {
        var (connection, isEstablished) = (new Connection(seen.Local, seen.Remote), seen.State == TcpState.Established);
        if (IsFirst && !_addresses.ContainsKey(seen.Remote.Address))
        {
            // A first dump wants all connections of the namespace, and few of them are local.
            Wait(new Waiting(connection, workload, isEstablished));
        }
        else
        {
            _within[connection] = (workload, isEstablished);
        }
    }

    /// <summary>Whether only the end of the dump shows if a connection is local. The answer for others is no, or their addresses show
    /// it.</summary>
    /// <param name="seen">A socket of the dump.</param>
    /// <param name="isWanted">Whether it is wanted.</param>
    public bool IsOpen(in SeenSocket seen, bool isWanted)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        if (remote.Port == 0 || IsByAddress(in local, in remote))
        {
            return false;
        }
        var isOpen = isWanted || _redirects || Endpoint.IsLoopback(local.Address);
        _hasReportedEarly |= !isOpen;
        return isOpen;
    }

    /// <summary>Ends a dump.</summary>
    /// <param name="isListening">Asks the kernel whether a socket listens on an end.</param>
    public void End(Func<SocketEndpoint, bool> isListening)
    {
        EnterWaiting();
        var known = new Dictionary<string, Dictionary<SocketEndpoint, bool>>();
        foreach (var (connection, (workload, isEstablished)) in _within)
        {
            // The address of the other end must belong to the namespace now; it may have moved to another host.
            if (_addresses.GetValueOrDefault(connection.Remote.Address) != _dump)
            {
                _within.Remove(connection);   // the first dump wants all
                continue;
            }
            if (_within.ContainsKey(connection.Reverse))
            {
                continue;
            }
            ref var ends = ref CollectionsMarshal.GetValueRefOrAddDefault(known, workload, out _);
            ends ??= [];
            if (!ends.TryGetValue(connection.Local, out var isAccepted) && ends.Count < MaxListeners)
            {
                ends.Add(connection.Local, isAccepted = isListening(connection.Local));
            }
            if (isAccepted)
            {
                _accepted.Add(connection);
                _acceptedFrom.Add(connection.Remote);
                ref var redirected = ref CollectionsMarshal.GetValueRefOrAddDefault(_redirected, (connection.Remote, workload), out _);
                redirected |= isEstablished;
            }
        }
        if (_within.Capacity > MaxKept)
        {
            _within.TrimExcess();
        }
        var redirects = _accepted.Count > 0;
        IsIncomplete = (IsIncomplete || (redirects && !_redirects)) && _hasReportedEarly;
        _redirects = redirects;
    }

    /// <summary>Whether a connection is local, after the end of the dump.</summary>
    /// <param name="local">Its own end.</param>
    /// <param name="remote">Its other end.</param>
    /// <param name="state">Its state.</param>
    /// <param name="workload">The workload that it belongs to.</param>
    /// <param name="translate">Asks connection tracking for the end that really answers a connection; null if unknown.</param>
    public bool IsLocal(
        in SocketEndpoint local, in SocketEndpoint remote, TcpState state, string workload, Func<ConnectionEnds, SocketEndpoint?> translate) =>
        IsByAddress(in local, in remote)
        || (_within.Count > 0 && _within.ContainsKey(new Connection(remote, local)))
        || (_redirected.Count > 0 && (IsRedirected(in local, state, workload) || _accepted.Contains(new Connection(local, remote))))
        || (_acceptedFrom.Count > 0 && _acceptedFrom.Contains(local) && _translations++ < MaxTranslations
            && translate(new ConnectionEnds(local, remote)) is { } end && _accepted.Contains(new Connection(end, local)));

    private void Wait(in Waiting waiting)
    {
        if (_waitingCount == _waiting.Count * Part)
        {
            _waiting.Add(new Waiting[Part]);
        }
        _waiting[_waitingCount / Part][_waitingCount % Part] = waiting;
        _waitingCount++;
    }

    /// <summary>Adds the connections of the first dump to which an address belongs that the dump showed after them.</summary>
    private void EnterWaiting()
    {
        for (var i = _waitingCount - 1; i >= 0; i--)
        {
            ref readonly var waiting = ref _waiting[i / Part][i % Part];
            if (_addresses.ContainsKey(waiting.Connection.Remote.Address))
            {
                _within.TryAdd(waiting.Connection, (waiting.Workload, waiting.IsEstablished));
            }
        }
        DropWaiting();
    }

    private void DropWaiting()
    {
        _waiting.Clear();
        _waitingCount = 0;
    }

    private bool IsRedirected(in SocketEndpoint local, TcpState state, string workload) =>
        _redirected.TryGetValue((local, workload), out var isToEstablished)
        && (isToEstablished || state is not (TcpState.Established or TcpState.SynSent or TcpState.SynReceived));

    /// <summary>A connection of the first dump whose other end's address the dump has not shown yet.</summary>
    private readonly record struct Waiting(Connection Connection, string Workload, bool IsEstablished);

    private readonly record struct Connection(SocketEndpoint Local, SocketEndpoint Remote)
    {
        public Connection Reverse => new(Remote, Local);
    }
}
