using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>Sends a frame to one of the two ends.</summary>
internal delegate void FrameSender(FlowEnd to, ReadOnlySpan<byte> frame);

/// <summary>A balancer between two real network stacks: decides about each frame by the rule, and forges what the balancer itself would send.</summary>
/// <remarks>Frames that are not whole TCP segments pass as they would a bridge. Not thread-safe.</remarks>
internal sealed class IdleBalancer(BalancerRule rule, FrameSender send, Action<LabEvent> tell, int capacity = IdleBalancer.DefaultCapacity)
{
    /// <summary>Open connections at most; a SYN beyond that is dropped.</summary>
    public const int DefaultCapacity = 1_000_000;

    /// <summary>How long the balancer's own connection still acknowledges after its FIN, as Linux does by default (tcp_fin_timeout).</summary>
    private static readonly TimeSpan s_finTimeout = TimeSpan.FromSeconds(60);

    private readonly LabFlowTable _table = new(rule, capacity);

    public LabTotals Totals { get; } = new();

    /// <summary>Connections known, expired ones that are still remembered among them.</summary>
    public int FlowCount => _table.Count;

    /// <summary>Decides about a frame.</summary>
    /// <param name="from">Whose.</param>
    /// <param name="frame">All of it.</param>
    /// <param name="now">When it came; time does not go back.</param>
    /// <returns>Whether the other end gets it.</returns>
    public bool Process(FlowEnd from, ReadOnlySpan<byte> frame, TimeSpan now)
    {
        if (!TcpFrame.TryParse(frame, out var segment))
        {
            return true;
        }
        var key = LabFlowKey.Of(segment, from);
        if (_table.Find(key) is not { } flow)
        {
            return ProcessUnknown(key, from, segment, now);
        }
        if (flow.Clock.Phase == FlowPhase.Open && rule.Deadline(flow.Clock) <= now)
        {
            Expire(flow, now);
        }
        return flow.Clock.Phase == FlowPhase.Open ? ProcessOpen(flow, from, segment, now) : ProcessKept(flow, from, segment, now);
    }

    /// <summary>Expires the connections whose time has come.</summary>
    public void Expire(TimeSpan now)
    {
        while (_table.NextExpired(now) is { } flow)
        {
            Expire(flow, now);
        }
        _table.Forget(now);
    }

    /// <summary>When <see cref="Expire(TimeSpan)"/> has something to do next; null while there is no connection.</summary>
    public TimeSpan? NextDue() => _table.NextDue();

    /// <summary>When the idle clock of a connection runs out; null if it is not open.</summary>
    public TimeSpan? DeadlineOf(LabFlowKey key) => _table.Find(key) is { } flow && flow.Clock.Phase == FlowPhase.Open ? rule.Deadline(flow.Clock) : null;

    private bool ProcessOpen(LabFlow flow, FlowEnd from, in TcpFrame segment, TimeSpan now)
    {
        ref var half = ref flow.Half(from);
        ref var other = ref flow.Half(from.Other());
        var traits = Traits(segment, half);
        var idle = Idle(flow, now);
        if (IsProbe(segment, half, other))
        {
            traits |= PacketTraits.Probe;
            CountProbe(flow, from, segment, traits, idle, now);
        }
        else if (IsProbeReply(segment, half, other))
        {
            other.ProbePending = false;
            Totals.ProbesAnswered++;
        }
        var isOver = segment.Has(TcpFlags.Rst) && flow.Takes(segment, from);
        if (rule.OnPacket(ref flow.Clock, from, traits, now) == PacketAction.Drop)
        {
            flow.See(segment, from, passes: false, now);
            return false;
        }
        flow.See(segment, from, passes: true, now);
        if (rule.Refreshes(traits))
        {
            _table.Refreshed(flow, from);
        }
        if (isOver)
        {
            Abort(flow, from, segment, idle, now);
        }
        else
        {
            Advance(flow, from, segment, idle, now);
        }
        return true;
    }

