using Keepalive.Linux.Packets;
using static Keepalive.Agent.Classify.SequenceNumber;

namespace Keepalive.Agent.Classify;

/// <summary>Tells keepalive probes and their replies from other segments, by the state of the connection they are of.</summary>
/// <remarks>
/// <code>
///   idle connection, everything acknowledged up to S                 the prober             the other end
///     probe    no SYN, FIN, RST; length 0 or 1; seq = S-1              ── seq S-1 ack R ──►
///     reply    length 0; ack = S; seq = R, whatever its window         ◄── seq R   ack S ──
/// </code>
/// S is what the prober has sent or, if that is more, what the other end has acknowledged: a capture that begins in mid-flow learns it from
/// either. Where neither is known yet, what looks like a probe is a candidate, which its reply or its repetition confirms.
///
/// What looks like a probe and is none: while the other end's window is 0 it is a window probe, which Linux sends with the same bytes
/// (net/ipv4/tcp_output.c, tcp_xmit_probe_skb for both); with unacknowledged data behind S it is late, or that data sent again. A single byte
/// of old data is a probe of the older kind (4.4BSD, Windows), unless it repeats what was just written.
///
/// A probe of no length does not pass the other end's tcp_sequence() check, so that it neither counts as hearing from the prober nor answers
/// a probe of the other end's: both may probe each other, each by its own clock (net/ipv4/tcp_input.c, tcp_validate_incoming).
/// </remarks>
internal sealed class ProbeClassifier(int mostFlows = ProbeClassifier.DefaultFlows)
{
    public const int DefaultFlows = 65_536;

    private const long Millisecond = 1_000_000;

    /// <summary>Packets that are the same are one captured or delivered twice when no further apart. Linux probes at most once a second.</summary>
    private const long DuplicateWithin = 400 * Millisecond;

    /// <summary>The same where nothing in them (identification, timestamp) could tell two from each other.</summary>
    private const long IndistinctDuplicateWithin = Millisecond;

    /// <summary>Silence that no exchange leaves behind it: the least TCP_KEEPIDLE and TCP_KEEPINTVL are a second.</summary>
    private const long Quiet = 900 * Millisecond;

    /// <summary>The longest a segment waits to be sent again (TCP_RTO_MAX).</summary>
    private const long RetransmittedWithin = 120_000 * Millisecond;

    public FlowTable Flows { get; } = new(mostFlows);

    /// <summary>Takes in the next segment.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="number">Of its packet, to name it by.</param>
    /// <param name="time">Of its capture, in nanoseconds.</param>
    /// <param name="scope">Of its packet.</param>
    public Classification Classify(in TcpSegment segment, long number, long time, int scope)
    {
        ref var flow = ref Flows.Get(FlowKey.Of(segment.Source, segment.Destination, scope, out var fromLow));
        ref var sender = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        ref var receiver = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        if (IsDuplicate(in sender, in segment, time))
        {
            return new Classification { Kind = SegmentKind.Duplicate, Unanswered = sender.Unanswered };
        }
        var result = Take(in segment, ref flow, ref sender, ref receiver, number, time);
        Remember(ref sender, in segment, time);
        return result;
    }

