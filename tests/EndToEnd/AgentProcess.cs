using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>The agent as a process of its own for one namespace, with its own run directory and policy file.</summary>
internal sealed class AgentProcess : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-agent");
    private readonly string[] _namespaces;
    private string[] _datapath = ["--datapath", "pidfd"];
    private readonly List<ProgramRun> _runs = [];

    public AgentProcess(params Holder[] lookingAt)
    {
        _namespaces = [.. lookingAt.SelectMany(h => new[] { "--netns", h.NetnsPath })];
    }

    /// <summary>Enables the bpf datapath, limited to connections of this cgroup.</summary>
    public void UseBpf(TestCgroup cgroup) => _datapath = ["--datapath", "bpf", "--cgroup", cgroup.Path];

    public string PolicyPath => Path.Combine(_directory.FullName, "policy.yaml");

    public string StateDirectory => Path.Combine(_directory.FullName, "run");

    /// <summary>Replaces the policy atomically by a rename.</summary>
    public void WritePolicy(string text)
    {
        string next = PolicyPath + ".next";
        File.WriteAllText(next, text);
        File.Move(next, PolicyPath, overwrite: true);
    }

    /// <summary>Starts <c>run</c> with a pass every second and no port, and waits for its start line.</summary>
    public ProgramRun Start(params string[] more)
    {
        var run = Launch(["--interval", "1s", "--listen", "none", .. more]);
        run.WaitForLine(line => line.Contains("keepalive-agent", StringComparison.Ordinal) && line.Contains("started", StringComparison.Ordinal));
        return run;
    }

    /// <summary>Starts <c>run</c> without waiting.</summary>
    public ProgramRun Launch(params string[] more)
    {
        var run = ProgramRun.Agent(["run", "--policies", PolicyPath, "--state-dir", StateDirectory, .. _datapath, .. _namespaces, .. more]);
        _runs.Add(run);
        return run;
    }

    /// <summary>Starts <c>run</c> through another command, inside a namespace, or with environment variables.</summary>
    public ProgramRun LaunchBy(
        string[] through, string[] more, Holder? inside = null, IReadOnlyDictionary<string, string?>? environment = null, string? policies = null)
    {
        var run = new ProgramRun(
            [
                .. through, ProgramRun.AgentPath, "run", "--policies", policies ?? PolicyPath, "--state-dir", StateDirectory, .. _datapath, .. _namespaces,
                .. more,
            ],
            inside,
            environment);
        _runs.Add(run);
        return run;
    }

    /// <summary>Waits until an event has been logged this many times; returns its last line.</summary>
    public static string WaitForEvent(ProgramRun run, int id, int times = 1) => Eventually.Value(
        () => run.Error.Split('\n').Where(line => line.Contains($"agent[{id}] ", StringComparison.Ordinal)).ToList(),
        lines => lines.Count >= times,
        TimeSpan.FromSeconds(30),
        what: $"event {id}, {times} times").Value[^1];

    /// <summary>Runs <c>run --once</c> to its end.</summary>
    public CommandResult Once(params string[] more) =>
        ProgramRun.ToEnd([ProgramRun.AgentPath, "run", "--policies", PolicyPath, "--state-dir", StateDirectory, "--once", .. _datapath, .. _namespaces, .. more]);

    /// <summary>Runs <c>sockets</c> to its end.</summary>
    public CommandResult Sockets(params string[] more) =>
        ProgramRun.ToEnd([ProgramRun.AgentPath, "sockets", "--policies", PolicyPath, "--state-dir", StateDirectory, .. _namespaces, .. more]);

    /// <summary>The same without policies.</summary>
    public CommandResult SocketsWithoutPolicies(params string[] more) =>
        ProgramRun.ToEnd([ProgramRun.AgentPath, "sockets", "--state-dir", StateDirectory, .. _namespaces, .. more]);

    /// <summary>The number of open descriptors of a process.</summary>
    public static int Descriptors(int pid) => Directory.GetFileSystemEntries($"/proc/{pid}/fd").Length;

    /// <summary>A line of /proc/PID/status in kilobytes, such as <c>RssAnon</c>.</summary>
    public static int StatusKilobytes(int pid, string name)
    {
        string line = File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith(name + ":", StringComparison.Ordinal));
        return int.Parse(line[(name.Length + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
    }

    public void Dispose()
    {
        _runs.ForEach(run => run.Dispose());
        _directory.Delete(recursive: true);
    }
}
