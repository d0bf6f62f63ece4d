using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent probes</c> as a process: files, live interfaces, and its messages about broken input.</summary>
public sealed class ProbesTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-probes");

    [Fact]
    public void Probes_RealTraffic_AgreesWithTsharkExceptItsKnownMistakes()
    {
        Live.Require("tcpdump", "tshark", "curl", "python3");
        string file = Path.Combine(_directory.FullName, "traffic.pcap");
        using (var lab = new Lab())
        {
            using var capture = new TcpdumpCapture(lab.Client, Lab.ClientInterface, file: file);
            MakeTraffic(lab);
            capture.Stop();
        }

        // Once more as a capture that starts in mid-flow, and in tshark's own format.
        string rest = Path.Combine(_directory.FullName, "rest.pcapng");
        Command.Run("tshark", "-r", file, "-Y", "frame.time_relative > 2.3", "-w", rest);
        var rules = Compare(file);
        var restRules = Compare(rest);

        // Each rule was needed at least once.
        Assert.Superset(new HashSet<string> { Same, WindowProbe, WindowChanged, Retransmission }, rules.Keys.ToHashSet());
        Assert.Superset(new HashSet<string> { Same, MidFlow }, restRules.Keys.ToHashSet());
        Assert.True(rules[Same] >= 20, $"only {rules[Same]} frames in common");
    }

    [Fact]
    public void Probes_LiveInterface_FindsAllSentProbesAndEndsWithASummary()
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
    public void Probes_FileCutInAPacket_ReportsEarlierPacketsAndThePlace()
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
    public void Probes_NoCapture_ReportsTheReason(string hex, string expected)
    {
        var (code, output, error) = Run(Convert.FromHexString(hex));

        Assert.Equal(1, code);
        Assert.Contains("\"kind\":\"summary\",\"packets\":0", output, StringComparison.Ordinal);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_Snaplen40_ReportsMissingHeaders()
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
    [InlineData("json", "{\"kind\":\"summary\",\"packets\":3,", "\"probedConnections\":{\"answered\":1,\"unanswered\":0,\"reset\":0},\"encapsulatedSegments\":{}}\n")]
    [InlineData("table", "connections with probes: 1 answered, 0 unanswered at the end, 0 reset\n", " of 1 connection: 1 probe, 1 answered after 1000/1000/1000 ms\n")]
    public void Probes_Summary_PrintsTheTotalsOnly(string format, string begin, string end)
    {
        string file = Path.Combine(_directory.FullName, "small.pcap");
        File.WriteAllBytes(file, SmallCapture());

        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", "--summary", file, "-o", format]);

        Assert.Equal(0, result.ExitCode);
        Assert.StartsWith(begin, result.Output, StringComparison.Ordinal);
        Assert.EndsWith(end, result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\"frame\"", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("FRAME", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("table")]
    [InlineData("json")]
    public void Probes_SlowPackets_ArePrintedAsTheyCome(string format)
    {
        using var feed = new Feed(_directory.FullName, QuietCapture());
        using var run = ProgramRun.Agent("probes", feed.Path, "-o", format);
        feed.Write(packets: 2);
        Eventually.Remains(() => run.Output.Length == 0, TimeSpan.FromMilliseconds(300));   // the probe waits for its answer
        feed.Write(packets: 1);
        run.WaitForLine(line => line.Contains("reply", StringComparison.Ordinal));
        Assert.Contains("probe", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("segment", run.Output, StringComparison.Ordinal);   // the summary

        feed.Dispose();

        Assert.Equal(0, run.WaitForExit());
        Assert.Contains("segment", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_PipedFromTcpdump_ArePrintedAsTheyCome()
    {
        Live.Require("tcpdump");
        using var lab = new Lab();
        using var run = new ProgramRun(
            ["sh", "-c", $"tcpdump -i {Lab.ClientInterface} -U -w - tcp | {ProgramRun.AgentPath} probes - -o json; echo ended"], lab.Client);
        run.WaitForLine(line => line.Contains("listening on", StringComparison.Ordinal));
        lab.Client.EnableKeepalive(lab.Client.Connect(Lab.ServerAddress, lab.Server.Listen()), idle: 1, interval: 1, count: 9);

        run.WaitForLine(line => line.Contains("\"kind\":\"reply\"", StringComparison.Ordinal));

        Assert.DoesNotContain("ended", run.Output, StringComparison.Ordinal);
        // As Ctrl-C does: to the whole group, including a process that the end of another has stopped.
        Command.Try(["kill", "-INT", .. ProcessTree.Descendants(run.Pid).Select(child => $"{child}")]);
        run.WaitForLine(line => line == "ended");
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    public void Probes_SignalWithoutInput_EndsWithTheProbesRead(string signal, int code)
    {
        using var feed = new Feed(_directory.FullName, QuietCapture());
        using var run = ProgramRun.Agent("probes", feed.Path);
        feed.Write(packets: 3);
        run.WaitForLine(line => line.Contains("reply", StringComparison.Ordinal));

        run.Signal(signal);

        Assert.Equal(code, run.WaitForExit());
        Assert.Contains("3 packets, 3 TCP segments of 1 connection: 1 probe, 1 answered", run.Output, StringComparison.Ordinal);
        Assert.Contains("interrupted after 3 packets", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    public void Probes_SignalBeforeTheFifoHasAWriter_Ends(string signal, int code)
    {
        string fifo = Path.Combine(_directory.FullName, "fifo");
        Command.Run("mkfifo", fifo);
        using var run = ProgramRun.Agent("probes", fifo, "-o", "json");
        Eventually.True(() => ProcessTree.OpenFiles(run.Pid).Contains(fifo), TimeSpan.FromSeconds(30));

        run.Signal(signal);

        Assert.Equal(code, run.WaitForExit());
        Assert.Contains("\"kind\":\"summary\",\"packets\":0", run.Output, StringComparison.Ordinal);
        Assert.Contains("interrupted after 0 packets", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Probes_InterruptedInAFile_IsReported()
    {
        const int most = 40_000;
        byte[] small = SmallCapture();
        byte[] capture = new byte[24 + (most * 70)];
        small.AsSpan(0, 24).CopyTo(capture);
        for (int i = 0; i < most; i++)
        {
            // A probe and its reply a second later; another probe ten seconds after that.
            var record = capture.AsSpan(24 + (i * 70), 70);
            small.AsSpan(94 + (i % 2 * 70), 70).CopyTo(record);
            BinaryPrimitives.WriteInt32LittleEndian(record, (i / 2 * 10) + (i % 2));
        }
        string file = Path.Combine(_directory.FullName, "long.pcap");
        File.WriteAllBytes(file, capture);
        // It can go on only as its output is read, and the reading is slow.
        using var output = new Feed(_directory.FullName, []);
        using var run = new ProgramRun(["sh", "-c", $"exec {ProgramRun.AgentPath} probes {file} -o json > {output.Path}"]);
        var text = new MemoryStream();
        var ending = Task.Run(() =>
        {
            try
            {
                return run.WaitForExit();
            }
            finally
            {
                output.WriteEnd();
            }
        }, TestContext.Current.CancellationToken);
        bool isFirst = true;
        for (bool isOver = false; !isOver; isFirst = false)
        {
            var chunk = output.Read();
            isOver = chunk[^1] == Feed.End;
            text.Write(isOver ? chunk[..^1] : chunk);   // the end may arrive together with the data before it
            if (isFirst)
            {
                run.Signal("INT");
            }
            Thread.Sleep(1);
        }

        Assert.True(await ending == 130, run.Report("ended"));
        string summary = Encoding.UTF8.GetString(text.ToArray()).TrimEnd().Split('\n')[^1];
        var packets = JsonDocument.Parse(summary).RootElement.GetProperty("packets").GetInt64();
        Assert.InRange(packets, 1, most - 1);
        Assert.Contains($"interrupted after {packets} packet", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_ReaderGoneWithoutInput_Ends()
    {
        using var feed = new Feed(_directory.FullName, QuietCapture());
        using var run = new ProgramRun(["bash", "-c", $"set -o pipefail; {ProgramRun.AgentPath} probes {feed.Path} | head -n 1"]);
        feed.Write(packets: 3);

        Assert.Equal(128 + 13, run.WaitForExit());
        Assert.Equal("", run.Error);
        Assert.Contains("FRAME", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_ReaderOfALiveCaptureGone_Ends()
    {
        Live.Require();
        using var lab = new Lab();
        using var run = new ProgramRun(
            ["bash", "-c", $"set -o pipefail; {ProgramRun.AgentPath} probes -i {Lab.ClientInterface} -o json | head -n 1"], lab.Client);
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        int id = lab.Client.Connect(Lab.ServerAddress, lab.Server.Listen());
        lab.Client.EnableKeepalive(id, idle: 1, interval: 3600, count: 9);

        Assert.Equal(128 + 13, run.WaitForExit());
        Assert.Contains("\"kind\":\"probe\"", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "standard input is closed", "probes - <&-")]
    [InlineData(1, "standard input is closed", "check - <&-")]
    [InlineData(4, "standard output is closed", "probes /nowhere/a.pcap >&-")]
    [InlineData(4, "standard output is closed", "support >&-")]
    [InlineData(4, "standard output: write: ENOSPC", "probes /dev/null > /dev/full")]
    public void Streams_ClosedOrFull_AreNamed(int code, string expected, string command)
    {
        var result = ProgramRun.ToEnd(["sh", "-c", $"exec {ProgramRun.AgentPath} {command}"]);

        Assert.Equal(code, result.ExitCode);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_ClockSetBack_MeasuresNothing()
    {
        byte[] capture = SmallCapture();
        (capture[24 + 70], capture[24 + 140]) = (capture[24 + 140], capture[24 + 70]);   // swaps the seconds of the probe and of its reply

        var (code, output, _) = Run(capture);

        Assert.Equal(0, code);
        Assert.Equal(2, output.Split('\n').Count(line => line.EndsWith(",\"rttMs\":null}", StringComparison.Ordinal)));
        Assert.Contains("\"rttMsLeast\":null,\"rttMsMean\":null,\"rttMsMost\":null,\"connections\"", output, StringComparison.Ordinal);
        Assert.Contains("\"rttMsMost\":null,\"reset\"", output, StringComparison.Ordinal);
        Assert.DoesNotContain(":-", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_InterfaceUnavailable_IsReportedOnce()
    {
        Live.Require();
        using var lab = new Lab();
        lab.Client.Run("ip", "link", "add", "asleep", "type", "veth", "peer", "name", "other");

        foreach (var (name, expected) in new[] { ("nosuch0", "--interface nosuch0: No such device exists"), ("asleep", "--interface asleep: That device is not up") })
        {
            var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", "-i", name], lab.Client);

            Assert.Equal(2, result.ExitCode);
            Assert.Equal($"keepalive-agent: {expected}\n", result.Error);
        }
    }

    [Theory]
    [InlineData(2, "name a capture file, or an interface", "probes")]
    [InlineData(2, "not both", "probes", "/nowhere/a.pcap", "-i", "lo")]
    [InlineData(2, "Required argument missing", "probes", "-i")]
    [InlineData(2, "Required argument missing", "probes", "--interface=")]
    [InlineData(2, "expects a single argument", "probes", "-i", "lo", "-i", "lo")]
    [InlineData(2, "FILE is empty", "probes", "")]
    [InlineData(2, "there is no option '--bogus'", "probes", "--bogus")]
    [InlineData(2, "--interface takes a value, and -o is an option", "probes", "-i", "-o")]
    [InlineData(2, "takes one interface", "probes", "--interface", "any")]
    [InlineData(1, "there is no such file", "probes", "/nowhere/a.pcap")]
    [InlineData(1, "it is a directory", "probes", "/tmp")]
    public void Probes_WrongUsage_IsOneLine(int code, string expected, params string[] arguments)
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

    /// <summary>Runs both programs and counts frames by the rule that explains each difference. A difference without a rule
    /// fails.</summary>
    private static Dictionary<string, int> Compare(string file)
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", file, "-o", "json"]);
        Assert.Equal(0, result.ExitCode);
        var ours = result.Lines.SkipLast(1).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(line => line.GetProperty("frame").GetInt64(), line => line.GetProperty("kind").GetString()!);
        var rules = new Dictionary<string, int>();
        var before = new Dictionary<(long Stream, bool FromFirst), List<TsharkSegment>>();
        var ignored = new HashSet<long>();
        var all = TsharkSegment.Read(file);
        foreach (var segment in all)
        {
            var sent = before.TryGetValue((segment.Stream, segment.FromFirst), out var a) ? a : before[(segment.Stream, segment.FromFirst)] = [];
            var received = before.TryGetValue((segment.Stream, !segment.FromFirst), out var b) ? b : before[(segment.Stream, !segment.FromFirst)] = [];
            string mine = ours.GetValueOrDefault(segment.Frame, "");
            string theirs = segment.IsKeepalive ? "probe" : segment.IsKeepaliveAck ? "reply" : "";
            string? rule = mine == theirs ? mine.Length > 0 ? Same : null : Explain(segment, sent, received, AnswerTo(segment, all), mine, theirs, ignored);
            if (rule is not null)
            {
                rules[rule] = rules.GetValueOrDefault(rule) + 1;
            }
            if (mine != theirs)
            {
                ignored.Add(segment.Frame);   // only one of the two treats the next segment as a reply
            }
            sent.Add(segment);
        }

        return rules;
    }

    /// <summary>The next segment of the other end.</summary>
    private static TsharkSegment? AnswerTo(TsharkSegment segment, IReadOnlyList<TsharkSegment> all) =>
        all.FirstOrDefault(s => s.Frame > segment.Frame && s.Stream == segment.Stream && s.FromFirst != segment.FromFirst);

    /// <summary>The reason why tshark differs, found only from its own dissection.</summary>
    private static string Explain(
        TsharkSegment segment, List<TsharkSegment> sent, List<TsharkSegment> received, TsharkSegment? later, string mine, string theirs, HashSet<long> ignored)
    {
        // Whether the other end has acknowledged data of this end.
        uint next = sent.Where(s => !s.IsOpenOrClose).Select(s => s.Sequence + (uint)s.Length).DefaultIfEmpty().Aggregate((x, y) => (int)(x - y) > 0 ? x : y);
        var answer = received.LastOrDefault(r => r.HasAck);
        bool unacknowledged = answer is not null && (int)(next - answer.Acknowledged) > 0;
        return (mine, theirs) switch
        {
            ("windowProbe", _) when answer?.Window == 0 => WindowProbe,
            ("windowProbe", "") when answer is null && later is { Window: 0 } => MidFlow,
            ("", "probe") when segment.Length == 1 && (unacknowledged || sent.Exists(s => s.Sequence == segment.Sequence && s.Length == 1)) => Retransmission,
            ("", "reply") when received.Count > 0 && ignored.Contains(received[^1].Frame) => AnswerToThat,
            ("probe", "" or "reply") when !sent.Exists(s => s.Sequence + (uint)s.Length == segment.Sequence + 1) => MidFlow,
            ("reply", "") when sent.Count > 0 && sent[^1].Window != segment.Window => WindowChanged,
            ("reply", "") when sent.Count == 0 || !sent.Exists(s => s.Sequence + (uint)s.Length == segment.Sequence) => MidFlow,
            ("reply", "") when received.Count > 0 && (ignored.Contains(received[^1].Frame) || !received[^1].IsKeepalive) => OtherSegmentBetween,
            _ => throw new Xunit.Sdk.XunitException($"frame {segment.Frame}: \"{mine}\", but \"{theirs}\" to tshark, and no known reason: {segment}"),
        };
    }

    /// <summary>A download, connections that idle with keepalive on one or both ends, one-byte writes with some lost, a window that closes,
    /// and resets.</summary>
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
        // Keepalive on both ends of one connection.
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
            Thread.Sleep(300);   // the speed of somebody who types
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

    /// <summary>The same with six seconds before the probe: too long for the first frame, which may be a probe, to wait for its
    /// reply.</summary>
    private static byte[] QuietCapture()
    {
        byte[] capture = SmallCapture();
        capture[24 + 70] += 5;
        capture[24 + 140] += 5;
        return capture;
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

    /// <summary>A FIFO, and a capture that is written into it packet by packet.</summary>
    private sealed class Feed : IDisposable
    {
        public const byte End = 0;

        private const int Header = 24;
        private const int Record = 70;

        private readonly byte[] _capture;
        private readonly FileStream _fifo;
        private readonly byte[] _buffer = new byte[4096];
        private int _written;

        public Feed(string directory, byte[] capture)
        {
            _capture = capture;
            Path = System.IO.Path.Combine(directory, "feed");
            Command.Run("mkfifo", Path);
            _fifo = new FileStream(Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);   // does not block
        }

        public string Path { get; }

        public void Write(int packets)
        {
            int end = Math.Max(_written, Header) + (packets * Record);
            _fifo.Write(_capture, _written, end - _written);
            _written = end;
        }

        /// <summary>Written last, for a test that reads the FIFO itself.</summary>
        public void WriteEnd() => _fifo.WriteByte(End);

        /// <summary>Reads data that other processes have written; waits until there is some.</summary>
        public ReadOnlySpan<byte> Read() => _buffer.AsSpan(0, _fifo.Read(_buffer, 0, _buffer.Length));

        public void Dispose() => _fifo.Dispose();
    }
}