    private static Classification Take(
        in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver, long number, long time)
    {
        if ((segment.Flags & TcpFlags.Rst) != 0)
        {
            flow.IsReset = true;
            return new Classification { Unanswered = sender.Unanswered };
        }
        if ((segment.Flags & TcpFlags.Syn) != 0)
        {
            Begin(in segment, ref flow, ref sender, ref receiver);
            return default;
        }
        if ((segment.Flags & TcpFlags.Ack) == 0)
        {
            return default;
        }
        var kind = Kind(in segment, in sender, in receiver, time);
        var expected = ExpectedNext(in sender, in receiver);
        var result = Answer(in segment, kind, ref sender, ref receiver, time);
        Advance(in segment, kind, ref sender, in receiver, time);
        switch (kind)
        {
            case SegmentKind.Probe:
                // A repeated candidate was a probe, too, and is told of with this one unless that comes too late.
                var repeats = sender.Pending == PendingProbe.Candidate && sender.PendingAnswer == segment.Sequence + 1;
                var confirms = repeats && time - sender.PendingTime < FindingQueue.LongestWait;
                var confirmed = sender.PendingNumber;
                sender.Probes += confirms ? 1 : 0;
                sender.Unanswered += repeats ? 1 : 0;
                sender.Probes++;
                sender.Unanswered++;
                Await(ref sender, PendingProbe.Keepalive, segment.Sequence + 1, number, time);
                return result with { Kind = kind, Unanswered = sender.Unanswered, Confirms = confirms, Confirmed = confirms ? confirmed : 0 };
            case SegmentKind.WindowProbe:
                sender.WindowProbes++;
                Await(ref sender, PendingProbe.Window, expected, number, time);
                return result with { Kind = kind, Unanswered = sender.Unanswered };
            case SegmentKind.Candidate:
                if (result.Kind != SegmentKind.Other)
                {
                    return result with { Unanswered = sender.Unanswered };
                }
                Await(ref sender, PendingProbe.Candidate, segment.Sequence + 1, number, time);
                return result with { Kind = kind, Unanswered = sender.Unanswered };
            default:
                if (sender.Pending == PendingProbe.Candidate)
                {
                    sender.Pending = PendingProbe.None;
                }
                return result with { Unanswered = sender.Unanswered };
        }
    }

    private static bool IsDuplicate(in Direction sender, in TcpSegment segment, long time)
    {
        if (!sender.HasLast || sender.LastSequence != segment.Sequence || sender.LastAcknowledged != segment.Acknowledged
            || sender.LastLength != segment.PayloadLength || sender.LastFlags != (byte)segment.Flags || sender.LastWindow != segment.Window
            || sender.LastTimestamp != segment.Timestamp || sender.LastIdentification != segment.Identification)
        {
            return false;
        }
        var limit = segment.Timestamp != 0 || segment.Identification != 0 ? DuplicateWithin : IndistinctDuplicateWithin;
        return time - sender.LastTime is var apart && apart >= 0 && apart < limit;
    }

    private static void Remember(ref Direction sender, in TcpSegment segment, long time)
    {
        sender.HasLast = true;
        sender.LastSequence = segment.Sequence;
        sender.LastAcknowledged = segment.Acknowledged;
        sender.LastLength = segment.PayloadLength;
        sender.LastFlags = (byte)segment.Flags;
        sender.LastWindow = segment.Window;
        sender.LastTimestamp = segment.Timestamp;
        sender.LastIdentification = segment.Identification;
        sender.LastTime = time;
    }

    /// <summary>A handshake's first or second segment; one of another connection than the flow's so far begins it anew.</summary>
    private static void Begin(in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver)
    {
        var next = segment.Sequence + 1 + (uint)segment.PayloadLength;
        var answers = (segment.Flags & TcpFlags.Ack) != 0;
        if (!sender.IsNextKnown || sender.Next != next)
        {
            if (!answers)
            {
                receiver.BeginAnew();
            }
            sender.BeginAnew();
            flow.IsReset = false;
            sender.Next = next;
            sender.IsNextKnown = true;
        }
        if (answers)
        {
            sender.Acknowledged = segment.Acknowledged;
            sender.IsAcknowledgedKnown = true;
        }
        sender.IsWindowClosed = segment.Window == 0;
    }

