using System.Text.Json;
using Keepalive.Simulator.Tests.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary><c>keepalive-sim discover</c> behind the lab's balancer, whose class and timeout it does not know.</summary>
[Collection(LabEvents.Programs)]
public sealed class DiscoverTests : IDisposable
{
    private const string Port = "7000";

    /// <summary>Accepts, and keeps every connection.</summary>
    private const string Server = """
        python3 -c '
        import socket
        server = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=500)
        held = []
        while True:
            held.append(server.accept()[0])
        '
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-discover-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>The classes, and what tells of them: names of expiry and of refresh.</summary>
    public static TheoryData<string, int, bool> Long => [.. from name in s_expected.Keys from timeout in (int[])[3, 20] from six in (bool[])[false, true] select new TheoryDataRow<string, int, bool>(name, timeout, six)];

    public static TheoryData<string> Names => [.. s_expected.Keys];

    private static readonly Dictionary<string, (string[] Expiry, string[] Refresh)> s_expected = new()
    {
        ["silent-drop"] = (["silent-drop"], ["any", "per-direction"]),
        ["reset-on-next-packet"] = (["reset-on-next-packet"], ["any", "per-direction"]),
        ["reset-both"] = (["reset-both"], ["any", "per-direction"]),
        ["fin-both"] = (["fin-both"], ["any", "per-direction"]),
        ["drop-until-syn"] = (["drop-until-syn"], ["any", "per-direction"]),
        // A packet of this end makes the connection known again, so nothing seems dropped.
        ["inside-revives"] = ([], []),
        ["per-direction"] = (["silent-drop"], ["any", "per-direction"]),
        ["payload-only"] = (["fin-both"], ["payload"]),
    };

    /// <summary>All at the same time: two processors are busy.</summary>
    [Fact]
    public void Measurement_EachClass_IsRight()
    {
        Live.Require("python3");
        var runs = s_expected.Keys.Select((name, number) => (Name: name, Run: Start(name, 3, number % 2 == 1, "12s"))).ToList();
        try
        {
            Assert.Multiple([.. runs.Select(run => (Action)(() => AssertRight(run.Name, 3, 12, Result(run.Run))))]);
        }
        finally
        {
            runs.ForEach(run => run.Run.Dispose());
        }
    }

    /// <summary>Takes many minutes: `make discover`.</summary>
    [Theory]
    [MemberData(nameof(Long))]
    [Trait("Discover", "long")]
    public void Measurement_EachClassTimeoutAndFamily_IsRight(string name, int timeout, bool six)
    {
        Live.Require("python3");
        using var run = Start(name, timeout, six, "60s");
        AssertRight(name, timeout, 60, Result(run));
    }

    /// <summary>No wrong verdict in ten runs.</summary>
    [Theory]
    [InlineData("silent-drop")]
    [InlineData("reset-on-next-packet")]
    [InlineData("payload-only")]
    [Trait("Discover", "long")]
    public void Measurement_TenTimes_IsRightEachTime(string name)
    {
        Live.Require("python3");
        for (var i = 0; i < 10; i++)
        {
            using var run = Start(name, 3, i % 2 == 0, "20s");
            AssertRight(name, 3, 20, Result(run));
        }
    }

    /// <summary>Two processes compute all the time, on as many processors as the machine for these tests has.</summary>
    [Theory]
    [InlineData("silent-drop")]
    [InlineData("reset-on-next-packet")]
    [InlineData("payload-only")]
    [Trait("Discover", "long")]
    public void Measurement_BesideBusyProcessors_IsRight(string name)
    {
        Live.Require("python3");
        using var one = new ProgramRun(["sh", "-c", "while :; do :; done"]);
        using var other = new ProgramRun(["sh", "-c", "while :; do :; done"]);
        using var run = Start(name, 3, false, "20s");
        AssertRight(name, 3, 20, Result(run));
    }

    /// <summary>The class and the timeout are drawn anew each time. Discover is another user, which sees neither processes nor files of the lab.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [Trait("Discover", "long")]
    public void Measurement_AtRandomByAStranger_IsRight(int run)
    {
        Live.Require("python3");
        var name = s_expected.Keys.ElementAt(Random.Shared.Next(s_expected.Count));
        var timeout = Random.Shared.Next(2, 12);
        var box = Directory.CreateDirectory(Path.Combine(_directory, "box"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        var words = string.Join(' ', Stranger.Command(_directory, box).Select(word => $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'"));
        using var lab = LabEvents.Start(
            "--expiry", name, "--idle-timeout", $"{timeout}s", "--server", Server,
            "--client", $"exec {words} discover {Address(run % 2 == 0)}:{Port} --until 30s -o json");
        AssertRight(name, timeout, 30, Result(lab));
    }

    /// <summary>The written file is read again, the measurement through it is the same, and <c>check</c> warns of the guide's 700 s.</summary>
    [Fact]
    public void File_GivenToTheLab_MeasuresTheSame() => AssertRoundTrip("reset-on-next-packet", 3);

    [Theory]
    [InlineData("silent-drop", 20)]
    [InlineData("payload-only", 7)]
    [InlineData("drop-until-syn", 4)]
    [Trait("Discover", "long")]
    public void File_OfALongerTimeoutGivenToTheLab_MeasuresTheSame(string name, int timeout) => AssertRoundTrip(name, timeout);

    private void AssertRoundTrip(string name, int timeout)
    {
        Live.Require("python3");
        var file = Path.Combine(_directory, "balancer.yaml");
        var until = $"{timeout * 3}s";
        using var first = Start(name, timeout, false, until, "--out", file);
        var measured = Result(first);
        using var second = new ProgramRun(
            [ProgramRun.SimulatorPath, "lab", "-o", "json", "--balancer", file, "--server", Server, "--client", Client(false, until)]);
        var again = Result(second);

        AssertRight(name, timeout, timeout * 3, measured);
        Assert.InRange(again.GetProperty("idleTimeoutLeastSeconds").GetDouble(), Least(measured) - 0.25, Least(measured) + 0.1);
        Assert.Equal(Strings(measured, "expiry"), Strings(again, "expiry"));
        Assert.Equal(Strings(measured, "refresh"), Strings(again, "refresh"));
        var check = ProgramRun.ToEnd([ProgramRun.AgentPath, "check", Path.Combine(Repository.Root, "examples", "policies", "guide.yaml"), "--balancer", file]);
        Assert.Equal(1, check.ExitCode);
        Assert.Matches(@"guide\.yaml:20:15: error KA06[01]: ", check.Output);

        static double Least(JsonElement result) => result.GetProperty("idleTimeoutLeastSeconds").GetDouble();
    }

    /// <summary>The far end closes after 8 s without payload. Its FIN arrives only where the balancer still knows the connection.</summary>
    [Fact]
    [Trait("Discover", "long")]
    public void InsideRevives_FarEndCloses_IsFoundByTheMissingFin()
    {
        Live.Require("python3");
        const string closing = """
            python3 -c '
            import socket, threading, time
            server = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=500)
            while True:
                one = server.accept()[0]
                timer = threading.Timer(8, one.close)
                timer.daemon = True
                timer.start()
            '
            """;
        using var run = new ProgramRun(
            [ProgramRun.SimulatorPath, "lab", "-o", "json", "--expiry", "inside-revives", "--idle-timeout", "4s", "--server", closing, "--client", Client(false, "30s")]);
        var result = Result(run);

        Assert.True(Strings(result, "expiry") is ["inside-revives"], $"{result}");
        Assert.InRange(4, result.GetProperty("idleTimeoutLeastSeconds").GetDouble() - 0.3, result.GetProperty("idleTimeoutMostSeconds").GetDouble() + 0.3);
    }

    /// <summary>The far end answers at once, and says something once more after 8 s. That arrives only where the balancer still knows the connection.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    [Trait("Discover", "long")]
    public void Measurement_WithPayload_IsNarrowed(string name)
    {
        Live.Require("python3");
        const string answering = """
            python3 -c '
            import socket, threading
            server = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=500)
            def serve(one):
                one.settimeout(8)
                try:
                    while True:
                        try:
                            got = one.recv(4096)
                        except TimeoutError:
                            one.settimeout(None)
                            got = b"late"
                        if not got:
                            break
                        one.sendall(got)
                except OSError:
                    pass
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
            '
            """;
        using var run = LabEvents.Start("--expiry", name, "--idle-timeout", "4s", "--server", answering, "--client", $"{Client(false, "30s")} --send hello");
        var result = Result(run);

        if (name == "inside-revives")
        {
            // The far end's word after 8 s is lost on every connection, so nobody here knows of it.
            Assert.Empty(Strings(result, "expiry"));
            Assert.Equal(JsonValueKind.Null, result.GetProperty("idleTimeoutMostSeconds").ValueKind);
            Assert.Contains(Strings(result, "unknown"), text => text.Contains("inside-revives", StringComparison.Ordinal));
            return;
        }
        AssertRight(name, 4, 30, result);
        // Only payload tells a clock that payload restarts from a maximum age.
        Assert.DoesNotContain(Strings(result, "unknown"), text => text.Contains("maximum age", StringComparison.Ordinal));
    }

    private static ProgramRun Start(string name, int timeout, bool six, string until, params ReadOnlySpan<string> more) => LabEvents.Start(
        "--expiry", name, "--idle-timeout", $"{timeout}s", "--server", Server, "--client", $"{Client(six, until)} {string.Join(' ', more)}");

    private static string Client(bool six, string until) =>
        $"exec {ProgramRun.SimulatorPath} discover {Address(six)}:{Port} --until {until} -o json";

    private static string Address(bool six) => six ? "[$LAB_SERVER6]" : "$LAB_SERVER";

    private static JsonElement Result(ProgramRun lab)
    {
        lab.WaitForExit(TimeSpan.FromSeconds(180));
        var lines = LabEvents.Parse(lab.Output).Lines("client").Select(line => line.Text("text")).ToList();
        return lines.Count > 0 ? JsonDocument.Parse(lines[0]).RootElement : throw new InvalidOperationException($"no measurement: {lab.Error}");
    }

    private static void AssertRight(string name, int timeout, int until, JsonElement result)
    {
        var (expiry, refresh) = s_expected[name];
        var text = $"{name}, {timeout} s: {result}";
        Assert.True(expiry.SequenceEqual(Strings(result, "expiry")), text);
        Assert.True(refresh.SequenceEqual(Strings(result, "refresh")), text);
        var (least, most) = (result.GetProperty("idleTimeoutLeastSeconds").GetDouble(), result.GetProperty("idleTimeoutMostSeconds"));
        if (expiry.Length == 0)
        {
            Assert.True(most.ValueKind == JsonValueKind.Null && least > until * 0.9, text);
            return;
        }
        var tolerance = Math.Max(0.25, timeout * 0.02);
        Assert.True(least > timeout - tolerance && least <= timeout + 0.1 && most.GetDouble() >= timeout - 0.05 && most.GetDouble() < timeout + tolerance, text);
    }

    private static string[] Strings(JsonElement result, string field) => [.. result.GetProperty(field).EnumerateArray().Select(item => item.GetString()!)];
}
