using System.Globalization;
using System.Text;
using Keepalive.CommandLine;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The output of <c>probes</c> for people. Lines go out as they come, so that columns are as wide as their usual content.</summary>
internal sealed class ProbeTable(Stream output) : ProbeReport(output)
{
    private const int MaxConnections = 40;
    private const int TimeWidth = 28;
    private const int EndpointWidth = 21;   // 255.255.255.255:65535

    private const int MaxCopies = 10;

    private readonly PathText _paths = new(PathText.Line);
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
            Lines.Time(finding.Time).Text("  "u8);
        }
        // A whole column is one copy.
        Lines.Text(finding.Kind switch
        {
            SegmentKind.Reply => "reply        "u8,
            SegmentKind.WindowProbe => "windowProbe  "u8,
            _ => "probe        "u8,
        });
        Lines.Column(Endpoints.Of(finding.Source), EndpointWidth).Column(Endpoints.Of(finding.Destination), EndpointWidth).Number(finding.Length, width: 6).Text("  "u8);
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
        if (finding.Path != PathTable.None)
        {
            Lines.Text(", in "u8).Text(_paths.Of(Paths, finding.Path));
        }
        if (finding.CopyOf != 0)
        {
            Lines.Text(", the same packet as "u8).Number(finding.CopyOf);
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
            foreach (var note in Copies(probers))
            {
                Lines.Text(note);
            }
        }
        if (NotTcp(scan) is { } others)
        {
            Lines.Text(others);
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

    private IEnumerable<string> Rows(List<Prober> probers)
    {
        string[] heads = ["PROBER", "OTHER END", "PROBES", "ANSWERED", "UNANSWERED AT END", "WINDOW PROBES", "RTT LEAST/MEAN/MOST", "END"];
        var hasPaths = probers.Exists(static prober => prober.Path != PathTable.None);
        heads = hasPaths ? [.. heads, "IN"] : heads;
        var rows = new List<string[]> { heads };
        foreach (var prober in probers.Take(MaxConnections))
        {
            var d = prober.Direction;
            string[] row =
            [
                prober.From.ToString(), prober.To.ToString(), Number(d.Probes), Number(d.Answered), Number(d.Unanswered), Number(d.WindowProbes),
                RoundTrip(d.RoundTrips, d.RoundTripLeast, d.RoundTripSum, d.RoundTripMost) ?? "-", prober.IsReset ? "reset" : "-",
            ];
            rows.Add(hasPaths ? [.. row, prober.Path == PathTable.None ? "-" : Path(prober.Path)] : row);
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

    /// <summary>Connections that were captured twice, so that nobody takes the probes of both for two connections'.</summary>
    private IEnumerable<string> Copies(List<Prober> probers)
    {
        var copies = probers.FindAll(static prober => prober.Original is not null);
        foreach (var copy in copies.Take(MaxCopies))
        {
            var original = copy.Original!.Value;
            var isOtherWay = original.Path != copy.Path;
            var isTranslated = (copy.From, copy.To) != (original.From, original.To);
            yield return $"{Name(copy.From, copy.To, copy.Path, isOtherWay)}: the same packets as {Name(original.From, original.To, original.Path, isOtherWay)}"
                + (isTranslated ? ", with other addresses (NAT)\n" : "\n");
        }
        if (copies.Count > MaxCopies)
        {
            yield return $"and {Number(copies.Count - MaxCopies)} more such connections; -o json lists all\n";
        }
    }

    private string Name(SocketEndpoint from, SocketEndpoint to, int path, bool withPath) =>
        $"{from}>{to}" + (!withPath ? "" : path == PathTable.None ? " in no VLAN or tunnel" : $" in {Path(path)}");

    private string Path(int path) => Encoding.UTF8.GetString(_paths.Of(Paths, path));

    /// <summary>The packets that hide TCP; without any TCP also the others, so that a capture of the wrong thing is recognised.</summary>
    private static string? NotTcp(ProbeScan scan)
    {
        var hidden = List(
            [
                (OtherContent.Macsec, "MACsec"), (OtherContent.Esp, "ESP"), (OtherContent.WireGuard, "WireGuard"), (OtherContent.OpenVpn, "OpenVPN"),
                (OtherContent.Vxlan, "VXLAN of another kind"), (OtherContent.Geneve, "Geneve of another kind"), (OtherContent.Gue, "GUE of another kind"),
                (OtherContent.L2tp, "L2TP"), (OtherContent.GtpU, "GTP-U"), (OtherContent.Lisp, "LISP"), (OtherContent.Capwap, "CAPWAP"),
                (OtherContent.Ipcomp, "IPComp"), (OtherContent.Gre, "GRE of another kind"), (OtherContent.Fragment, "in later IP fragments"),
                (OtherContent.NestedTooDeep, "in too many tunnels"),
            ]);
        // A port is how a tunnel is recognised that is not known here.
        var udp = $"UDP in which no tunnel was recognised (the first to port {scan.FirstUdpPort})";
        var rest = scan.Segments > 0 ? "" : List(
            [
                (OtherContent.Icmp, "ICMP"), (OtherContent.Sctp, "SCTP"), (OtherContent.Arp, "ARP"), (OtherContent.Udp, udp), (OtherContent.Unknown, "of other protocols"),
            ]);
        var text = (hidden.Length > 0 ? $"packets that cannot be looked into: {hidden}\n" : "") + (rest.Length > 0 ? $"packets without TCP: {rest}\n" : "");
        return text.Length > 0 ? text : null;

        string List((OtherContent Content, string Name)[] contents) => string.Join(", ", contents.Where(other => scan.Others[(int)other.Content] > 0)
            .Select(other => $"{Number(scan.Others[(int)other.Content])} {other.Name}"));
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
        text.Append(scan.Presumed > 0 ? $", {Number(scan.Presumed)} presumed, as too little was captured to be sure" : "");
        text.Append(scan.WindowProbes > 0 ? $", {Count(scan.WindowProbes, "window probe")}" : "");
        text.Append(scan.Duplicates > 0 ? $", {Count(scan.Duplicates, "segment")} captured twice" : "");
        text.Append(scan.HasCookedDuplicates ? " (a capture on 'any' has a packet once for each interface)" : "");
        text.Append(scan.CopiedProbes + scan.CopiedReplies > 0
            ? $"; {Count(scan.CopiedProbes, "probe")} and {Number(scan.CopiedReplies)} answers of these are the same packets again" : "");
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