    private void Abort(LabFlow flow, FlowEnd from, in TcpFrame segment, TimeSpan idle, TimeSpan now)
    {
        Tell(flow, flow.IsEstablished ? LabEventKind.Aborted : LabEventKind.Refused, from, segment, idle, now);
        _table.Close(flow, now);
    }

    /// <summary>Tells of the end of the handshake, and of the end of the connection.</summary>
    private void Advance(LabFlow flow, FlowEnd from, in TcpFrame segment, TimeSpan idle, TimeSpan now)
    {
        if (!flow.IsEstablished && from == flow.OpenedBy && segment.Has(TcpFlags.Ack) && flow.Half(from.Other()).HasSent)
        {
            flow.IsEstablished = true;
            Totals.Opened++;
            Tell(flow, LabEventKind.Opened, from, TimeSpan.Zero, now);
        }
        else if (flow.Half(FlowEnd.Client).HasFinished && flow.Half(FlowEnd.Server).HasFinished)
        {
            Totals.Closed++;
            Tell(flow, LabEventKind.Closed, from, idle, now);
            _table.Close(flow, now);
        }
    }

    private bool ProcessKept(LabFlow flow, FlowEnd from, in TcpFrame segment, TimeSpan now)
    {
        var before = flow.Clock;
        var wasExpired = before.Phase == FlowPhase.Expired;
        var idle = Idle(flow, now);
        var traits = Traits(segment, flow.Half(from));
        var isProbe = wasExpired && IsProbe(segment, flow.Half(from), flow.Half(from.Other()));
        if (isProbe)
        {
            // Too late for this balancer, but sent all the same.
            CountProbe(from);
        }
        var action = rule.OnPacket(ref flow.Clock, from, traits, now);
        if (action is PacketAction.Open or PacketAction.Revive)
        {
            if (_table.IsFull)
            {
                flow.Clock = before;
                Totals.TableFull++;
                return false;
            }
            _table.Reopen(flow, now);
            flow.Half(from).ProbePending = isProbe;
            return Begin(flow, from, segment, action, idle, now, isProbe);
        }
        flow.See(segment, from, passes: action == PacketAction.Forward, now);
        LabFlowTable.Seen(flow, now);
        if (wasExpired)
        {
            Answer(flow, from, segment, action, now, isProbe);
        }
        return action == PacketAction.Forward;
    }

    private bool ProcessUnknown(in LabFlowKey key, FlowEnd from, in TcpFrame segment, TimeSpan now)
    {
        // Of no known connection, so all payload counts as new.
        var action = rule.OnUnknown(from, Traits(segment, default));
        if (action is not (PacketAction.Open or PacketAction.Revive))
        {
            var flow = new LabFlow(key) { OpenedBy = from, ExpiredAt = now };
            flow.See(segment, from, passes: false, now);
            Answer(flow, from, segment, action, now);
            return false;
        }
        if (_table.IsFull)
        {
            Totals.TableFull++;
            return false;
        }
        return Begin(_table.Add(key, now), from, segment, action, TimeSpan.Zero, now);
    }

    /// <summary>The first packet of an open connection.</summary>
    private bool Begin(LabFlow flow, FlowEnd from, in TcpFrame segment, PacketAction action, TimeSpan idle, TimeSpan now, bool isProbe = false)
    {
        if (action == PacketAction.Open)
        {
            flow.OpenedBy = from;
            flow.Restart();
            flow.See(segment, from, passes: true, now);
            return true;
        }
        // The ends have gone on all the while: what was known of their sequence numbers still holds.
        var isOver = segment.Has(TcpFlags.Rst) && flow.Takes(segment, from);
        flow.See(segment, from, passes: true, now);
        flow.IsEstablished = true;
        Totals.Revived++;
        Tell(flow, LabEventKind.Revived, from, segment, idle, now, isProbe);
        if (isOver)
        {
            Abort(flow, from, segment, idle, now);
        }
        return true;
    }

