using System.Runtime.InteropServices;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Classify;

/// <summary>A connection that turned out to be dead after a silence.</summary>
internal struct BrokenConnection
{
    /// <summary>The silence, with the packet that ended it and what its sender sent since.</summary>
    public Silence Silence;

    /// <summary>The end that sent that packet; of a reset that came by itself, the end that it names.</summary>
    public SocketEndpoint From;
    public SocketEndpoint To;

    /// <summary>The VLANs and tunnels that the packet is in, by their number in <see cref="PathTable"/>.</summary>
    public int Path;

    /// <summary>The reset: the number of its packet, 0 where there was none and nothing came back, and its time.</summary>
    public long ResetFrame;
    public long ResetTime;

    /// <summary>Whether the reset names the end that had ended the silence: it gave up.</summary>
    public bool IsGivenUp;

    /// <summary>Whether the end that the reset names had closed before: then it need not know the connection.</summary>
    public bool IsAfterClose;

    /// <summary>The reset's hop limit, and that of the packets before it from the end that it names; 0 where there is none.</summary>
    public byte HopLimit;
    public byte HopLimitBefore;

    /// <summary>Whether a later packet showed that the connection went on.</summary>
    public bool IsRefuted;

    /// <summary>Whether the packets from that end came another way than the reset.</summary>
    public readonly bool IsForged => HopLimitBefore != 0 && HopLimit != HopLimitBefore;

    /// <summary>Whether the reset came by itself and the way that the packets from its end came: that end may have closed with it.</summary>
    public readonly bool IsOwn => Silence.EndedBy == SilenceEnd.Reset && !IsAfterClose && HopLimitBefore != 0 && HopLimit == HopLimitBefore;
}

/// <summary>Follows silences: which were survived, and which connections turned out to be dead after one.</summary>
/// <remarks>
/// <code>
///   … packet │◄────── silence ──────►│ packet ──► answered: survived
///                                      packet ──► a reset, or nothing: broken
///                                      reset        broken
/// </code>
/// The packet after a silence must continue where both ends stood: otherwise there was no silence, but packets that were not captured.
/// </remarks>
internal sealed class BrokenConnections
{
    /// <summary>Records that are kept; more are counted only.</summary>
    public const int Limit = 16_384;

    /// <summary>A packet waits so long for its answer before the lack of one counts, in nanoseconds: the first retransmissions of Linux are sent in this time.</summary>
    private const long AnswerWithin = 3_000_000_000;

    private readonly List<BrokenConnection> _all = [];

    /// <summary>Those that were not kept.</summary>
    public long Forgotten { get; private set; }

    /// <summary>In the order in which they turned out to be dead.</summary>
    public ReadOnlySpan<BrokenConnection> All => CollectionsMarshal.AsSpan(_all);

    /// <summary>Notes a packet that comes after a silence, or while an answer to such a packet is awaited.</summary>
    /// <returns>Whether it ended a silence.</returns>
    public static bool Note(in TcpSegment segment, ref Flow flow, in Direction sender, in Direction receiver, bool fromLow, long number, long time)
    {
        ref var silence = ref flow.Silence;
        var isReset = (segment.Flags & TcpFlags.Rst) != 0;
        if (!sender.HasLast && !receiver.HasLast)
        {
            return false;
        }
        if ((segment.Flags & TcpFlags.Syn) != 0 || IsBehindUncaptured(in segment, in sender, in receiver))
        {
            flow.Awaited = Awaited.None;
            return false;
        }
        if (flow.Awaited != Awaited.None)
        {
            if (flow.Awaited != From(fromLow))
            {
                silence.Sent++;
                return false;
            }
            if (isReset)
            {
                return false;
            }
            (silence.Survived, flow.Awaited) = (Math.Max(silence.Survived, silence.Length), Awaited.None);
        }
        var length = time - Math.Max(sender.LastTime, receiver.LastTime);
        if (length < Silence.Least)
        {
            return false;
        }
        (silence.Length, silence.Frame, silence.Time, silence.Sent) = (length, number, time, 1);
        flow.Awaited = From(!fromLow);
        return true;
    }

