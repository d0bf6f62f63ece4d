using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Simulator.Tests.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Demo;

/// <summary>Demos as processes, with and without the real agent, all at once: none must affect another.</summary>
public sealed class DemoRuns : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(120);

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-demo-test-").FullName;

    public DemoRuns()
    {
        if (LiveSupport.Missing("strace") is not null)
        {
            return;
        }
        var (simulator, agent) = OrdinaryUser.Copy(_directory);
        UserNamespacesAllowed = OrdinaryUser.MayHaveNamespaces();
        TraceFile = Path.Combine(_directory, "trace");
        var absent = Path.Combine(_directory, "absent-agent");
        File.WriteAllText(absent, "#!/bin/sh\nexit 7\n");
        Command.Run("chmod", "755", absent);
        string[] demo = [ProgramRun.SimulatorPath, "demo", "--agent-program"];
        using var asRoot = new ProgramRun([.. demo, ProgramRun.AgentPath]);
        using var asOrdinaryUser = new ProgramRun([.. OrdinaryUser.Words, simulator, "demo", "--agent-program", agent]);
        using var traced = new ProgramRun(["strace", "-f", "-qq", "-e", "trace=setsockopt,execve", "-s", "100", "-o", TraceFile, ProgramRun.SimulatorPath, "demo", "--no-agent"]);
        using var withAgentGone = new ProgramRun([.. demo, absent]);
        AsRoot = ToEnd(asRoot);
        AsOrdinaryUser = ToEnd(asOrdinaryUser);
        Traced = ToEnd(traced);
        WithAgentGone = ToEnd(withAgentGone);
        Trace = File.ReadAllLines(TraceFile);
    }

    public bool UserNamespacesAllowed { get; }

    internal CommandResult AsRoot { get; } = Nothing;

    internal CommandResult AsOrdinaryUser { get; } = Nothing;

    /// <summary>Without the agent, under strace.</summary>
    internal CommandResult Traced { get; } = Nothing;

    public IReadOnlyList<string> Trace { get; } = [];

    /// <summary>The agent ends as soon as it starts.</summary>
    internal CommandResult WithAgentGone { get; } = Nothing;

    private static CommandResult Nothing { get; } = new(-1, "", "");

    private string TraceFile { get; } = "";

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static CommandResult ToEnd(ProgramRun run)
    {
        var exitCode = run.WaitForExit(s_limit);
        return new CommandResult(exitCode, run.Output, run.Error);
    }
}

[Collection(LabEvents.Programs)]
public sealed class DemoTests(DemoRuns runs) : IClassFixture<DemoRuns>, IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-demo-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Demo_AsRoot_EndsAsDescribed()
    {
        Live.Require("strace");

        AssertCameOut(runs.AsRoot);
    }

    [Fact]
    public void Demo_AsAnOrdinaryUser_EndsAsDescribedOrNamesTheObstacle()
    {
        Live.Require("strace");
        if (runs.UserNamespacesAllowed)
        {
            AssertCameOut(runs.AsOrdinaryUser);
        }
        else
        {
            Assert.Equal((3, ""), (runs.AsOrdinaryUser.ExitCode, runs.AsOrdinaryUser.Output));
            Assert.Contains("the demo needs CAP_SYS_ADMIN or a user namespace", runs.AsOrdinaryUser.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Demo_ClientProxyAndService_NeverAskForKeepalive()
    {
        Live.Require("strace");

        foreach (var program in new[] { "demo-client", "demo-proxy", "demo-service" })
        {
            Assert.Contains(runs.Trace, line => line.Contains("execve(", StringComparison.Ordinal) && line.Contains($"\"{program}\"", StringComparison.Ordinal));
        }
        Assert.Contains(runs.Trace, line => line.Contains("setsockopt(", StringComparison.Ordinal));
        Assert.DoesNotContain(runs.Trace, line => line.Contains("SO_KEEPALIVE", StringComparison.Ordinal) || line.Contains("TCP_KEEP", StringComparison.Ordinal));
    }

    [Fact]
    public void Demo_WithoutTheAgent_FailsInActThreeWithAMessage() => AssertActThreeFailed(runs.Traced);

    [Fact]
    public void Demo_AgentEnds_IsReported()
    {
        AssertActThreeFailed(runs.WithAgentGone);
        Assert.Contains("has ended with exit code 7", runs.WithAgentGone.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_UserNamespacesSwitchedOff_Exits3NamingTheSetting()
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

        var result = ProgramRun.ToEnd([.. limited, ProgramRun.SimulatorPath, "demo", "--agent-program", ProgramRun.AgentPath]);

        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Contains("user.max_user_namespaces is 0", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("KILL", 128 + 9)]
    [InlineData("TERM", 128 + 15)]
    [InlineData("INT", 128 + 2)]
    public void Demo_Interrupted_LeavesNoProcessAndNoFile(string signal, int exitCode)
    {
        Live.Require();
        using var run = new ProgramRun(
            [ProgramRun.SimulatorPath, "demo", "--agent-program", ProgramRun.AgentPath], environment: new Dictionary<string, string?> { ["TMPDIR"] = _directory });
        run.WaitForLine(line => line.Contains("is idle", StringComparison.Ordinal));
        var started = ProcessTree.Descendants(run.Pid);
        Assert.True(started.Count >= 5, $"unshare, the demo, client, proxy and service, but {started.Count} processes");
        Assert.NotEmpty(Directory.GetDirectories(_directory, "keepalive-demo-*"));

        run.Signal(signal);

        Assert.Equal(exitCode, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Eventually.True(() => !started.Any(pid => Directory.Exists($"/proc/{pid}")), notAfter: TimeSpan.FromSeconds(10));
        Assert.Empty(Directory.GetDirectories(_directory, "keepalive-demo-*"));
    }

    [Fact]
    public void Demo_AgentMissing_Exits4()
    {
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--agent-program", "/nowhere/keepalive-agent"]);

        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Contains("/nowhere/keepalive-agent", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_UnknownOption_Exits2() =>
        Assert.Equal(2, ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--no-such-option"]).ExitCode);

    private static void AssertCameOut(CommandResult result)
    {
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}\n{result.Output}{result.Error}");
        Assert.Equal([200, 503, 200, 504, 200, 200], Answers(result));
        Assert.DoesNotContain("✗", result.Output, StringComparison.Ordinal);
        Assert.Contains("probes 9 → 5; policy bookinfo/tcp-keepalive", result.Output, StringComparison.Ordinal);
        Assert.Contains("503 and 504 without the policy, 200 with it", result.Lines.Last(), StringComparison.Ordinal);
        Assert.DoesNotContain('\e', result.Output);
    }

    private static void AssertActThreeFailed(CommandResult result)
    {
        Live.Require("strace");
        Assert.True(result.ExitCode == 1, $"exit code {result.ExitCode}\n{result.Output}{result.Error}");
        Assert.Equal([200, 503, 200, 504, 200, 504], Answers(result));
        Assert.Contains("✗ NOT SO: the request after the idle time: 200 expected, 504 came instead", result.Output, StringComparison.Ordinal);
        Assert.Equal("NOT AS DESCRIBED: Act 3. See the lines marked ✗.", result.Lines.Last());
    }

    /// <summary>The client's answers, in order.</summary>
    private static IEnumerable<int> Answers(CommandResult result) =>
        Regex.Matches(result.Output, @"s  client    (\d{3})  ").Select(match => Number(match.Groups[1].Value));

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
