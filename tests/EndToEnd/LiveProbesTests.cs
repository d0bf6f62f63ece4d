using System.Globalization;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent probes --interface</c> with a filter, and with a file that keeps what it captured.</summary>
public sealed class LiveProbesTests : IDisposable
{
    private static readonly string[] s_onClient = ["probes", "--interface", Lab.ClientInterface, "-o", "json"];

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-live");

    private string FilePath => Path.Combine(_directory.FullName, "kept.pcap");

    [Fact]
    public void Write_PrintedProbes_AreInTheFileAndOtherProgramsReadIt()
    {
        Live.Require("tshark", "tcpdump");
        using var lab = new Lab();
        File.WriteAllText(FilePath, new string('x', 100_000));
        using var run = Start(lab, "--write", FilePath);
        Probe(lab, Lab.ServerAddress, Lab.ServerAddress6);
        run.WaitForLine(line => line.Contains("\"kind\":\"reply\"", StringComparison.Ordinal));
        lab.Client.CloseAll();
        run.Signal("INT");

        Assert.Equal(0, run.WaitForExit());
        var again = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", FilePath, "-o", "json"]);
        Assert.Equal(0, again.ExitCode);
        var shown = run.Output.TrimEnd().Split('\n');
        var found = again.Output.TrimEnd().Split('\n');
        Assert.Equal(shown[..^1], found[..^1]);
        var packets = Number(shown[^1], "packets");
        Assert.True(packets > 10, shown[^1]);
        Assert.Equal(packets, Number(found[^1], "packets"));
        Assert.Equal(packets, Command.Run("tcpdump", "-n", "-r", FilePath).Lines.Count());
        Assert.Equal(packets, Command.Run("tshark", "-n", "-r", FilePath, "-T", "fields", "-e", "frame.number").Lines.Count());
        // The kernel's multicast reports pass the filter, because TCP may follow an extension header.
        Assert.InRange(TsharkSegment.Read(FilePath).Count, 10, (int)packets);
        Assert.Contains("File timestamp precision:  nanoseconds", Command.Run("capinfos", FilePath).Output, StringComparison.Ordinal);
    }

    /// <summary>A connection through VXLAN, as it leaves the node: the capture is on the interface below the tunnel.</summary>
    [Fact]
    public void Interface_BelowATunnel_ShowsTheProbesInIt()
    {
        Live.Require();
        using var lab = new Lab();
        foreach (var (end, own, other, inner) in new[]
        {
            (lab.Client, Lab.ClientAddress, Lab.ServerAddress, "10.78.0.1"), (lab.Server, Lab.ServerAddress, Lab.ClientAddress, "10.78.0.2"),
        })
        {
            var added = Command.Try(["nsenter", "--target", end.Pid.ToString(CultureInfo.InvariantCulture), "--net", "--",
                "ip", "link", "add", "tunnel", "type", "vxlan", "id", "42", "local", own, "remote", other, "dstport", "5555"]);
            Assert.SkipWhen(added.ExitCode != 0, $"no vxlan here: {added.Error}");
            end.Ip($"addr add {inner}/24 dev tunnel", "link set tunnel up");
        }
        using var run = Start(lab);
        Probe(lab, "10.78.0.2");
        run.WaitForLine(line => line.Contains("\"kind\":\"reply\"", StringComparison.Ordinal));
        lab.Client.CloseAll();
        run.Signal("INT");

        Assert.Equal(0, run.WaitForExit());
        Assert.Contains(
            $"\"encapsulation\":[{{\"type\":\"vxlan\",\"id\":42,\"source\":\"{Lab.ClientAddress}\",\"destination\":\"{Lab.ServerAddress}\"}}]", run.Output, StringComparison.Ordinal);
    }

