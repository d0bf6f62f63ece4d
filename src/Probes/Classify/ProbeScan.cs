using System.Runtime.CompilerServices;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Capture;

namespace Keepalive.Probes.Classify;

/// <summary>Receives findings in the order of their packets.</summary>
internal interface IFindingSink
{
    /// <summary>Receives the numbers of VLANs and tunnels that findings have, before the first.</summary>
    void Begin(PathTable paths)
    {
    }

    void Found(in Finding finding);
}

/// <summary>Sees every segment of a scan.</summary>
internal interface ISegmentWatch
{
    /// <summary>Sees a segment.</summary>
    /// <param name="packet">Its packet.</param>
    /// <param name="segment">The segment.</param>
    /// <param name="result">Its classification.</param>
    /// <param name="flow">The place of its connection in the flow table, which may be another one's later.</param>
    void Seen(in CapturedPacket packet, in TcpSegment segment, in Classification result, int flow);
}

/// <summary>Looks through the packets of a source for probes, and counts what it meets.</summary>
internal sealed class ProbeScan
{
    private readonly IFindingSink _sink;
    private readonly FindingQueue _queue;
    private readonly CopyWatch _copies = new();
    private readonly EncapsulationLayer[] _layers = new EncapsulationLayer[TunnelReader.MaxLayers];
    private readonly long[] _others = new long[(int)OtherContent.Arp + 1];

    public ProbeScan(IFindingSink sink, int maxFlows = ProbeClassifier.DefaultFlows)
    {
        _sink = sink;
        Broken = new BrokenConnections();
        Classifier = new ProbeClassifier(maxFlows) { Broken = Broken };
        _queue = new FindingQueue(Classifier.Flows);
        sink.Begin(Classifier.Flows.Paths);
    }

    public ProbeClassifier Classifier { get; }

    /// <summary>The connections that turned out to be dead after a silence. Complete at the end.</summary>
    public BrokenConnections Broken { get; }

    /// <summary>Sees every segment with its classification; null for nobody.</summary>
    public ISegmentWatch? Watch { get; init; }

    /// <summary>Whether all packets are there already, as in a file: then findings keep their order, and wait behind a candidate for as long as memory allows.
    /// Where packets come one by one nothing would be reported for hours.</summary>
    public bool IsWhole
    {
        get => _queue.CandidateWait == long.MaxValue;
        set => _queue.CandidateWait = value ? long.MaxValue : FindingQueue.MaxWait;
    }

    /// <summary>Time of the latest packet, in nanoseconds; <see cref="CapturedPacket.NoTime"/> where none is known.</summary>
    public long Latest { get; private set; } = CapturedPacket.NoTime;

    public long Packets { get; private set; }

    public long Segments { get; private set; }

    public long Probes { get; private set; }

    public long Replies { get; private set; }

    /// <summary>Probes that are none if something went uncaptured: replies, if the other end sent anything, or acknowledgements before a byte of data.</summary>
    public long Presumed { get; private set; }

    public long WindowProbes { get; private set; }

    /// <summary>Segments that were captured or delivered a second time.</summary>
    public long Duplicates { get; private set; }

    /// <summary>Whether some of them are from captures on "any", which have a packet once for each interface.</summary>
    public bool HasCookedDuplicates { get; private set; }

    /// <summary>Of the probes, those that were seen before with other addresses or in another VLAN or tunnel, and such replies. Complete at the end.</summary>
    public long CopiedProbes => _queue.CopiedProbes;

    public long CopiedReplies => _queue.CopiedReplies;

    /// <summary>Packets without a TCP segment that can be read, by <see cref="OtherContent"/>.</summary>
    public ReadOnlySpan<long> Others => _others;

    /// <summary>The port of the first of those that are UDP.</summary>
    public ushort FirstUdpPort { get; private set; }

    /// <summary>Packets that may be TCP, but whose headers were not captured as a whole.</summary>
    public long Truncated { get; private set; }

    /// <summary>The first of them, and how much of it there is.</summary>
    public (long Number, int Captured, int OnWire) FirstTruncated { get; private set; }

    /// <summary>Of the answered probes, those whose times are known, and what they come to in nanoseconds.</summary>
    public long RoundTrips { get; private set; }

    public long RoundTripLeast { get; private set; } = long.MaxValue;

    public long RoundTripMost { get; private set; }

    public long RoundTripSum { get; private set; }

