using System.Runtime.CompilerServices;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <content>The short way for the probes and replies of idle connections, which nearly all packets of a capture of them are.</content>
internal sealed partial class ProbeClassifier
{
    /// <summary>Takes in the next segment if it is a probe or a reply of a connection that has been idle for long and was captured once; otherwise nothing has
    /// changed, but that its flow is the latest.</summary>
    /// <param name="frame">The frame, whose segment does nothing but acknowledge.</param>
    /// <param name="timestamp">Of the segment.</param>
    /// <param name="number">Of its packet.</param>
    /// <param name="time">Of its capture.</param>
    /// <param name="scope">Of its packet.</param>
    /// <param name="result">The classification; only the kind and what it answers are of meaning.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryClassifyIdle(in PlainFrame frame, uint timestamp, long number, long time, int scope, out Classification result)
    {
        result = default;
        if (Flows.HasTunnels)
        {
            return false;
        }
        ref var flow = ref Flows.Get(FlowKey.Of(in frame, scope, out var fromLow), PathTable.None, fromLow);
        ref var sender = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        ref var receiver = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        if (!flow.IsComparedNoMore || !IsUneventful(in flow, in sender, in receiver, time)
            || (sender.LastIdentification == frame.Identification && sender.LastTimestamp == timestamp))
        {
            return false;
        }
        var (sequence, acknowledged, window) = (frame.Sequence, frame.Acknowledged, frame.Window);
        if (!TryTakeIdle(sequence, acknowledged, window, ref sender, ref receiver, number, time, ref result))
        {
            return false;
        }
        sender.HopLimit = frame.TimeToLive;
        Remember(ref sender, sequence, acknowledged, 0, TcpFlags.Ack, window, timestamp, frame.Identification, time);
        receiver.IsPendingLast = false;
        return true;
    }

    /// <summary>Whether it neither ends a silence nor comes after a reset. Also false where a time is not known, or the clock went back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsUneventful(in Flow flow, in Direction sender, in Direction receiver, long time) =>
        (ulong)(time - Math.Max(sender.LastTime, receiver.LastTime)) < Silence.Least && flow.Reset == ResetKind.None && flow.Awaited == Awaited.None;

    /// <summary>Takes in a probe or a reply of a connection where nothing is ambiguous: both ends are known to stand where they stood, and all is acknowledged.</summary>
    /// <remarks>The same as <see cref="Take"/> does with one, in a fraction of its steps: nearly every packet of an idle connection is of this kind.</remarks>
    /// <returns>Whether it was one; otherwise nothing has changed.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryTakeIdle(
        in TcpSegment segment, ref Direction sender, ref Direction receiver, long number, long time, ref Classification result) =>
        segment.Flags == TcpFlags.Ack && segment.PayloadLength == 0
        && TryTakeIdle(segment.Sequence, segment.Acknowledged, segment.Window, ref sender, ref receiver, number, time, ref result);

    /// <summary>The same of a segment that does nothing but acknowledge.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryTakeIdle(
        uint sequence, uint acknowledged, ushort window, ref Direction sender, ref Direction receiver, long number, long time, ref Classification result)
    {
        if (!sender.IsSure || !receiver.IsSure || sender.Next != receiver.Acknowledged || acknowledged != sender.Acknowledged
            || sender.Pending == PendingProbe.Candidate)
        {
            return false;
        }
        if (sequence + 1 == sender.Next)
        {
            if (receiver.IsWindowClosed)
            {
                return false;
            }
            result.Kind = SegmentKind.Probe;
            sender.Probes++;
            sender.Unanswered++;
            Await(ref sender, PendingProbe.Keepalive, sender.Next, number, time);
        }
        else
        {
            if (sequence != sender.Next || receiver.Pending != PendingProbe.Keepalive || acknowledged != receiver.PendingAnswer
                || sender.PendingAnswer == sequence + 1)
            {
                return false;
            }
            result.Kind = SegmentKind.Reply;
            result.Answers = receiver.PendingNumber;
            result.RoundTrip = RoundTrip(receiver.PendingTime, time);
            result.IsHeard = true;
            receiver.CountAnswer(result.RoundTrip);
            receiver.Pending = PendingProbe.None;
            receiver.Unanswered = 0;
            if (!sender.IsNextShown)
            {
                sender.IsNextShown = AcknowledgesMore(sequence, acknowledged, length: 0, in sender);
            }
        }
        sender.IsWindowClosed = window == 0;
        result.Unanswered = sender.Unanswered;
        return true;
    }
}
