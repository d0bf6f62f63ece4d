using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Receives findings in the order of their packets.</summary>
internal interface IFindingSink
{
    void Found(in Finding finding);
}

/// <summary>Looks through the packets of a source for probes, and counts what it meets.</summary>
internal sealed class ProbeScan(IFindingSink sink, int maxFlows = ProbeClassifier.DefaultFlows)
{
    private readonly FindingQueue _queue = new();

    public ProbeClassifier Classifier { get; } = new(maxFlows);

    public long Packets { get; private set; }

    public long Segments { get; private set; }

    public long Probes { get; private set; }

    public long Replies { get; private set; }

    /// <summary>Of the probes, those that are replies if the other end, of which nothing was captured, did send something.</summary>
    public long Presumed { get; private set; }

    public long WindowProbes { get; private set; }

    /// <summary>Segments that were captured or delivered a second time.</summary>
    public long Duplicates { get; private set; }

    /// <summary>Packets that may be TCP, but whose headers were not captured as a whole.</summary>
    public long Truncated { get; private set; }

    /// <summary>The first of them, and how much of it there is.</summary>
    public (long Number, int Captured, int OnWire) FirstTruncated { get; private set; }

    /// <summary>Of the answered probes, those whose times are known, and what they come to in nanoseconds.</summary>
    public long RoundTrips { get; private set; }

    public long RoundTripLeast { get; private set; } = long.MaxValue;

    public long RoundTripMost { get; private set; }

    public long RoundTripSum { get; private set; }

    /// <summary>Takes in the next packet.</summary>
    public void Take(in CapturedPacket packet)
    {
        Packets++;
        Release(packet.Time);   // before it is looked at: a probe that has waited too long is reported without it
        switch (TcpSegment.TryRead(packet.Link, packet.Data, packet.WireLength, out var segment))
        {
            case FrameContent.Segment:
                Segments++;
                Take(in packet, in segment);
                break;
            case FrameContent.Truncated:
                if (Truncated++ == 0)
                {
                    FirstTruncated = (packet.Number, packet.Data.Length, packet.WireLength);
                }
                break;
        }
        Release(packet.Time);
    }

    /// <summary>Lets go of findings that have waited long enough at <paramref name="now"/>.</summary>
    public void Release(long now) => _queue.Release(now, sink);

    /// <summary>Nothing more will come.</summary>
    public void End() => Release(long.MaxValue);

    private void Take(in CapturedPacket packet, in TcpSegment segment)
    {
        var result = Classifier.Classify(in segment, packet.Number, packet.Time, packet.Scope);
        if (result.Shows != 0)
        {
            _queue.Note(result.Shows, result.Shown, isPresumed: false, answeredBy: 0, roundTrip: 0);
            Probes += result.Shown == SegmentKind.Probe ? 1 : 0;
            WindowProbes += result.Shown == SegmentKind.WindowProbe ? 1 : 0;
        }
        if (result.Kind == SegmentKind.Other)
        {
            return;
        }
        if (result.Kind == SegmentKind.Duplicate)
        {
            Duplicates++;
            return;
        }
        Count(in result);
        if (result.Confirms || result.Answers != 0)
        {
            var answered = result.Answers != 0;
            var kind = result.Kind == SegmentKind.WindowReply ? SegmentKind.WindowProbe : SegmentKind.Probe;
            var frame = answered ? result.Answers : result.Confirmed;
            Presumed -= _queue.Note(frame, kind, result.IsPresumed, answered ? packet.Number : 0, result.RoundTrip) ? 1 : 0;
        }
        if (result.Kind == SegmentKind.WindowReply)
        {
            return;
        }
        if (result.Kind == SegmentKind.Reply)
        {
            Replies++;
            if (result.RoundTrip >= 0)
            {
                RoundTrips++;
                RoundTripLeast = Math.Min(RoundTripLeast, result.RoundTrip);
                RoundTripMost = Math.Max(RoundTripMost, result.RoundTrip);
                RoundTripSum += result.RoundTrip;
            }
        }
        ref var finding = ref _queue.Add();
        finding.Frame = packet.Number;
        finding.Time = packet.Time;
        finding.Kind = result.Kind;
        finding.Source = segment.Source;
        finding.Destination = segment.Destination;
        finding.Length = segment.PayloadLength;
        finding.Answers = result.Answers;
        finding.AnsweredBy = 0;
        finding.RoundTrip = result.Kind == SegmentKind.Reply ? result.RoundTrip : 0;
        finding.IsPresumed = result.IsPresumed;
    }

    private void Count(in Classification result)
    {
        var (probes, windowProbes) = (result.Kind == SegmentKind.Probe ? 1 : 0, result.Kind == SegmentKind.WindowProbe ? 1 : 0);
        if (result.Confirms)
        {
            (probes, windowProbes) = result.Kind == SegmentKind.WindowReply ? (probes, windowProbes + 1) : (probes + 1, windowProbes);
        }
        Probes += probes;
        Presumed += result.IsPresumed ? probes : 0;
        WindowProbes += windowProbes;
    }
}
