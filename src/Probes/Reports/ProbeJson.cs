using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary><c>probes -o json</c>: one object a line, the summary last.</summary>
internal sealed class ProbeJson(Stream output, bool isSummary) : ProbeReport(output, isSummary)
{
    private static readonly (OtherContent Content, string Name)[] s_others =
    [
        (OtherContent.Macsec, "macsec"), (OtherContent.Esp, "esp"), (OtherContent.WireGuard, "wireGuard"),
        (OtherContent.OpenVpn, "openVpn"), (OtherContent.Vxlan, "vxlan"), (OtherContent.Geneve, "geneve"), (OtherContent.Gue, "gue"), (OtherContent.L2tp, "l2tp"),
        (OtherContent.GtpU, "gtpU"), (OtherContent.Lisp, "lisp"), (OtherContent.Capwap, "capwap"), (OtherContent.Ipcomp, "ipcomp"), (OtherContent.Gre, "gre"),
        (OtherContent.Fragment, "fragment"), (OtherContent.NestedTooDeep, "nestedTooDeep"), (OtherContent.Udp, "udp"), (OtherContent.Icmp, "icmp"),
        (OtherContent.Sctp, "sctp"), (OtherContent.Arp, "arp"), (OtherContent.Unknown, "other"),
    ];

    /// <summary>More than a line has without its VLANs and tunnels.</summary>
    private const int LineLength = 512;

    private readonly PathText _paths = new(PathText.Json);
    private readonly EndsText _ends = new(static (source, destination) => $"{source}\",\"destination\":\"{destination}\",\"time\":");

    protected override void Line(in Finding finding)
    {
        var room = Lines.Room(LineLength);
        var at = Utf8Text.Text(room, 0, "{\"frame\":"u8);
        at = Lines.Frame(room, at, finding.Frame);
        at = finding.Kind switch
        {
            SegmentKind.Reply => Utf8Text.Text(room, at, ",\"kind\":\"reply\",\"source\":\""u8),
            SegmentKind.WindowProbe => Utf8Text.Text(room, at, ",\"kind\":\"windowProbe\",\"source\":\""u8),
            _ => Utf8Text.Text(room, at, ",\"kind\":\"probe\",\"source\":\""u8),
        };
        at = Utf8Text.Text(room, at, _ends.Of(finding.Flow, in finding.Source, in finding.Destination));
        if (finding.Time == CapturedPacket.NoTime)
        {
            at = Utf8Text.Text(room, at, "null,\"length\":"u8);
        }
        else
        {
            room[at] = (byte)'"';
            at = Lines.Time(room, at + 1, finding.Time);
            at = Utf8Text.Text(room, at, "\",\"length\":"u8);
        }
        room[at++] = (byte)('0' + finding.Length);
        if (finding.Kind == SegmentKind.Reply)
        {
            at = Utf8Text.Text(room, at, ",\"answers\":"u8);
            at = RoundTrip(room, Lines.Frame(room, at, finding.Answers), finding.RoundTrip);
        }
        else if (finding.AnsweredBy != 0)
        {
            at = finding.IsReset ? Utf8Text.Text(room, at, ",\"resetBy\":"u8) : Utf8Text.Text(room, at, ",\"answeredBy\":"u8);
            at = RoundTrip(room, Lines.Frame(room, at, finding.AnsweredBy), finding.RoundTrip);
        }
        else if (finding.IsPresumed)
        {
            at = Utf8Text.Text(room, at, ",\"presumed\":true"u8);
        }
        if (finding.Path == PathTable.None && finding.CopyOf == 0)
        {
            Lines.Add(Utf8Text.Text(room, at, "}\n"u8));
            return;
        }
        Lines.Add(at);
        Encapsulation(finding.Path);
        if (finding.CopyOf != 0)
        {
            Lines.Text(",\"copyOf\":"u8).Number(finding.CopyOf);
        }
        Lines.Text("}\n"u8);
    }