    /// <summary>Packets are in the file as they come, for readers that do not wait for the end.</summary>
    [Fact]
    public void Write_Fifo_IsReadAsPacketsCome()
    {
        Live.Require("tcpdump");
        using var lab = new Lab();
        Command.Run("mkfifo", FilePath);
        using var run = Start(lab, "--write", FilePath);
        run.WaitForLine(line => line.Contains("waiting for a reader", StringComparison.Ordinal));
        using var reader = new ProgramRun(["tcpdump", "-n", "-l", "-r", FilePath]);
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        Probe(lab, Lab.ServerAddress);

        reader.WaitForLine(line => line.Contains("Flags [.]", StringComparison.Ordinal));
        run.Signal("INT");

        Assert.Equal(0, run.WaitForExit());
        Assert.Equal(0, reader.WaitForExit());
    }

    [Fact]
    public void Write_ReaderOfTheFifoGone_EndsAndIsReported()
    {
        Live.Require();
        using var lab = new Lab();
        Command.Run("mkfifo", FilePath);
        using var run = Start(lab, "--write", FilePath);
        using (File.OpenRead(FilePath))
        {
            run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        }
        Probe(lab, Lab.ServerAddress);

        Assert.Equal(4, run.WaitForExit());
        Assert.Contains($"--write: {FilePath}: write: EPIPE", run.Error, StringComparison.Ordinal);
        Assert.Contains("\"kind\":\"summary\"", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    public void Write_SignalBeforeTheFifoHasAReader_Ends(string signal, int code)
    {
        Live.Require();
        using var lab = new Lab();
        Command.Run("mkfifo", FilePath);
        using var run = Start(lab, "--write", FilePath);
        run.WaitForLine(line => line.Contains("waiting for a reader", StringComparison.Ordinal));

        run.Signal(signal);

        Assert.Equal(code, run.WaitForExit());
        Assert.DoesNotContain("capturing on", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_SignalWhileTheReaderIsStalled_Ends()
    {
        Live.Require();
        using var lab = new Lab();
        Command.Run("mkfifo", FilePath);
        using var run = Start(lab, "--write", FilePath);
        using var reader = File.OpenRead(FilePath);
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        // More than a pipe holds, sent in parts that fit into the ring: a handshake is three packets of 90 bytes.
        int port = lab.Server.Listen();
        for (int turn = 0; turn < 20; turn++)
        {
            lab.Client.ConnectMany(Lab.ServerAddress, port, 100);
            Eventually.Remains(() => !run.HasExited, TimeSpan.FromMilliseconds(150));
        }

        run.Signal("INT");

        Assert.Equal(4, run.WaitForExit());
        Assert.Contains("its reader does not read on", run.Error, StringComparison.Ordinal);
        Assert.Contains("\"kind\":\"summary\"", run.Output, StringComparison.Ordinal);
    }

    /// <summary>The file ends with a whole packet, and the command fails, as tcpdump -w does.</summary>
    [Fact]
    public void Write_FullFileSystem_EndsAndTheFileIsReadable()
    {
        Live.Require();
        using var lab = new Lab();
        string script = $"mount -t tmpfs -o size=16k tmpfs /mnt && {{ {ProgramRun.AgentPath} {string.Join(' ', s_onClient)} --write /mnt/a.pcap; code=$?; cp /mnt/a.pcap {FilePath}; exit $code; }}";
        using var run = new ProgramRun(["unshare", "--mount", "sh", "-c", script], lab.Client).MayEnd();
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal));
        lab.Client.ConnectMany(Lab.ServerAddress, lab.Server.Listen(), 1000);

        Assert.Equal(4, run.WaitForExit());
        Assert.Contains("--write: /mnt/a.pcap: write: ENOSPC", run.Error, StringComparison.Ordinal);
        var again = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", FilePath, "-o", "json"]);
        Assert.Equal(0, again.ExitCode);
        var kept = Number(again.Output.TrimEnd().Split('\n')[^1], "packets");
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"; packets kept: {kept}\n"), run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_FileCannotBeWritten_IsOneLineAndNothingIsCaptured()
    {
        Live.Require();
        using var lab = new Lab();
        foreach (var (path, expected) in new[]
        {
            (_directory.FullName, $"--write: {_directory.FullName} is a directory"),
            ("/nowhere/a.pcap", "--write: there is no directory /nowhere"),
            ("/dev/full", "--write: /dev/full: write: ENOSPC (No space left on device); packets kept: 0"),
            ("/proc/version", "--write: /proc/version: write: EIO (Input/output error); packets kept: 0"),
        })
        {
            var result = ProgramRun.ToEnd([ProgramRun.AgentPath, .. s_onClient, "--write", path], lab.Client);

            Assert.Equal((4, $"keepalive-agent: {expected}\n", ""), (result.ExitCode, result.Error, result.Output));
        }
    }

    [Fact]
    public void Filter_OneOfTwoServers_ShowsAndKeepsThatOne()
    {
        Live.Require();
        using var lab = new Lab();
        using var run = Start(lab, "--filter", $"host {Lab.ServerAddress} or port 1", "--write", FilePath);
        Probe(lab, Lab.ServerAddress6);
        Probe(lab, Lab.ServerAddress);
        run.WaitForLine(line => line.Contains("\"kind\":\"reply\"", StringComparison.Ordinal));
        run.Signal("INT");

        Assert.Equal(0, run.WaitForExit());
        Assert.Equal(1, Number(run.Output.TrimEnd().Split('\n')[^1], "flows"));
        Assert.DoesNotContain(Lab.ServerAddress6, run.Output, StringComparison.Ordinal);
        var kept = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", FilePath]);
        Assert.DoesNotContain(Lab.ServerAddress6, kept.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Filter_Invalid_HasLibpcapsReasonAndTheFileStays()
    {
        Live.Require();
        using var lab = new Lab();
        File.WriteAllText(FilePath, "old");
        foreach (var (expression, expected) in new[]
        {
            ("tcp portt 5", "syntax error"),
            ("port 5) or (port 6", "syntax error"),
            ("tcp and udp", "expression rejects all packets"),
        })
        {
            var result = ProgramRun.ToEnd([ProgramRun.AgentPath, .. s_onClient, "--filter", expression, "--write", FilePath], lab.Client);

            Assert.Equal((2, ""), (result.ExitCode, result.Output));
            Assert.StartsWith("keepalive-agent: --filter: ", result.Error, StringComparison.Ordinal);
            Assert.Contains(expected, result.Error, StringComparison.Ordinal);
            Assert.Equal("old", File.ReadAllText(FilePath));
        }
    }

    [Theory]
    [InlineData("--filter needs --interface", "a.pcap", "--filter", "tcp")]
    [InlineData("--write needs --interface", "a.pcap", "--write", "b.pcap")]
    [InlineData("--filter is empty", "-i", "lo", "--filter", " ")]
    [InlineData("--write is empty", "-i", "lo", "--write", "")]
    [InlineData("--write takes a file, not -", "-i", "lo", "--write", "-")]
    public void Options_WrongUsage_IsOneLine(string expected, params string[] arguments)
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "probes", .. arguments]);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    /// <summary>Starts a capture on the client's interface.</summary>
    private static ProgramRun Start(Lab lab, params string[] more)
    {
        var run = ProgramRun.AgentInside(lab.Client, [.. s_onClient, .. more]).MayEnd();
        run.WaitForLine(line => line.Contains("capturing on", StringComparison.Ordinal) || line.Contains("waiting for", StringComparison.Ordinal));
        return run;
    }

    /// <summary>Connections that send a probe every second.</summary>
    private static void Probe(Lab lab, params string[] addresses)
    {
        int port = lab.Server.Listen();
        foreach (string address in addresses)
        {
            lab.Client.EnableKeepalive(lab.Client.Connect(address, port), idle: 1, interval: 1, count: 9);
        }
    }

    private static long Number(string line, string field)
    {
        using var json = JsonDocument.Parse(line);
        return json.RootElement.GetProperty(field).GetInt64();
    }
}