    /// <summary>What the segment is by itself; whether it is a reply is another question.</summary>
    private static SegmentKind Kind(in TcpSegment segment, in Direction sender, in Direction receiver, long time)
    {
        if (segment.PayloadLength > 1 || (segment.Flags & TcpFlags.Fin) != 0)
        {
            return SegmentKind.Other;
        }
        if (sender.IsNextDoubtful && IsRepeated(in segment, in sender, in receiver, time))
        {
            return SegmentKind.Probe;
        }
        if (!IsNextSure(in sender, in receiver))
        {
            return segment.PayloadLength > 0 || sender.IsNextKnown ? SegmentKind.Other : SegmentKind.Candidate;
        }
        var expected = ExpectedNext(in sender, in receiver);
        if (segment.PayloadLength == 0 && IsAfter(segment.Sequence, expected))
        {
            return SegmentKind.Candidate;   // data went uncaptured, up to here or to the byte behind it
        }
        if (receiver.IsWindowClosed && (segment.Sequence + 1 == expected || (segment.PayloadLength == 1 && segment.Sequence == expected)))
        {
            return SegmentKind.WindowProbe;
        }
        if (segment.Sequence + 1 != expected)
        {
            return SegmentKind.Other;
        }
        var unacknowledged = receiver.IsAcknowledgedKnown && sender.IsNextKnown && IsAfter(sender.Next, receiver.Acknowledged);
        if (segment.PayloadLength == 0)
        {
            // The kernel does not probe while it waits for an acknowledgement: this one was captured out of order, or, after a silence,
            // the acknowledgement was not captured.
            return unacknowledged && !IsQuiet(in sender, in receiver, time) ? SegmentKind.Other : SegmentKind.Probe;
        }
        return unacknowledged || IsWrittenAgain(in segment, in sender, time) ? SegmentKind.Other : SegmentKind.Probe;
    }

    /// <summary>Whether it is known where the sender's sequence stands.</summary>
    private static bool IsNextSure(in Direction sender, in Direction receiver) =>
        receiver.IsAcknowledgedKnown || (sender.IsNextKnown && !sender.IsNextDoubtful);

    private static uint ExpectedNext(in Direction sender, in Direction receiver) => (sender.IsNextKnown, receiver.IsAcknowledgedKnown) switch
    {
        (true, true) => Later(sender.Next, receiver.Acknowledged),
        (false, true) => receiver.Acknowledged,
        _ => sender.Next,
    };

    private static bool IsQuiet(in Direction sender, in Direction receiver, long time) =>
        time - sender.LastTime >= Quiet && (!receiver.HasLast || time - receiver.LastTime >= Quiet);

    /// <summary>The same acknowledgement again, with nothing received in between that could have asked for it.</summary>
    /// <remarks>A copy of data that had been received asks for one, and is told in it what came twice (RFC 2883).</remarks>
    private static bool IsRepeated(in TcpSegment segment, in Direction sender, in Direction receiver, long time) =>
        sender.HasLast
        && sender.LastSequence == segment.Sequence
        && sender.LastAcknowledged == segment.Acknowledged
        && sender.LastWindow == segment.Window
        && segment.PayloadLength == 0
        && sender.LastLength == 0
        && !segment.IsSelective
        && time - sender.LastTime >= Quiet
        && (!receiver.HasLast || receiver.LastTime < sender.LastTime);

    /// <summary>A write of one byte that is sent again: its acknowledgement was lost on the way to the sender.</summary>
    private static bool IsWrittenAgain(in TcpSegment segment, in Direction sender, long time) =>
        sender.IsOneByteWrite
        && sender.WriteSequence == segment.Sequence
        && (sender.WriteByte == segment.FirstByte || segment.FirstByte < 0)
        && time - sender.WriteTime <= RetransmittedWithin;

    /// <summary>What the segment says to the other end's probes.</summary>
    private static Classification Answer(in TcpSegment segment, SegmentKind kind, ref Direction sender, ref Direction receiver, long time)
    {
        // In the order of tcp_rcv_established(): the sequence must not be old, and the acknowledgement neither.
        var heard = (!receiver.IsAcknowledgedKnown || !IsBefore(segment.Sequence + (uint)segment.PayloadLength, receiver.Acknowledged))
            && (!sender.IsAcknowledgedKnown || !IsBefore(segment.Acknowledged, sender.Acknowledged))
            && !(kind == SegmentKind.Probe && segment.PayloadLength == 0);
        if (!heard)
        {
            return default;
        }
        var result = default(Classification);
        if (receiver.Pending != PendingProbe.None)
        {
            var tooLate = receiver.Pending == PendingProbe.Candidate && time - receiver.PendingTime >= FindingQueue.LongestWait;
            if (!tooLate && IsReply(in segment, in sender, in receiver))
            {
                result = Conclude(ref receiver, time);
            }
            else if (receiver.Pending == PendingProbe.Candidate || IsAfter(segment.Acknowledged, receiver.PendingAnswer))
            {
                receiver.Pending = PendingProbe.None;
            }
        }
        result = result with { IsHeard = true };
        receiver.Unanswered = 0;
        if (receiver.IsNextDoubtful && !IsBefore(segment.Acknowledged, receiver.Next))
        {
            receiver.Next = segment.Acknowledged;
            receiver.IsNextDoubtful = false;
        }
        return result;
    }

