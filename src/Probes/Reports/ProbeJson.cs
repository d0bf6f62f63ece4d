using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary><c>probes -o json</c>: one object a line, the summary last.</summary>
internal sealed class ProbeJson(Stream output) : ProbeReport(output)
{
    public override void Found(in Finding finding)
    {
        Lines.Text("{\"frame\":"u8).Number(finding.Frame).Text(",\"kind\":\""u8).Text(Name(finding.Kind))
            .Text("\",\"source\":\""u8).Text(Endpoints.Of(finding.Source))
            .Text("\",\"destination\":\""u8).Text(Endpoints.Of(finding.Destination))
            .Text("\",\"time\":"u8);
        if (finding.Time == CapturedPacket.NoTime)
        {
            Lines.Text("null"u8);
        }
        else
        {
            Lines.Text("\""u8).Time(finding.Time).Text("\""u8);
        }
        Lines.Text(",\"length\":"u8).Number(finding.Length);
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
        Lines.Text("}\n"u8);
    }

    public override void Summarize(ProbeScan scan, long? dropped)
    {
        Lines.Text("{\"kind\":\"summary\",\"packets\":"u8).Number(scan.Packets).Text(",\"segments\":"u8).Number(scan.Segments)
            .Text(",\"flows\":"u8).Number(scan.Classifier.Flows.Count).Text(",\"flowsForgotten\":"u8).Number(scan.Classifier.Flows.Forgotten)
            .Text(",\"probes\":"u8).Number(scan.Probes).Text(",\"presumed\":"u8).Number(scan.Presumed).Text(",\"replies\":"u8).Number(scan.Replies)
            .Text(",\"unanswered\":"u8).Number(scan.Probes - scan.Replies).Text(",\"windowProbes\":"u8).Number(scan.WindowProbes)
            .Text(",\"duplicates\":"u8).Number(scan.Duplicates).Text(",\"truncated\":"u8).Number(scan.Truncated);
        if (dropped is { } count)
        {
            Lines.Text(",\"dropped\":"u8).Number(count);
        }
        RoundTrip(scan.Replies, scan.RoundTrips, scan.RoundTripLeast, scan.RoundTripSum, scan.RoundTripMost);
        Lines.Text(",\"connections\":["u8);
        var separator = ""u8;
        foreach (var prober in Probers(scan))
        {
            var direction = prober.Direction;
            Lines.Text(separator).Text("{\"source\":\""u8).Text(Endpoints.Of(prober.From)).Text("\",\"destination\":\""u8).Text(Endpoints.Of(prober.To))
                .Text("\",\"probes\":"u8).Number(direction.Probes).Text(",\"replies\":"u8).Number(direction.Answered)
                .Text(",\"unansweredAtEnd\":"u8).Number(direction.Unanswered).Text(",\"windowProbes\":"u8).Number(direction.WindowProbes);
            RoundTrip(direction.Answered, direction.RoundTrips, direction.RoundTripLeast, direction.RoundTripSum, direction.RoundTripMost);
            Lines.Text(prober.IsReset ? ",\"reset\":true}"u8 : ",\"reset\":false}"u8);
            separator = ","u8;
        }
        Lines.Text("]}\n"u8);
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
