using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Support;
using Keepalive.Linux;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Top;

/// <summary>Reads the node's sockets again and again without an agent, and adds them up. Changes nothing.</summary>
/// <remarks>The first pass reads the values of every socket. Later ones list the sockets, which shows timers, unanswered probes and
/// new connections, and read values in rotation.</remarks>
internal sealed class NodeSurveyor(TopOptions options) : ISocketSink, IDisposable
{
    private readonly PidfdDatapath _datapath = new(new TrackingOptions
    {
        Only = options.Namespaces,
        MaxNamespaces = DescriptorShares.Measure().Namespaces,
        Inherited = [],
        State = null,
    });

    private readonly Dictionary<ulong, Dictionary<ulong, SocketRecord>> _namespaces = [];
    private readonly Dictionary<int, string> _commands = [];
    private readonly Dictionary<(KeepaliveOptions?, TcpTimer), AuditFinding> _findings = [];
    private readonly HashSet<(SocketEndpoint, SocketEndpoint)> _kept = [];
    private readonly HashSet<(ulong, ushort)> _listening = [];
    private Dictionary<ulong, SocketRecord>? _frame;
    private bool _hasPassed;

    /// <summary>Reads the sockets and adds them up.</summary>
    public NodeOverview Take(CancellationToken stop)
    {
        List<string> problems = [];
        try
        {
            var summary = _datapath.Pass(
                PolicySnapshot.Empty,
                new PassScope
                {
                    Full = !_hasPassed,
                    // The first one looks at everything, however long it takes.
                    Only = !_hasPassed,
                    ReadAll = true,
                    Timers = true,
                    DryRun = true,
                    States = TcpStates.Connections | TcpStates.Listen,
                    Stop = stop,
                },
                this);
            problems.AddRange(summary.Gaps);
            _hasPassed = true;
        }
        catch (LinuxException e)
        {
            problems.Add(e.Message);
        }
        _commands.Clear();
        Judge();
        var groups = new Dictionary<GroupKey, Group>();
        var local = 0;
        foreach (var record in Connections())
        {
            if (record.IsLocal)
            {
                local++;
                continue;
            }
            var accepted = IsAccepted(in record);
            var key = new GroupKey(record.Workload, accepted ? new SocketEndpoint(default, record.Local.Port) : record.Remote, accepted);
            ref var group = ref CollectionsMarshal.GetValueRefOrAddDefault(groups, key, out _);
            (group ??= new Group()).Add(in record, IsUnprotected(in record));
        }
        var (kept, leftOut) = NodeOverview.Limit(
        [
            .. groups.Select(one => one.Value.ToOverview(one.Key.Workload, Name(one.Key), one.Key.IsAccepted, Command(one.Value.Pid))),
        ]);
        return new NodeOverview(
            NodeOverview.Version,
            Agent: null,
            Environment.MachineName,
            Datapath: null,
            Captured: false,
            Policies: null,
            AgeMs: 0,
            (long)options.Every.TotalMilliseconds,
            options.Yardstick.IdleTimeout,
            local,
            problems,
            kept,
            Out: [],
            Events: [],
            leftOut);
    }

    /// <summary>Returns connections as the last survey found them.</summary>
    public NodeConnections List(Focus focus)
    {
        List<OverviewConnection> all = [];
        foreach (var record in Connections())
        {
            var destination = IsAccepted(in record)
                ? Name(new GroupKey("", new SocketEndpoint(default, record.Local.Port), true)) : record.Remote.ToString();
            if (!record.IsLocal && focus.Matches(record.Workload, destination))
            {
                all.Add(ToOverview(in record, destination));
            }
        }
        all.Sort(static (a, b) => (b.Unanswered, b.Unprotected, a.Netns, a.Cookie).CompareTo((a.Unanswered, a.Unprotected, b.Netns, b.Cookie)));
        var left = Math.Max(0, all.Count - NodeOverview.MostConnections);
        all.RemoveRange(all.Count - left, left);
        return new NodeConnections(NodeOverview.Version, all, left);
    }

    public void BeginNamespace(ulong inode)
    {
        _frame = new Dictionary<ulong, SocketRecord>(_namespaces.GetValueOrDefault(inode)?.Count ?? 0);
        _listening.RemoveWhere(one => one.Item1 == inode);
        _namespaces[inode] = _frame;
    }

    public void Socket(in SocketRecord record)
    {
        if (record.State == TcpState.Listen)
        {
            _listening.Add((record.Namespace, record.Local.Port));
        }
        else if (record.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait2
            && _namespaces.TryGetValue(record.Namespace, out var sockets))
        {
            sockets[record.Cookie] = record;
        }
    }