    /// <summary>Takes in the next packets of a source. Returns false when it has no more, for now or for good.</summary>
    /// <param name="source">The source.</param>
    /// <param name="most">So many at most.</param>
    public bool Take(IPacketSource source, int most)
    {
        // A call that is bound at compile time: packets of a file in the classic format come in a few nanoseconds.
        if (source is PcapFile file)
        {
            for (var i = 0; i < most; i++)
            {
                if (!file.TryRead(out var packet))
                {
                    return false;
                }
                Take(in packet);
            }
            return true;
        }
        for (var i = 0; i < most; i++)
        {
            if (!source.TryRead(out var packet))
            {
                return false;
            }
            Take(in packet);
        }
        return true;
    }

    /// <summary>Takes in the next packet.</summary>
    public void Take(in CapturedPacket packet)
    {
        Packets++;
        Latest = Math.Max(Latest, packet.Time);
        Release(packet.Time);   // before it is looked at: a probe that has waited too long is reported without it
        if (!TryTakeIdle(in packet))
        {
            TakeAny(in packet);
        }
        Release(packet.Time);
    }

    /// <summary>Takes in any packet. Its locals must not be cleared for each of an idle connection.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeAny(in CapturedPacket packet)
    {
        if (TcpSegment.TryReadPlain(packet.Link, packet.Data, packet.WireLength, out var segment))
        {
            Segments++;
            Take(in packet, in segment, PathTable.None);
        }
        else
        {
            TakeOther(in packet);
        }
    }

    /// <summary>Takes in a packet that is not IPv4 without options in Ethernet.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeOther(in CapturedPacket packet)
    {
        var content = TcpSegment.TryRead(packet.Link, packet.Data, packet.WireLength, out var segment, out var hasLayers);
        if (content == FrameContent.Segment && !hasLayers)
        {
            Segments++;
            Take(in packet, in segment, PathTable.None);
        }
        else if (content == FrameContent.Truncated)
        {
            CountTruncated(in packet);
        }
        else if (content != FrameContent.Segment || !TryTakeTagged(in packet, in segment))
        {
            LookInside(in packet);
        }
    }

    /// <summary>Lets go of findings that have waited long enough at <paramref name="now"/>.</summary>
    public void Release(long now) => _queue.Release(now, _sink);

    /// <summary>Nothing more will come.</summary>
    public void End()
    {
        Release(long.MaxValue);
        Broken.End(Classifier.Flows, Latest);
    }

    /// <summary>Takes in a segment that has nothing around it but VLAN tags.</summary>
    private bool TryTakeTagged(in CapturedPacket packet, in TcpSegment segment)
    {
        var reader = new TunnelReader(_layers);
        if (!reader.TryReadTags(packet.Link, packet.Data))
        {
            return false;
        }
        Segments++;
        Take(in packet, in segment, Classifier.Flows.Paths.NumberOf(reader.Layers));
        return true;
    }

    /// <summary>Takes in a packet that is in a VLAN or a tunnel, or no TCP. Its locals must not be cleared for each plain packet.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void LookInside(in CapturedPacket packet)
    {
        var reader = new TunnelReader(_layers);
        switch (reader.Read(packet.Link, packet.Data, packet.WireLength, out var segment))
        {
            case FrameContent.Segment:
                Segments++;
                Take(in packet, in segment, Classifier.Flows.Paths.NumberOf(reader.Layers));
                break;
            case FrameContent.Truncated:
                CountTruncated(in packet);
                break;
            default:
                FirstUdpPort = reader.Other == OtherContent.Udp && _others[(int)OtherContent.Udp] == 0 ? reader.UdpPort : FirstUdpPort;
                _others[(int)reader.Other]++;
                break;
        }
    }

    private void CountTruncated(in CapturedPacket packet)
    {
        if (Truncated++ == 0)
        {
            FirstTruncated = (packet.Number, packet.Data.Length, packet.WireLength);
        }
    }