    /// <summary>Notes what the packet is that ended a silence.</summary>
    public static void Describe(ref Flow flow, in TcpSegment segment, SegmentKind kind) => flow.Silence.EndedBy =
        (segment.Flags & TcpFlags.Rst) != 0 ? SilenceEnd.Reset
        : (segment.Flags & TcpFlags.Fin) != 0 ? SilenceEnd.Fin
        : kind is SegmentKind.Probe or SegmentKind.Candidate or SegmentKind.WindowProbe ? SilenceEnd.Probe
        : segment.PayloadLength > 0 ? SilenceEnd.Data
        : SilenceEnd.Acknowledgement;

    /// <summary>Notes a reset that ends the connection, where it comes after a silence.</summary>
    public void Reset(in TcpSegment segment, ref Flow flow, in Direction sender, bool fromLow, long number, long time, int path)
    {
        flow.Silence.Record = 0;
        if (flow.Awaited == Awaited.None)
        {
            return;
        }
        var isGivenUp = flow.Awaited != From(fromLow) && flow.Silence.Frame != number;
        var isAnswer = flow.Awaited == From(fromLow);
        Add(ref flow, new BrokenConnection
        {
            Silence = flow.Silence,
            From = isAnswer ? segment.Destination : segment.Source,
            To = isAnswer ? segment.Source : segment.Destination,
            Path = path,
            ResetFrame = number,
            ResetTime = time,
            IsGivenUp = isGivenUp,
            IsAfterClose = !isGivenUp && sender.HasFinished,
            HopLimit = segment.HopLimit,
            HopLimitBefore = sender.HopLimit,
        });
    }

    /// <summary>Notes that the connection went on after a reset.</summary>
    public void Refute(ref Flow flow)
    {
        if (flow.Silence.Record != 0)
        {
            CollectionsMarshal.AsSpan(_all)[flow.Silence.Record - 1].IsRefuted = true;
            flow.Silence.Record = 0;
        }
    }

    /// <summary>Adds the connections to whose packets after a silence nothing has come back until the end.</summary>
    /// <param name="flows">All that are known.</param>
    /// <param name="end">Time of the latest packet.</param>
    public void End(FlowTable flows, long end)
    {
        for (var i = 0; i < flows.Count; i++)
        {
            ref var flow = ref flows.At(i);
            if (flow.Awaited == Awaited.None || flow.Silence.EndedBy == SilenceEnd.Reset || end == CapturedPacket.NoTime || end - flow.Silence.Time < AnswerWithin
                || (flow.Silence.EndedBy == SilenceEnd.Acknowledgement && flow.Silence.Sent == 1))
            {
                continue;
            }
            var fromLow = flow.Awaited == Awaited.FromHigh;
            Add(ref flow, new BrokenConnection
            {
                Silence = flow.Silence,
                From = fromLow ? flow.Key.Low : flow.Key.High,
                To = fromLow ? flow.Key.High : flow.Key.Low,
                Path = fromLow ? flow.PathFromLow : flow.PathFromHigh,
            });
        }
    }

    private static Awaited From(bool fromLow) => fromLow ? Awaited.FromLow : Awaited.FromHigh;

    /// <summary>Whether the segment tells of data before it that was not captured.</summary>
    private static bool IsBehindUncaptured(in TcpSegment segment, in Direction sender, in Direction receiver) =>
        (sender.IsNextKnown && SequenceNumber.IsAfter(segment.Sequence, sender.Next))
        || ((segment.Flags & TcpFlags.Ack) != 0 && receiver.IsNextKnown && SequenceNumber.IsAfter(segment.Acknowledged, receiver.Next));

    private void Add(ref Flow flow, in BrokenConnection broken)
    {
        flow.Awaited = Awaited.None;
        if (_all.Count == Limit)
        {
            Forgotten++;
            return;
        }
        _all.Add(broken);
        flow.Silence.Record = _all.Count;
    }
}
