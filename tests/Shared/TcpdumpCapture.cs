using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace Keepalive.Testbed;

/// <summary>One TCP segment as tcpdump prints it, with absolute sequence numbers.</summary>
/// <remarks>Time: seconds since 1970. Flags: tcpdump's letters, S, F, R, P, and a dot for ACK. A segment without data or SYN has no
/// Sequence.</remarks>
internal sealed record TcpdumpSegment(double Time, IPEndPoint Source, IPEndPoint Destination, string Flags, uint? Sequence, uint? Acknowledged, int Length);

/// <summary>tcpdump on one interface of a holder's namespace: an oracle for the segments on the wire and their times.</summary>
internal sealed partial class TcpdumpCapture : IDisposable
{
    private readonly ProgramRun _tcpdump;

    /// <summary>Starts to capture, and returns once it sees frames.</summary>
    /// <param name="inside">The holder of the namespace.</param>
    /// <param name="link">The name of the interface.</param>
    /// <param name="filter">A capture filter.</param>
    /// <param name="file">A file to write the frames to as well, or null.</param>
    public TcpdumpCapture(Holder inside, string link, string filter = "tcp", string? file = null)
    {
        // Debian's tcpdump drops root before it opens its output file. -Z root keeps root, so that it can write to the test's directory.
        string[] write = file is null ? [] : ["-w", file, "--print", "-U", "-Z", "root"];
        _tcpdump = new ProgramRun(["tcpdump", "-i", link, "-n", "-tt", "-l", "-S", "--immediate-mode", .. write, filter], inside);
        try
        {
            _tcpdump.WaitForLine(line => line.Contains("listening on", StringComparison.Ordinal), TimeSpan.FromSeconds(15));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The segments seen so far.</summary>
    public IReadOnlyList<TcpdumpSegment> Segments => [.. _tcpdump.Output.Split('\n').Select(line => TryParse(line)!).Where(segment => segment is not null)];

    /// <summary>Stops and returns all segments.</summary>
    public IReadOnlyList<TcpdumpSegment> Stop()
    {
        _tcpdump.Signal("INT");
        _tcpdump.WaitForExit(TimeSpan.FromSeconds(15));
        return Segments;
    }

    public void Dispose() => _tcpdump.Dispose();

    /// <summary>Reads a line; null when it is not of a TCP segment.</summary>
    public static TcpdumpSegment? TryParse(string line)
    {
        var match = SegmentLine().Match(line);
        if (!match.Success)
        {
            return null;
        }

        // "seq 5" is a point, "seq 5:105" a range. The line of a probe without data has no seq, only its ack.
        return new TcpdumpSegment(
            double.Parse(match.Groups["time"].Value, CultureInfo.InvariantCulture),
            ParseEndPoint(match.Groups["source"].Value),
            ParseEndPoint(match.Groups["destination"].Value),
            match.Groups["flags"].Value,
            Number("seq"),
            Number("ack"),
            int.Parse(match.Groups["length"].Value, CultureInfo.InvariantCulture));

        uint? Number(string group) => match.Groups[group].Success ? uint.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : null;
    }

    // "10.77.0.1.40000" and "fd77::1.40000": the port follows the last dot.
    private static IPEndPoint ParseEndPoint(string text)
    {
        int dot = text.LastIndexOf('.');
        return new IPEndPoint(IPAddress.Parse(text[..dot]), int.Parse(text[(dot + 1)..], CultureInfo.InvariantCulture));
    }

    [GeneratedRegex(
        @"^(?<time>\d+\.\d+) IP6? (?<source>\S+) > (?<destination>\S+): Flags \[(?<flags>[^\]]+)\]" +
        @"(?:, cksum [^,]*)?(?:, seq (?<seq>\d+)(?::\d+)?)?(?:, ack (?<ack>\d+))?,.* length (?<length>\d+)")]
    private static partial Regex SegmentLine();
}
