using System.Text.Json;
using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent top</c> in a real terminal, on real sockets.</summary>
public sealed partial class TopTests : IDisposable
{
    private const string Other = "10.77.9.5";

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public TopTests()
    {
        Live.Require("tmux", "pgrep", "python3");
        _lab = new Lab();
        _lab.AddServerAddress(Other);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, "time: 4s, interval: 1s, probes: 3"));
    }

    private string[] Top => [ProgramRun.AgentPath, "top", "--state-dir", _agent.StateDirectory, "--netns", _lab.Client.NetnsPath];

    [Fact]
    public void Top_WithAnAgent_ShowsItsConnectionsAndQuits()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        _lab.Client.ConnectMany(Other, _port, 2);
        _agent.Start();
        using var pane = new TmuxPane(80, 24, [], Top);

        var screen = pane.WaitFor(text => text.Contains("3 managed", StringComparison.Ordinal) && text.Contains("ms ", StringComparison.Ordinal), "probes with a round trip");

        Keep("agent-80x24", screen);
        Assert.Equal((true, true), pane.Terminal);
        Assert.Contains("5 connections  3 managed  2 unprotected", screen, StringComparison.Ordinal);
        Assert.Contains("█", screen, StringComparison.Ordinal);
        Assert.Contains("LAST MINUTES", screen, StringComparison.Ordinal);
        Assert.Matches(@"set +[123] of .*: keepalive off", screen);
        Assert.All(pane.Lines, line => Assert.True(line.Length <= 80));
        pane.Press("q");
        var after = pane.WaitFor("left 0");
        Assert.StartsWith("before", after, StringComparison.Ordinal);
        Assert.Equal((false, false), pane.Terminal);
    }

    [Fact]
    public void Top_WithoutAnAgent_SurveysTheNode()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        int own = _lab.Client.Connect(Other, _port);
        var before = _lab.Client.Get(own - 1);
        _lab.Client.EnableKeepalive(own, idle: 100, interval: 10, count: 6);
        using var pane = new TmuxPane(80, 24, [], Top);

        var screen = pane.WaitFor("4 connections");

        Keep("survey-80x24", screen);
        Assert.Contains("4 connections  3 unprotected  0 unanswered", screen, StringComparison.Ordinal);
        Assert.Contains("no agent is running", screen, StringComparison.Ordinal);
        pane.Press("Tab");
        screen = pane.WaitFor($"{Other}:{_port} ");
        Assert.Matches($@"{Regex.Escape(Other)}:{_port} .* 1 +· █+░* ", screen);
        Assert.Matches($@"{Regex.Escape(Lab.ServerAddress)}:{_port} .* 3 +3 never", screen);
        Assert.Equal(before, _lab.Client.Get(own - 1));
    }

    [Fact]
    public void Top_AgentStopsAndReturns_FallsBackAndSaysSo()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        var run = _agent.Start();
        using var pane = new TmuxPane(80, 24, [], Top);
        pane.WaitFor("3 managed");

        run.Signal("KILL");
        run.WaitForExit();

        Keep("stopped-80x24", pane.WaitFor("the agent stopped answering"));
        Assert.Contains("3 connections", pane.WaitFor("survey  idle timeout"), StringComparison.Ordinal);
        _agent.Start();
        pane.WaitFor(text => text.Contains("3 managed", StringComparison.Ordinal) && !text.Contains("stopped answering", StringComparison.Ordinal), "the agent's data again");
    }

    [Fact]
    public void Top_Resized_DrawsForTheNewSize()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        _agent.Start();
        using var pane = new TmuxPane(80, 24, [], Top);
        pane.WaitFor("3 managed");
        foreach (var (columns, rows) in new[] { (200, 60), (60, 15), (80, 24) })
        {
            pane.Resize(columns, rows);
            var screen = pane.WaitFor(
                text => text.TrimEnd('\n').Split('\n') is { } lines && lines.Length == rows && lines[^1].StartsWith(" q quit", StringComparison.Ordinal) && lines[0].TrimEnd().EndsWith("old", StringComparison.Ordinal)
                    && lines[0].TrimEnd().Length == columns - 1,
                $"a whole screen of {columns}x{rows}");
            Keep($"resized-{columns}x{rows}", screen);
            Assert.Single(Regex.Matches(screen, "keepalive-agent top"));
            Assert.Equal(columns >= 110, screen.Contains("PROCESS", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Top_FarEndGone_ShowsUnansweredProbesAndTheEndpointOutOfThePool()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        _agent.Start();
        using var pane = new TmuxPane(80, 24, [], Top);
        pane.WaitFor("3 managed");

        _lab.BlackHole();

        pane.WaitFor(text => UnansweredOfThree().IsMatch(text), "unanswered probes");
        var screen = pane.WaitFor("OUT OF POOL");
        Keep("out-80x24", screen);
        Assert.Matches($@"OUT OF POOL.*\n {Regex.Escape(Lab.ServerAddress)}:{_port} ", screen);
        Assert.Matches("dead +3 of .*: probes were not answered", pane.WaitFor("dead "));
    }

    [Fact]
    public void Top_Keys_DrillFilterAndPause()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        _agent.Start();
        using var pane = new TmuxPane(200, 60, [], Top);
        pane.WaitFor("3 managed");
        pane.Press("Enter");
        var screen = pane.WaitFor(text => text.Contains("connections of ", StringComparison.Ordinal) && text.Contains("4s/1s/3", StringComparison.Ordinal), "connections");
        Keep("connections-200x60", screen);
        Assert.Equal(3, Regex.Count(screen, $@"{Regex.Escape(Lab.ServerAddress)}:{_port} "));
        pane.Press("/", "nothing");
        pane.WaitFor("no row has 'nothing'");
        pane.Press("Escape");
        pane.WaitFor(text => text.Contains("4s/1s/3", StringComparison.Ordinal), "rows again");
        pane.Press("Escape");
        pane.WaitFor("WORKLOAD");
        pane.Press("?");
        Keep("help-200x60", pane.WaitFor("turn the order round"));
        pane.Press("x");
        pane.WaitFor("WORKLOAD");
        pane.Press("Space");
        pane.WaitFor("PAUSED");
        _lab.Client.Connect(Lab.ServerAddress, _port);
        pane.Press("p");
        pane.WaitFor("4 managed");
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public void Top_Signal_RestoresTheTerminal(string signal)
    {
        using var pane = new TmuxPane(80, 24, [], Top);
        pane.WaitFor("0 connections");
        Assert.Equal((true, true), pane.Terminal);

        Command.Run("kill", $"-{signal}", $"{pane.Program}");

        Assert.StartsWith("before", pane.WaitFor("left 0"), StringComparison.Ordinal);
        Assert.Equal((false, false), pane.Terminal);
        pane.Press("echoed");
        pane.WaitFor("echoed");
    }

    [Fact]
    public void Top_Suspended_LeavesTheScreenToTheShellAndReturns()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        using var pane = new TmuxPane(80, 24, ["PS1=shell$ "], "bash", "--norc", "-i");
        pane.WaitFor("shell$");
        pane.Press(string.Join(' ', Top), "Enter");
        pane.WaitFor("3 unprotected");

        pane.Press("C-z");

        pane.WaitFor("Stopped");
        Assert.Equal((false, false), pane.Terminal);
        pane.Press("fg", "Enter");
        pane.WaitFor("3 unprotected");
        Assert.Equal((true, true), pane.Terminal);
        pane.Press("q");
        pane.WaitFor(text => text.TrimEnd().EndsWith("shell$", StringComparison.Ordinal), "the shell");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Top_NoColor_HasNoColours(bool isForbidden)
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        using var pane = new TmuxPane(80, 24, [isForbidden ? "NO_COLOR=1" : "NO_COLOR="], Top);
        pane.WaitFor("3 unprotected");
        Assert.Equal(!isForbidden, Colour().IsMatch(pane.Coloured));
    }

    /// <summary>A process chooses its name. No character of it reaches the terminal as a command.</summary>
    [Fact]
    public void Top_HostileProcessName_IsShownWithoutItsControls()
    {
        const string program = """
            import socket, sys, time
            with open("/proc/self/comm", "wb") as comm:
                comm.write("\x1b[2J[red]\u202ex".encode())
            kept = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            print("connected", flush=True)
            time.sleep(120)
            """;
        using var hostile = new ProgramRun(["python3", "-c", program, Other, $"{_port}"], _lab.Client);
        hostile.WaitForLine(line => line == "connected");
        using var pane = new TmuxPane(200, 60, [], Top);
        var screen = pane.WaitFor("[red]");
        Keep("hostile-200x60", screen);
        Assert.Contains("?[2J[red]?", screen, StringComparison.Ordinal);
        Assert.Contains("keepalive-agent top", screen, StringComparison.Ordinal);
    }

    [Fact]
    public void Top_InAPipe_PrintsOneFrame()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        foreach (var more in new[] { (string[])[], ["--once"] })
        {
            var result = ProgramRun.ToEnd([.. Top, .. more]);
            Assert.Equal(0, result.ExitCode);
            Assert.DoesNotContain('\e', result.Output);
            Assert.Contains("3 connections  3 unprotected", result.Output, StringComparison.Ordinal);
            Assert.Single(result.Lines, line => line.StartsWith(" keepalive-agent top", StringComparison.Ordinal));
        }
        _agent.Start();
        Eventually.True(
            () => JsonDocument.Parse(ProgramRun.ToEnd([.. Top, "-o", "json"]).Output).RootElement is var overview
                && overview.TryGetProperty("agent", out _) && overview.GetProperty("groups").EnumerateArray().Sum(group => group.GetProperty("managed").GetInt32()) == 3,
            notAfter: TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void Top_DumbTerminal_SaysWhatToDo()
    {
        using var pane = new TmuxPane(80, 24, ["TERM=dumb"], Top);
        Assert.Contains("use --once", pane.WaitFor("left 2"), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
    }

    /// <summary>Keeps a screen among the results of the test.</summary>
    private static void Keep(string name, string screen) => TestContext.Current.TestOutputHelper?.WriteLine($"{name}:\n{screen}");

    [GeneratedRegex(@" [123]/3 ")]
    private static partial Regex UnansweredOfThree();

    [GeneratedRegex(@"\e\[([0-9;]*;)?(3|4|9|10)[0-7][;m]")]
    private static partial Regex Colour();
}
