using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Top;

/// <summary>Keeps the connections that passes find, judges them, and adds them up.</summary>
/// <param name="yardstick">The idle timeout that connections are compared with.</param>
/// <param name="command">Returns the name of a process.</param>
internal sealed class SurveyedSockets(AuditYardstick yardstick, Func<int, string?> command) : ISocketSink
{
    private readonly Dictionary<ulong, SurveyedNamespace> _namespaces = [];
    private readonly Dictionary<(KeepaliveOptions?, TcpTimer), AuditFinding> _findings = [];
    private readonly HashSet<(ulong, ulong)> _addresses = [];
    private readonly HashSet<(SocketEndpoint, SocketEndpoint)> _keptByPeer = [];
    private ((KeepaliveOptions?, TcpTimer) Key, AuditFinding Value)? _lastFinding;
    private SurveyedNamespace? _frame;

    public void BeginNamespace(ulong inode)
    {
        if (!_namespaces.TryGetValue(inode, out _frame))
        {
            _namespaces.Add(inode, _frame = new SurveyedNamespace(inode));
        }
        _frame.Clear();
    }

    public void Socket(in SocketRecord record)
    {
        if (record.State == TcpState.Listen)
        {
            Of(record.Namespace)?.Listen(record.Local.Port);
        }
        else if (record.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait2)
        {
            var socket = new SurveyedSocket(in record, Find(in record));
            if (_frame is { } frame && frame.Inode == record.Namespace)
            {
                frame.Add(in socket);
            }
            else
            {
                Of(record.Namespace)?.Replace(in socket);
            }
        }
    }

    public void EndNamespace(ulong inode) => _frame = null;

    public void NamespaceGone(ulong inode) => _namespaces.Remove(inode);

    /// <summary>Adds up the connections of all namespaces.</summary>
    /// <param name="local">The connections that never leave their namespace, which are in no group.</param>
    public List<OverviewGroup> AddUp(out int local)
    {
        FindPeers();
        local = 0;
        Dictionary<GroupKey, Group> groups = [];
        GroupKey? last = null;
        Group? group = null;
        foreach (var space in _namespaces.Values)
        {
            foreach (ref readonly var socket in space.Sockets)
            {
                if (socket.IsLocal)
                {
                    local++;
                    continue;
                }
                var key = KeyOf(space, in socket);
                // Adjacent sockets in a dump often have the same owner and the same far end.
                if (group is null || last != key)
                {
                    ref var found = ref CollectionsMarshal.GetValueRefOrAddDefault(groups, key, out _);
                    (last, group) = (key, found ??= new Group());
                }
                group.Add(in socket, IsUnprotected(in socket));
            }
        }
        return [.. groups.Select(one => one.Value.ToOverview(one.Key.Workload, one.Key.Name, one.Key.IsAccepted, Command(one.Value.Pid)))];
    }

    /// <summary>Returns the connections that the view lists one by one.</summary>
    public NodeConnections List(Focus focus)
    {
        List<(SurveyedNamespace Space, int Place, int Unanswered, bool IsUnprotected)> all = [];
        GroupKey? last = null;
        var isListed = false;
        foreach (var space in _namespaces.Values)
        {
            var sockets = space.Sockets;
            for (var i = 0; i < sockets.Length; i++)
            {
                ref readonly var socket = ref sockets[i];
                if (socket.IsLocal)
                {
                    continue;
                }
                var key = KeyOf(space, in socket);
                if (last != key)
                {
                    (last, isListed) = (key, focus.Matches(key.Workload, key.Name));
                }
                if (isListed)
                {
                    all.Add((space, i, socket.Unanswered, IsUnprotected(in socket)));
                }
            }
        }
        all.Sort(static (a, b) => (b.Unanswered, b.IsUnprotected, a.Space.Inode, a.Space.Sockets[a.Place].Cookie)
            .CompareTo((a.Unanswered, a.IsUnprotected, b.Space.Inode, b.Space.Sockets[b.Place].Cookie)));
        List<OverviewConnection> listed = [.. all.Take(NodeOverview.MostConnections).Select(one => ToOverview(one.Space, in one.Space.Sockets[one.Place]))];
        return new NodeConnections(NodeOverview.Version, listed, all.Count - listed.Count);
    }

    private static GroupKey KeyOf(SurveyedNamespace space, in SurveyedSocket socket)
    {
        var isAccepted = space.HasAccepted(in socket);
        return new GroupKey(socket.Workload, isAccepted ? new SocketEndpoint(default, socket.Local.Port) : socket.Remote, isAccepted);
    }

    private SurveyedNamespace? Of(ulong inode) => _frame is { } frame && frame.Inode == inode ? frame : _namespaces.GetValueOrDefault(inode);

    private string? Command(int pid) => pid == 0 ? null : command(pid);