    public override void Summarize(ProbeScan scan, long? dropped)
    {
        Lines.Text("{\"kind\":\"summary\",\"packets\":"u8).Number(scan.Packets).Text(",\"segments\":"u8).Number(scan.Segments)
            .Text(",\"flows\":"u8).Number(scan.Classifier.Flows.Count).Text(",\"flowsForgotten\":"u8).Number(scan.Classifier.Flows.Forgotten)
            .Text(",\"probes\":"u8).Number(scan.Probes).Text(",\"presumed\":"u8).Number(scan.Presumed).Text(",\"replies\":"u8).Number(scan.Replies)
            .Text(",\"unanswered\":"u8).Number(scan.Probes - scan.Replies).Text(",\"windowProbes\":"u8).Number(scan.WindowProbes)
            .Text(",\"duplicates\":"u8).Number(scan.Duplicates).Text(",\"copiedProbes\":"u8).Number(scan.CopiedProbes)
            .Text(",\"copiedReplies\":"u8).Number(scan.CopiedReplies).Text(",\"truncated\":"u8).Number(scan.Truncated);
        Lines.Text(",\"notTcp\":{"u8);
        var separator = ""u8;
        foreach (var (content, name) in s_others)
        {
            if (scan.Others[(int)content] is > 0 and var packets)
            {
                Lines.Text(separator).Text("\""u8).Text(name).Text("\":"u8).Number(packets);
                separator = ","u8;
            }
        }
        Lines.Text("}"u8);
        if (dropped is { } count)
        {
            Lines.Text(",\"dropped\":"u8).Number(count);
        }
        RoundTrip(scan.Replies, scan.RoundTrips, scan.RoundTripLeast, scan.RoundTripSum, scan.RoundTripMost);
        IdleTimeouts(scan);
        if (IsSummary)
        {
            Totals(scan);
            return;
        }
        Broken(scan);
        Lines.Text(",\"connections\":["u8);
        separator = ""u8;
        foreach (var prober in Probers(scan))
        {
            var direction = prober.Direction;
            Lines.Text(separator).Text("{\"source\":\""u8).Text(prober.From.ToString()).Text("\",\"destination\":\""u8).Text(prober.To.ToString())
                .Text("\",\"probes\":"u8).Number(direction.Probes).Text(",\"replies\":"u8).Number(direction.Answered)
                .Text(",\"unansweredAtEnd\":"u8).Number(direction.Unanswered).Text(",\"windowProbes\":"u8).Number(direction.WindowProbes);
            RoundTrip(direction.Answered, direction.RoundTrips, direction.RoundTripLeast, direction.RoundTripSum, direction.RoundTripMost);
            Lines.Text(prober.IsReset ? ",\"reset\":true"u8 : ",\"reset\":false"u8);
            Encapsulation(prober.Path);
            if (prober.Original is { } original)
            {
                Lines.Text(",\"sameAs\":{\"source\":\""u8).Text(original.From.ToString()).Text("\",\"destination\":\""u8).Text(original.To.ToString())
                    .Text("\""u8);
                Encapsulation(original.Path);
                Lines.Text("}"u8);
            }
            Lines.Text("}"u8);
            separator = ","u8;
        }
        Lines.Text("]}\n"u8);
    }

    /// <summary>What silences say about idle timeouts; nothing without broken connections.</summary>
    private void IdleTimeouts(ProbeScan scan)
    {
        var separator = ",\"idleTimeouts\":["u8;
        foreach (var timeout in IdleTimeout.Of(scan))
        {
            Lines.Text(separator).Text("{\"server\":\""u8).Text(timeout.Server.ToString()).Text("\",\"broken\":"u8).Number(timeout.Broken)
                .Text(",\"brokenMsLeast\":"u8).Milliseconds(timeout.BrokenLeast);
            if (timeout.SurvivedMost > 0)
            {
                Lines.Text(",\"survivedMsMost\":"u8).Milliseconds(timeout.SurvivedMost);
            }
            Lines.Text(",\"otherTtl\":"u8).Number(timeout.Forged).Text(",\"sameTtlUnasked\":"u8).Number(timeout.Own).Text(",\"silentAtEnd\":"u8).Number(timeout.SilentAtEnd).Text("}"u8);
            separator = ","u8;
        }
        Lines.Text(separator.Length == 1 ? "]"u8 : ""u8);
    }

