using System.Runtime.CompilerServices;
using Keepalive.Linux.Packets;
using static Keepalive.Probes.Classify.SequenceNumber;

namespace Keepalive.Probes.Classify;

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
/// Segments that look like a probe: while the other end's window is 0 it is a window probe, which Linux sends with the same bytes
/// (net/ipv4/tcp_output.c, tcp_xmit_probe_skb for both); with unacknowledged data behind S it is late, or that data sent again. A single byte
/// of old data is a probe of the older kind (4.4BSD, Windows), unless it repeats what was just written or has PSH.
///
/// Segments that the other end's kernel ignores (RFC 9293, 3.10.7.4; RFC 5961) must not mislead for long: a reset with a number that is not expected, a
/// SYN within a connection, an acknowledgement of what was never sent, data from far off. But a capture may lack what would make it right, and
/// a filtered one always does, so an ambiguous segment is believed until the ends continue as before: a probe from where its sender was not
/// thought to stand is a candidate, too, and an acknowledgement that goes back after a silence is no late one.
///
/// A probe of no length does not pass the other end's tcp_sequence() check, so that it neither counts as hearing from the prober nor answers
/// a probe of the other end's: both may probe each other, each by its own clock (net/ipv4/tcp_input.c, tcp_validate_incoming).
/// </remarks>
internal sealed partial class ProbeClassifier(int maxFlows = ProbeClassifier.DefaultFlows)
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

    public FlowTable Flows { get; } = new(maxFlows);

    /// <summary>Takes the connections that turn out to be dead after a silence; null if nobody asks for them.</summary>
    public BrokenConnections? Broken { get; init; }

    /// <summary>Takes in the next segment.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="number">Of its packet, to name it by.</param>
    /// <param name="time">Of its capture, in nanoseconds.</param>
    /// <param name="scope">Of its packet.</param>
    /// <param name="path">Of its packet: the number of the VLANs and tunnels that it is in.</param>
    public Classification Classify(in TcpSegment segment, long number, long time, int scope, int path = PathTable.None)
    {
        Classify(in segment, number, time, scope, path, out var result);
        return result;
    }

    /// <summary>The same, into a variable of the caller's. Returns the segment's flow; the reference is good until the next segment.</summary>
    public ref Flow Classify(in TcpSegment segment, long number, long time, int scope, int path, out Classification result)
    {
        result = default;
        ref var flow = ref Flows.Get(FlowKey.Of(in segment.Source, in segment.Destination, scope, out var fromLow), path, fromLow);
        ref var sender = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        ref var receiver = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        if (IsUneventful(in flow, in sender, in receiver, time) && HasNewMarks(in sender, in segment)
            && TryTakeIdle(in segment, ref sender, ref receiver, number, time, ref result))
        {
            sender.HopLimit = segment.HopLimit;
            Remember(ref sender, in segment, time);
            receiver.IsPendingLast = false;
        }
        else
        {
            ClassifyOther(in segment, ref flow, fromLow, number, time, path, ref result);
        }
        return ref flow;
    }

    /// <summary>Takes in any segment.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ClassifyOther(in TcpSegment segment, ref Flow flow, bool fromLow, long number, long time, int path, ref Classification result)
    {
        ref var sender = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        ref var receiver = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        if (IsDuplicate(in sender, in segment, time) && !(receiver.IsPendingLast && IsReply(in segment, in sender, in receiver)))
        {
            (result.Kind, result.Unanswered) = (SegmentKind.Duplicate, sender.Unanswered);
            return;
        }
        if (flow.Reset == ResetKind.Likely && flow.IsResetFromLow != fromLow && (segment.Flags & (TcpFlags.Syn | TcpFlags.Rst)) == 0)
        {
            flow.Reset = ResetKind.None;   // who was to be reset goes on
            Broken?.Refute(ref flow);
        }
        var endsSilence = Broken is not null && (flow.Awaited != Awaited.None || IsSince(Math.Max(sender.LastTime, receiver.LastTime), time, Silence.Least))
            && BrokenConnections.Note(in segment, ref flow, in sender, in receiver, fromLow, number, time);
        if (!TryTakeIdle(in segment, ref sender, ref receiver, number, time, ref result))
        {
            Take(in segment, ref flow, ref sender, ref receiver, number, time, ref result);
        }
        if (endsSilence)
        {
            BrokenConnections.Describe(ref flow, in segment, result.Kind);
        }
        if (result.Reset != ResetKind.None)
        {
            if (result.Reset > flow.Reset)
            {
                (flow.Reset, flow.IsResetFromLow) = (result.Reset, fromLow);
            }
            Broken?.Reset(in segment, ref flow, in sender, fromLow, number, time, path);
        }
        else
        {
            sender.HopLimit = segment.HopLimit;
        }
        Remember(ref sender, in segment, time);
        receiver.IsPendingLast = false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Take(
        in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver, long number, long time, ref Classification result)
    {
        if ((segment.Flags & (TcpFlags.Rst | TcpFlags.Syn | TcpFlags.Ack)) != TcpFlags.Ack)
        {
            TakeOther(in segment, ref flow, ref sender, ref receiver, ref result);
            return;
        }
        Resume(in segment, ref flow, ref sender, ref receiver, time);
        var kind = Kind(in segment, in sender, in receiver, time);
        Answer(in segment, kind, ref sender, ref receiver, time, ref result);
        Advance(in segment, kind, ref sender, in receiver, time);
        switch (kind)
        {
            case SegmentKind.Probe:
                // A repeated candidate was a probe, too, however long ago: TCP_KEEPINTVL may be hours.
                var confirms = sender.Pending == PendingProbe.Candidate && sender.PendingAnswer == segment.Sequence + 1;
                result.Kind = kind;
                result.Confirms = confirms;
                result.Confirmed = confirms ? sender.PendingNumber : 0;
                result.IsPresumed = !receiver.HasLast && !sender.IsNextShown;
                var found = confirms ? 2 : 1;
                sender.Probes += found;
                sender.Unanswered += found;
                Await(ref sender, PendingProbe.Keepalive, segment.Sequence + 1, number, time);
                break;
            case SegmentKind.WindowProbe:
                sender.WindowProbes++;
                if (segment.PayloadLength == 0)
                {
                    Await(ref sender, PendingProbe.Window, segment.Sequence + 1, number, time);
                }
                else
                {
                    Await(ref sender, PendingProbe.WindowByte, segment.Sequence, number, time);
                }
                result.Kind = kind;
                break;
            case SegmentKind.Candidate:
                if (result.Kind == SegmentKind.Other)
                {
                    Await(ref sender, PendingProbe.Candidate, segment.Sequence + 1, number, time);
                    result.Kind = kind;
                }
                break;
            default:
                if (sender.Pending == PendingProbe.Candidate)
                {
                    Show(in segment, ref sender, in receiver, ref result);
                }
                break;
        }
        result.Unanswered = sender.Unanswered;
    }

    /// <summary>Takes in a segment that is no acknowledgement within a connection.</summary>
    private static void TakeOther(in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver, ref Classification result)
    {
        if ((segment.Flags & TcpFlags.Rst) != 0)
        {
            result.Reset = Reset(in segment, in sender, in receiver);
            // The kernel ends a connection whose probes are unanswered by a reset one byte after them.
            if (sender.Pending == PendingProbe.Candidate)
            {
                Show(in segment, ref sender, in receiver, ref result);
            }
            result.Unanswered = sender.Unanswered;
        }
        else if ((segment.Flags & TcpFlags.Syn) != 0)
        {
            Open(in segment, ref flow, ref sender, ref receiver);
        }
    }

    /// <summary>Settles the sender's own candidate: a segment that continues one byte further shows the sequence number, as the
    /// answer to the other end's probe does where both probe at once. Anything else shows that it was none. Data may as well follow a byte that was not
    /// captured.</summary>
    private static void Show(in TcpSegment segment, ref Direction sender, in Direction receiver, ref Classification result)
    {
        if (segment.Sequence != sender.PendingAnswer)
        {
            sender.Pending = PendingProbe.None;
            return;
        }
        // Its answer may still come.
        (sender.Next, sender.IsNextDoubtful) = (Later(sender.Next, segment.Sequence), false);
        var isWindow = receiver.IsWindowClosed;
        sender.Pending = isWindow ? PendingProbe.Window : PendingProbe.Keepalive;
        sender.WindowProbes += isWindow ? 1 : 0;
        sender.Probes += isWindow ? 0 : 1;
        sender.Unanswered += isWindow ? 0 : 1;
        result.Shows = sender.PendingNumber;
        result.Shown = isWindow ? SegmentKind.WindowProbe : SegmentKind.Probe;
        result.IsShownPresumed = !isWindow && segment.PayloadLength > 0;
    }

    /// <summary>Whether so much time has passed; never where it is not known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSince(long then, long now, long span) =>
        then != CapturedPacket.NoTime && now != CapturedPacket.NoTime && now - then >= span;

    /// <summary>Whether the identification or the timestamp is not the one before: a packet that is sent again, not captured again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool HasNewMarks(in Direction sender, in TcpSegment segment) =>
        sender.LastIdentification != segment.Identification || sender.LastTimestamp != segment.Timestamp;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsDuplicate(in Direction sender, in TcpSegment segment, long time)
    {
        if (HasNewMarks(in sender, in segment) || !sender.HasLast || sender.LastSequence != segment.Sequence || sender.LastAcknowledged != segment.Acknowledged
            || sender.LastLength != segment.PayloadLength || sender.LastFlags != (byte)segment.Flags || sender.LastWindow != segment.Window)
        {
            return false;
        }
        var limit = segment.Timestamp != 0 || segment.Identification != 0 ? DuplicateWithin : IndistinctDuplicateWithin;
        return IsSince(sender.LastTime, time, 0) && !IsSince(sender.LastTime, time, limit);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Remember(ref Direction sender, in TcpSegment segment, long time) => Remember(
        ref sender, segment.Sequence, segment.Acknowledged, segment.PayloadLength, segment.Flags, segment.Window, segment.Timestamp, segment.Identification, time);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Remember(
        ref Direction sender, uint sequence, uint acknowledged, int length, TcpFlags flags, ushort window, uint timestamp, ushort identification, long time)
    {
        sender.HasLast = true;
        sender.LastSequence = sequence;
        sender.LastAcknowledged = acknowledged;
        sender.LastLength = length;
        sender.LastFlags = (byte)flags;
        sender.LastWindow = window;
        sender.LastTimestamp = timestamp;
        sender.LastIdentification = identification;
        sender.LastTime = time;
    }

    /// <summary>Whether the other end's kernel takes a reset: only with exactly the number it expects (tcp_validate_incoming; RFC 5961, 3.2).</summary>
    /// <remarks>It expects at least what it has acknowledged, and what has been sent since, so far as that was captured.</remarks>
    private static ResetKind Reset(in TcpSegment segment, in Direction sender, in Direction receiver)
    {
        if (!receiver.IsAcknowledgedKnown || IsAfter(segment.Sequence, ExpectedNext(in sender, in receiver)))
        {
            return ResetKind.Likely;
        }
        // One less is taken behind a FIN (tcp_reset_check).
        var least = receiver.Acknowledged - (sender.HasFinished ? 1u : 0);
        return IsBefore(segment.Sequence, least) ? ResetKind.None : ResetKind.Certain;
    }

    /// <summary>A handshake's first or second segment; one of another connection than the flow's so far begins it anew.</summary>
    /// <remarks>Within a connection the kernel ignores it (RFC 5961, 4.2), so that it is only noted until the other end agrees.</remarks>
    private static void Open(in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver)
    {
        var next = segment.Sequence + 1 + (uint)segment.PayloadLength;
        var answers = (segment.Flags & TcpFlags.Ack) != 0;
        if (!sender.IsNextKnown || sender.Next != next)
        {
            var hasEnded = flow.Reset == ResetKind.Certain || (sender.HasFinished && receiver.HasFinished);
            var agrees = answers && receiver.Opening == Opening.Asked
                && (segment.Acknowledged == receiver.OpenFirst || segment.Acknowledged == receiver.OpenNext);
            if (!hasEnded && !agrees && (answers ? sender.IsNextKnown : receiver.IsNextKnown))
            {
                sender.Opening = answers ? Opening.Answered : Opening.Asked;
                (sender.OpenFirst, sender.OpenNext, sender.OpenAcknowledged) = (segment.Sequence + 1, next, segment.Acknowledged);
                return;
            }
            if (agrees)
            {
                receiver.BeginAnew(receiver.OpenNext);
            }
            else if (!answers || (hasEnded && receiver.Next != segment.Acknowledged))
            {
                receiver.BeginAnew(null);
            }
            sender.BeginAnew(next);
            flow.Reset = ResetKind.None;
        }
        sender.IsNextShown = true;
        if (answers && !sender.IsAcknowledgedKnown)
        {
            sender.Acknowledged = segment.Acknowledged;
            sender.IsAcknowledgedKnown = true;
        }
        sender.IsWindowClosed = segment.Window == 0;
    }

    /// <summary>Settles ambiguous segments before this one: they belonged to a new connection, or had no meaning.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Resume(in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver, long time)
    {
        if (sender.Opening != Opening.None || receiver.Opening != Opening.None)
        {
            ResumeOpening(in segment, ref flow, ref sender, ref receiver);
        }
        // An end never takes back what it has acknowledged: what came before was not its own, or not of this connection.
        if (sender.IsAcknowledgedKnown && IsBefore(segment.Acknowledged, sender.Acknowledged) && sender.HasLast && IsSince(sender.LastTime, time, Quiet))
        {
            sender.Acknowledged = segment.Acknowledged;
        }
    }

    private static void ResumeOpening(in TcpSegment segment, ref Flow flow, ref Direction sender, ref Direction receiver)
    {
        // A handshake of which only the SYN was captured, or only its answer, and what follows.
        var isAsked = sender.Opening == Opening.Asked && segment.Sequence == sender.OpenNext
            && segment.Sequence != sender.Next && segment.Sequence + 1 != sender.Next;
        var isAnswered = receiver.Opening == Opening.Answered && segment.Acknowledged == receiver.OpenNext
            && segment.Sequence == receiver.OpenAcknowledged;
        if (isAsked || isAnswered)
        {
            receiver.BeginAnew(isAnswered ? receiver.OpenNext : null);
            sender.BeginAnew(segment.Sequence);
            flow.Reset = ResetKind.None;
        }
    }

    /// <summary>Classifies the segment by itself, not as a reply.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static SegmentKind Kind(in TcpSegment segment, in Direction sender, in Direction receiver, long time)
    {
        if (!ProbeRule.Allows(segment.Flags, segment.PayloadLength))
        {
            return SegmentKind.Other;
        }
        var isPending = sender.Pending is PendingProbe.Candidate or PendingProbe.Keepalive && sender.PendingAnswer == segment.Sequence + 1;
        if ((sender.IsNextDoubtful || isPending) && IsRepeated(in segment, in sender, in receiver, time))
        {
            return SegmentKind.Probe;
        }
        if (!IsNextSure(in sender, in receiver))
        {
            if (segment.PayloadLength == 0 && sender.IsNextKnown && segment.Sequence + 1 == sender.Next)
            {
                return SegmentKind.Probe;   // its sender has acknowledged from one further on: that was no probe, and this is one
            }
            return segment.PayloadLength > 0 || sender.IsNextKnown ? SegmentKind.Other : SegmentKind.Candidate;
        }
        var expected = ExpectedNext(in sender, in receiver);
        if (segment.PayloadLength == 0 && IsAfter(segment.Sequence, expected))
        {
            return SegmentKind.Candidate;   // data went uncaptured, up to here or to the byte behind it
        }
        var isInPlace = segment.Sequence + 1 == expected;
        var isWaiting = isInPlace && IsWaiting(in segment, in sender, in receiver, time);
        var kind = ProbeRule.Of(segment.Sequence, segment.PayloadLength, expected, receiver.IsWindowClosed, isWaiting);
        var isBehind = kind == SegmentKind.Other && segment.PayloadLength == 0 && IsBefore(segment.Sequence + 1, expected);
        return isBehind && IsQuiet(in sender, in receiver, time) ? SegmentKind.Candidate : kind;
    }

    /// <summary>Whether the sender still waits for an acknowledgement, so that what looks like a probe is late, or data that is sent again.</summary>
    private static bool IsWaiting(in TcpSegment segment, in Direction sender, in Direction receiver, long time)
    {
        var unacknowledged = receiver.IsAcknowledgedKnown && sender.IsNextKnown && IsAfter(sender.Next, receiver.Acknowledged);
        // The kernel does not probe while it waits: an empty one was captured out of order, or, after a silence, the acknowledgement was not captured.
        return segment.PayloadLength == 0
            ? unacknowledged && !IsQuiet(in sender, in receiver, time)
            : unacknowledged || IsWrittenAgain(in segment, in sender, in receiver, time);
    }

    /// <summary>Whether it is known where the sender's sequence stands.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsNextSure(in Direction sender, in Direction receiver) =>
        receiver.IsAcknowledgedKnown || (sender.IsNextKnown && !sender.IsNextDoubtful);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint ExpectedNext(in Direction sender, in Direction receiver) =>
        !receiver.IsAcknowledgedKnown || (sender.IsNextKnown && IsAfter(sender.Next, receiver.Acknowledged)) ? sender.Next : receiver.Acknowledged;

    private static bool IsQuiet(in Direction sender, in Direction receiver, long time) =>
        IsSince(sender.LastTime, time, Quiet) && (!receiver.HasLast || IsSince(receiver.LastTime, time, Quiet));

    /// <summary>The same acknowledgement again, with nothing received in between that could have asked for it.</summary>
    /// <remarks>
    /// A copy of received data requests one, which names the repeated data (RFC 2883). Where nothing of the other end was
    /// captured it may have asked all the same; with a closed window that is far more likely than a prober who does not read.
    /// </remarks>
    private static bool IsRepeated(in TcpSegment segment, in Direction sender, in Direction receiver, long time) =>
        sender.HasLast
        && sender.LastSequence == segment.Sequence
        && sender.LastAcknowledged == segment.Acknowledged
        && sender.LastWindow == segment.Window
        && segment.PayloadLength == 0
        && sender.LastLength == 0
        && !segment.IsSelective
        && IsSince(sender.LastTime, time, Quiet)
        && (receiver.HasLast ? receiver.LastTime < sender.LastTime : segment.Window != 0);

    /// <summary>A write of one byte that is sent again: its acknowledgement was lost on the way to the sender.</summary>
    /// <remarks>
    /// Where the capture begins with it, it may as well have been a probe. An acknowledged one was; and writes are sent again at intervals
    /// that double, probes at the same.
    /// </remarks>
    private static bool IsWrittenAgain(in TcpSegment segment, in Direction sender, in Direction receiver, long time) =>
        sender.IsOneByteWrite
        && sender.WriteSequence == segment.Sequence
        && (sender.WriteByte == segment.FirstByte || segment.FirstByte < 0)
        && !(sender.IsWriteGuessed && (receiver.IsAcknowledgedKnown || IsSteady(in sender, time)))
        && !IsSince(sender.WriteTime, time, RetransmittedWithin);

    private static bool IsSteady(in Direction sender, long time) =>
        sender.WriteInterval > 0
        && IsSince(sender.WriteTime, time, Math.Max(Quiet, sender.WriteInterval * 3 / 4))
        && !IsSince(sender.WriteTime, time, sender.WriteInterval * 5 / 4);

    /// <summary>Relates the segment to the other end's probes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Answer(
        in TcpSegment segment, SegmentKind kind, ref Direction sender, ref Direction receiver, long time, ref Classification result)
    {
        // In the order of tcp_rcv_established(): the sequence must not be old, and the acknowledgement neither.
        var heard = (!receiver.IsAcknowledgedKnown || !IsBefore(segment.Sequence + (uint)segment.PayloadLength, receiver.Acknowledged))
            && (!sender.IsAcknowledgedKnown || !IsBefore(segment.Acknowledged, sender.Acknowledged))
            && !(kind == SegmentKind.Probe && segment.PayloadLength == 0);
        if (!heard)
        {
            return;
        }
        if (receiver.Pending != PendingProbe.None)
        {
            if (IsReply(in segment, in sender, in receiver))
            {
                Conclude(in segment, ref receiver, time, ref result);
            }
            else if (IsOver(in segment, in receiver))
            {
                receiver.Pending = PendingProbe.None;
            }
        }
        result.IsHeard = true;
        receiver.Unanswered = 0;
        if (receiver.IsNextDoubtful && !IsBefore(segment.Acknowledged, receiver.Next))
        {
            receiver.Next = segment.Acknowledged;
            receiver.IsNextDoubtful = false;
        }
    }

    /// <summary>An acknowledgement alone, of what the prober has sent, from what the prober expects or, past data that was not captured, further
    /// on. One lower would be that end's own probe.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsReply(in TcpSegment segment, in Direction sender, in Direction receiver)
    {
        var isKnown = sender.IsNextKnown || receiver.IsAcknowledgedKnown;
        var least = receiver.IsAcknowledgedKnown ? receiver.Acknowledged : sender.Next;
        return segment.PayloadLength == 0 && (segment.Flags & TcpFlags.Fin) == 0
            && (!isKnown || !IsBefore(segment.Sequence, least))
            && (segment.Acknowledged == receiver.PendingAnswer
                || (receiver.Pending == PendingProbe.WindowByte && segment.Acknowledged == receiver.PendingAnswer + 1));
    }

    /// <summary>Whether a probe cannot be answered any more. Data that acknowledges exactly up to a candidate neither answers nor refutes it.</summary>
    private static bool IsOver(in TcpSegment segment, in Direction prober) => prober.Pending == PendingProbe.Candidate
        ? segment.Acknowledged != prober.PendingAnswer
        : IsAfter(segment.Acknowledged, prober.PendingAnswer);

    /// <summary>From one time to the other; <see cref="CapturedPacket.NoTime"/> where either is not known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long RoundTrip(long then, long now) =>
        then != CapturedPacket.NoTime && now != CapturedPacket.NoTime ? now - then : CapturedPacket.NoTime;

    private static void Conclude(in TcpSegment segment, ref Direction prober, long time, ref Classification result)
    {
        var confirms = prober.Pending == PendingProbe.Candidate;
        var isWindow = confirms ? segment.Window == 0 : prober.Pending != PendingProbe.Keepalive;
        result.Kind = isWindow ? SegmentKind.WindowReply : SegmentKind.Reply;
        result.Answers = prober.PendingNumber;
        result.RoundTrip = RoundTrip(prober.PendingTime, time);
        result.Confirms = confirms;
        result.Confirmed = confirms ? prober.PendingNumber : 0;
        if (confirms)
        {
            prober.Probes += isWindow ? 0 : 1;
            prober.WindowProbes += isWindow ? 1 : 0;
            (prober.Next, prober.IsNextDoubtful) = (prober.PendingAnswer, false);
        }
        if (!isWindow)
        {
            prober.CountAnswer(result.RoundTrip);
        }
        prober.Pending = PendingProbe.None;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Await(ref Direction prober, PendingProbe what, uint answer, long number, long time)
    {
        prober.Pending = what;
        prober.PendingAnswer = answer;
        prober.PendingNumber = number;
        prober.PendingTime = time;
        prober.IsPendingLast = true;
    }

    /// <summary>Notes where the segment leaves its sender's sequence, acknowledgement and window.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Advance(in TcpSegment segment, SegmentKind kind, ref Direction sender, in Direction receiver, long time)
    {
        var finishes = (segment.Flags & TcpFlags.Fin) != 0;
        var end = segment.Sequence + (uint)segment.PayloadLength + (finishes ? 1u : 0);
        sender.HasFinished |= finishes;
        if (segment.PayloadLength > 0)
        {
            NoteWrite(in segment, ref sender, in receiver, time);
        }
        if (kind == SegmentKind.Probe)
        {
            (sender.Next, sender.IsNextKnown, sender.IsNextDoubtful) = (segment.Sequence + 1, true, false);
        }
        else if (!sender.IsNextKnown || IsAfter(end, sender.Next))
        {
            // An acknowledgement alone may be a probe, and its sequence one too low; anything else is what it says.
            sender.IsNextDoubtful = kind == SegmentKind.Candidate;
            sender.Next = end;
            sender.IsNextKnown = true;
        }
        else if (end == sender.Next)
        {
            var acknowledgesMore = AcknowledgesMore(segment.Sequence, segment.Acknowledged, segment.PayloadLength, in sender);
            sender.IsNextDoubtful &= !acknowledgesMore && (kind == SegmentKind.Candidate || segment.PayloadLength == 0);
            sender.IsNextShown |= acknowledgesMore;
        }
        sender.IsNextShown |= segment.PayloadLength > 1 || finishes || (segment.PayloadLength == 1 && (segment.Flags & TcpFlags.Psh) != 0);
        if (!sender.IsAcknowledgedKnown || !IsBefore(segment.Acknowledged, sender.Acknowledged))
        {
            sender.Acknowledged = segment.Acknowledged;
            sender.IsAcknowledgedKnown = true;
            sender.IsWindowClosed = segment.Window == 0;
        }
    }

    /// <summary>The same place in the sequence, and more received: ordinary acknowledgements, not a probe and its repetition.</summary>
    private static bool AcknowledgesMore(uint sequence, uint acknowledged, int length, in Direction sender) =>
        sender.HasLast
        && sender.LastSequence == sequence
        && sender.LastLength == 0
        && length == 0
        && IsAfter(acknowledged, sender.LastAcknowledged);

    private static void NoteWrite(in TcpSegment segment, ref Direction sender, in Direction receiver, long time)
    {
        var isSure = IsNextSure(in sender, in receiver);
        var repeats = sender.IsOneByteWrite && sender.WriteSequence == segment.Sequence && segment.PayloadLength == 1;
        if (isSure ? !IsBefore(segment.Sequence, ExpectedNext(in sender, in receiver)) : !repeats)
        {
            sender.IsOneByteWrite = segment.PayloadLength == 1;
            sender.IsWriteGuessed = !isSure;
            sender.WriteSequence = segment.Sequence;
            sender.WriteByte = segment.FirstByte;
            sender.WriteTime = time;
            sender.WriteInterval = 0;
        }
        else if (repeats)
        {
            sender.WriteInterval = IsSince(sender.WriteTime, time, 0) ? time - sender.WriteTime : 0;
            sender.WriteTime = time;
        }
    }
}
