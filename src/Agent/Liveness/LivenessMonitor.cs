using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
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
    private const long Millisecond = 1_000_000;

    /// <summary>How long a connection must be quiet before its count is compared with the kernel's. Until then, some of its packets may
    /// still be unread.</summary>
    private const long Settled = 500 * Millisecond;

    /// <summary>More than the rounding of the kernel's times. The kernel never sends a probe so soon after it heard something.</summary>
    private const long Jiffies = 50 * Millisecond;

    /// <summary>How long captured replies are ignored in a namespace where the kernel contradicted them.</summary>
    private const long Distrust = 600_000 * Millisecond;

    /// <summary>The minimum number of retransmissions that shows a timeout. A socket that an application aborts is unlikely to have so
    /// many.</summary>
    private const int LeastRetransmits = 3;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, WatchedScope> _scopes = [];
    private readonly LivenessLedger _ledger;
    private readonly CapturedLiveness _captured;
    private readonly ProbeWaits _waits = new();
    private readonly SteadyClock _clock;
    private readonly bool _captures;
    private readonly PodDirectory? _pods;
    private readonly Backends? _backends;
    private readonly List<WatchedConnection> _unresolved = [];
    private WatchedScope? _frame;
    private long _frames;
    private int _lastScope;

    /// <param name="log">Receives dead connections and endpoints that leave the pool or return.</param>
    /// <param name="time">The clock.</param>
    /// <param name="captures">Whether packets are captured.</param>
    /// <param name="pods">Finds the pod of a connection; null without a cluster.</param>
    /// <param name="backends">Finds the backends behind virtual addresses; null if they are not looked up.</param>
    public LivenessMonitor(LivenessLog log, TimeProvider time, bool captures, PodDirectory? pods = null, Backends? backends = null)
    {
        (_clock, _captures, _pods, _backends) = (new SteadyClock(time), captures, pods, backends);
        _ledger = new LivenessLedger(log);
        _captured = new CapturedLiveness(_ledger);
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
    /// is no route. Namespaces where packets were dropped are included as long as a connection seems unanswered.
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
                    if (now < scope.DistrustedUntil)
                    {
                        doubtful.Add(scope.Inode);
                        continue;
                    }
                    foreach (var connection in scope.Connections.Values)
                    {
                        if (_waits.IsDoubtful(connection, now) || (connection.IsUncertain && connection.State.Phase == LivenessPhase.Probing))
                        {
                            doubtful.Add(scope.Inode);
                            break;
                        }
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

    public void BeginNamespace(ulong inode)
    {
        lock (_lock)
        {
            _frames++;
            _frame = Scope(inode);
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
                connection = Add(scope, in record);
            }
            Update(scope, connection, in record);
        }
    }

    public void EndNamespace(ulong inode)
    {
        EndFrame(inode);
        ResolveBackends();
    }

    private void EndFrame(ulong inode)
    {
        lock (_lock)
        {
            if (_frame is { } scope && scope.Inode == inode)
            {
                foreach (var connection in scope.Connections.Values)
                {
                    if (connection.Frame != _frames)
                    {
                        Vanish(scope, connection);
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
                foreach (var connection in scope.Connections.Values)
                {
                    Remove(scope, connection);
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
            foreach (var connection in scope.Connections.Values)
            {
                if (!connection.IsLocal && scope.LocalAddresses.Contains(connection.Remote.Address))
                {
                    connection.IsLocal = true;
                    EnterVote(connection);
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
        var (cookie, probes, retransmits) = (socket.Cookie, socket.Probes, socket.Retransmits);
        lock (_lock)
        {
            if (!_scopes.TryGetValue(inode, out var scope))
            {
                return;
            }
            var hasLeft = !scope.Connections.TryGetValue(cookie, out var connection) && scope.Unexplained.Remove(cookie, out connection);
            if (connection is null || connection.IsReleased || connection is { State: { Phase: LivenessPhase.Dead, Cause: not DeathCause.None } })
            {
                return;
            }
            _clock.Look();
            var now = Now;
            // With fewer unanswered probes, its application closed it before the kernel gave up; with retransmissions, a FIN was given up.
            if (retransmits == 0 && connection.Limit.IsReached(probes))
            {
                if (_captures && connection.State.Unanswered < probes)
                {
                    DistrustCapture(scope, connection, probes, now);
                }
                _ledger.DieByKernel(connection, probes, DeathCause.Probes, now);
            }
            else if (hasLeft && probes == 0 && retransmits >= LeastRetransmits && !connection.IsClosing)
            {
                _ledger.DieByKernel(connection, connection.State.Unanswered, DeathCause.Timeout, now);
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
                .. _scopes.Values.SelectMany(scope => scope.Connections.Values.Select(c => new ConnectionRow(
                    scope.Inode, c.Cookie, c.Local, c.Remote, c.TcpState, c.Values, c.State, c.Pid, c.Rule, c.Outcome, c.Reason))),
            ];
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
            }
        }
    }

    private VoteRow Row(WorkloadVote vote, long now) => new(
        vote.Workload,
        vote.Says,
        vote.Connections.Count,
        vote.HeardAt == long.MinValue ? null : TimeSpan.FromTicks(Math.Max(0, now - vote.HeardAt) / 100),
        vote.SaidAt == 0 ? null : _clock.ToWall(vote.SaidAt));

    /// <summary>Returns the name of a workload, and the Kubernetes namespace of its pod.</summary>
    private (string Workload, string PodNamespace) Name(string workload, WatchedScope scope)
    {
        scope.Workload = workload;
        return _pods?.Find(workload) is { } pod ? ($"{WorkloadName.Pod}{pod.Namespace}/{pod.Pod}", pod.Namespace) : (workload, scope.PodNamespace);
    }

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

    private WatchedConnection Add(WatchedScope scope, in SocketRecord record)
    {
        var connection = new WatchedConnection(in record, scope, Enter(record.Rule!, record.Remote, backend: null))
        {
            State = ConnectionLiveness.Probing(record.Unanswered),
            ProbedAt = Now,
            HeardAt = Now,
        };
        scope.Connections.Add(record.Cookie, connection);
        scope.Version++;
        (connection.Workload, connection.PodNamespace) = Name(record.Workload, scope);
        connection.AccountedTo = record.Workload;
        connection.IsLocal = record.IsLocal || scope.LocalAddresses.Contains(record.Remote.Address);
        EnterVote(connection);
        if (_backends is not null && connection.Endpoint is not null && (_pods is not null || record.Rule!.IsOfService))
        {
            _unresolved.Add(connection);
        }
        _captured.Enter(connection);
        if (record.Unanswered > 0)
        {
            connection.SilentSince = Now - (record.Unanswered * ((record.Current?.Interval ?? 0) * 1000 * Millisecond));
            _ledger.EnterProbing(connection);
        }
        return connection;
    }

    private void Update(WatchedScope scope, WatchedConnection connection, in SocketRecord record)
    {
        var now = Now;
        if (!ReferenceEquals(connection.Rule, record.Rule))
        {
            Reassign(connection, record);
        }
        if (ReferenceEquals(_frame, scope))
        {
            connection.Frame = _frames;
        }
        connection.Pid = record.Pid;
        (connection.Outcome, connection.Reason, connection.TcpState) = (record.Outcome, record.Reason, record.State);
        connection.Values = record.Actual ?? connection.Values;
        connection.Timer = record.Timer;
        connection.IsClosing |= record.State is not TcpState.Established;
        connection.UserTimeout = record.UserTimeout;
        connection.KernelUnanswered = record.Unanswered;
        if (record.Workload != connection.AccountedTo || (record.IsLocal && !connection.IsLocal))
        {
            (connection.Workload, connection.PodNamespace) = Name(record.Workload, scope);
            connection.AccountedTo = record.Workload;
            connection.IsLocal |= record.IsLocal;
            EnterVote(connection);
        }
        if (record.Asked)
        {
            connection.AskedAt = now;
            connection.Vote?.Asked(now);
        }
        connection.Limit = new DeathLimit(record.Current?.Probes ?? int.MaxValue, record.UserTimeout > 0);
        connection.Interval = (record.Current?.Interval ?? 0) * 1000 * Millisecond;
        connection.Time = record.Current is { Enabled: true } current ? current.Time * 1000 * Millisecond : 0;
        if (record.Idle is { } quiet)
        {
            connection.HeardAt = now - (quiet * Millisecond);
        }
        Compare(connection, record.Unanswered, now);
        connection.LookAt = record.Unanswered > 0 && !_waits.IsSeen(connection, now) ? now : Math.Max(connection.HeardAt, now - connection.Time) + _waits.Late(connection.Time);
        if (record is { Idle: { } idle, State: TcpState.Established })
        {
            _ledger.Heard(connection, now - (idle * Millisecond));
        }
    }

    private void Reassign(WatchedConnection connection, in SocketRecord record)
    {
        var endpoint = Enter(record.Rule!, record.Remote, connection.Backend);
        Leave(connection);
        connection.Endpoint = endpoint;
        connection.Rule = record.Rule!;
        EnterVote(connection);
    }

    /// <summary>Looks up the backends of new connections to virtual addresses in the node's connection tracking. It does not hold the lock
    /// meanwhile, because packets wait for the lock.</summary>
    private void ResolveBackends()
    {
        if (_unresolved.Count == 0 || _backends is null)
        {
            _unresolved.Clear();
            return;
        }
        ConnectionEnds[] ends = [.. _unresolved.Select(connection => new ConnectionEnds(connection.Local, connection.Remote))];
        var backends = new SocketEndpoint?[ends.Length];
        _backends.Resolve(ends, backends);
        _ledger.Log.Backends(_backends.Trouble);
        lock (_lock)
        {
            for (var i = 0; i < backends.Length; i++)
            {
                var connection = _unresolved[i];
                if (backends[i] is { } backend && backend != connection.Remote && connection.Endpoint is { IsRemoved: false })
                {
                    connection.Backend = backend;
                    var endpoint = Enter(connection.Rule, connection.Remote, backend);
                    Leave(connection);
                    connection.Endpoint = endpoint;
                    connection.IsLocal |= connection.Scope.LocalAddresses.Contains(backend.Address);
                    EnterVote(connection);
                }
            }
        }
        _unresolved.Clear();
    }

    /// <summary>Counts a connection for the vote of its workload. A connection within one namespace counts for no vote.</summary>
    private void EnterVote(WatchedConnection connection)
    {
        _ledger.Pool.Leave(connection, Now);
        if (connection is { IsLocal: false, Endpoint: not null })
        {
            _ledger.Pool.Enter(connection, connection.Workload);
        }
    }

    /// <summary>Counts a connection at its remote endpoint, and returns the endpoint. Returns null for an accepted connection, which its
    /// rule selects by its local end.</summary>
    private PooledEndpoint? Enter(CompiledRule rule, SocketEndpoint remote, SocketEndpoint? backend) =>
        rule.Covers(remote.Address, remote.Port) ? _ledger.Pool.Enter(rule, backend ?? remote, backend is null ? null : remote) : null;

    private void Leave(WatchedConnection connection)
    {
        _ledger.Pool.Leave(connection, Now);
        if (connection.Endpoint is { } endpoint)
        {
            _ledger.Pool.Leave(endpoint, Now);
        }
    }

    /// <summary>Compares the kernel's count of unanswered probes with the captured one. If no packet was on its way, the kernel's count is
    /// right.</summary>
    private void Compare(WatchedConnection connection, int kernel, long now)
    {
        if (connection.IsUncertain && connection.State.Unanswered > 0 && connection.HeardAt >= connection.ProbedAt - Jiffies)
        {
            // The answer to the last captured probe was dropped. The kernel's count is about a later probe, which may not have been read
            // yet.
            connection.State = connection.State.After(LivenessEvent.Heard, connection.Limit);
            connection.Settle();
        }
        var ours = connection.State.Unanswered;
        var hidden = connection.Timer is TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe;
        if (hidden || connection.State.Phase == LivenessPhase.Dead || (kernel != ours && _captures && now - connection.SeenAt < Settled))
        {
            return;
        }
        if (kernel >= ours)
        {
            _ledger.Confirm(connection);
        }
        var isKnown = connection.IsUncertain;
        connection.Settle();
        if (kernel == ours)
        {
            return;
        }
        if (_captures && !isKnown)
        {
            _ledger.Log.Differs(connection, kernel);
        }
        if (kernel < ours)
        {
            connection.State = kernel == 0 ? connection.State.After(LivenessEvent.Heard, connection.Limit) : ConnectionLiveness.Probing(kernel);
        }
        for (; ours < kernel; ours++)
        {
            _ledger.Probe(connection, now);
        }
    }

    private void Vanish(WatchedScope scope, WatchedConnection connection)
    {
        var now = Now;
        if (connection.ResetAt != 0)
        {
            _ledger.ApplyReset(connection, now);
        }
        // A connection that died before has no more probes to count.
        if (!connection.IsReleased && connection.State.Phase != LivenessPhase.Dead)
        {
            InferProbes(connection, now);
            _ledger.Apply(
                connection, connection.Timer == TcpTimer.Retransmit && !connection.IsClosing ? LivenessEvent.VanishedRetransmitting : LivenessEvent.Vanished, now);
            if (connection.State.Phase != LivenessPhase.Dead && (!connection.IsClosing || connection.HasReset || connection.State.Phase == LivenessPhase.Probing))
            {
                scope.LeaveUnexplained(connection);
            }
        }
        Remove(scope, connection);
    }

    /// <summary>Counts the probes that a connection must have sent since it was last looked at.</summary>
    private void InferProbes(WatchedConnection connection, long now)
    {
        if ((!_captures || !_waits.IsSeen(connection, now)) && connection.State.Phase == LivenessPhase.Probing)
        {
            // After a probe that a pass asked for, the next one comes at the connection's own time.
            var isAsked = connection.State.Unanswered == 1 && connection.AskedAt != 0 && Math.Abs(connection.ProbedAt - connection.AskedAt) < 1000 * Millisecond;
            var since = isAsked ? connection.HeardAt + connection.Time - connection.Interval : connection.ProbedAt;
            var lost = connection.Interval > 0 ? (now - since) / connection.Interval : 0;
            // Passes may be further apart than probes. The probes that were due since the last pass were sent too.
            for (; lost > 0 && !connection.Limit.IsReached(connection.State.Unanswered); lost--)
            {
                _ledger.Probe(connection, now);
            }
        }
        else if (_captures && ProbeWaits.IsOutlasted(connection, now))
        {
            while (!connection.Limit.IsReached(connection.State.Unanswered))
            {
                _ledger.Probe(connection, now);
            }
        }
    }

    /// <summary>Ignores captured replies in the namespace for some time, because the kernel did not receive them. Only the kernel's own
    /// counts are used then.</summary>
    private void DistrustCapture(WatchedScope scope, WatchedConnection connection, int probes, long now)
    {
        if (now >= scope.DistrustedUntil)
        {
            _ledger.Log.Contradicts(connection, probes);
            foreach (var vote in scope.Connections.Values.Select(other => other.Vote).OfType<WorkloadVote>().Distinct())
            {
                vote.Distrust();
            }
        }
        scope.DistrustedUntil = now + Distrust;
    }

    private void Remove(WatchedScope scope, WatchedConnection connection)
    {
        connection.LeftAt = Now;
        scope.Connections.Remove(connection.Cookie);
        scope.Version++;
        _captured.Leave(connection, Now);
        connection.State = new ConnectionLiveness(LivenessPhase.Dead, connection.State.Unanswered, connection.State.Cause);
        Leave(connection);
    }
}
