using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;

namespace Keepalive.Agent.Liveness;

/// <summary>Derives the liveness of connections from captured packets.</summary>
/// <remarks>Used under the monitor's lock.</remarks>
internal sealed class CapturedLiveness
{
    /// <summary>How long packets of an ended connection may still arrive here, in nanoseconds.</summary>
    private const long Farewell = 2_000_000_000;

    private readonly ProbeClassifier _classifier = new();
    private readonly HashSet<WatchedConnection> _connections;
    private readonly HashSet<WatchedConnection>.AlternateLookup<ConnectionName> _byName;
    private readonly Dictionary<int, WatchedScope> _scopes = [];
    private readonly Queue<(long At, WatchedConnection Connection)> _departed = new();
    private readonly LivenessLedger _ledger;

    public CapturedLiveness(LivenessLedger ledger)
    {
        _ledger = ledger;
        _connections = new HashSet<WatchedConnection>(new ByName());
        _byName = _connections.GetAlternateLookup<ConnectionName>();
    }

    public void Enter(WatchedScope scope) => _scopes.Add(scope.Id, scope);

    public void Enter(WatchedConnection connection)
    {
        _connections.Remove(connection);   // an earlier connection with the same addresses and ports
        _connections.Add(connection);
    }

    public void Leave(WatchedScope scope) => _scopes.Remove(scope.Id);

    /// <summary>Records that the kernel no longer has the connection. Its packets still count for a while.</summary>
    public void Leave(WatchedConnection connection, long now) => _departed.Enqueue((now, connection));

    /// <summary>Removes connections that ended some time ago.</summary>
    public void ForgetDeparted(long now)
    {
        Spare.Trim(_connections);
        for (; _departed.TryPeek(out var first) && now - first.At > Farewell; _departed.Dequeue())
        {
            var connection = first.Connection;
            if (_connections.TryGetValue(connection, out var current) && ReferenceEquals(current, connection))
            {
                _connections.Remove(connection);
                _classifier.Flows.Remove(FlowKey.Of(connection.Local, connection.Remote, connection.Scope.Id, out _));
            }
        }
    }

    /// <summary>Records that packets of a scope were dropped. Until a pass reads the kernel's counts, probes that seem unanswered may have
    /// been answered.</summary>
    public void Missed(int scope)
    {
        if (_scopes.TryGetValue(scope, out var missed))
        {
            missed.Gaps++;
        }
    }

    /// <summary>Evaluates a captured packet.</summary>
    /// <param name="packet">The packet.</param>
    /// <param name="at">When it was captured, by the monitor's clock.</param>
    public void Take(in CapturedPacket packet, long at)
    {
        if (TcpSegment.TryRead(packet.Link, packet.Data, packet.WireLength, out var segment) != FrameContent.Segment)
        {
            return;
        }
        var result = _classifier.Classify(in segment, packet.Number, at, packet.Scope);
        if (result.Kind == SegmentKind.Duplicate)
        {
            return;
        }
        if (_byName.TryGetValue(new(packet.Scope, segment.Source, segment.Destination), out var sender))
        {
            // Its own reset ends it. The probes before it may have been sent before the capture began.
            sender.SeenAt = result.Reset == ResetKind.None ? at : sender.SeenAt;
            Sent(sender, in segment, in result, at);
            sender.GapsBefore = sender.Scope.Gaps;
        }
        if (_byName.TryGetValue(new(packet.Scope, segment.Destination, segment.Source), out var receiver))
        {
            receiver.SeenAt = at;
            Received(receiver, in segment, in result, at);
            receiver.GapsBefore = receiver.Scope.Gaps;
        }
        if ((segment.Flags & (TcpFlags.Syn | TcpFlags.Ack)) == (TcpFlags.Syn | TcpFlags.Ack) && _ledger.Pool.Out > 0
            && _scopes.TryGetValue(packet.Scope, out var scope) && !scope.Distrusts(scope.Workload, at) && scope.IsAnswerFromAfar(segment.Source, segment.Destination))
        {
            _ledger.Pool.HeardHandshake(segment.Source, scope.Workload, at);
        }
    }

