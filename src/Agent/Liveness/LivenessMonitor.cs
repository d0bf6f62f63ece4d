using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Classify;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Keeps the liveness of every connection that a rule selects, from captured packets and from what passes report.</summary>
/// <remarks>
/// Passes and the capture run on threads of their own; one lock is between them. What a pass reports says which connections there are, and
/// its count of unanswered probes is the kernel's: without a capture it is all there is, with one it checks what was captured.
/// </remarks>
internal sealed class LivenessMonitor(LivenessLog log, TimeProvider time, bool captures, PodDirectory? pods = null) : ISocketSink
{
    private const long Millisecond = 1_000_000;

    /// <summary>A connection whose packets are not all taken yet would seem to differ from the kernel's count.</summary>
    private const long Settled = 500 * Millisecond;

    /// <summary>What the capture may add to the time in which a probe is due, and the timer wheel a part of that time (<see cref="TimerWheel"/>).</summary>
    private const long Slack = 500 * Millisecond;

    /// <summary>What the kernel's own times are rounded by, and some more: no probe is sent so soon after something was heard.</summary>
    private const long Jiffies = 50 * Millisecond;

    /// <summary>How long packets of a connection that is gone may still be on their way here.</summary>
    private const long Farewell = 2000 * Millisecond;

    /// <summary>A reset that the kernel does not take it answers at once (RFC 5961, 3.2), and then the connection goes on.</summary>
    private const long Refused = 1000 * Millisecond;

    private readonly Lock _lock = new();
    private readonly ProbeClassifier _classifier = new();
    private readonly Dictionary<(int Scope, SocketEndpoint Local, SocketEndpoint Remote), WatchedConnection> _byName = [];
    private readonly Dictionary<ulong, WatchedScope> _scopes = [];
    private readonly Dictionary<(string Policy, string Destination, string Namespace), RuleCounts> _counts = [];
    private readonly Dictionary<long, long> _late = [];
    private readonly List<long> _roundTrips = [];
    private readonly List<WatchedConnection> _probing = [];
    private readonly List<WatchedConnection> _resetting = [];
    private readonly EndpointPool _pool = new();
    private readonly Queue<(long At, int Scope, WatchedConnection Connection)> _departed = new();
    private WatchedScope? _frame;
    private long _frames;
    private int _lastScope;

