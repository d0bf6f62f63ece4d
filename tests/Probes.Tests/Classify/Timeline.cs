using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Tests.Capture;

namespace Keepalive.Probes.Tests.Classify;

/// <summary>Segments, one a line, with the expected classification.</summary>
/// <remarks>
/// <code>
///   1.000 &gt; A  99:500 l=0 w=0   probe by 3
/// </code>
/// Seconds, - where they are not known; &gt; from the client, &lt; from the server; flags S, A, F, R, P; sequence : acknowledged, counted from each side's base; then, where
/// they matter, length, window, sack, the payload's byte, id, which makes the packet the same as another with this id, and the TTL. At the end: probe, reply,
/// window (probe), or nothing; presumed, "by N", "reset N" and "to N" name the packet that answers or is answered.
/// </remarks>
internal static partial class Timeline
{
    /// <param name="text">The lines.</param>
    /// <param name="clientBase">Added to the client's sequence numbers.</param>
    /// <param name="serverBase">Added to the server's.</param>
    public static (List<string> Expected, List<string> Found, ProbeScan Scan) Play(string text, uint clientBase = 1_000_000, uint serverBase = 2_000_000)
    {
        var sink = new Sink();
        var scan = new ProbeScan(sink);
        var expected = Play(text, scan, clientBase, serverBase);
        scan.End();
        return (expected, sink.Lines, scan);
    }

    /// <summary>Plays the lines and returns the expected ones; more could follow.</summary>
    public static List<string> Play(string text, ProbeScan into, uint clientBase = 1_000_000, uint serverBase = 2_000_000)
    {
        var expected = new List<string>();
        var number = 0;
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var match = Line().Match(line);
            if (!match.Success)
            {
                throw new FormatException($"not understood: {line}");
            }
            number++;
            var client = match.Groups["way"].Value == ">";
            var (own, other) = client ? (clientBase, serverBase) : (serverBase, clientBase);
            var bytes = new Frame
            {
                Source = client ? "10.0.0.1:40000" : "10.0.0.2:443",
                Destination = client ? "10.0.0.2:443" : "10.0.0.1:40000",
                Flags = match.Groups["flags"].Value.Aggregate(TcpFlags.None, (flags, c) => flags | Flag(c)),
                Sequence = unchecked(own + (uint)int.Parse(match.Groups["seq"].Value, CultureInfo.InvariantCulture)),
                Acknowledged = match.Groups["ack"].Success ? unchecked(other + (uint)int.Parse(match.Groups["ack"].Value, CultureInfo.InvariantCulture)) : 0,
                Payload = [.. Enumerable.Repeat((byte)Number("byte", 65), Number("length", 0))],
                Window = (ushort)Number("window", 500),
                Identification = (ushort)Number("id", number + 1000),
                HopLimit = (byte)Number("ttl", 64),
            }.ToBytes();
            var seconds = match.Groups["time"].Value;
            var time = seconds == "-" ? CapturedPacket.NoTime : (long)(decimal.Parse(seconds, CultureInfo.InvariantCulture) * 1_000_000_000);
            into.Take(new CapturedPacket(number, time, LinkType.Ethernet, bytes, bytes.Length));
            if (match.Groups["kind"].Success)
            {
                expected.Add($"{number} {match.Groups["kind"].Value}");
            }

            int Number(string group, int otherwise) =>
                match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : otherwise;
        }
        return expected;
    }

    private static TcpFlags Flag(char letter) => letter switch
    {
        'S' => TcpFlags.Syn,
        'A' => TcpFlags.Ack,
        'F' => TcpFlags.Fin,
        'R' => TcpFlags.Rst,
        _ => TcpFlags.Psh,
    };

    [GeneratedRegex(
        @"^(?<time>[\d.]+|-) (?<way>[<>]) (?<flags>[SAFRP]+) +(?<seq>-?\d+):(?<ack>-?\d+)?(?: l=(?<length>\d+))?(?: w=(?<window>\d+))?" +
        @"(?: b=(?<byte>\d+))?(?: id=(?<id>\d+))?(?: ttl=(?<ttl>\d+))?(?: +(?<kind>(?:probe|reply|window)(?: presumed| (?:by|to|reset) \d+)?))?$")]
    private static partial Regex Line();

    private sealed class Sink : IFindingSink
    {
        public List<string> Lines { get; } = [];

        public void Found(in Finding finding) => Lines.Add(finding.Kind switch
        {
            SegmentKind.Reply => $"{finding.Frame} reply to {finding.Answers}",
            SegmentKind.WindowProbe => $"{finding.Frame} window{By(in finding)}",
            _ => $"{finding.Frame} probe{(finding.IsPresumed ? " presumed" : "")}{By(in finding)}",
        });

        private static string By(in Finding finding) => finding.AnsweredBy == 0 ? "" : $" {(finding.IsReset ? "reset" : "by")} {finding.AnsweredBy}";
    }
}