    /// <summary>The reply to the sender of a packet whose connection has expired.</summary>
    private void Answer(LabFlow flow, FlowEnd from, in TcpFrame segment, PacketAction action, TimeSpan now, bool isProbe = false)
    {
        if (action == PacketAction.AnswerAsClosed)
        {
            AnswerAsClosed(flow, from, segment, now);
            return;
        }
        Totals.Swallowed++;
        Tell(flow, LabEventKind.Swallowed, from, segment, now - flow.ExpiredAt, now, isProbe);
        if (action == PacketAction.ResetSender)
        {
            ResetSender(flow, from, segment, now);
        }
        else if (IsChallenge(flow, from, segment))
        {
            // The reset at expiry was one off; the challenge says what it should have been (RFC 5961, section 3.2).
            flow.Half(from).ProbePending = true;
            ResetSender(flow, from, segment, now);
        }
    }

    /// <summary>The balancer's own connection, after its FIN: acknowledges what the other end still may send, resets on anything else.</summary>
    private void AnswerAsClosed(LabFlow flow, FlowEnd from, in TcpFrame segment, TimeSpan now)
    {
        var half = flow.Half(from);
        var isKnown = flow.Node.List is not null && now - flow.ExpiredAt < s_finTimeout;
        var isFin = segment.Has(TcpFlags.Fin);
        // An acknowledgement is for our FIN; a probe, or a FIN, wants one itself.
        var isQuiet = segment.PayloadLength == 0 && !isFin && segment.Sequence == half.Next;
        if (isKnown && isQuiet)
        {
            return;
        }
        if (isKnown && (segment.PayloadLength == 0 || !half.Moves(segment)))
        {
            Send(flow, from, TcpFlags.Ack, segment.Acknowledgment, segment.SequenceEnd == half.Next - 1 ? half.Next : segment.SequenceEnd);
            return;
        }
        Totals.Swallowed++;
        Tell(flow, LabEventKind.Swallowed, from, segment, now - flow.ExpiredAt, now);
        ResetSender(flow, from, segment, now);
    }

    private void Expire(LabFlow flow, TimeSpan now)
    {
        var idle = Idle(flow, now);
        var action = rule.Expire(ref flow.Clock);
        // From now on it says whether a challenge was met; a probe that nobody has answered is no reason to leave one unanswered, too.
        flow.Half(FlowEnd.Client).ProbePending = false;
        flow.Half(FlowEnd.Server).ProbePending = false;
        _table.Expire(flow, now);
        Totals.Expired++;
        Tell(flow, LabEventKind.Expired, flow.OpenedBy, idle, now);
        if (action == ExpiryAction.Nothing)
        {
            return;
        }
        foreach (var end in new[] { FlowEnd.Client, FlowEnd.Server })
        {
            var isFin = action == ExpiryAction.FinBoth;
            if (isFin && flow.Half(end.Other()).HasFinished)
            {
                // It got the other end's FIN before, and there is no second one.
                continue;
            }
            var sequence = flow.ExpectedBy(end, now);
            var flags = TcpFlags.Ack | (isFin ? TcpFlags.Fin : TcpFlags.Rst);
            Send(flow, end, flags, sequence, flow.Half(end).Next);
            if (isFin)
            {
                Totals.Fins++;
            }
            else
            {
                Totals.Resets++;
            }
            tell(new LabEvent(now, isFin ? LabEventKind.Finished : LabEventKind.Reset, flow.Key, flow.OpenedBy, end, sequence, flags, 0, idle));
        }
    }

    /// <summary>As a host does that has no such connection (RFC 9293, section 3.10.7.1).</summary>
    private void ResetSender(LabFlow flow, FlowEnd sender, in TcpFrame segment, TimeSpan now)
    {
        var hasAck = segment.Has(TcpFlags.Ack);
        var sequence = hasAck ? segment.Acknowledgment : 0;
        var flags = hasAck ? TcpFlags.Rst : TcpFlags.Rst | TcpFlags.Ack;
        Send(flow, sender, flags, sequence, hasAck ? 0 : segment.SequenceEnd);
        Totals.Resets++;
        tell(new LabEvent(now, LabEventKind.Reset, flow.Key, flow.OpenedBy, sender, sequence, flags, 0, now - flow.ExpiredAt));
    }

