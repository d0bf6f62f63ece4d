using System.Globalization;
using System.Text;
using Keepalive.CommandLine;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The output of <c>probes</c> for people. Lines go out as they come, so that columns are as wide as their usual content.</summary>
internal sealed class ProbeTable(Stream output) : ProbeReport(output)
{
    private const int MaxConnections = 40;
    private const int TimeWidth = 28;
    private const int EndpointWidth = 21;   // 255.255.255.255:65535

    private bool _hasHead;

    public override void Found(in Finding finding)
    {
        if (!_hasHead)
        {
            Lines.Text("   FRAME  TIME                          KIND         SOURCE                 DESTINATION            LENGTH  ANSWER\n"u8);
            _hasHead = true;
        }
        Lines.Number(finding.Frame, width: 8).Text("  "u8);
        if (finding.Time == CapturedPacket.NoTime)
        {
            Lines.Column("-"u8, TimeWidth);
        }
        else
        {
            Lines.Time(finding.Time);
        }
        Lines.Text("  "u8).Column(Name(finding.Kind), width: 11).Text("  "u8)
            .Column(Endpoints.Of(finding.Source), EndpointWidth).Text("  "u8).Column(Endpoints.Of(finding.Destination), EndpointWidth).Text("  "u8)
            .Number(finding.Length, width: 6).Text("  "u8);
        if (finding.Kind == SegmentKind.Reply)
        {
            After(Lines.Text("to "u8).Number(finding.Answers), finding.RoundTrip);
        }
        else if (finding.AnsweredBy != 0)
        {
            After(Lines.Text("by "u8).Number(finding.AnsweredBy), finding.RoundTrip);
        }
        else
        {
            Lines.Text(finding.IsPresumed ? "none, presumed"u8 : "none"u8);
        }
        Lines.Text("\n"u8);
    }

    public override void Summarize(ProbeScan scan, long? dropped)
    {
        var probers = Probers(scan);
        if (probers.Count > 0)
        {
            Lines.Text("\n"u8);
            foreach (var row in Rows(probers))
            {
                Lines.Text(row);
            }
        }
        Lines.Text(Totals(scan, dropped));
    }

    private static void After(LineBuffer line, long roundTrip)
    {
        if (roundTrip != CapturedPacket.NoTime)
        {
            _ = roundTrip < 0 ? line.Text(", and the clock went back"u8) : line.Text(" after "u8).Milliseconds(roundTrip).Text(" ms"u8);
        }
    }

    private static IEnumerable<string> Rows(List<Prober> probers)
    {
        string[] heads = ["PROBER", "OTHER END", "PROBES", "ANSWERED", "UNANSWERED AT END", "WINDOW PROBES", "RTT LEAST/MEAN/MOST", "END"];
        var rows = new List<string[]> { heads };
        foreach (var prober in probers.Take(MaxConnections))
        {
            var d = prober.Direction;
            rows.Add(
            [
                prober.From.ToString(), prober.To.ToString(), Number(d.Probes), Number(d.Answered), Number(d.Unanswered), Number(d.WindowProbes),
                RoundTrip(d.RoundTrips, d.RoundTripLeast, d.RoundTripSum, d.RoundTripMost) ?? "-", prober.IsReset ? "reset" : "-",
            ]);
        }
        foreach (var line in TextTable.Lines(rows))
        {
            yield return line + "\n";
        }
        if (probers.Count > MaxConnections)
        {
            yield return $"and {Number(probers.Count - MaxConnections)} more; -o json lists all\n";
        }
    }

    private static string Totals(ProbeScan scan, long? dropped)
    {
        var flows = scan.Classifier.Flows;
        var text = new StringBuilder();
        text.Append(Count(scan.Packets, "packet")).Append(", ").Append(Count(scan.Segments, "TCP segment")).Append(" of ")
            .Append(Count(flows.Count + flows.Forgotten, "connection")).Append(": ").Append(Count(scan.Probes, "probe")).Append(", ")
            .Append(Number(scan.Replies)).Append(" answered");
        if (RoundTrip(scan.RoundTrips, scan.RoundTripLeast, scan.RoundTripSum, scan.RoundTripMost) is { } times)
        {
            text.Append(" after ").Append(times);
        }
        text.Append(scan.Presumed > 0 ? $", {Number(scan.Presumed)} presumed, as nothing of the other end was captured" : "");
        text.Append(scan.WindowProbes > 0 ? $", {Count(scan.WindowProbes, "window probe")}" : "");
        text.Append(scan.Duplicates > 0 ? $", {Number(scan.Duplicates)} captured twice" : "");
        text.Append(flows.Forgotten > 0 ? $", {Count(flows.Forgotten, "connection")} forgotten to make room" : "");
        text.Append(dropped > 0 ? $", {Count(dropped.Value, "packet")} dropped by the kernel" : "");
        return text.Append('\n').ToString();
    }

    private static string? RoundTrip(long count, long least, long sum, long most) => count == 0
        ? null
        : string.Create(CultureInfo.InvariantCulture, $"{least / 1e6:0.###}/{sum / count / 1e6:0.###}/{most / 1e6:0.###} ms");

    private static string Count(long number, string what) => $"{Number(number)} {what}{(number == 1 ? "" : "s")}";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