    private void Take(in CapturedPacket packet, in TcpSegment segment, int path)
    {
        if (path != PathTable.None)
        {
            Classifier.Flows.Paths.Count(path);
        }
        ref var flow = ref Classifier.Classify(in segment, packet.Number, packet.Time, packet.Scope, path, out var result);
        Watch?.Seen(in packet, in segment, in result, Classifier.Flows.Latest);
        if (result.Shows != 0)
        {
            TakeShown(in result);
        }
        if (result.Kind is SegmentKind.Other or SegmentKind.Duplicate)
        {
            TakeUnfound(in packet, in segment, in result);
            return;
        }
        if (result.Confirms)
        {
            CountConfirmed(in result);
        }
        else if (result.Kind == SegmentKind.Probe)
        {
            Probes++;
            Presumed += result.IsPresumed ? 1 : 0;
        }
        else if (result.Kind == SegmentKind.WindowProbe)
        {
            WindowProbes++;
        }
        var latest = Classifier.Flows.Latest;
        if (result.Answers != 0)
        {
            var kind = result.Kind == SegmentKind.WindowReply ? SegmentKind.WindowProbe : SegmentKind.Probe;
            var isSure = _queue.Note(result.Answers, latest, kind, result.IsPresumed, packet.Number, result.RoundTrip, _sink);
            Presumed -= isSure ? 1 : 0;
        }
        else if (result.Confirms)
        {
            NoteConfirmed(in result);
        }
        if (result.Kind == SegmentKind.Reply)
        {
            CountReply(result.RoundTrip);
        }
        else if (result.Kind == SegmentKind.WindowReply)
        {
            return;
        }
        ref var finding = ref Add(in packet, in result);
        finding.Source = Copy(in segment.Source);
        finding.Destination = Copy(in segment.Destination);
        finding.Path = path;
        finding.CopyOf = IsCompared(in flow, result.Kind) ? CopyOf(in packet, in segment) : 0;
        finding.Length = segment.PayloadLength;
        finding.IsPresumed = result.IsPresumed;
        if (result.Kind is SegmentKind.Probe or SegmentKind.WindowProbe)
        {
            _queue.Hold(packet.Time);
        }
    }

    /// <summary>Takes in a packet that is a probe or a reply of a connection that has been idle for long, as nearly all of a capture of keepalive are: what
    /// <see cref="Take(in CapturedPacket, in TcpSegment, int)"/> does with it, without putting the segment together.</summary>
    /// <returns>Whether it was one; otherwise nothing has changed.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryTakeIdle(in CapturedPacket packet)
    {
        if (packet.Link != LinkType.Ethernet || Watch is not null || !PlainFrame.IsAcknowledgement(packet.Data, out var timestamp))
        {
            return false;
        }
        ref readonly var frame = ref PlainFrame.Of(packet.Data);
        if (!Classifier.TryClassifyIdle(in frame, timestamp, packet.Number, packet.Time, packet.Scope, out var result))
        {
            return false;
        }
        Segments++;
        if (result.Kind == SegmentKind.Reply)
        {
            var isSure = _queue.Note(result.Answers, Classifier.Flows.Latest, SegmentKind.Probe, isPresumed: false, packet.Number, result.RoundTrip, _sink);
            Presumed -= isSure ? 1 : 0;
            CountReply(result.RoundTrip);
        }
        else
        {
            Probes++;
        }
        ref var finding = ref Add(in packet, in result);
        finding.Source = SocketEndpoint.FromIPv4(frame.Source, frame.SourcePort);
        finding.Destination = SocketEndpoint.FromIPv4(frame.Destination, frame.DestinationPort);
        finding.Path = PathTable.None;
        finding.CopyOf = 0;
        finding.Length = 0;
        finding.IsPresumed = false;
        if (result.Kind == SegmentKind.Probe)
        {
            _queue.Hold(packet.Time);
        }
        return true;
    }

