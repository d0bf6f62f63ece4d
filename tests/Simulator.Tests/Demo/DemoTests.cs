using System.Globalization;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Demo;

/// <summary>The demo as a process, with the real agent.</summary>
public sealed class DemoTests : IDisposable
{
    private const int Nobody = 65534;

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-demo-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Demo_AsRoot_ComesOutAsDescribed()
    {
        Live.Require();

        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--agent", ProgramRun.AgentPath]);

        AssertCameOut(result);
    }

    [Fact]
    public void Demo_AsAnOrdinaryUser_ComesOutAsDescribedOrNamesWhatForbidsIt()
    {
        Live.Require();
        var (simulator, agent) = CopyForEverybody();
        string[] ordinary = ["setpriv", "--reuid", $"{Nobody}", "--regid", $"{Nobody}", "--clear-groups", "--pdeathsig", "KILL", "--"];
        var possible = Command.Try([.. ordinary, "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "true"]).ExitCode == 0;

        var result = ProgramRun.ToEnd([.. ordinary, simulator, "demo", "--agent", agent]);

        if (possible)
        {
            AssertCameOut(result);
        }
        else
        {
            Assert.Equal((3, ""), (result.ExitCode, result.Output));
            Assert.Contains("the demo needs CAP_SYS_ADMIN or a user namespace", result.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Demo_UserNamespacesSwitchedOff_Exits3NamingTheSetting()
    {
        Live.Require();
        // Inside a user namespace of its own the limit is its own, too: the machine's is not touched.
        string[] limited =
        [
            "unshare", "--user", "--map-root-user", "sh", "-c",
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"", "sh",
        ];
        if (Command.Try([.. limited, "true"]) is { ExitCode: not 0 } refused)
        {
            Assert.Skip($"no user namespace can be made here: {refused.Error.Trim()}");
        }

        var result = ProgramRun.ToEnd([.. limited, ProgramRun.SimulatorPath, "demo", "--agent", ProgramRun.AgentPath]);

        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Contains("user.max_user_namespaces is 0", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("KILL", 128 + 9)]
    [InlineData("TERM", 128 + 15)]
    [InlineData("INT", 128 + 2)]
    public void Demo_EndedInTheMiddle_LeavesNoProcessAndNoFile(string signal, int exitCode)
    {
        Live.Require();
        using var run = new ProgramRun(
            [ProgramRun.SimulatorPath, "demo", "--agent", ProgramRun.AgentPath], environment: new Dictionary<string, string?> { ["TMPDIR"] = _directory });
        run.WaitForLine(line => line.Contains("11min", StringComparison.Ordinal));
        var started = Descendants(run.Pid);
        Assert.True(started.Count >= 5, $"unshare, the demo, client, server and agent, but {started.Count} processes");
        Assert.NotEmpty(Directory.GetDirectories(_directory, "keepalive-demo-*"));

        run.Signal(signal);

        Assert.Equal(exitCode, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Eventually.True(() => !started.Any(pid => Directory.Exists($"/proc/{pid}")), notAfter: TimeSpan.FromSeconds(10));
        Assert.Empty(Directory.GetDirectories(_directory, "keepalive-demo-*"));
    }

    [Fact]
    public void Demo_AgentThatSetsNothing_IsFoundOut()
    {
        Live.Require();
        var agent = Path.Combine(_directory, "idle-agent");
        File.WriteAllText(agent, "#!/bin/sh\nexit 0\n");
        Command.Run("chmod", "755", agent);

        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--agent", agent]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("NOT SO: 3 sockets set", result.Output, StringComparison.Ordinal);
        Assert.Contains("NOT SO: keepalive is on, time 700s, interval 10s, probes 20", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Done in", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_NoAgentThere_Exits4()
    {
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--agent", "/nowhere/keepalive-agent"]);

        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Contains("/nowhere/keepalive-agent", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_UnknownOption_Exits2() =>
        Assert.Equal(2, ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--no-such-option"]).ExitCode);

    private static void AssertCameOut(CommandResult result)
    {
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}\n{result.Output}{result.Error}");
        Assert.Equal(3, result.Lines.Count(line => line.Contains("timer:(keepalive,11min,0)", StringComparison.Ordinal)));
        Assert.Equal(3, result.Lines.Count(line => line.Contains("700s/10s/20", StringComparison.Ordinal)));
        Assert.Contains("Done in", result.Lines.Last(), StringComparison.Ordinal);
        Assert.DoesNotContain('\e', result.Output);
    }

    /// <summary>The checkout may be where only root can look.</summary>
    private (string Simulator, string Agent) CopyForEverybody()
    {
        Command.Run("chmod", "755", _directory);
        return (Copy(ProgramRun.SimulatorPath, "simulator"), Copy(ProgramRun.AgentPath, "agent"));

        string Copy(string program, string name)
        {
            var target = Path.Combine(_directory, name);
            Command.Run("cp", "-r", Path.GetDirectoryName(program)!, target);
            Command.Run("chmod", "-R", "a+rX", target);
            return Path.Combine(target, Path.GetFileName(program));
        }
    }

    private static HashSet<int> Descendants(int pid)
    {
        var parents = new Dictionary<int, int>();
        foreach (var process in Directory.GetDirectories("/proc").Where(path => char.IsAsciiDigit(Path.GetFileName(path)[0])))
        {
            try
            {
                // pid (command) state ppid …; the command may have anything in it.
                var stat = File.ReadAllText($"{process}/stat");
                parents[Number(Path.GetFileName(process))] = Number(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1]);
            }
            catch (IOException)
            {
                // It ended meanwhile.
            }
        }
        HashSet<int> found = [pid];
        for (var before = 0; before != found.Count;)
        {
            before = found.Count;
            found.UnionWith(parents.Where(process => found.Contains(process.Value)).Select(process => process.Key).ToArray());
        }
        found.Remove(pid);
        return found;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
