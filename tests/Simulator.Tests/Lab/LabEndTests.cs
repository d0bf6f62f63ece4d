using System.Globalization;
using Keepalive.Testbed;
using Microsoft.Win32.SafeHandles;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Labs that end in every possible way, all at once, each with daemons on both sides and an agent.</summary>
public sealed class EndedLabs : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);
    private static readonly string[] s_tools = ["curl", "nginx", "setpriv"];

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-lab-test-").FullName;
    private readonly Dictionary<string, EndedLab> _ended = [];

    /// <summary>The namespaces of the labs. A new namespace may get the number of a removed one, also in another test.</summary>
    private readonly List<SafeFileHandle> _held = [];

    public EndedLabs()
    {
        if (LiveSupport.Missing(s_tools) is not null)
        {
            return;
        }
        var policy = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(policy, PolicyText.For("\"203.0.113.10\"", "time: 1s, interval: 1s, probes: 5"));
        string[] ways = ["itself", "INT", "INT from a terminal", "TERM", "HUP", "KILL", "KILL of unshare", "KILL of PID 1"];
        var runs = ways.ToDictionary(way => way, way => Start(way, policy));
        try
        {
            var before = runs.ToDictionary(run => run.Key, run => LookAt(run.Value, Temporary(run.Key)));
            foreach (var (way, run) in runs)
            {
                End(way, run.MayEnd(), before[way].Started);
            }
            foreach (var (way, run) in runs)
            {
                var exitCode = run.WaitForExit(s_limit);
                var (started, namespaces, directories) = before[way];
                var all = new HashSet<string>(StringComparer.Ordinal);
                try
                {
                    Eventually.True(
                        () => !started.Any(pid => Directory.Exists($"/proc/{pid}"))
                            && !(all = ProcessTree.NetworkNamespaces(pid => pid != Environment.ProcessId)).Overlaps(namespaces),
                        notAfter: s_limit);
                }
                catch (TimeoutException)
                {
                    // The assertion below reports remaining processes.
                }
                _ended[way] = new EndedLab(
                    exitCode,
                    run.Output,
                    run.Error,
                    started.Count,
                    namespaces.Count,
                    directories,
                    [
                        .. started.Where(pid => Directory.Exists($"/proc/{pid}")).Select(pid => $"process {pid} {ProcessTree.CommandLine(pid)}"),
                        .. namespaces.Where(all.Contains),
                        // Not the runtime's own sockets, which remain after a kill of any of its programs.
                        .. Directory.GetFileSystemEntries(Temporary(way), "keepalive-*"),
                    ]);
            }
        }
        finally
        {
            foreach (var run in runs.Values)
            {
                run.Dispose();
            }
            foreach (var held in _held)
            {
                held.Dispose();
            }
        }
    }

    internal EndedLab this[string way]
    {
        get
        {
            Live.Require(s_tools);
            return _ended[way];
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private (HashSet<int> Started, HashSet<string> Namespaces, int Directories) LookAt(ProgramRun run, string temporary)
    {
        run.WaitForLine(line => line == "waiting", s_limit);
        HashSet<int> started = [];
        try
        {
            // The shell prints this before it starts the second.
            Eventually.True(
                () => (started = ProcessTree.Descendants(run.Pid)).Count(pid => ProcessTree.CommandLine(pid).StartsWith("sleep ", StringComparison.Ordinal)) == 2,
                notAfter: TimeSpan.FromSeconds(5));
        }
        catch (TimeoutException)
        {
            // The assertion below reports the number.
        }
        var namespaces = ProcessTree.NetworkNamespaces(started.Contains);
        namespaces.ExceptWith(ProcessTree.NetworkNamespaces(pid => pid == Environment.ProcessId));
        foreach (var path in started.Select(pid => $"/proc/{pid}/ns/net").Where(File.Exists))
        {
            _held.Add(File.OpenHandle(path));
        }
        return (started, namespaces, Directory.GetDirectories(temporary, "keepalive-lab-*").Length);
    }

    private static void End(string way, ProgramRun run, HashSet<int> started)
    {
        switch (way)
        {
            case "itself":
                break;
            case "INT from a terminal":
                // To all foreground processes.
                Command.Run("sh", "-c", $"kill -INT -{run.Pid}");
                break;
            case "KILL of unshare":
                Kill(line => line.Split(' ')[0].EndsWith("/unshare", StringComparison.Ordinal));
                break;
            case "KILL of PID 1":
                Kill(line => line.StartsWith(ProgramRun.SimulatorPath + " lab-inside", StringComparison.Ordinal));
                break;
            default:
                run.Signal(way);
                break;
        }

        void Kill(Predicate<string> wanted)
        {
            var pid = started.Single(pid => wanted(ProcessTree.CommandLine(pid)));
            Command.Run("sh", "-c", string.Create(CultureInfo.InvariantCulture, $"kill -KILL {pid}"));
        }
    }

    private string Temporary(string way) => Path.Combine(_directory, way.Replace(' ', '-'));

    private ProgramRun Start(string way, string policy)
    {
        var server = Nginx.Server(Temporary(way) + "-nginx", "ready", isDaemon: true);
        Directory.CreateDirectory(Temporary(way));
        string[] command =
        [
            ProgramRun.SimulatorPath, "lab", "--balancer", "azure-lb", "--agent", policy, "--agent-program", ProgramRun.AgentPath,
            "--server", server,
            "--client", $"curl -sf -o /dev/null http://$LAB_SERVER/; setsid sleep 1000 & echo waiting; {(way == "itself" ? "sleep 3" : "sleep 1000")}",
        ];
        return new ProgramRun(
            way == "INT from a terminal" ? ["setsid", .. command] : command, environment: new Dictionary<string, string?> { ["TMPDIR"] = Temporary(way) });
    }
}

/// <summary>One lab.</summary>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Output">Its standard output.</param>
/// <param name="Error">Its standard error.</param>
/// <param name="Started">Its processes.</param>
/// <param name="Namespaces">Its network namespaces.</param>
/// <param name="Directories">Its temporary directories.</param>
/// <param name="Left">Those of them that still exist.</param>
internal sealed record EndedLab(
    int ExitCode, string Output, string Error, int Started, int Namespaces, int Directories, IReadOnlyList<string> Left);

[Collection(LabEvents.Programs)]
public sealed class LabEndTests(EndedLabs labs) : IClassFixture<EndedLabs>
{
    private const string Summary = "1 connection opened, 0 idled out";

    [Theory]
    [InlineData("itself", 0)]
    [InlineData("INT", 128 + 2)]
    [InlineData("INT from a terminal", 128 + 2)]
    [InlineData("TERM", 128 + 15)]
    [InlineData("HUP", 128 + 1)]
    [InlineData("KILL", 128 + 9)]
    [InlineData("KILL of unshare", 4)]
    [InlineData("KILL of PID 1", 4)]
    public void Lab_EndedInAnyWay_LeavesNothingBehind(string way, int exitCode)
    {
        var lab = labs[way];

        Assert.True(lab.Started >= 8, $"unshare, PID 1, nginx twice, the agent, the client's shell and its two sleeps, but {lab.Started} processes");
        Assert.True(lab.Namespaces >= 4, $"the sandbox's, the client's, the server's and the one between, but {lab.Namespaces} namespaces");
        Assert.Equal(1, lab.Directories);
        Assert.Empty(lab.Left);
        Assert.Equal(exitCode, lab.ExitCode);
    }

    [Theory]
    [InlineData("itself")]
    [InlineData("INT")]
    [InlineData("INT from a terminal")]
    [InlineData("TERM")]
    [InlineData("HUP")]
    [InlineData("KILL")]
    public void Lab_EndedEarly_HasOneSummary(string way)
    {
        var lab = labs[way];

        Assert.Single(lab.Output.Split('\n'), line => line.EndsWith(Summary, StringComparison.Ordinal));
        Assert.Empty(lab.Error);
    }

    [Theory]
    [InlineData("KILL of unshare")]
    [InlineData("KILL of PID 1")]
    public void Lab_InnerProcessKilled_IsReported(string way) => Assert.EndsWith("keepalive-sim: the lab was killed\n", labs[way].Error, StringComparison.Ordinal);
}