    /// <summary>Finds the connections whose other end is on this node, too, and probes in time. One end that probes is enough.</summary>
    private void FindPeers()
    {
        _keptByPeer.Clear();
        _addresses.Clear();
        (ulong, ulong)? last = null;
        foreach (var space in _namespaces.Values)
        {
            foreach (ref readonly var socket in space.Sockets)
            {
                var address = (socket.Local.Upper, socket.Local.Lower);
                if (last != address)
                {
                    _addresses.Add(address);
                    last = address;
                }
            }
        }
        last = null;
        var isHere = false;
        foreach (var space in _namespaces.Values)
        {
            foreach (ref readonly var socket in space.Sockets)
            {
                if (socket.Finding != AuditFinding.Kept)
                {
                    continue;
                }
                var address = (socket.Remote.Upper, socket.Remote.Lower);
                if (last != address)
                {
                    (last, isHere) = (address, _addresses.Contains(address));
                }
                if (isHere)
                {
                    _keptByPeer.Add((socket.Remote, socket.Local));
                }
            }
        }
    }

    private bool IsUnprotected(in SurveyedSocket socket) => socket.Finding switch
    {
        AuditFinding.Kept or AuditFinding.Unknown => false,
        AuditFinding.NoKeepalive or AuditFinding.TooLate => _keptByPeer.Count == 0 || !_keptByPeer.Contains((socket.Local, socket.Remote)),
        _ => true,
    };

    /// <summary>The finding of an audit. Few sockets have values of their own.</summary>
    private AuditFinding Find(in SocketRecord record)
    {
        var key = (record.Actual, record.Timer);
        if (_lastFinding is { } last && last.Key == key)
        {
            return last.Value;
        }
        if (!_findings.TryGetValue(key, out var finding))
        {
            if (_findings.Count > 1024)
            {
                _findings.Clear();   // tenants choose values
            }
            _findings.Add(key, finding = yardstick.Judge(in record));
        }
        _lastFinding = (key, finding);
        return finding;
    }

    private OverviewConnection ToOverview(SurveyedNamespace space, in SurveyedSocket socket)
    {
        var values = socket.Values;
        var isProbed = socket.ProbeWait > 0;
        return new OverviewConnection(
            space.Inode,
            socket.Cookie,
            socket.Local.ToString(),
            socket.Remote.ToString(),
            socket.Workload,
            socket.Pid == 0 ? null : socket.Pid,
            Command(socket.Pid),
            null,
            KeyOf(space, in socket).Name,
            values?.Enabled,
            values?.Time,
            values?.Interval,
            values?.Probes,
            null,
            null,
            IsUnprotected(in socket),
            socket.Unanswered,
            values is { Enabled: true } on ? on.Probes : null,
            isProbed ? socket.NextProbe : null,
            isProbed ? socket.ProbeWait : null,
            socket.RoundTripMs,
            null);
    }

    private readonly record struct GroupKey(string Workload, SocketEndpoint End, bool IsAccepted)
    {
        public string Name => IsAccepted ? $":{End.Port}" : End.ToString();

        public bool Equals(GroupKey other) => IsAccepted == other.IsAccepted && End == other.End && Workload == other.Workload;

        public override int GetHashCode() => HashCode.Combine(Workload, End, IsAccepted);
    }

    private sealed class Group
    {
        private (long In, long Wait)? _next;
        private double? _roundTrip;
        private bool _hasMore;
        private int _connections;
        private int _unprotected;
        private int _probing;
        private int _unanswered;
        private int? _endsAfter;

        public int Pid { get; private set; }

        public void Add(in SurveyedSocket socket, bool isUnprotected)
        {
            _connections++;
            _unprotected += isUnprotected ? 1 : 0;
            _probing += socket.Unanswered > 0 ? 1 : 0;
            if (socket.Unanswered > _unanswered)
            {
                (_unanswered, _endsAfter) = (socket.Unanswered, socket.Values?.Probes);
            }
            if (socket.ProbeWait > 0 && (_next is not { } earliest || socket.NextProbe < earliest.In))
            {
                _next = (socket.NextProbe, socket.ProbeWait);
            }
            if (socket.RoundTripMs is { } time && (_roundTrip is not { } longest || time > longest))
            {
                _roundTrip = time;
            }
            if (socket.Pid != 0 && socket.Pid != Pid)
            {
                _hasMore |= Pid != 0;
                Pid = Pid == 0 ? socket.Pid : Math.Min(Pid, socket.Pid);
            }
        }

        public OverviewGroup ToOverview(string workload, string destination, bool isAccepted, string? command) => new(
            workload, command, _hasMore, null, destination, isAccepted, _connections, 0, 0, 0, null, _unprotected, _probing, _unanswered, _endsAfter,
            _next?.In, _next?.Wait, _roundTrip, 0);
    }
}