    private void Sent(WatchedConnection connection, in TcpSegment segment, in Classification result, long now)
    {
        var probes = result.Kind == SegmentKind.Probe ? result.Confirms ? 2 : 1 : 0;
        for (probes += result is { Shows: not 0, Shown: SegmentKind.Probe } ? 1 : 0; probes > 0; probes--)
        {
            _ledger.Probe(connection, now);
            if (result.Confirms)
            {
                connection.Gaps = Math.Min(connection.Gaps, connection.GapsBefore);   // the first of the two probes is an earlier packet
            }
        }
        connection.IsClosing |= (segment.Flags & TcpFlags.Fin) != 0;
        if (result.Reset != ResetKind.None)
        {
            _ledger.Apply(connection, LivenessEvent.ResetHere, now);
            connection.IsClosing = connection.HasReset = true;
        }
        connection.ResetAt = 0;
    }

    private void Received(WatchedConnection connection, in TcpSegment segment, in Classification result, long now)
    {
        if (result.Kind == SegmentKind.Reply)
        {
            // Among dropped packets may be a later probe that this is the reply to.
            _ledger.Reply(connection, result.Confirms, connection.GapsBefore == connection.Scope.Gaps ? result.RoundTrip : CapturedPacket.NoTime);
        }
        // A firewall on the node may drop replies after they were captured. The kernel does not receive these.
        if (result.IsHeard && !connection.Scope.Distrusts(connection.Workload, now))
        {
            _ledger.Apply(connection, LivenessEvent.Heard, now);
            connection.Settle();
            connection.AnsweredAt = now;
            _ledger.Heard(connection, now);
        }
        connection.IsClosing |= (segment.Flags & TcpFlags.Fin) != 0;
        if (connection.IsClosing)
        {
            // A reset after either end has closed does not cut the connection short. A FIN can overtake a probe, because different
            // processors send them. Such a probe finds no socket any more, and the other end answers it with a reset.
            return;
        }
        if (result.Reset != ResetKind.None && connection.LeftAt > 0)
        {
            // A pass found the connection gone before its last packets were read.
            if (connection is { IsReleased: false, State.Cause: DeathCause.None } && now <= connection.LeftAt)
            {
                _ledger.DieByLateReset(connection, now);
            }
        }
        else if (result.Reset == ResetKind.Certain)
        {
            _ledger.Apply(connection, LivenessEvent.ResetThere, now);
        }
        else if (result.Reset == ResetKind.Likely && connection.ResetAt == 0)
        {
            _ledger.AwaitReset(connection, now);   // the segment that would confirm it has more than a byte of payload and is not captured
        }
    }

    /// <summary>The key of a connection in captured packets.</summary>
    private readonly record struct ConnectionName(int Scope, SocketEndpoint Local, SocketEndpoint Remote);

    /// <summary>Compares connections by their key in captured packets.</summary>
    private sealed class ByName : IEqualityComparer<WatchedConnection>, IAlternateEqualityComparer<ConnectionName, WatchedConnection>
    {
        public bool Equals(WatchedConnection? x, WatchedConnection? y) => x is null || y is null ? ReferenceEquals(x, y) : Name(x) == Name(y);

        public int GetHashCode(WatchedConnection connection) => Name(connection).GetHashCode();

        public bool Equals(ConnectionName name, WatchedConnection connection) => name == Name(connection);

        public int GetHashCode(ConnectionName name) => name.GetHashCode();

        public WatchedConnection Create(ConnectionName name) => throw new NotSupportedException();

        private static ConnectionName Name(WatchedConnection connection) => new(connection.Scope.Id, connection.Local, connection.Remote);
    }
}