    /// <summary>Nanoseconds since 1970, the clock of captured packets.</summary>
    private long Now => (time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;

    /// <summary>The namespaces with connections to be watched, and where their packets are to be captured.</summary>
    public List<CaptureDemand> Demands()
    {
        lock (_lock)
        {
            foreach (var scope in _scopes.Values)
            {
                scope.DropAnswered();
            }
            return [.. _scopes.Values.Where(scope => scope.IsWatched).Select(scope => scope.ToDemand())];
        }
    }

    /// <summary>
    /// Namespaces with a connection of which nothing was captured for longer than its keepalive takes to send a probe: the kernel may probe on
    /// a way where nothing is captured, or not get a probe as far as a device (the neighbor does not answer, there is no route). And those where
    /// packets were dropped, as long as a connection seems to be without an answer.
    /// </summary>
    public HashSet<ulong> Doubtful()
    {
        var doubtful = new HashSet<ulong>();
        if (captures)
        {
            lock (_lock)
            {
                var now = Now;
                foreach (var scope in _scopes.Values)
                {
                    foreach (var connection in scope.Connections.Values)
                    {
                        if (IsDoubtful(connection, now) || (connection.IsUncertain && connection.State.Phase == LivenessPhase.Probing))
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

    public void BeginNamespace(ulong inode)
    {
        lock (_lock)
        {
            _frames++;
            _frame = Scope(inode);
            if (_frame.Workload.Length == 0)
            {
                _frame.Workload = pods?.NamespaceOf(inode) ?? "";
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
        lock (_lock)
        {
            if (_scopes.Remove(inode, out var scope))
            {
                foreach (var connection in scope.Connections.Values)
                {
                    Remove(scope, connection);
                }
            }
        }
    }

    /// <summary>Names the namespace of packets, and tells which addresses are its own.</summary>
    public void SetLocalAddresses(ulong inode, IEnumerable<UInt128> addresses)
    {
        lock (_lock)
        {
            Scope(inode).LocalAddresses = [.. addresses];
        }
    }

    /// <summary>Takes in captured packets: all that are at hand.</summary>
    public void Take(IPacketSource source)
    {
        lock (_lock)
        {
            while (source.TryRead(out var packet))
            {
                if (TcpSegment.TryRead(packet.Link, packet.Data, packet.WireLength, out var segment) == FrameContent.Segment)
                {
                    Take(in packet, in segment);
                }
            }
        }
    }

    /// <summary>Packets of a scope were dropped: until the kernel's counts are known, what seems to be unanswered may not be.</summary>
    public void Missed(int scope)
    {
        lock (_lock)
        {
            if (_scopes.Values.FirstOrDefault(one => one.Id == scope) is { } missed)
            {
                missed.Gaps++;
            }
        }
    }

    /// <summary>Finds connections whose next probe or end is overdue: what told of it was not captured.</summary>
    public void CheckOverdue()
    {
        lock (_lock)
        {
            var now = Now;
            for (var i = _probing.Count - 1; i >= 0; i--)
            {
                var connection = _probing[i];
                if (connection.State.Phase != LivenessPhase.Probing)
                {
                    _probing[i] = _probing[^1];
                    _probing.RemoveAt(_probing.Count - 1);
                }
                else if (connection is { Interval: > 0, IsUncertain: false, IsClosing: false } && now - connection.ProbedAt > (connection.Interval * 9 / 8) + (1000 * Millisecond))
                {
                    Apply(connection, LivenessEvent.Overdue, now);
                }
            }
            for (var i = _resetting.Count - 1; i >= 0; i--)
            {
                if (_resetting[i] is { ResetAt: var at } connection && (at == 0 || now - at >= Refused))
                {
                    if (at != 0 && !connection.IsClosing)
                    {
                        Apply(connection, LivenessEvent.ResetThere, now);
                    }
                    _resetting[i] = _resetting[^1];
                    _resetting.RemoveAt(_resetting.Count - 1);
                }
            }
        }
    }

    /// <summary>Adds what was counted to the metrics, and returns the series of endpoints.</summary>
    public List<Sample> Publish(MetricCatalogue metrics)
    {
        lock (_lock)
        {
            foreach (var ((policy, destination, ns), counts) in _counts)
            {
                Span<KeyValuePair<string, object?>> labels = [new("policy", policy), new("destination", destination), new("namespace", ns)];
                metrics.Probes.Add(counts.Probes, labels);
                metrics.ProbeReplies.Add(counts.Replies, labels);
                metrics.ProbesUnanswered.Add(counts.Unanswered, labels);
                foreach (var cause in (ReadOnlySpan<DeathCause>)[DeathCause.Probes, DeathCause.Reset, DeathCause.Timeout])
                {
                    if (counts.Dead[(int)cause] > 0)
                    {
                        metrics.ConnectionsDead.Add(counts.Dead[(int)cause], [.. labels, new("cause", cause.ToString().ToLowerInvariant())]);
                    }
                }
            }
            _counts.Clear();
            foreach (var roundTrip in _roundTrips)
            {
                metrics.ProbeRoundTrip.Record(roundTrip / 1e9);
            }
            _roundTrips.Clear();
            ForgetDeparted();
            _pool.Expire(Now);
            log.EndPass();
            return _pool.Samples();
        }
    }

    /// <summary>What is known of a far end; null where nothing is. Never waits.</summary>
    public RemoteStanding? Find(SocketEndpoint remote) => _pool.Find(remote);

    /// <summary>Forgets endpoints that nothing but a policy no longer in force was about.</summary>
    public void Retain(CompiledPolicy policy)
    {
        lock (_lock)
        {
            _pool.Retain(policy);
        }
    }

    /// <summary>The endpoints as they are now, those that are out first.</summary>
    public List<EndpointRow> ListEndpoints()
    {
        lock (_lock)
        {
            return [.. _pool.Endpoints.Select(e => new EndpointRow(e.Policy, e.Destination, e.Remote, e.IsIn, e.Connections, e.OutSince))];
        }
    }

    /// <summary>The connections as they are now, with their namespaces.</summary>
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

    /// <summary>The unanswered probes of a connection as captured; null for one that is not watched.</summary>
    public int? Unanswered(ulong inode, ulong cookie)
    {
        lock (_lock)
        {
            return _scopes.TryGetValue(inode, out var scope) && scope.Connections.TryGetValue(cookie, out var connection)
                ? connection.State.Unanswered
                : null;
        }
    }

    /// <summary>No rule selects it: its application has closed it, which is reported so until the kernel is done with it, or it was given back. Its
    /// end is nobody's death.</summary>
    private void NoteRelease(in SocketRecord record)
    {
        lock (_lock)
        {
            if (_scopes.TryGetValue(record.Namespace, out var scope) && scope.Connections.TryGetValue(record.Cookie, out var connection))
            {
                connection.IsClosing = true;
            }
        }
    }

    private WatchedScope Scope(ulong inode)
    {
        ref var scope = ref CollectionsMarshal.GetValueRefOrAddDefault(_scopes, inode, out _);
        return scope ??= new WatchedScope(inode, ++_lastScope) { Workload = pods?.NamespaceOf(inode) ?? "" };
    }

    private WatchedConnection Add(WatchedScope scope, in SocketRecord record)
    {
        var connection = new WatchedConnection(in record, scope, _pool.Enter(record.Rule!, record.Remote))
        {
            State = ConnectionLiveness.Probing(record.Unanswered),
            ProbedAt = Now,
            HeardAt = Now,
        };
        scope.Connections.Add(record.Cookie, connection);
        scope.Version++;
        _byName[(scope.Id, record.Local, record.Remote)] = connection;
        if (record.Unanswered > 0)
        {
            _probing.Add(connection);
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
        connection.Values = SocketList.Actual(in record) ?? connection.Values;
        connection.Timer = record.Timer;
        connection.IsClosing |= record.State is not TcpState.Established;
        connection.Limit = new DeathLimit(record.Current?.Probes ?? int.MaxValue, record.UserTimeout > 0);
        connection.Interval = (record.Current?.Interval ?? 0) * 1000 * Millisecond;
        connection.Time = record.Current is { Enabled: true } current ? current.Time * 1000 * Millisecond : 0;
        if (record.Idle is { } quiet)
        {
            connection.HeardAt = now - (quiet * Millisecond);
        }
        Compare(connection, record.Unanswered, now);
        connection.LookAt = record.Unanswered > 0 && !IsSeen(connection, now) ? now : Math.Max(connection.HeardAt, now - connection.Time) + Late(connection.Time);
        if (record is { Idle: { } idle, State: TcpState.Established })
        {
            Answered(connection.Remote, now - (idle * Millisecond));
        }
    }

    private void Reassign(WatchedConnection connection, in SocketRecord record)
    {
        var endpoint = _pool.Enter(record.Rule!, record.Remote);
        _pool.Leave(connection.Endpoint, Now);
        connection.Endpoint = endpoint;
        connection.Rule = record.Rule!;
    }

    /// <summary>Holds the kernel's count of unanswered probes against ours. Where nothing was on its way, the kernel's is right.</summary>
    private void Compare(WatchedConnection connection, int kernel, long now)
    {
        if (connection.IsUncertain && connection.State.Unanswered > 0 && connection.HeardAt >= connection.ProbedAt - Jiffies)
        {
            // The answer to the last captured probe was dropped. What the kernel counts now is of a later probe, which may be on its way here.
            connection.State = connection.State.After(LivenessEvent.Heard, connection.Limit);
            (connection.Gaps, connection.Uncertain) = (connection.Scope.Gaps, 0);
        }
        var ours = connection.State.Unanswered;
        var hidden = connection.Timer is TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe;
        if (hidden || connection.State.Phase == LivenessPhase.Dead || (kernel != ours && captures && now - connection.SeenAt < Settled))
        {
            return;
        }
        if (kernel >= ours)
        {
            Count(connection).Unanswered += connection.Uncertain;
        }
        var isKnown = connection.IsUncertain;
        (connection.Gaps, connection.Uncertain) = (connection.Scope.Gaps, 0);
        if (kernel == ours)
        {
            return;
        }
        if (captures && !isKnown)
        {
            log.Differs(connection, kernel);
        }
        if (kernel < ours)
        {
            connection.State = kernel == 0 ? connection.State.After(LivenessEvent.Heard, connection.Limit) : ConnectionLiveness.Probing(kernel);
        }
        for (; ours < kernel; ours++)
        {
            CountProbe(connection, now);
        }
    }

    private bool IsDoubtful(WatchedConnection connection, long now) =>
        connection.Time > 0 && connection.State.Phase != LivenessPhase.Dead
        && now > Math.Max(connection.LookAt, connection.SeenAt + Late(Math.Max(connection.Time, connection.Interval)));

    /// <summary>Whether there was time for the last probe to go unanswered since anything was known of it: all of them between two passes.</summary>
    private static bool HasOutlastedItsProbes(WatchedConnection connection, long now) =>
        connection is { Time: > 0, Interval: > 0, Limit: { HasUserTimeout: false, Probes: < int.MaxValue }, Timer: not (TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe) }
        && now - Math.Max(connection.HeardAt, connection.SeenAt) >= connection.Time + (connection.Limit.Probes * connection.Interval);

    /// <summary>Whether the capture sees what it sends: something of it came by within the time of a probe.</summary>
    private bool IsSeen(WatchedConnection connection, long now) => now - connection.SeenAt <= Late(connection.Interval);

    /// <summary>The latest end of a wait of the kernel's, and of what it takes to be told of it.</summary>
    private long Late(long wait)
    {
        // Asked of every connection at every pass, and there are few different waits.
        ref var late = ref CollectionsMarshal.GetValueRefOrAddDefault(_late, wait, out var isKnown);
        if (!isKnown)
        {
            var seconds = (int)(wait / (1000 * Millisecond));
            late = Slack + TimerWheel.CommonHz.Max(hz => new TimerWheel(hz).Longest(seconds).Ticks * 100);
        }
        return late;
    }

    private void Vanish(WatchedScope scope, WatchedConnection connection)
    {
        if (!connection.IsClosing)
        {
            if (connection.ResetAt != 0)
            {
                Apply(connection, LivenessEvent.ResetThere, Now);
            }
            var now = Now;
            var lost = connection.Interval > 0 ? (now - connection.ProbedAt) / connection.Interval : 0;
            if ((!captures || !IsSeen(connection, now)) && connection.State.Phase == LivenessPhase.Probing)
            {
                // Passes are further apart than probes may be: those there was time for since the last look were sent, too.
                for (; lost > 0 && !connection.Limit.IsReached(connection.State.Unanswered); lost--)
                {
                    CountProbe(connection, now);
                }
            }
            else if (captures && HasOutlastedItsProbes(connection, now))
            {
                while (!connection.Limit.IsReached(connection.State.Unanswered))
                {
                    CountProbe(connection, now);
                }
            }
            Apply(connection, connection.Timer == TcpTimer.Retransmit ? LivenessEvent.VanishedRetransmitting : LivenessEvent.Vanished, now);
        }
        Remove(scope, connection);
    }

    private void Remove(WatchedScope scope, WatchedConnection connection)
    {
        scope.Connections.Remove(connection.Cookie);
        scope.Version++;
        _departed.Enqueue((Now, scope.Id, connection));
        connection.State = new ConnectionLiveness(LivenessPhase.Dead, connection.State.Unanswered, connection.State.Cause);
        _pool.Leave(connection.Endpoint, Now);
    }

    /// <summary>Forgets connections that have been gone for some time.</summary>
    private void ForgetDeparted()
    {
        for (var now = Now; _departed.TryPeek(out var first) && now - first.At > Farewell; _departed.Dequeue())
        {
            var name = (first.Scope, first.Connection.Local, first.Connection.Remote);
            if (_byName.TryGetValue(name, out var current) && ReferenceEquals(current, first.Connection))
            {
                _byName.Remove(name);
                _classifier.Flows.Remove(FlowKey.Of(name.Local, name.Remote, name.Scope, out _));
            }
        }
    }

    private void Take(in CapturedPacket packet, in TcpSegment segment)
    {
        var result = _classifier.Classify(in segment, packet.Number, packet.Time, packet.Scope);
        if (result.Kind == SegmentKind.Duplicate)
        {
            return;
        }
        if (_byName.TryGetValue((packet.Scope, segment.Source, segment.Destination), out var sender))
        {
            sender.SeenAt = packet.Time;
            Sent(sender, in segment, in result, packet.Time);
            sender.GapsBefore = sender.Scope.Gaps;
        }
        if (_byName.TryGetValue((packet.Scope, segment.Destination, segment.Source), out var receiver))
        {
            receiver.SeenAt = packet.Time;
            Received(receiver, in segment, in result, packet.Time);
            receiver.GapsBefore = receiver.Scope.Gaps;
        }
        if ((segment.Flags & (TcpFlags.Syn | TcpFlags.Ack)) == (TcpFlags.Syn | TcpFlags.Ack) && _pool.Out > 0
            && IsLocal(packet.Scope, segment.Destination))
        {
            Answered(segment.Source, packet.Time);
        }
    }

    private void Sent(WatchedConnection connection, in TcpSegment segment, in Classification result, long now)
    {
        var probes = result.Kind == SegmentKind.Probe ? result.Confirms ? 2 : 1 : 0;
        for (probes += result is { Shows: not 0, Shown: SegmentKind.Probe } ? 1 : 0; probes > 0; probes--)
        {
            CountProbe(connection, now);
            if (result.Confirms)
            {
                connection.Gaps = Math.Min(connection.Gaps, connection.GapsBefore);   // the first of the two is an earlier packet
            }
        }
        connection.IsClosing |= (segment.Flags & TcpFlags.Fin) != 0;
        if (result.Reset != ResetKind.None)
        {
            Apply(connection, LivenessEvent.ResetHere, now);
            connection.IsClosing = true;
        }
        connection.ResetAt = 0;
    }

    private void Received(WatchedConnection connection, in TcpSegment segment, in Classification result, long now)
    {
        if (result.Kind == SegmentKind.Reply)
        {
            var counts = Count(connection);
            counts.Replies++;
            counts.Probes += result.Confirms ? 1 : 0;
            if (result.RoundTrip >= 0)
            {
                _roundTrips.Add(result.RoundTrip);   // a clock that went back has measured nothing
            }
        }
        if (result.IsHeard)
        {
            Apply(connection, LivenessEvent.Heard, now);
            (connection.Gaps, connection.Uncertain) = (connection.Scope.Gaps, 0);
            if (_pool.Out > 0)
            {
                Answered(connection.Remote, now);
            }
        }
        connection.IsClosing |= (segment.Flags & TcpFlags.Fin) != 0;
        if (connection.IsClosing)
        {
            return;   // a reset that comes when either end is done cuts nothing short
        }
        if (result.Reset == ResetKind.Certain)
        {
            Apply(connection, LivenessEvent.ResetThere, now);
        }
        else if (result.Reset == ResetKind.Likely && connection.ResetAt == 0)
        {
            connection.ResetAt = now;   // what would make sure has more than a byte of payload and is not captured
            _resetting.Add(connection);
        }
    }

    /// <summary>Forwarded packets are another namespace's, where they are captured, too.</summary>
    private bool IsLocal(int id, SocketEndpoint endpoint) =>
        _scopes.Values.FirstOrDefault(scope => scope.Id == id)?.LocalAddresses.Contains(endpoint.Address) == true;

    /// <summary>Counts a probe, captured or not.</summary>
    private void CountProbe(WatchedConnection connection, long now)
    {
        Count(connection).Probes++;
        Probe(connection, now);
    }

    private void Probe(WatchedConnection connection, long now)
    {
        var before = connection.State;
        Apply(connection, LivenessEvent.ProbeSent, now);
        connection.ProbedAt = now;
        if (before.Phase != LivenessPhase.Probing && connection.State.Phase == LivenessPhase.Probing)
        {
            _probing.Add(connection);
        }
        if (before.Unanswered == 0)
        {
            (connection.Gaps, connection.Uncertain) = (connection.Scope.Gaps, 0);
        }
        else if (connection.IsUncertain)
        {
            connection.Uncertain++;
        }
        else
        {
            Count(connection).Unanswered++;   // the one before this
        }
    }

    private void Apply(WatchedConnection connection, LivenessEvent what, long now)
    {
        var before = connection.State;
        connection.State = before.After(what, connection.Limit);
        if (connection.State.Phase != LivenessPhase.Dead || before.Phase == LivenessPhase.Dead)
        {
            return;
        }
        var counts = Count(connection);
        counts.Dead[(int)connection.State.Cause]++;
        counts.Unanswered += (connection.State.Unanswered > 0 ? 1 : 0) + connection.Uncertain;
        log.Dead(connection);
        if (connection.State.Cause == DeathCause.Probes)
        {
            if (_pool.TakeOut(connection.Endpoint, now))
            {
                log.Out(connection.Endpoint);
            }
            connection.Scope.Awaited[connection.Endpoint] = connection.Local;
            connection.Scope.Version++;
        }
    }

    private void Answered(SocketEndpoint remote, long at)
    {
        if (_pool.Out > 0)
        {
            foreach (var endpoint in _pool.Answered(remote, at))
            {
                log.Back(endpoint);
            }
        }
    }

    private RuleCounts Count(WatchedConnection connection)
    {
        var (rule, ns) = (connection.Rule, connection.Scope.Workload);
        ref var counts = ref CollectionsMarshal.GetValueRefOrAddDefault(_counts, (rule.Policy, rule.Destination, ns), out _);
        return counts ??= new RuleCounts();
    }
}
