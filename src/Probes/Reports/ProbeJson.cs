using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary><c>probes -o json</c>: one object a line, the summary last.</summary>
internal sealed class ProbeJson(Stream output) : ProbeReport(output)
{
    private static readonly (OtherContent Content, string Name)[] s_others =
    [
        (OtherContent.Macsec, "macsec"), (OtherContent.Esp, "esp"), (OtherContent.WireGuard, "wireGuard"),
        (OtherContent.OpenVpn, "openVpn"), (OtherContent.Vxlan, "vxlan"), (OtherContent.Geneve, "geneve"), (OtherContent.Gue, "gue"), (OtherContent.L2tp, "l2tp"),
        (OtherContent.GtpU, "gtpU"), (OtherContent.Lisp, "lisp"), (OtherContent.Capwap, "capwap"), (OtherContent.Ipcomp, "ipcomp"), (OtherContent.Gre, "gre"),
        (OtherContent.Fragment, "fragment"), (OtherContent.NestedTooDeep, "nestedTooDeep"), (OtherContent.Udp, "udp"), (OtherContent.Icmp, "icmp"),
        (OtherContent.Sctp, "sctp"), (OtherContent.Arp, "arp"), (OtherContent.Unknown, "other"),
    ];

    private readonly PathText _paths = new(PathText.Json);

    public override void Found(in Finding finding)
    {
        Lines.Text("{\"frame\":"u8).Number(finding.Frame).Text(finding.Kind switch
        {
            SegmentKind.Reply => ",\"kind\":\"reply\",\"source\":\""u8,
            SegmentKind.WindowProbe => ",\"kind\":\"windowProbe\",\"source\":\""u8,
            _ => ",\"kind\":\"probe\",\"source\":\""u8,
        }).Text(Endpoints.Of(finding.Source)).Text("\",\"destination\":\""u8).Text(Endpoints.Of(finding.Destination));
        if (finding.Time == CapturedPacket.NoTime)
        {
            Lines.Text("\",\"time\":null,\"length\":"u8);
        }
        else
        {
            Lines.Text("\",\"time\":\""u8).Time(finding.Time).Text("\",\"length\":"u8);
        }
        Lines.Number(finding.Length);
        if (finding.Kind == SegmentKind.Reply)
        {
            Lines.Text(",\"answers\":"u8).Number(finding.Answers);
        }
        else if (finding.AnsweredBy != 0)
        {
            Lines.Text(",\"answeredBy\":"u8).Number(finding.AnsweredBy);
        }
        else if (finding.IsPresumed)
        {
            Lines.Text(",\"presumed\":true"u8);
        }
        if (finding.Answers != 0 || finding.AnsweredBy != 0)
        {
            // Without times, or where the clock went back, nothing was measured.
            _ = finding.RoundTrip < 0 ? Lines.Text(",\"rttMs\":null"u8) : Lines.Text(",\"rttMs\":"u8).Milliseconds(finding.RoundTrip);
        }
        if (finding.Path != PathTable.None)
        {
            Encapsulation(finding.Path);
        }
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
        Lines.Text(",\"connections\":["u8);
        separator = ""u8;
        foreach (var prober in Probers(scan))
        {
            var direction = prober.Direction;
            Lines.Text(separator).Text("{\"source\":\""u8).Text(Endpoints.Of(prober.From)).Text("\",\"destination\":\""u8).Text(Endpoints.Of(prober.To))
                .Text("\",\"probes\":"u8).Number(direction.Probes).Text(",\"replies\":"u8).Number(direction.Answered)
                .Text(",\"unansweredAtEnd\":"u8).Number(direction.Unanswered).Text(",\"windowProbes\":"u8).Number(direction.WindowProbes);
            RoundTrip(direction.Answered, direction.RoundTrips, direction.RoundTripLeast, direction.RoundTripSum, direction.RoundTripMost);
            Lines.Text(prober.IsReset ? ",\"reset\":true"u8 : ",\"reset\":false"u8);
            Encapsulation(prober.Path);
            if (prober.Original is { } original)
            {
                Lines.Text(",\"sameAs\":{\"source\":\""u8).Text(Endpoints.Of(original.From)).Text("\",\"destination\":\""u8).Text(Endpoints.Of(original.To))
                    .Text("\""u8);
                Encapsulation(original.Path);
                Lines.Text("}"u8);
            }
            Lines.Text("}"u8);
            separator = ","u8;
        }
        Lines.Text("]}\n"u8);
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
