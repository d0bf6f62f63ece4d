using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Capture;

namespace Keepalive.Agent.Liveness;

/// <summary>Keeps the liveness of every connection that a rule selects, from captured packets and from what passes report.</summary>
/// <remarks>
/// Passes and the capture run on threads of their own; one lock guards their data. A pass reports which connections exist, and the kernel's
/// count of unanswered probes. Without a capture that count is the only source. With a capture it checks the captured count.
/// </remarks>
internal sealed class LivenessMonitor : ISocketSink, ICaptureListener, IDestroyListener
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, WatchedScope> _scopes = [];
    private readonly LivenessLedger _ledger;
    private readonly CapturedLiveness _captured;
    private readonly ProbeWaits _waits = new();
    private readonly SteadyClock _clock;
    private readonly bool _captures;
    private readonly PodDirectory? _pods;
    private readonly BackendLookup? _backends;
    private readonly PassedLiveness _passed;
    private readonly KernelReports _reports;
    private WatchedScope? _frame;
    private bool _isComplete;
    private bool _hasGaps;
    private int _frames;
    private int _lastScope;

    /// <param name="log">Receives dead connections and endpoints that leave the pool or return.</param>
    /// <param name="time">The clock.</param>
    /// <param name="captures">Whether packets are captured.</param>
    /// <param name="pods">Finds the pod of a connection; null without a cluster.</param>
    /// <param name="backends">Finds the backends behind virtual addresses; null if they are not looked up.</param>
    public LivenessMonitor(LivenessLog log, TimeProvider time, bool captures, PodDirectory? pods = null, Backends? backends = null)
    {
        (_clock, _captures, _pods) = (new SteadyClock(time), captures, pods);
        _backends = backends is null ? null : new BackendLookup(backends, log);
        _ledger = new LivenessLedger(log);
        _captured = new CapturedLiveness(_ledger);
        _passed = new PassedLiveness(_ledger, _captured, _clock, _waits, captures, pods, _backends);
        _reports = new KernelReports(_ledger, captures);
    }

    /// <summary>Receives the time from each probe to its reply; null for none.</summary>
    public IRoundTripListener? RoundTrips
    {
        set
        {
            lock (_lock)
            {
                _ledger.RoundTrips = value;
            }
        }
    }

    private long Now => _clock.Now;

    /// <summary>Returns the namespaces whose connections are watched, and where to capture their packets.</summary>
    public List<CaptureDemand> Demands()
    {
        lock (_lock)
        {
            foreach (var scope in _scopes.Values)
            {
                scope.DropAnswered(Now);
            }
            return [.. _scopes.Values.Where(scope => scope.IsWatched).Select(scope => scope.ToDemand())];
        }
    }

    /// <summary>
    /// Returns the namespaces with a connection of which nothing was captured for longer than its keepalive takes to send a probe. The
    /// kernel may send probes on a path without a capture. Or a probe may not reach a device, because the neighbor does not answer or there
    /// is no route. Namespaces where packets were dropped are included until a pass has read the kernel's counts after the last drop, and
    /// as long as a connection seems unanswered: the drops may have hidden all probes of a connection.
    /// </summary>
    public HashSet<ulong> Doubtful()
    {
        var doubtful = new HashSet<ulong>();
        if (_captures)
        {
            lock (_lock)
            {
                var now = Now;
                foreach (var scope in _scopes.Values)
                {
                    if (scope.DistrustsAny(now) || (scope.Gaps != scope.GapsRead && scope.Connections.Count > 0))
                    {
                        doubtful.Add(scope.Inode);
                        continue;
                    }
                    if (scope.Gaps == 0 && now <= scope.DoubtAt)
                    {
                        continue;
                    }
                    scope.DoubtAt = long.MaxValue;
                    foreach (var connection in scope.Connections)
                    {
                        var at = _waits.DoubtAt(connection);
                        if (now > at || (connection.IsUncertain && connection.State.Phase == LivenessPhase.Probing))
                        {
                            doubtful.Add(scope.Inode);
                            scope.DoubtAt = 0;
                            break;
                        }
                        scope.DoubtAt = Math.Min(scope.DoubtAt, at);
                    }
                }
            }
        }
        return doubtful;
    }

    /// <summary>Returns the connections that must send a probe in the next pass, by network namespace. Their workloads have heard nothing
    /// since a connection to the same far end died.</summary>
    public Dictionary<ulong, IReadOnlySet<ulong>> Questions()
    {
        var questions = new Dictionary<ulong, IReadOnlySet<ulong>>();
        lock (_lock)
        {
            _clock.Look();
            foreach (var connection in _ledger.Pool.Choose(Now))
            {
                if (!questions.TryGetValue(connection.Scope.Inode, out var cookies))
                {
                    questions.Add(connection.Scope.Inode, cookies = new HashSet<ulong>());
                }
                ((HashSet<ulong>)cookies).Add(connection.Cookie);
            }
        }
        return questions;
    }

    public bool TakesChanges => true;

    public void BeginNamespace(ulong inode) => Begin(inode, isComplete: true);

    public void BeginChanges(ulong inode) => Begin(inode, isComplete: false);

    public void Gone(ulong inode, ulong cookie)
    {
        lock (_lock)
        {
            if (_scopes.TryGetValue(inode, out var scope) && scope.Connections.TryGetValue(cookie, out var connection))
            {
                _passed.Vanish(scope, connection);
            }
        }
    }

    private void Begin(ulong inode, bool isComplete)
    {
        lock (_lock)
        {
            _frames++;
            _frame = Scope(inode);
            _isComplete = isComplete;
            (_frame.Listing, _frame.Listed) = (_frames, 0);
            _hasGaps = _frame.GapsRead != _frame.Gaps;
            _frame.GapsRead = _frame.Gaps;
            if (_frame.PodNamespace.Length == 0)
            {
                _frame.PodNamespace = _pods?.NamespaceOf(inode) ?? "";
            }
        }
    }

    public void Socket(in SocketRecord record)
    {
        if (record.Rule is null)
        {
            NoteRelease(in record);
            return;
        }
        if (record.State is TcpState.SynSent or TcpState.SynReceived or TcpState.NewSynReceived)
        {
            return;   // not connected yet
        }
        lock (_lock)
        {
            var scope = Scope(record.Namespace);
            if (!scope.Connections.TryGetValue(record.Cookie, out var connection))
            {
                connection = _passed.Add(scope, in record);
            }
            if (ReferenceEquals(_frame, scope) && connection.Frame != _frames)
            {
                connection.Frame = _frames;
                scope.Listed++;
            }
            _passed.Update(scope, connection, in record);
        }
    }

    public void EndNamespace(ulong inode)
    {
        EndFrame(inode);
        // Not under the lock: packets wait for it.
        if (_backends?.Resolve() is { Count: > 0 } found)
        {
            lock (_lock)
            {
                found.ForEach(one => _passed.SetBackend(one.Connection, one.Backend));
            }
        }
    }

    private void EndFrame(ulong inode)
    {
        lock (_lock)
        {
            if (_frame is not { } scope || scope.Inode != inode)
            {
                _frame = null;
                return;
            }
            if (!_isComplete)
            {
                // Those that the changes do not contain have no unanswered probes.
                foreach (var connection in (IEnumerable<WatchedConnection>)(_hasGaps ? scope.Connections : _ledger.Probing))
                {
                    if (ReferenceEquals(connection.Scope, scope) && connection.Frame != _frames && connection.LeftAt == 0)
                    {
                        _passed.CompareWithNone(connection);
                    }
                }
            }
            // If all were listed, none has to be looked for.
            else if (scope.Listed != scope.Connections.Count)
            {
                foreach (var connection in scope.Connections)
                {
                    if (connection.Frame != _frames)
                    {
                        _passed.Vanish(scope, connection);
                    }
                }
            }
            _frame = null;
        }
    }

    public void NamespaceGone(ulong inode)
    {
        // Its pod must not be found any more: another namespace may get the same inode number.
        _pods?.Forget(inode);
        lock (_lock)
        {
            if (_scopes.Remove(inode, out var scope))
            {
                _captured.Leave(scope);
                foreach (var connection in scope.Connections)
                {
                    _passed.Remove(scope, connection);
                }
            }
        }
    }

    /// <summary>Sets the own addresses of a namespace.</summary>
    public void SetLocalAddresses(ulong inode, IEnumerable<UInt128> addresses)
    {
        lock (_lock)
        {
            var scope = Scope(inode);
            scope.LocalAddresses = [.. addresses];
            foreach (var connection in scope.Connections)
            {
                if (!connection.IsLocal && scope.LocalAddresses.Contains(connection.Remote.Address))
                {
                    connection.IsLocal = true;
                    _passed.EnterVote(connection);
                }
            }
        }
    }

    /// <summary>Reads all captured packets that are available.</summary>
    public void Take(IPacketSource source)
    {
        lock (_lock)
        {
            _clock.Look();
            while (source.TryRead(out var packet))
            {
                _captured.Take(in packet, _clock.FromWall(packet.Time));
            }
        }
    }

    /// <summary>Records that packets of a scope were dropped. Until a pass reads the kernel's counts, probes that seem unanswered may have
    /// been answered.</summary>
    public void Missed(int scope)
    {
        lock (_lock)
        {
            _captured.Missed(scope);
        }
    }

    /// <summary>Records how a socket ended. The kernel reports it when the application closes the socket.</summary>
    public void Destroyed(ulong inode, in DestroyedSocket socket)
    {
        lock (_lock)
        {
            if (_scopes.TryGetValue(inode, out var scope))
            {
                _clock.Look();
                _reports.Take(scope, in socket, Now);
            }
        }
    }

    /// <summary>Does nothing: the counts of the passes are used for these sockets.</summary>
    public void DestroyedUnreported(ulong inode, long count)
    {
    }

    /// <summary>Finds connections whose next probe or end is overdue, because the packet that would show it was not captured.</summary>
    public void CheckOverdue()
    {
        lock (_lock)
        {
            _clock.Look();
            _ledger.CheckOverdue(Now);
            _ledger.Pool.CheckOverdue(Now);
        }
    }

    /// <summary>Ends a pass: removes data that is not needed any more.</summary>
    public void EndPass()
    {
        lock (_lock)
        {
            _clock.Look();
            _ledger.Log.EndPass();
            _captured.ForgetDeparted(Now);
            foreach (var scope in _scopes.Values)
            {
                scope.Connections.TrimExcess();
            }
            _ledger.Pool.AwaitAnswers(Now);
            _ledger.Pool.CheckOverdue(Now);
            _ledger.Pool.Expire(Now);
        }
    }

    /// <summary>Returns the counts of each destination.</summary>
    public List<KeyValuePair<RuleKey, RuleTotals>> Counts()
    {
        lock (_lock)
        {
            return _ledger.Counts();
        }
    }

    /// <summary>Returns the standings of all endpoints, those out of the pool first. It is the same object until something
    /// changes.</summary>
    public IReadOnlyList<EndpointStanding> Standings()
    {
        lock (_lock)
        {
            return _ledger.Pool.Standings();
        }
    }

    /// <summary>Returns the state of a remote endpoint; null if it is unknown. Never waits.</summary>
    public RemoteStanding? Find(SocketEndpoint remote) =>
        _ledger.Pool.Find(remote) is { } standing ? standing with { OutSince = _clock.ToWall(standing.OutSince) } : null;

    /// <summary>The number of connections whose end, as the kernel reported it, contradicts the captured packets.</summary>
    public long Contradictions
    {
        get
        {
            lock (_lock)
            {
                return _ledger.Contradictions;
            }
        }
    }

    /// <summary>Removes data that only an earlier policy needed.</summary>
    public void Retain(CompiledPolicy policy)
    {
        lock (_lock)
        {
            _ledger.Retain(policy);
        }
    }

    /// <summary>Returns the endpoints as they are now, those out of the pool first.</summary>
    public List<EndpointRow> ListEndpoints()
    {
        lock (_lock)
        {
            var now = Now;
            return
            [
                .. _ledger.Pool.Endpoints.Select(e => new EndpointRow(
                    e.Policy, e.Destination, e.Remote, e.Front, e.IsIn, e.Connections, _clock.ToWall(e.FarEnd.OutSince), [.. e.FarEnd.Votes.Select(vote => Row(vote, now))]))
                    .Concat(_ledger.Pool.Fronts.Select(front => new EndpointRow(
                        front.Key.Policy,
                        front.Key.Destination,
                        front.Key.Front,
                        Front: null,
                        front.Any(e => e.IsIn),
                        front.Sum(e => e.Connections),
                        _clock.ToWall(front.Max(e => e.FarEnd.OutSince)),
                        Votes: [])))
                    .OrderBy(row => row.IsIn),
            ];
        }
    }

    /// <summary>Returns the connections as they are now, with their namespaces.</summary>
    public List<ConnectionRow> ListConnections()
    {
        lock (_lock)
        {
            return
            [
                .. _scopes.Values.SelectMany(scope => scope.Connections.Select(Row)),
            ];
        }
    }

    /// <summary>Returns the connections by workload and rule, and the changes of the last minutes. Costs what the number of connections
    /// costs, and returns what the number of groups is.</summary>
    public (List<GroupRow> Groups, List<EventRow> Events) Summarize()
    {
        lock (_lock)
        {
            var now = Now;
            var groups = new Dictionary<(string Workload, CompiledRule Rule), GroupRow>(GroupRow.SameRule);
            foreach (var scope in _scopes.Values)
            {
                foreach (var connection in scope.Connections)
                {
                    ref var group = ref CollectionsMarshal.GetValueRefOrAddDefault(groups, (connection.Workload, connection.Rule), out _);
                    (group ??= new GroupRow(connection.Workload, connection.Rule)).Add(connection, now);
                }
            }
            return ([.. groups.Values], _ledger.Recent.List(now));
        }
    }

    /// <summary>Returns connections of one workload, or to one destination, those in trouble first.</summary>
    /// <param name="workload">The workload; null for all.</param>
    /// <param name="destination">The destination; null for all.</param>
    /// <param name="most">The greatest number to return.</param>
    /// <param name="left">The number of connections that are left out.</param>
    public List<WatchedRow> ListConnections(string? workload, string? destination, int most, out int left)
    {
        lock (_lock)
        {
            var now = Now;
            List<WatchedRow> rows =
            [
                .. _scopes.Values.SelectMany(static scope => scope.Connections)
                    .Where(c => (workload is null || c.Workload == workload) && (destination is null || c.Rule.Destination == destination))
                    .Select(c => new WatchedRow(
                        Row(c), c.Workload, c.IsUnprotected, c.NextProbe(now), c.Limit.Probes is > 0 and < int.MaxValue and var probes ? probes : null,
                        c.RoundTrip, c.SetAt == 0 ? null : now - c.SetAt))
                    .OrderByDescending(static row => row.Row.Liveness.Unanswered).ThenByDescending(static row => row.IsUnprotected)
                    .ThenBy(static row => row.Row.Namespace).ThenBy(static row => row.Row.Cookie),
            ];
            left = Math.Max(0, rows.Count - most);
            rows.RemoveRange(rows.Count - left, left);
            return rows;
        }
    }

    /// <summary>Returns everything known of a connection; null if no rule selects it.</summary>
    public ConnectionDetail? Describe(ulong inode, ulong cookie)
    {
        lock (_lock)
        {
            if (!_scopes.TryGetValue(inode, out var scope) || !scope.Connections.TryGetValue(cookie, out var c))
            {
                return null;
            }
            return new ConnectionDetail(
                Row(c),
                c.Workload,
                c.Backend,
                c.Limit.Probes is > 0 and < int.MaxValue and var probes ? probes : null,
                c.State.Phase == LivenessPhase.Idle ? null : Wall(c.ProbedAt),
                Wall(c.AnsweredAt),
                Wall(c.HeardAt),
                c.State.Phase == LivenessPhase.Probing ? Wall(c.SilentSince) : null,
                c.Endpoint?.IsIn,
                _captures);
        }
    }

    /// <summary>Returns the captured number of unanswered probes of a connection; null if the connection is not watched.</summary>
    public int? Unanswered(ulong inode, ulong cookie)
    {
        lock (_lock)
        {
            return _scopes.TryGetValue(inode, out var scope) && scope.Connections.TryGetValue(cookie, out var connection)
                ? connection.State.Unanswered
                : null;
        }
    }

    /// <summary>Marks a connection that no rule selects any more. Either its application has closed it, and the kernel still has it, or its
    /// values were restored. Its end does not count as a death.</summary>
    private void NoteRelease(in SocketRecord record)
    {
        lock (_lock)
        {
            if (_scopes.TryGetValue(record.Namespace, out var scope) && scope.Connections.TryGetValue(record.Cookie, out var connection))
            {
                connection.IsClosing = connection.IsReleased = true;
                if (record is { Changed: true, Replaced: { } from, Current: { } to })
                {
                    _ledger.Recent.Add(
                        new EventKey(EventKind.Restored, connection.Workload, connection.Rule.Policy, connection.Rule.Destination) { From = from, To = to }, Now);
                }
            }
        }
    }

    private long? Wall(long time) => time == 0 ? null : _clock.ToWall(time);

    private static ConnectionRow Row(WatchedConnection c) => new(
        c.Scope.Inode, c.Cookie, c.Local, c.Remote, c.TcpState, c.Values, c.State, c.Pid, c.Rule, c.Outcome, c.Reason, c.UserTimeout);

    private VoteRow Row(WorkloadVote vote, long now) => new(
        vote.Workload,
        vote.Says,
        vote.Connections.Count,
        vote.HeardAt == long.MinValue ? null : TimeSpan.FromTicks(Math.Max(0, now - vote.HeardAt) / 100),
        vote.SaidAt == 0 ? null : _clock.ToWall(vote.SaidAt));

    private WatchedScope Scope(ulong inode)
    {
        ref var scope = ref CollectionsMarshal.GetValueRefOrAddDefault(_scopes, inode, out _);
        if (scope is null)
        {
            scope = new WatchedScope(inode, ++_lastScope) { PodNamespace = _pods?.NamespaceOf(inode) ?? "" };
            _captured.Enter(scope);
        }
        return scope;
    }

}
