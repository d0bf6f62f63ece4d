using System.Diagnostics;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Tests of the test bed.</summary>
public sealed class FixtureTests
{
    [Fact]
    public void BlackHole_ProbedConnection_LeavesProbesUnansweredUntilRestored()
    {
        Live.Require();
        using var lab = new Lab();
        int id = lab.Client.Connect(Lab.ServerAddressMapped, lab.Server.Listen());
        long probes = Nstat.Read(lab.Client, Nstat.KeepaliveProbes);

        lab.BlackHole();
        lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 100);

        // The first probe is sent after a second, then one every second. Each counts as unanswered from its sending.
        Eventually.True(() => Ss.Read(lab.Client, id).Unanswered >= 3, notBefore: TimeSpan.FromSeconds(2.5), notAfter: TimeSpan.FromSeconds(6));
        // Another may be sent between two readings.
        long before = Nstat.Read(lab.Client, Nstat.KeepaliveProbes) - probes;
        var seen = Ss.Read(lab.Client, id);
        Assert.InRange(seen.Unanswered, before, Nstat.Read(lab.Client, Nstat.KeepaliveProbes) - probes);
        Assert.Equal("keepalive", seen.Timer);

        lab.Restore();

        Eventually.True(() => Ss.Read(lab.Client, id).Unanswered == 0, notAfter: TimeSpan.FromSeconds(10));
        Assert.Equal((0, false), lab.Client.PendingError(id));
    }

    [Fact]
    public void BlackHole_OfOneAddress_LeavesTheOthersWorking()
    {
        Live.Require();
        using var lab = new Lab();
        int port = lab.Server.Listen();
        lab.AddServerAddress("203.0.113.10");
        int lost = lab.Client.Connect("203.0.113.10", port);
        int kept = lab.Client.Connect(Lab.ServerAddress, port);

        lab.BlackHole("203.0.113.10");
        foreach (int id in new[] { lost, kept })
        {
            lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        }

        const int timedOut = 110;
        Eventually.True(() => lab.Client.PendingError(lost) == (timedOut, true), notBefore: TimeSpan.FromSeconds(2), notAfter: TimeSpan.FromSeconds(6));
        Assert.Equal((0, false), lab.Client.PendingError(kept));
        Assert.Equal(0, Ss.Read(lab.Client, kept).Unanswered);
    }

    [Fact]
    public void TcpdumpCapture_ProbedConnection_ShowsEachProbeAndItsReply()
    {
        Live.Require("tcpdump");
        using var lab = new Lab();
        int id = lab.Client.Connect(Lab.ServerAddress6, lab.Server.Listen());
        using var capture = new TcpdumpCapture(lab.Client, Lab.ClientInterface);
        lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 3);

        Eventually.True(() => Nstat.Read(lab.Client, Nstat.KeepaliveProbes) >= 2, notBefore: TimeSpan.FromSeconds(1.5), notAfter: TimeSpan.FromSeconds(5));
        lab.Client.Set(id, HolderOption.Keepalive, 0);
        long probes = Nstat.Read(lab.Client, Nstat.KeepaliveProbes);
        var client = lab.Client.LocalEndPoint(id);
        Eventually.True(() => Replies(capture.Segments) == probes, notAfter: TimeSpan.FromSeconds(5));
        var segments = capture.Stop();

        Assert.Equal(probes, segments.Count(segment => segment.Source.Equals(client) && segment is { Flags: ".", Length: 0 }));
        Assert.Equal(probes, Replies(segments));

        int Replies(IEnumerable<TcpdumpSegment> seen) => seen.Count(segment => segment.Destination.Equals(client) && segment is { Flags: ".", Length: 0 });
    }

    [Fact]
    public void TestRun_Killed_LeavesNoProcessAndNoNamespace()
    {
        Live.Require();
        using var run = new ProgramRun(["dotnet", "exec", typeof(FixtureTests).Assembly.Location, "--hold-lab"]);
        run.WaitForLine(line => line == LabHeldUntilKilled.Ready);
        int[] processes = [.. After("processes").Split(' ').Select(int.Parse)];
        string mark = After("mark");
        Assert.Equal(7, processes.Length);
        Assert.All(processes, pid => Assert.True(Directory.Exists($"/proc/{pid}"), $"process {pid} is not there"));
        Assert.Equal(processes.Order(), InNamespacesWith(mark).Order());

        run.Kill();

        Eventually.True(() => !Array.Exists(processes, pid => Directory.Exists($"/proc/{pid}")), notAfter: TimeSpan.FromSeconds(10));
        Assert.Empty(InNamespacesWith(mark));

        string After(string word) => run.WaitForLine(line => line.StartsWith(word + " ", StringComparison.Ordinal))[(word.Length + 1)..];
    }

    [Fact]
    public void ProgramRun_Ended_HasExitCodeAndBothStreams()
    {
        using var run = new ProgramRun(["sh", "-c", "trap 'exit 3' TERM; echo out; echo err >&2; while :; do sleep 0.1; done"]);
        run.WaitForLine(line => line == "err");

        run.Terminate();

        Assert.Equal(3, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Equal("out\n", run.Output);
        Assert.Equal("err\n", run.Error);
    }

    [Fact]
    public void ProgramRun_EndedBySignal_HasItsNumber()
    {
        using var run = new ProgramRun(["sleep", "60"]);

        run.Kill();

        Assert.Equal(128 + 9, run.WaitForExit(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void ProgramRun_LineMissingAtTheEnd_IsReportedWithTheOutput()
    {
        using var run = new ProgramRun(["sh", "-c", "echo something else"]);
        var clock = Stopwatch.StartNew();

        var missing = Assert.Throws<TimeoutException>(() => run.WaitForLine(line => line == "wanted"));

        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(20));
        Assert.Contains("something else", missing.Message, StringComparison.Ordinal);
    }

    /// <summary>A wait for a program's effect ends with the program: its output explains more than a timeout.</summary>
    [Fact]
    public void Eventually_ProgramEndsMeanwhile_FailsWithTheOutput()
    {
        using var run = new ProgramRun(["sh", "-c", "echo on its way; echo sorry >&2; sleep 0.3; exit 3"]);
        var clock = Stopwatch.StartNew();

        var missing = Assert.Throws<TimeoutException>(() => Eventually.True(() => false, notAfter: TimeSpan.FromSeconds(60), what: "the impossible"));

        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(20));
        foreach (string part in (string[])["exit code 3", "waited for: the impossible", "on its way", "sorry"])
        {
            Assert.Contains(part, missing.Message, StringComparison.Ordinal);
        }
        Assert.Throws<TimeoutException>(() => Eventually.Remains(() => true, TimeSpan.FromSeconds(60)));
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void Eventually_ProgramEndsAfterItsEffect_Succeeds()
    {
        using var run = new ProgramRun(["sh", "-c", "echo done"]);

        Eventually.True(() => run.HasExited && run.Output == "done\n", notAfter: TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void Eventually_ProgramEndedByTheTest_Continues()
    {
        using var one = new ProgramRun(["sleep", "60"]);
        using var another = new ProgramRun(["sh", "-c", "exit 1"]).MayEnd();
        one.Terminate();

        Eventually.True(() => one.HasExited && another.HasExited, notAfter: TimeSpan.FromSeconds(20));
        Eventually.Remains(() => true, TimeSpan.FromMilliseconds(100));
    }

    /// <summary>A program's output stays open while one of its children lives.</summary>
    [Fact]
    public void Waits_ProgramEndsAndItsChildLives_FailWithTheOutput()
    {
        string[] command = ["sh", "-c", "sleep 60 & echo child $!; exit 4"];
        using var run = new ProgramRun(command);
        var clock = Stopwatch.StartNew();

        var line = Assert.Throws<TimeoutException>(() => run.WaitForLine(line => line == "wanted"));
        var end = Assert.Throws<TimeoutException>(() => run.WaitForExit());

        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));
        Assert.All([line, end], missing => Assert.Contains("exit code 4", missing.Message, StringComparison.Ordinal));
        Assert.All([line, end], missing => Assert.Contains("child ", missing.Message, StringComparison.Ordinal));
        Command.Run("kill", run.Output.Split(' ')[1].Trim());
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("028ms", 28)]
    [InlineData("5.028ms", 5_028)]
    [InlineData("59sec", 59_000)]
    [InlineData("1min54sec", 114_000)]
    [InlineData("119min", 7_140_000)]
    public void Ss_TimerText_IsRead(string text, int milliseconds) => Assert.Equal(milliseconds, Ss.ParseTime(text).TotalMilliseconds);

    [Fact]
    public void Ss_SocketLines_AreRead()
    {
        var mapped = Ss.Parse("ESTAB 0 0 [::ffff:10.9.0.1]:60198 [::ffff:10.9.0.2]:8000 timer:(keepalive,1.028ms,3) uid:1000 ino:64937 sk:1a cgroup:/ <->");
        var bare = Ss.Parse("TIME-WAIT 0      0      127.0.0.1%lo:43210 127.0.0.1:80 sk:2");

        Assert.Equal(("ESTAB", "keepalive", 1028.0, 3, 64937L, 26UL),
            (mapped.State, mapped.Timer, mapped.TimeLeft.TotalMilliseconds, mapped.Unanswered, mapped.Inode, mapped.Cookie));
        Assert.Equal("[::ffff:10.9.0.2]:8000", mapped.Remote.ToString());
        Assert.Equal(("TIME-WAIT", null, "127.0.0.1:43210"), (bare.State, bare.Timer, bare.Local.ToString()));
    }

    [Fact]
    public void Eventually_TooEarlyTooLateAndBroken_AllFail()
    {
        Assert.Throws<TimeoutException>(() => Eventually.True(() => true, notBefore: TimeSpan.FromSeconds(1), notAfter: TimeSpan.FromSeconds(2)));
        Assert.Throws<TimeoutException>(() => Eventually.True(() => false, notAfter: TimeSpan.FromMilliseconds(50)));
        int looks = 0;
        Assert.Throws<TimeoutException>(() => Eventually.Remains(() => ++looks < 3, TimeSpan.FromSeconds(1)));
    }

    /// <summary>The processes whose network namespace has an address. Inode numbers are no proof: a new namespace may get the number of a
    /// removed one.</summary>
    private static List<int> InNamespacesWith(string address)
    {
        var found = new List<int>();
        foreach (string process in Directory.GetDirectories("/proc").Where(path => char.IsAsciiDigit(Path.GetFileName(path)[0])))
        {
            try
            {
                if (File.ReadAllText($"{process}/net/if_inet6").Contains(address, StringComparison.Ordinal))
                {
                    found.Add(int.Parse(Path.GetFileName(process)));
                }
            }
            catch (IOException)
            {
                // The process has exited meanwhile.
            }
        }

        return found;
    }
}
