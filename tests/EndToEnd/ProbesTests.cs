using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent probes</c> as a program: files, live interfaces, and what it says of broken input.</summary>
public sealed class ProbesTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-probes");

    [Fact]
    public void Probes_RealTraffic_FindsWhatTsharkDoesButForItsKnownMistakes()
    {
        Live.Require("tcpdump", "tshark", "curl", "python3");
        string file = Path.Combine(_directory.FullName, "traffic.pcap");
        using (var lab = new Lab())
        {
            using var capture = new TcpdumpCapture(lab.Client, Lab.ClientInterface, file: file);
            MakeTraffic(lab);
            capture.Stop();
        }

        // The same once more as a capture that begins in mid-flow, and in tshark's own format.
        string rest = Path.Combine(_directory.FullName, "rest.pcapng");
        Command.Run("tshark", "-r", file, "-Y", "frame.time_relative > 2.3", "-w", rest);
        var rules = Compare(file);
        var restRules = Compare(rest);

        // Each of them has happened: what is not there explains nothing.
        Assert.Superset(new HashSet<string> { Same, WindowProbe, WindowChanged, Retransmission }, rules.Keys.ToHashSet());
        Assert.Superset(new HashSet<string> { Same, MidFlow }, restRules.Keys.ToHashSet());
        Assert.True(rules[Same] >= 20, $"only {rules[Same]} frames in common");
    }

    [Fact]
    public void Probes_LiveInterface_FindsAsManyAsTheKernelSentAndEndsWithASummary()
    {
        Live.Require();
        using var lab = new Lab();
        using var run = ProgramRun.AgentInside(lab.Client, "probes", "--interface", Lab.ClientInterface, "-o", "json");
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        int port = lab.Server.Listen();
        foreach (string address in new[] { Lab.ServerAddress, Lab.ServerAddress6 })
        {
            lab.Client.EnableKeepalive(lab.Client.Connect(address, port), idle: 1, interval: 1, count: 9);
        }

        Eventually.True(() => Nstat.Read(lab.Client, Nstat.KeepaliveProbes) >= 4, notBefore: TimeSpan.FromSeconds(1.5), notAfter: TimeSpan.FromSeconds(6));
        lab.Client.CloseAll();
        long kernel = Nstat.Read(lab.Client, Nstat.KeepaliveProbes);
        Eventually.True(() => Kinds(run.Output).Count(kind => kind == "reply") == kernel, TimeSpan.FromSeconds(5));
        run.Signal("INT");

        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Equal(kernel, Kinds(run.Output).Count(kind => kind == "probe"));
        using var summary = JsonDocument.Parse(run.Output.TrimEnd().Split('\n')[^1]);
        Assert.Equal("summary", summary.RootElement.GetProperty("kind").GetString());
        Assert.Equal(kernel, summary.RootElement.GetProperty("probes").GetInt64());
        Assert.Equal(kernel, summary.RootElement.GetProperty("replies").GetInt64());
        Assert.Equal(0, summary.RootElement.GetProperty("dropped").GetInt64());
    }

    [Fact]
    public void Probes_FileCutInAPacket_ReportsWhatWasBeforeAndWhereItEnds()
    {
        byte[] whole = SmallCapture();
        var (code, output, error) = Run(whole[..^20]);

        Assert.Equal(1, code);
        Assert.Contains("\"frame\":2,\"kind\":\"probe\"", output, StringComparison.Ordinal);
        Assert.Contains("\"kind\":\"summary\",\"packets\":2", output, StringComparison.Ordinal);
        Assert.Contains($"byte {24 + (2 * 70)}: the file ends within packet 3", error, StringComparison.Ordinal);
        Assert.Equal(0, Run(whole).Code);
    }

    [Theory]
    [InlineData("", "the file is empty")]
    [InlineData("6E6F206361707475726521", "byte 0: the file begins with 6e6f2063")]
    [InlineData("D4C3B2A10200040000000000000000000000040093000000", "byte 20: link type 147")]
    public void Probes_NoCapture_SaysWhy(string hex, string expected)
    {
        var (code, output, error) = Run(Convert.FromHexString(hex));

        Assert.Equal(1, code);
        Assert.Contains("\"kind\":\"summary\",\"packets\":0", output, StringComparison.Ordinal);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_Snaplen40_SaysThatHeadersAreMissing()
    {
        byte[] whole = SmallCapture();
        byte[] cut = whole[..24];
        for (int at = 24; at < whole.Length; at += 70)
        {
            cut = [.. cut, .. whole[at..(at + 8)], 40, 0, 0, 0, .. whole[(at + 12)..(at + 16 + 40)]];
        }

        var (code, _, error) = Run(cut);

        Assert.Equal(1, code);
        Assert.Contains("packet 1: 40 of its 54 bytes were captured", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_FromStandardInput_IsRead()
    {
        string file = Path.Combine(_directory.FullName, "a.pcap");
        File.WriteAllBytes(file, SmallCapture());

        var result = ProgramRun.ToEnd(["sh", "-c", $"cat {file} | {ProgramRun.AgentPath} probes -"]);

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("3 packets, 3 TCP segments of 1 connection: 1 probe, 1 answered", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "name a capture file, or an interface", "probes")]
    [InlineData(2, "takes one interface", "probes", "--interface", "any")]
    [InlineData(1, "there is no such file", "probes", "/nowhere/a.pcap")]
    [InlineData(1, "it is a directory", "probes", "/tmp")]
    public void Probes_WrongUse_IsToldInOneLine(int code, string expected, params string[] arguments)
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, .. arguments]);

        Assert.Equal(code, result.ExitCode);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private const string Same = "both";
    private const string MidFlow = "capture begins in mid-flow";
    private const string WindowProbe = "window probe";
    private const string Retransmission = "data sent again";
    private const string AnswerToThat = "answer to what is no probe";
    private const string WindowChanged = "window changed";
    private const string OtherSegmentBetween = "the prober sent something since, or its probe was not taken for one";

    /// <summary>Runs both and counts frames by the rule that explains what either says of it; what no rule explains fails.</summary>
    private static Dictionary<string, int> Compare(string file)
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", file, "-o", "json"]);
        Assert.Equal(0, result.ExitCode);
        var ours = result.Lines.SkipLast(1).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(line => line.GetProperty("frame").GetInt64(), line => line.GetProperty("kind").GetString()!);
        var rules = new Dictionary<string, int>();
        var before = new Dictionary<(long Stream, bool FromFirst), List<TsharkSegment>>();
        var ignored = new HashSet<long>();
        foreach (var segment in TsharkSegment.Read(file))
        {
            var sent = before.TryGetValue((segment.Stream, segment.FromFirst), out var a) ? a : before[(segment.Stream, segment.FromFirst)] = [];
            var received = before.TryGetValue((segment.Stream, !segment.FromFirst), out var b) ? b : before[(segment.Stream, !segment.FromFirst)] = [];
            string mine = ours.GetValueOrDefault(segment.Frame, "");
            string theirs = segment.IsKeepalive ? "probe" : segment.IsKeepaliveAck ? "reply" : "";
            string? rule = mine == theirs ? mine.Length > 0 ? Same : null : Explain(segment, sent, received, mine, theirs, ignored);
            if (rule is not null)
            {
                rules[rule] = rules.GetValueOrDefault(rule) + 1;
            }
            if (mine != theirs)
            {
                ignored.Add(segment.Frame);   // what answers it is taken for a reply by one of the two, and not by the other
            }
            sent.Add(segment);
        }

        return rules;
    }

    /// <summary>Why tshark says otherwise, found from its own dissection alone.</summary>
    private static string Explain(
        TsharkSegment segment, List<TsharkSegment> sent, List<TsharkSegment> received, string mine, string theirs, HashSet<long> ignored)
    {
        // Data acknowledged by the other end, of what this one has sent before.
        uint next = sent.Where(s => !s.IsOpenOrClose).Select(s => s.Sequence + (uint)s.Length).DefaultIfEmpty().Aggregate((x, y) => (int)(x - y) > 0 ? x : y);
        bool unacknowledged = received.Count > 0 && (int)(next - received.Last(r => r.HasAck).Acknowledged) > 0;
        return (mine, theirs) switch
        {
            ("windowProbe", _) when received.Last(r => r.HasAck).Window == 0 => WindowProbe,
            ("", "probe") when segment.Length == 1 && (unacknowledged || sent.Exists(s => s.Sequence == segment.Sequence && s.Length == 1)) => Retransmission,
            ("", "reply") when ignored.Contains(received[^1].Frame) => AnswerToThat,
            ("probe", "") when !sent.Exists(s => s.Sequence + (uint)s.Length == segment.Sequence + 1) => MidFlow,
            ("reply", "") when sent.Count > 0 && sent[^1].Window != segment.Window => WindowChanged,
            ("reply", "") when sent.Count == 0 || !sent.Exists(s => s.Sequence + (uint)s.Length == segment.Sequence) => MidFlow,
            ("reply", "") when received.Count > 0 && (ignored.Contains(received[^1].Frame) || !received[^1].IsKeepalive) => OtherSegmentBetween,
            _ => throw new Xunit.Sdk.XunitException($"frame {segment.Frame}: \"{mine}\", but \"{theirs}\" to tshark, and no known reason: {segment}"),
        };
    }

    /// <summary>A download, connections that idle with keepalive on one or both ends, writes of one byte with some lost, a window that closes, and resets.</summary>
    private static void MakeTraffic(Lab lab)
    {
        int port = lab.Server.Listen();
        int silent = lab.Client.Connect(Lab.ServerAddress, port);
        int six = lab.Client.Connect(Lab.ServerAddress6, port);
        int typing = lab.Client.Connect(Lab.ServerAddress, port);
        foreach (int id in new[] { silent, six, typing })
        {
            lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 3);
        }
        // Both ends of one.
        lab.Server.EnableKeepalive(SocketId.Accepted(1), idle: 1, interval: 1, count: 3);

        using (var server = new ProgramRun(["python3", "-u", "-c", Download], lab.Server))
        {
            string http = server.WaitForLine(line => line.StartsWith("port ", StringComparison.Ordinal))[5..];
            Assert.Equal("4000000", lab.Client.Run("curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", $"http://{Lab.ServerAddress}:{http}/").Output);
        }

        for (int i = 0; i < 6; i++)
        {
            if (i == 3)
            {
                lab.LoseReplies();
            }
            lab.Client.Send(typing, 1);
            Thread.Sleep(300);   // as fast as somebody types
        }
        lab.Restore();
        int closing = lab.Client.Connect(Lab.ServerAddress, port);
        lab.Server.SetReading(false);
        lab.Client.Send(closing, 16_000_000);
        long probes = Nstat.Read(lab.Client, "TcpExtTCPWinProbe");
        Eventually.True(() => Nstat.Read(lab.Client, "TcpExtTCPWinProbe") >= probes + 3, TimeSpan.FromSeconds(10));

        lab.BlackHole(Lab.ServerAddress);
        Eventually.True(() => lab.Client.PendingError(silent).Over, notBefore: TimeSpan.FromSeconds(1), notAfter: TimeSpan.FromSeconds(10));
        lab.Restore();
        long kept = Nstat.Read(lab.Client, Nstat.KeepaliveProbes);
        Eventually.True(() => Nstat.Read(lab.Client, Nstat.KeepaliveProbes) >= kept + 2, TimeSpan.FromSeconds(5));
        lab.Server.Kill();
        Eventually.True(() => lab.Client.PendingError(six).Over, TimeSpan.FromSeconds(5));
    }

    private const string Download = """
        import http.server
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "4000000")
                self.end_headers()
                self.wfile.write(b"x" * 4000000)
        server = http.server.HTTPServer(("", 0), Handler)
        print("port", server.server_port)
        server.serve_forever()
        """;

    private static IEnumerable<string> Kinds(string output) =>
        output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("kind").GetString()!);

    /// <summary>Three frames of 54 bytes: an acknowledgement from the server, a probe, its reply.</summary>
    private static byte[] SmallCapture()
    {
        string header = "D4C3B2A1020004000000000000000000FFFF000001000000";
        return Convert.FromHexString(header + Record(1, Server) + Record(2, Client) + Record(3, Server));

        static string Record(int seconds, string frame) => $"0{seconds}000000000000003600000036000000{frame}";
    }

    private const string Server = "0000000000000000000000000800" + "450000280001400040060000" + "0A0000020A000001" + "01BB9C40" + "00000009" + "00000064" + "501001F4" + "00000000";
    private const string Client = "0000000000000000000000000800" + "450000280002400040060000" + "0A0000010A000002" + "9C4001BB" + "00000063" + "00000009" + "501001F4" + "00000000";

    private (int Code, string Output, string Error) Run(byte[] capture)
    {
        string file = Path.Combine(_directory.FullName, "damaged.pcap");
        File.WriteAllBytes(file, capture);
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", file, "-o", "json"]);
        return (result.ExitCode, result.Output, result.Error);
    }
}