    /// <summary>Adds a finding. The caller sets its ends, its path and length, whether it is presumed, and what it repeats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Finding Add(in CapturedPacket packet, in Classification result)
    {
        ref var finding = ref _queue.Add();
        finding.Frame = packet.Number;
        finding.Time = packet.Time;
        finding.Kind = result.Kind;
        finding.Flow = Classifier.Flows.Latest;
        finding.Answers = result.Answers;
        finding.AnsweredBy = 0;
        finding.RoundTrip = result.Kind == SegmentKind.Reply ? result.RoundTrip : 0;
        finding.IsReset = false;
        return ref finding;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CountReply(long roundTrip)
    {
        Replies++;
        if (roundTrip >= 0)
        {
            RoundTrips++;
            RoundTripLeast = Math.Min(RoundTripLeast, roundTrip);
            RoundTripMost = Math.Max(RoundTripMost, roundTrip);
            RoundTripSum += roundTrip;
        }
    }

    /// <summary>Takes in that the sender's candidate was a probe.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeShown(in Classification result)
    {
        _queue.Note(result.Shows, Classifier.Flows.Latest, result.Shown, result.IsShownPresumed, answeredBy: 0, roundTrip: 0, _sink);
        Presumed += result.IsShownPresumed ? 1 : 0;
        Probes += result.Shown == SegmentKind.Probe ? 1 : 0;
        WindowProbes += result.Shown == SegmentKind.WindowProbe ? 1 : 0;
    }

    /// <summary>Takes in a segment that is neither a probe nor a reply.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeUnfound(in CapturedPacket packet, in TcpSegment segment, in Classification result)
    {
        if (result.Kind == SegmentKind.Duplicate)
        {
            Duplicates++;
            HasCookedDuplicates |= packet.Link is LinkType.LinuxCooked or LinkType.LinuxCooked2;
        }
        else if (result.Reset != ResetKind.None)
        {
            NoteReset(in packet, in segment);
        }
    }

    /// <summary>Notes a reset that answers a probe: the other end's next packet, with the number that the probe acknowledges.</summary>
    private void NoteReset(in CapturedPacket packet, in TcpSegment segment)
    {
        FlowKey.Of(in segment.Source, in segment.Destination, packet.Scope, out var fromLow);
        ref var flow = ref Classifier.Flows.At(Classifier.Flows.Latest);
        ref var prober = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        if (prober.Pending is PendingProbe.None or PendingProbe.Candidate || segment.Sequence != prober.LastAcknowledged)
        {
            return;
        }
        var isTimed = prober.PendingTime != CapturedPacket.NoTime && packet.Time != CapturedPacket.NoTime;
        var roundTrip = isTimed ? packet.Time - prober.PendingTime : CapturedPacket.NoTime;
        if (roundTrip <= FindingQueue.MaxWait)
        {
            _queue.NoteReset(prober.PendingNumber, packet.Number, roundTrip);
        }
    }

    /// <summary>A copy by parts. The processor would wait with a copy of the whole until the parts, which were written just before, are in its cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static SocketEndpoint Copy(in SocketEndpoint one) => new(one.Upper, one.Lower, one.Port);

    /// <summary>Whether the latest finding's packet is compared with others': the first probes, which come before their answers, show whether the connection is
    /// seen twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsCompared(in Flow flow, SegmentKind kind) =>
        flow.IsCompared || (kind != SegmentKind.Reply && flow.FromLow.Probes + flow.FromHigh.Probes <= Flow.ProbesToCompare);

    /// <summary>Number of the packet that the latest finding's repeats, 0 for none; notes the connection that it repeats.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private long CopyOf(in CapturedPacket packet, in TcpSegment segment)
    {
        var flows = Classifier.Flows;
        var number = _copies.Look(in segment, packet.Number, packet.Time, flows.Latest, out var original);
        if (number != 0)
        {
            ref var again = ref flows.At(flows.Latest);
            ref var first = ref flows.At(original);
            // Where a node translates addresses the request comes first in one connection, and its answer in the other: the first that is noted stays.
            if (again.CopyOf == 0 && first.CopyOf != flows.Latest + 1)
            {
                (again.CopyOf, first.HasCopies) = (original + 1, true);
                again.IsCopyReversed = IsFromLow(in again, in segment) != IsFromLow(in first, in segment);
            }
        }
        return number;
    }

    private static bool IsFromLow(in Flow flow, in TcpSegment latest) =>
        flow.FromLow.HasLast && flow.FromLow.LastSequence == latest.Sequence && flow.FromLow.LastAcknowledged == latest.Acknowledged;

    /// <summary>Notes that a segment, which answers nothing, confirms a candidate.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void NoteConfirmed(in Classification result)
    {
        var kind = result.Kind == SegmentKind.WindowReply ? SegmentKind.WindowProbe : SegmentKind.Probe;
        var isSure = _queue.Note(result.Confirmed, Classifier.Flows.Latest, kind, result.IsPresumed, answeredBy: 0, result.RoundTrip, _sink);
        Presumed -= isSure ? 1 : 0;
    }

    /// <summary>Counts a segment that also confirms a candidate.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void CountConfirmed(in Classification result)
    {
        var (probes, windowProbes) = (result.Kind == SegmentKind.Probe ? 1 : 0, result.Kind == SegmentKind.WindowProbe ? 1 : 0);
        (probes, windowProbes) = result.Kind == SegmentKind.WindowReply ? (probes, windowProbes + 1) : (probes + 1, windowProbes);
        Probes += probes;
        Presumed += result.IsPresumed ? probes : 0;
        WindowProbes += windowProbes;
    }
}
