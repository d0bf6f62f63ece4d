using System.Globalization;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary><c>keepalive-sim lab</c> with its two commands: their output, their exit codes, and the lab's messages about them.</summary>
[Collection(LabEvents.Programs)]
public sealed class LabCommandTests : IDisposable
{
    /// <summary>Exits immediately with an error, so the client starts without waiting for it.</summary>
    private const string NoServer = "exit 5";

    private static readonly string[] s_balancer = ["--balancer", "aws-nlb"];
    private static readonly string[] s_summaryFields =
    [
        "time", "event", "opened", "closed", "expired", "revived", "probes", "clientProbes", "serverProbes", "probesAnswered", "refreshed", "resets", "fins",
        "swallowed", "tableFull", "frames", "lost", "linesLeftOut",
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-lab-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Client_EndedInAnyWay_SetsTheLabsExitCode()
    {
        Live.Require();
        (string Client, int ExitCode)[] ends =
            [("true", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9), ("no-such-program", 127)];
        var runs = ends.Select(end => Text("--server", NoServer, "--client", end.Client)).ToList();
        try
        {
            Assert.Equal(ends.Select(end => end.ExitCode), runs.Select(run => run.WaitForExit()));
            Assert.All(runs.Zip(ends), run => Assert.Contains($"client    ended with exit code {run.Second.ExitCode}\n", run.First.Output, StringComparison.Ordinal));
            Assert.All(runs.SkipLast(1), run => Assert.Empty(run.Error));
            Assert.Contains("no-such-program: not found", runs[^1].Error, StringComparison.Ordinal);
        }
        finally
        {
            runs.ForEach(run => run.Dispose());
        }
    }

    /// <summary>The server answers every probe that reaches it, and the idle timeout has not passed: only keepalive ends this connection.</summary>
    [Fact]
    public void Balancer_ThatDropsProbes_LetsKeepaliveEndAHealthyConnection()
    {
        Live.Require("python3");
        const string server = "import os, socket; s = socket.create_server((os.environ['LAB_SERVER'], 80)); c = s.accept()[0]; c.recv(1)";
        const string client = "import os, socket; s = socket.create_connection((os.environ['LAB_SERVER'], 80)); "
            + "s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1); s.setsockopt(6, socket.TCP_KEEPIDLE, 1); s.setsockopt(6, socket.TCP_KEEPINTVL, 1); "
            + "s.setsockopt(6, socket.TCP_KEEPCNT, 3); s.settimeout(30); s.recv(1)";
        using var run = LabEvents.Start("--balancer", "aws-global-accelerator=60s", "--server", $"exec python3 -c \"{server}\"", "--client", $"exec python3 -c \"{client}\"");

        Assert.Equal(1, run.WaitForExit());
        var events = LabEvents.Parse(run.Output);
        Assert.Contains(events.Lines("client", "stderr"), line => line.Text("text").Contains("Connection timed out", StringComparison.Ordinal));
        Assert.Equal(3, events.Of("ignored").Count(what => what.Text("from") == "client"));
        Assert.Equal((3, 0, 0), (events[^1].Number("clientProbes"), events[^1].Number("probesAnswered"), events[^1].Number("expired")));
        Assert.False(events[0].GetProperty("answersProbes").GetBoolean());
    }

    [Fact]
    public void Output_AsText_PassesUnchangedOnItsOwnStream()
    {
        Live.Require();
        var (bytes, errors) = (Path.Combine(_directory, "bytes"), Path.Combine(_directory, "errors"));
        var expected = new byte[] { 0, 0xff, 0xfe, (byte)'\r', 0x1b, (byte)'x' };

        // Bytes that are no text, without a final newline. A file for each stream keeps them unchanged.
        using var run = new ProgramRun(
        [
            "sh", "-c", $$"""exec "$0" lab "$@" >{{bytes}} 2>{{errors}}""", ProgramRun.SimulatorPath, .. s_balancer, "--server", NoServer,
            "--client", """printf '[\000\377\376\r\033x]'; printf '{\000\377\376\r\033x}' >&2""",
        ]);

        Assert.Equal(0, run.WaitForExit());
        var output = File.ReadAllBytes(bytes);
        Assert.True(output.AsSpan().IndexOf([(byte)'[', .. expected, (byte)']']) >= 0, Convert.ToHexString(output));
        Assert.Equal([(byte)'{', .. expected, (byte)'}'], File.ReadAllBytes(errors));
    }

    [Fact]
    public void Output_AsText_HundredMegabytes_AllArrive()
    {
        Live.Require();
        using var run = new ProgramRun(
        [
            "sh", "-c", """ "$0" lab "$@" | tr -dc '\000' | wc -c""", ProgramRun.SimulatorPath, .. s_balancer, "--server", NoServer,
            "--client", "head -c 100000000 /dev/zero",
        ]);

        Assert.Equal(0, run.WaitForExit());
        Assert.Equal("100000000\n", run.Output);
    }

    [Fact]
    public void Output_AsJsonWithASlowReader_IsComplete()
    {
        Live.Require();
        const int lines = 200_000;
        // A pipe in between that is not read for longer than any timeout of the lab.
        using var run = new ProgramRun(
        [
            "sh", "-c", """ "$0" lab -o json "$@" | (sleep 4; cat)""", ProgramRun.SimulatorPath, .. s_balancer, "--server", NoServer,
            "--client", $"seq {lines}; printf 'no newline'; echo error >&2; exit 3",
        ]);

        run.WaitForExit();
        var events = LabEvents.Parse(run.Output);
        Assert.Equal(
            [.. Enumerable.Range(1, lines).Select(number => number.ToString(CultureInfo.InvariantCulture)), "no newline"],
            events.Lines("client").Select(line => line.Text("text")));
        Assert.Equal(["error"], events.Lines("client", "stderr").Select(line => line.Text("text")));
        Assert.Equal(3, events.Of("exited").Single(what => what.Text("process") == "client").Number("exitCode"));
        Assert.Equal("summary", events[^1].Text("event"));
        Assert.Equal(0, events[^1].Number("linesLeftOut"));
    }

    [Fact]
    public void Output_AsJsonWithAnEndlessLine_IsReportedInPieces()
    {
        Live.Require();
        const int length = 10_000_000;
        var (exitCode, events) = Json("--server", NoServer, "--client", $"head -c {length} /dev/zero | tr '\\000' x; echo; echo after");

        var lines = events.Lines("client").ToList();
        Assert.Equal(0, exitCode);
        Assert.Equal("after", lines[^1].Text("text"));
        Assert.Equal(length, lines.SkipLast(1).Sum(line => line.Text("text").Length));
        Assert.True(lines.Max(line => line.Text("text").Length) < 100_000);
        Assert.All(lines.SkipLast(2), line => Assert.True(line.GetProperty("continues").GetBoolean()));
        Assert.All(lines.TakeLast(2), line => Assert.False(line.TryGetProperty("continues", out _)));
    }

    [Fact]
    public void Json_ConnectionFromOpeningToClose_IsReportedInOrder()
    {
        Live.Require("curl", "nginx");

        // The last FIN may be on its way when curl has ended.
        var (exitCode, events) = Json("--server", Server(), "--client", "curl -s http://$LAB_SERVER/; curl -sg http://[$LAB_SERVER6]/; sleep 0.5; exit 7");

        Assert.Equal(7, exitCode);
        Assert.Equal(
            ["started", "opened", "closed", "opened", "closed", "exited", "summary"], events.Select(what => what.Text("event")).Where(kind => kind != "output"));
        Assert.Equal(["ready", "ready"], events.Lines("client").Select(line => line.Text("text")));
        var started = events[0];
        Assert.Equal(
            ("aws-nlb", 350, "reset-on-next-packet", "any"),
            (started.Text("balancer"), started.Number("idleTimeout"), started.Text("expiry"), started.Text("refresh")));
        Assert.Equal(("10.0.0.1", "203.0.113.10"), (started.Text("clientAddress"), started.Text("serverAddress")));
        Assert.Equal(("fd00::1", "2001:db8::10"), (started.Text("clientAddress6"), started.Text("serverAddress6")));
        var opened = events.Of("opened").ToList();
        Assert.StartsWith("10.0.0.1:", opened[0].Text("client"), StringComparison.Ordinal);
        Assert.Equal(("203.0.113.10:80", "client"), (opened[0].Text("server"), opened[0].Text("openedBy")));
        Assert.StartsWith("[fd00::1]:", opened[1].Text("client"), StringComparison.Ordinal);
        Assert.Equal("[2001:db8::10]:80", opened[1].Text("server"));
        var exited = events.Of("exited").Single();
        Assert.Equal(("client", 7), (exited.Text("process"), exited.Number("exitCode")));
    }

    [Fact]
    public void Json_EveryField_IsCamelCaseAndTheSummaryCountsTheEvents()
    {
        Live.Require("curl", "nginx");

        // The second request comes after the timeout, on the first one's connection.
        var (_, events) = Json("--idle-timeout", "1s", "--server", Server(), "--client", "curl -s --rate 30/m http://$LAB_SERVER/ http://$LAB_SERVER/");

        Assert.All(events.SelectMany(what => what.EnumerateObject()), field => Assert.Matches("^[a-z][A-Za-z0-9]*$", field.Name));
        Assert.All(events, what => Assert.True(what.Number("time") >= 0));
        var summary = events[^1];
        Assert.Equal(s_summaryFields, summary.EnumerateObject().Select(field => field.Name));
        Assert.Equal(2, summary.Number("opened"));
        Assert.Equal(1, summary.Number("expired"));
        foreach (var (field, kind) in new[] { ("opened", "opened"), ("closed", "closed"), ("expired", "expired"), ("resets", "reset"), ("swallowed", "swallowed") })
        {
            Assert.Equal(events.Of(kind).Count(), summary.Number(field));
        }
        Assert.Equal(events[^1].Number("time"), events.Max(what => what.Number("time")));
        var swallowed = events.Of("swallowed").First();
        var reset = events.Of("reset").First();
        Assert.Equal(("client", "client", "PSH,ACK"), (swallowed.Text("from"), reset.Text("to"), swallowed.Text("flags")));
        Assert.True(swallowed.Number("length") > 0 && swallowed.Number("sequence") > 0 && reset.Number("sequence") > 0);
    }

    [Fact]
    public void Environment_OnEitherSide_HoldsTheAddresses()
    {
        Live.Require();
        const string show = "echo $LAB_SERVER $LAB_SERVER6 $LAB_CLIENT $LAB_CLIENT6";
        var (_, events) = Json("--server", $"{show}; exit 5", "--client", $"{show}; ip -o address show to $LAB_CLIENT | grep -c c0");

        const string expected = "203.0.113.10 2001:db8::10 10.0.0.1 fd00::1";
        Assert.Equal([expected], events.Lines("server").Select(line => line.Text("text")));
        Assert.Equal([expected, "1"], events.Lines("client").Select(line => line.Text("text")));
    }

    [Fact]
    public void Server_EndsImmediately_IsReportedAndDoesNotDelayTheClient()
    {
        Live.Require();
        var (exitCode, events) = Json("--server", "echo cannot start >&2; exit 5", "--client", "echo here");

        Assert.Equal(0, exitCode);
        Assert.Equal(["cannot start"], events.Lines("server", "stderr").Select(line => line.Text("text")));
        Assert.Equal([("server", 5), ("client", 0)], events.Of("exited").Select(what => (what.Text("process"), (int)what.Number("exitCode"))));
        Assert.InRange(events.Lines("client").Single().Number("time"), 0, 4);
    }

    [Fact]
    public void Server_NeverListens_IsReportedAndTheClientStarts()
    {
        Live.Require();
        var (exitCode, events) = Json("--server", "exec sleep 1000", "--client", "echo here");

        Assert.Equal(0, exitCode);
        Assert.Contains("nothing listens on the server side after 5s", events.Of("note").Single().Text("text"), StringComparison.Ordinal);
        Assert.InRange(events.Lines("client").Single().Number("time"), 5, 10);
        Assert.Equal(["client"], events.Of("exited").Select(what => what.Text("process")));
    }

    [Fact]
    public void Server_InTheBackground_IsWaitedFor()
    {
        Live.Require("curl", "nginx");
        var (exitCode, events) = Json("--server", $"(sleep 1; {Server()}) &", "--client", "curl -s http://$LAB_SERVER/");

        Assert.Equal(0, exitCode);
        Assert.Equal(["ready"], events.Lines("client").Select(line => line.Text("text")));
    }

    [Fact]
    public void Server_EndsBeforeTheClient_IsReported()
    {
        Live.Require("nginx", "curl");
        var (_, events) = Json("--server", $"{Server()} & sleep 1; kill -KILL $$", "--client", "sleep 3");

        Assert.Equal([("server", 128 + 9), ("client", 0)], events.Of("exited").Select(what => (what.Text("process"), (int)what.Number("exitCode"))));
    }

    [Fact]
    public void Agent_WithAnInvalidPolicy_Exits4WithItsDiagnostic()
    {
        Live.Require();
        var policy = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(policy, "kind: [\n");
        var mark = Path.Combine(_directory, "started");
        var result = ProgramRun.ToEnd(
        [
            ProgramRun.SimulatorPath, "lab", .. s_balancer, "--server", NoServer, "--client", $"touch {mark}", "--agent", policy,
            "--agent-program", ProgramRun.AgentPath,
        ]);

        Assert.Equal(4, result.ExitCode);
        Assert.Contains($"the agent refuses its policies: {policy}:2:1: error KA", result.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(mark));
    }

    [Fact]
    public void Lab_AsAnOrdinaryUser_WorksOrNamesTheObstacle()
    {
        Live.Require("setpriv", "curl", "nginx");
        var (simulator, agent) = OrdinaryUser.Copy(_directory);
        var place = Directory.CreateDirectory(Path.Combine(_directory, "place")).FullName;
        Command.Run("chmod", "777", place);
        var policy = Path.Combine(place, "policy.yaml");
        File.WriteAllText(policy, PolicyText.For("\"203.0.113.10\"", "time: 1s, interval: 1s, probes: 5"));
        var capture = Path.Combine(place, "frames.pcapng");
        using var run = new ProgramRun(
        [
            .. OrdinaryUser.Words, simulator, "lab", "-o", "json", .. s_balancer, "--idle-timeout", "2s", "--agent", policy, "--agent-program", agent, "--pcap", capture,
            "--server", Server(place), "--client", "curl -sS --rate 15/m http://$LAB_SERVER/ http://$LAB_SERVER/",
        ]);

        var exitCode = run.WaitForExit();
        if (!OrdinaryUser.MayHaveNamespaces())
        {
            Assert.Equal((3, ""), (exitCode, run.Output));
            Assert.Contains("the lab needs CAP_SYS_ADMIN or a user namespace", run.Error, StringComparison.Ordinal);
            return;
        }
        Assert.True(exitCode == 0, run.Output + run.Error);
        var events = LabEvents.Parse(run.Output);
        Assert.Equal(["ready", "ready"], events.Lines("client").Select(line => line.Text("text")));
        Assert.Equal((1, 0), (events[^1].Number("opened"), events[^1].Number("expired")));
        Assert.True(events[^1].Number("refreshed") >= 1);
        Assert.Equal("nobody", Command.Run("stat", "-c", "%U", capture).Output.Trim());
    }

    [Fact]
    public void Lab_UserNamespacesSwitchedOff_Exits3NamingTheSetting()
    {
        Live.Require();
        // A user namespace has its own limit: the machine's is not changed.
        string[] limited =
        [
            "unshare", "--user", "--map-root-user", "sh", "-c",
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"", "sh",
        ];
        if (Command.Try([.. limited, "true"]) is { ExitCode: not 0 } refused)
        {
            Assert.Skip($"no user namespace can be made here: {refused.Error.Trim()}");
        }

        var result = ProgramRun.ToEnd([.. limited, ProgramRun.SimulatorPath, "lab", .. s_balancer, "--server", "true", "--client", "true"]);

        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Contains("user.max_user_namespaces is 0: sysctl -w user.max_user_namespaces=10000 allows them", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Reader_Stalled_DelaysTheOutputButNoConnection()
    {
        Live.Require("curl", "nginx");
        var (pipe, served) = (Path.Combine(_directory, "pipe"), Path.Combine(_directory, "served"));
        Command.Run("mkfifo", pipe);
        var requests = $"while curl -sf http://$LAB_SERVER/ >>{served}; do :; done & exec yes";
        using var reader = new ProgramRun(["sh", "-c", $"exec sleep 1000 <{pipe}"]);
        using var run = new ProgramRun(
            ["sh", "-c", $$"""exec "$0" lab -o json "$@" >{{pipe}}""", ProgramRun.SimulatorPath, .. s_balancer, "--server", Server(), "--client", requests]);
        Eventually.True(() => File.Exists(served) && new FileInfo(served).Length > 0, notAfter: TimeSpan.FromSeconds(20));
        // The pipe has been full for a long time now.
        Thread.Sleep(TimeSpan.FromSeconds(1));
        var before = new FileInfo(served).Length;

        Eventually.True(() => new FileInfo(served).Length > before + (50 * "ready\n".Length), notAfter: TimeSpan.FromSeconds(20));

        run.Signal("INT");
        Assert.Equal(128 + 2, run.WaitForExit(TimeSpan.FromSeconds(10)));
    }

    private static ProgramRun Text(params string[] arguments) => new([ProgramRun.SimulatorPath, "lab", .. s_balancer, .. arguments]);

    private static (int ExitCode, List<JsonElement> Events) Json(params string[] arguments)
    {
        using var run = LabEvents.Start([.. s_balancer, .. arguments]);
        var exitCode = run.WaitForExit();
        Assert.Empty(run.Error);
        return (exitCode, LabEvents.Parse(run.Output));
    }

    private string Server(string? place = null) => "exec " + Nginx.Server(place ?? _directory, "ready");
}