    private void Broken(ProbeScan scan)
    {
        var separator = ",\"broken\":["u8;
        foreach (var one in BrokenConnections(scan))
        {
            Lines.Text(separator).Text("{\"frame\":"u8).Number(one.Silence.Frame).Text(",\"source\":\""u8).Text(one.From.ToString())
                .Text("\",\"destination\":\""u8).Text(one.To.ToString()).Text("\",\"silenceMs\":"u8).Milliseconds(one.Silence.Length)
                .Text(",\"sent\":\""u8).Text(BrokenTable.Sent(one.Silence.EndedBy)).Text("\""u8);
            if (one.ResetFrame == 0 || one.IsGivenUp)
            {
                Lines.Text(",\"unanswered\":"u8).Number(one.Silence.Sent - (one.IsGivenUp ? 1 : 0));
            }
            if (one.ResetFrame != 0)
            {
                Lines.Text(",\"resetFrame\":"u8).Number(one.ResetFrame).Text(",\"resetTtl\":"u8).Number(one.HopLimit);
                Lines.Text(one.HopLimitBefore == 0 ? ""u8 : ",\"ttlBefore\":"u8);
                if (one.HopLimitBefore != 0)
                {
                    Lines.Number(one.HopLimitBefore);
                }
                Lines.Text(one.IsAfterClose ? ",\"afterClose\":true"u8 : ""u8);
            }
            Encapsulation(one.Path);
            Lines.Text("}"u8);
            separator = ","u8;
        }
        Lines.Text(separator.Length == 1 ? "]"u8 : ""u8);
        if (scan.Broken.Forgotten > 0)
        {
            Lines.Text(",\"brokenForgotten\":"u8).Number(scan.Broken.Forgotten);
        }
    }

    /// <summary>The counts that the lines and the list of connections show otherwise.</summary>
    private void Totals(ProbeScan scan)
    {
        var probed = ProbedConnections.Of(scan.Classifier.Flows.All);
        Lines.Text(",\"probedConnections\":{\"answered\":"u8).Number(probed.Answered).Text(",\"unanswered\":"u8).Number(probed.Unanswered)
            .Text(",\"reset\":"u8).Number(probed.Reset).Text("},\"encapsulatedSegments\":{"u8);
        var separator = "\""u8;
        foreach (var (kind, segments) in Paths.SegmentsByKind())
        {
            Lines.Text(separator).Text(PathText.Name(kind)).Text("\":"u8).Number(segments);
            separator = ",\""u8;
        }
        Lines.Text("}}\n"u8);
    }

    private int RoundTrip(Span<byte> room, int at, long roundTrip)
    {
        // Without times, or where the clock went back, nothing was measured.
        if (roundTrip < 0)
        {
            return Utf8Text.Text(room, at, ",\"rttMs\":null"u8);
        }
        at = Utf8Text.Text(room, at, ",\"rttMs\":"u8);
        return Lines.Milliseconds(room, at, roundTrip);
    }

    private void Encapsulation(int path)
    {
        if (path != PathTable.None)
        {
            Lines.Text(",\"encapsulation\":"u8).Text(_paths.Of(Paths, path));
        }
    }

    private void RoundTrip(long answered, long count, long least, long sum, long most)
    {
        if (count > 0)
        {
            Lines.Text(",\"rttMsLeast\":"u8).Milliseconds(least).Text(",\"rttMsMean\":"u8).Milliseconds(sum / count)
                .Text(",\"rttMsMost\":"u8).Milliseconds(most);
        }
        else if (answered > 0)
        {
            Lines.Text(",\"rttMsLeast\":null,\"rttMsMean\":null,\"rttMsMost\":null"u8);
        }
    }
}