    public void EndNamespace(ulong inode) => _frame = null;

    public void NamespaceGone(ulong inode)
    {
        _namespaces.Remove(inode);
        _listening.RemoveWhere(one => one.Item1 == inode);
    }

    public void Dispose() => _datapath.Dispose();

    private IEnumerable<SocketRecord> Connections() => _namespaces.Values.SelectMany(static sockets => sockets.Values);

    private bool IsAccepted(in SocketRecord record) => _listening.Contains((record.Namespace, record.Local.Port));

    /// <summary>Finds the connections that are probed in time. One end that probes is enough, and both may be here.</summary>
    private void Judge()
    {
        _kept.Clear();
        foreach (var record in Connections())
        {
            if (Find(in record) == AuditFinding.Kept)
            {
                _kept.Add((record.Remote, record.Local));
            }
        }
    }

    private bool IsUnprotected(in SocketRecord record) => Find(in record) switch
    {
        AuditFinding.Kept or AuditFinding.Unknown => false,
        AuditFinding.NoKeepalive or AuditFinding.TooLate => !_kept.Contains((record.Local, record.Remote)),
        _ => true,
    };

    /// <summary>The finding of an audit. Few sockets have values of their own.</summary>
    private AuditFinding Find(in SocketRecord record)
    {
        var key = (record.Actual, record.Timer);
        if (!_findings.TryGetValue(key, out var finding))
        {
            if (_findings.Count > 1024)
            {
                _findings.Clear();   // tenants choose values
            }
            _findings.Add(key, finding = options.Yardstick.Judge(in record));
        }
        return finding;
    }

    private string? Command(int pid)
    {
        if (pid == 0)
        {
            return null;
        }
        if (!_commands.TryGetValue(pid, out var command))
        {
            _commands.Add(pid, command = ProcessName.Of(pid));
        }
        return command;
    }

    private OverviewConnection ToOverview(in SocketRecord record, string destination)
    {
        var values = record.Actual;
        var next = NextProbe(in record);
        return new OverviewConnection(
            record.Namespace,
            record.Cookie,
            record.Local.ToString(),
            record.Remote.ToString(),
            record.Workload,
            record.Pid == 0 ? null : record.Pid,
            Command(record.Pid),
            null,
            destination,
            values?.Enabled,
            values?.Time,
            values?.Interval,
            values?.Probes,
            null,
            null,
            IsUnprotected(in record),
            record.Unanswered,
            values is { Enabled: true } on ? on.Probes : null,
            next?.In,
            next?.Wait,
            record.RoundTrip / 1000.0,
            null);
    }

    /// <summary>The next probe by the kernel's own timer. Received data postpones it only when the timer fires.</summary>
    private static (long In, long Wait)? NextProbe(in SocketRecord record) =>
        record is { Timer: TcpTimer.Keepalive, TimerExpires: { } expires, Actual: { Enabled: true } values }
            ? (expires, 1000L * (record.Unanswered > 0 ? values.Interval : values.Time)) : null;

    private static string Name(in GroupKey key) => key.IsAccepted ? $":{key.End.Port}" : key.End.ToString();

    private readonly record struct GroupKey(string Workload, SocketEndpoint End, bool IsAccepted);

    private sealed class Group
    {
        private (long In, long Wait)? _next;
        private uint _roundTrip;
        private bool _hasMore;
        private int _connections;
        private int _unprotected;
        private int _probing;
        private int _unanswered;
        private int? _endsAfter;

        public int Pid { get; private set; }

        public void Add(in SocketRecord record, bool isUnprotected)
        {
            _connections++;
            _unprotected += isUnprotected ? 1 : 0;
            _probing += record.Unanswered > 0 ? 1 : 0;
            if (record.Unanswered > _unanswered)
            {
                (_unanswered, _endsAfter) = (record.Unanswered, record.Actual?.Probes);
            }
            if (NextProbe(in record) is { } next && (_next is not { } earliest || next.In < earliest.In))
            {
                _next = next;
            }
            _roundTrip = Math.Max(_roundTrip, record.RoundTrip ?? 0);
            if (record.Pid != 0 && record.Pid != Pid)
            {
                _hasMore |= Pid != 0;
                Pid = Pid == 0 ? record.Pid : Math.Min(Pid, record.Pid);
            }
        }

        public OverviewGroup ToOverview(string workload, string destination, bool isAccepted, string? command) => new(
            workload, command, _hasMore, null, destination, isAccepted, _connections, 0, 0, 0, null, _unprotected, _probing, _unanswered, _endsAfter,
            _next?.In, _next?.Wait, _roundTrip == 0 ? null : _roundTrip / 1000.0, 0);
    }
}