    private void Send(LabFlow flow, FlowEnd to, TcpFlags flags, uint sequence, uint acknowledgment)
    {
        Span<byte> buffer = stackalloc byte[ForgedSegment.MaxLength];
        send(to, ForgedSegment.Write(buffer, flow, to, flags, sequence, acknowledgment));
    }

    /// <summary>An end that was reset at expiry and answers with an acknowledgement has not taken it; asked once.</summary>
    private bool IsChallenge(LabFlow flow, FlowEnd from, in TcpFrame segment) =>
        rule.Behaviour.Expiry == Config.Balancers.ExpiryClass.ResetBoth
        && flow.Node.List is not null
        && !flow.Half(from).ProbePending
        && (segment.Flags & (TcpFlags.Ack | TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Fin)) == TcpFlags.Ack;

    private void CountProbe(LabFlow flow, FlowEnd from, in TcpFrame segment, PacketTraits traits, TimeSpan idle, TimeSpan now)
    {
        flow.Half(from).ProbePending = true;
        CountProbe(from);
        var refreshes = rule.Refreshes(traits);
        Totals.Refreshes += refreshes ? 1 : 0;
        Tell(flow, rule.Behaviour.DropsProbes ? LabEventKind.Ignored : refreshes ? LabEventKind.Refreshed : LabEventKind.Probed, from, segment, idle, now);
    }

    private void CountProbe(FlowEnd from)
    {
        if (from == FlowEnd.Client)
        {
            Totals.ClientProbes++;
        }
        else
        {
            Totals.ServerProbes++;
        }
    }

    private void Tell(LabFlow flow, LabEventKind kind, FlowEnd end, in TcpFrame segment, TimeSpan idle, TimeSpan now, bool isProbe = false) =>
        tell(new LabEvent(now, kind, flow.Key, flow.OpenedBy, end, segment.Sequence, segment.Flags, segment.PayloadLength, idle) { IsProbe = isProbe });

    private void Tell(LabFlow flow, LabEventKind kind, FlowEnd end, TimeSpan idle, TimeSpan now) =>
        tell(new LabEvent(now, kind, flow.Key, flow.OpenedBy, end, null, TcpFlags.None, 0, idle));

    /// <summary>For how long its clock has not been restarted.</summary>
    private TimeSpan Idle(LabFlow flow, TimeSpan now) => now - (rule.Deadline(flow.Clock) - rule.IdleTimeout);

    private static PacketTraits Traits(in TcpFrame segment, in TcpHalf half)
    {
        var traits = segment.PayloadLength > 0 && half.Moves(segment) ? PacketTraits.NewPayload : PacketTraits.None;
        traits |= (segment.Flags & (TcpFlags.Syn | TcpFlags.Ack)) == TcpFlags.Syn ? PacketTraits.Opening : PacketTraits.None;
        return traits | (segment.Has(TcpFlags.Rst) ? PacketTraits.Reset : PacketTraits.None);
    }

    private static bool IsProbe(in TcpFrame segment, in TcpHalf half, in TcpHalf other) =>
        half.HasSent
        && other.HasAcknowledged
        && ProbeRule.Allows(segment.Flags, segment.PayloadLength)
        && ProbeRule.Of(segment.Sequence, segment.PayloadLength, half.Next, other.Window == 0, isWaiting: other.Acknowledged != half.Next) == SegmentKind.Probe;

    private static bool IsProbeReply(in TcpFrame segment, in TcpHalf half, in TcpHalf other) =>
        other.ProbePending
        && segment.PayloadLength == 0
        && (segment.Flags & (TcpFlags.Ack | TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Fin)) == TcpFlags.Ack
        && half.HasSent
        && segment.Sequence == half.Next
        && segment.Acknowledgment == other.Next;
}
