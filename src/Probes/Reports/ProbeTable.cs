using System.Globalization;
using System.Text;
using Keepalive.CommandLine;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The output of <c>probes</c> for people. Lines go out as they come, so that columns are as wide as their usual content.</summary>
internal sealed class ProbeTable(Stream output, bool isSummary) : ProbeReport(output, isSummary)
{
    private const int MaxConnections = 40;
    private const int EndpointWidth = 21;   // 255.255.255.255:65535

    private const int MaxCopies = 10;

    private const int MaxServers = 10;

    /// <summary>More than a line has without its VLANs and tunnels.</summary>
    private const int LineLength = 512;

    private const int FrameWidth = 8;

    private readonly PathText _paths = new(PathText.Line);
    private readonly EndsText _ends = new(static (source, destination) => $"{Column(source)}  {Column(destination)}       ");
    private bool _hasHead;

    protected override void Line(in Finding finding)
    {
        if (!_hasHead)
        {
            Lines.Text("   FRAME  TIME                          KIND         SOURCE                 DESTINATION            LENGTH  ANSWER\n"u8);
            _hasHead = true;
        }
        var room = Lines.Room(LineLength);
        "        "u8.CopyTo(room);
        var at = Lines.Frame(room, Math.Max(0, FrameWidth - Utf8Text.CountDigits((ulong)finding.Frame)), finding.Frame);
        at = Utf8Text.Text(room, at, "  "u8);
        at = finding.Time == CapturedPacket.NoTime ? Utf8Text.Text(room, at, "-                           "u8) : Lines.Time(room, at, finding.Time);
        at = finding.Kind switch
        {
            SegmentKind.Reply => Utf8Text.Text(room, at, "  reply        "u8),
            SegmentKind.WindowProbe => Utf8Text.Text(room, at, "  windowProbe  "u8),
            _ => Utf8Text.Text(room, at, "  probe        "u8),
        };
        at = Utf8Text.Text(room, at, _ends.Of(finding.Flow, in finding.Source, in finding.Destination));
        room[at++] = (byte)('0' + finding.Length);
        if (finding.Kind == SegmentKind.Reply)
        {
            at = Utf8Text.Text(room, at, "  to "u8);
            at = After(room, Lines.Frame(room, at, finding.Answers), finding.RoundTrip);
        }
        else if (finding.AnsweredBy != 0)
        {
            at = finding.IsReset ? Utf8Text.Text(room, at, "  reset by "u8) : Utf8Text.Text(room, at, "  by "u8);
            at = After(room, Lines.Frame(room, at, finding.AnsweredBy), finding.RoundTrip);
        }
        else
        {
            at = Utf8Text.Text(room, at, finding.IsPresumed ? "  none, presumed"u8 : "  none"u8);
        }
        if (finding.Path == PathTable.None && finding.CopyOf == 0)
        {
            Lines.Add(Utf8Text.Text(room, at, "\n"u8));
            return;
        }
        Lines.Add(at);
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
        var probers = IsSummary ? [] : Probers(scan);
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
        var broken = IsSummary ? [] : BrokenConnections(scan);
        if (broken.Count > 0)
        {
            Lines.Text("\n"u8);
            foreach (var row in BrokenTable.Rows(broken, scan.Broken.Forgotten))
            {
                Lines.Text(row);
            }
        }
        foreach (var timeout in IdleTimeout.Of(scan).Take(MaxServers))
        {
            Lines.Text(BrokenTable.Conclusion(timeout));
        }
        if (NotTcp(scan) is { } others)
        {
            Lines.Text(others);
        }
        if (IsSummary)
        {
            Lines.Text(Probed(ProbedConnections.Of(scan.Classifier.Flows.All))).Text(Encapsulated(scan));
        }
        Lines.Text(Totals(scan, dropped));
    }

    private static string Column(SocketEndpoint endpoint) => endpoint.ToString().PadRight(EndpointWidth);

    private int After(Span<byte> room, int at, long roundTrip)
    {
        if (roundTrip == CapturedPacket.NoTime)
        {
            return at;
        }
        if (roundTrip < 0)
        {
            return Utf8Text.Text(room, at, ", and the clock went back"u8);
        }
        at = Lines.Milliseconds(room, Utf8Text.Text(room, at, " after "u8), roundTrip);
        return Utf8Text.Text(room, at, " ms"u8);
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

    private static string Probed(ProbedConnections probed) =>
        $"connections with probes: {Number(probed.Answered)} answered, {Number(probed.Unanswered)} unanswered at the end, {Number(probed.Reset)} reset\n";

    private static string Encapsulated(ProbeScan scan)
    {
        var segments = scan.Classifier.Flows.Paths.SegmentsByKind();
        return segments.Count == 0
            ? ""
            : $"segments in VLANs and tunnels: {string.Join(", ", segments.Select(static one => $"{Number(one.Value)} {PathText.Name(one.Key)}"))}\n";
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