    /// <summary>An acknowledgement alone, of what the prober has sent, from where the other end's sequence stands or, past data that was not
    /// captured, further on. One lower would be that end's own probe.</summary>
    private static bool IsReply(in TcpSegment segment, in Direction sender, in Direction receiver)
    {
        var known = sender.IsNextKnown || receiver.IsAcknowledgedKnown;
        return segment.PayloadLength == 0 && (segment.Flags & TcpFlags.Fin) == 0
            && (!known || !IsBefore(segment.Sequence, ExpectedNext(in sender, in receiver)))
            && (segment.Acknowledged == receiver.PendingAnswer
                || (receiver.Pending == PendingProbe.Window && segment.Acknowledged == receiver.PendingAnswer + 1));
    }

    private static Classification Conclude(ref Direction prober, long time)
    {
        var result = new Classification
        {
            Kind = prober.Pending == PendingProbe.Window ? SegmentKind.WindowReply : SegmentKind.Reply,
            Answers = prober.PendingNumber,
            RoundTrip = time - prober.PendingTime,
            Confirms = prober.Pending == PendingProbe.Candidate,
            Confirmed = prober.Pending == PendingProbe.Candidate ? prober.PendingNumber : 0,
        };
        if (result.Confirms)
        {
            prober.Probes++;
        }
        if (result.Kind == SegmentKind.Reply)
        {
            prober.CountAnswer(result.RoundTrip);
        }
        prober.Pending = PendingProbe.None;
        return result;
    }

    private static void Await(ref Direction prober, PendingProbe what, uint answer, long number, long time)
    {
        prober.Pending = what;
        prober.PendingAnswer = answer;
        prober.PendingNumber = number;
        prober.PendingTime = time;
    }

    /// <summary>Notes where the segment leaves its sender's sequence, acknowledgement and window.</summary>
    private static void Advance(in TcpSegment segment, SegmentKind kind, ref Direction sender, in Direction receiver, long time)
    {
        var finishes = (segment.Flags & TcpFlags.Fin) != 0;
        var end = segment.Sequence + (uint)segment.PayloadLength + (finishes ? 1u : 0);
        sender.HasFinished |= finishes;
        if (kind == SegmentKind.Probe)
        {
            end = segment.Sequence + 1;
        }
        else if (segment.PayloadLength > 0)
        {
            NoteWrite(in segment, ref sender, in receiver, time);
        }
        if (!sender.IsNextKnown || IsAfter(end, sender.Next))
        {
            // An acknowledgement alone may be a probe, and its sequence one too low; anything else is what it says.
            sender.IsNextDoubtful = kind == SegmentKind.Candidate;
            sender.Next = end;
            sender.IsNextKnown = true;
        }
        else if (end == sender.Next && kind != SegmentKind.Candidate && segment.PayloadLength > 0)
        {
            sender.IsNextDoubtful = false;
        }
        if (!sender.IsAcknowledgedKnown || !IsBefore(segment.Acknowledged, sender.Acknowledged))
        {
            sender.Acknowledged = segment.Acknowledged;
            sender.IsAcknowledgedKnown = true;
            sender.IsWindowClosed = segment.Window == 0;
        }
    }

    private static void NoteWrite(in TcpSegment segment, ref Direction sender, in Direction receiver, long time)
    {
        var isNew = IsNextSure(in sender, in receiver) && !IsBefore(segment.Sequence, ExpectedNext(in sender, in receiver));
        if (isNew)
        {
            sender.IsOneByteWrite = segment.PayloadLength == 1;
            sender.WriteSequence = segment.Sequence;
            sender.WriteByte = segment.FirstByte;
            sender.WriteTime = time;
        }
        else if (sender.IsOneByteWrite && sender.WriteSequence == segment.Sequence && segment.PayloadLength == 1)
        {
            sender.WriteTime = time;
        }
    }
}
