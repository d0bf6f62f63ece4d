using System.Globalization;
using System.Net;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A typo in a ConfigMap, as the kubelet and the sockets see it: agents that run, agents that are started afterwards, and nodes
/// without anything kept.</summary>
public abstract class LastGoodPolicyTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);
    private static readonly KeepaliveValues s_short = new(true, 60, 5, 3);

    /// <summary>The kubelet takes this much of the end of a log as the termination message, and no more lines than
    /// <see cref="MessageLines"/> (kubernetes pkg/kubelet/kuberuntime, fallbackToLogs).</summary>
    private const int MessageBytes = 2048;
    private const int MessageLines = 80;

    private readonly Lab _lab = new();
    private readonly TestCgroup? _cgroup;
    private readonly int _port;
    private readonly string _address = AgentHttp.FreeAddress();
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-agent");
    private readonly string[] _datapath;
    private readonly List<ProgramRun> _runs = [];
    private readonly FakeApiServer _api = FakeApiServer.Start().WithGloo();
    private int _version;

    protected LastGoodPolicyTests(bool bpf)
    {
        Live.Require();
        _port = _lab.Server.Listen();
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
        }
        _datapath = bpf ? ["--datapath", "bpf", "--cgroup", _cgroup!.Path] : ["--datapath", "pidfd"];
        Directory.CreateDirectory(Mount);
        foreach (var file in (string[])["good.yaml", "other.yaml"])
        {
            File.CreateSymbolicLink(Path.Combine(Mount, file), $"..data/{file}");
        }
    }

    private string Mount => Path.Combine(_directory.FullName, "policies");

    private string StateDirectory => Path.Combine(_directory.FullName, "run");

    /// <summary>The node is rebooted between the two agents: /run is gone.</summary>
    [Fact]
    public void Reboot_WithATypoInTheConfigMap_LastGoodContentIsInForce()
    {
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), Policy("other", Lab.ServerAddress6, PolicyText.GuideValues));
        var (first, second) = (_lab.Client.Connect(Lab.ServerAddress, _port), _lab.Client.Connect(Lab.ServerAddress6, _port));
        Stop(Start());
        Assert.Equal((s_guide, s_guide), (_lab.Client.Get(first), _lab.Client.Get(second)));

        Directory.Delete(StateDirectory, recursive: true);
        Swap(Policy("good", Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3"), Policy("other", Lab.ServerAddress6, "time: 60"));
        var run = Start();
        using var http = new AgentHttp(_address);
        (first, second) = (_lab.Client.Connect(Lab.ServerAddress, _port), _lab.Client.Connect(Lab.ServerAddress6, _port));
        Eventually.True(() => (_lab.Client.Get(first), _lab.Client.Get(second)) == (s_short, s_guide), TimeSpan.FromSeconds(5));
        Assert.Equal((1, 2), (http.Sum("keepalive_policies", "invalid"), http.Sum("keepalive_policies", "loaded")));
        var ready = http.Json("/readyz");
        Assert.True(ready.GetProperty("ready").GetBoolean());
        Assert.False(ready.GetProperty("policiesValid").GetBoolean());
        Assert.Matches(
            @"other\.yaml is refused, and its last good content, loaded 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, stays in force:\n.*/other\.yaml:\d+:\d+: error KA\d+: ",
            string.Join('\n', ready.GetProperty("problems").EnumerateArray().Select(problem => problem.GetString())));
        Assert.Contains("other.yaml is refused, errors: 1; its last good content", AgentProcess.WaitForEvent(run, AgentEvents.PolicyRefused), StringComparison.Ordinal);

        // Its correction needs no restart.
        Swap(Policy("good", Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3"), Policy("other", Lab.ServerAddress6, "time: 60s, interval: 5s, probes: 3"));
        Eventually.True(() => _lab.Client.Get(second) == s_short, TimeSpan.FromSeconds(10));
        Assert.Equal(0, http.Sum("keepalive_policies", "invalid"));
        Stop(run);
    }

    [Fact]
    public void FirstStart_WithATypo_OtherFilesAreInForceAndNothingElseIsTouched()
    {
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), "kind: [");
        var (first, second) = (_lab.Client.Connect(Lab.ServerAddress, _port), _lab.Client.Connect(Lab.ServerAddress6, _port));
        Start();
        using var http = new AgentHttp(_address);
        Assert.Equal((s_guide, s_untouched), (_lab.Client.Get(first), _lab.Client.Get(second)));
        Assert.Equal(HttpStatusCode.OK, http.Get("/readyz").Status);
        Assert.Contains("there is no last good content, so it is ignored until it is corrected", http.Get("/readyz").Body, StringComparison.Ordinal);
    }

    /// <summary>A rollout waits for pods that are not ready, and the kubelet does not restart them.</summary>
    [Fact]
    public void FirstStart_WithNothingValid_RunsAliveAndNotReadyUntilItIsCorrected()
    {
        Swap("kind: [", "apiVersion: [v1");
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start();
        using var http = new AgentHttp(_address);
        Assert.Equal(HttpStatusCode.OK, http.Get("/healthz").Status);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, http.Get("/readyz").Status);
        Assert.Contains("no policy is in force, because the policies have errors", http.Get("/readyz").Body, StringComparison.Ordinal);
        Assert.Equal((2, 0), (http.Sum("keepalive_policies", "invalid"), http.Sum("keepalive_policies", "loaded")));
        Assert.Equal(s_untouched, _lab.Client.Get(id));

        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), "apiVersion: [v1");
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(10));
        Eventually.True(() => http.Get("/readyz").Status == HttpStatusCode.OK, TimeSpan.FromSeconds(5));
        Stop(run);
    }

    /// <summary>Sockets that an agent set before, by a file that is broken now, may not be restored: the file would say so.</summary>
    [Fact]
    public void Restart_WithNothingKept_SocketsOfTheBrokenFileKeepTheirValues()
    {
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), Policy("other", Lab.ServerAddress6, PolicyText.GuideValues));
        var id = _lab.Client.Connect(Lab.ServerAddress6, _port);
        var run = Start("--data-dir", "none");
        run.Kill();
        run.WaitForExit();
        Assert.Equal(s_guide, _lab.Client.Get(id));
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), "kind: [");
        Start("--data-dir", "none");
        Eventually.Remains(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(3));
    }

    [Fact]
    public void Start_PathOfTheCommandLineMissing_ExitsOneAndTheTerminationMessageSaysWhy()
    {
        var missing = Path.Combine(_directory.FullName, "polices");
        var run = Launch(["--policies", missing], "--log-format", "json");
        Assert.Equal(1, run.WaitForExit());
        var message = TerminationMessage(run.Error);
        Assert.Contains($"{missing}:1:1: error KA001: there is no such file or directory", message, StringComparison.Ordinal);
        Assert.Contains("\"EventId\":9", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Once_WithATypo_ExitsOneAndChangesNothing()
    {
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), "kind: [");
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = ProgramRun.Agent(["run", "--once", "--policies", Mount, "--state-dir", StateDirectory, "--netns", _lab.Client.NetnsPath, .. _datapath]);
        _runs.Add(run);
        Assert.Equal(1, run.WaitForExit());
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void DataDirectory_Full_IsReportedAndTheContentBeforeIsKept()
    {
        var full = Directory.CreateDirectory(Path.Combine(_directory.FullName, "full")).FullName;
        Swap(Policy("good", Lab.ServerAddress, PolicyText.GuideValues), Policy("other", Lab.ServerAddress6, PolicyText.GuideValues));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = new ProgramRun(
        [
            "unshare", "--mount", "sh", "-c", $"mount -t tmpfs -o size=16k,mode=755 none {full} && exec \"$@\"", "sh", ProgramRun.AgentPath, "run", "--policies", Mount,
            "--state-dir", StateDirectory, "--data-dir", full, "--listen", _address, "--interval", "1s", "--netns", _lab.Client.NetnsPath, .. _datapath,
        ]);
        _runs.Add(run);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        var kept = $"/proc/{run.Pid}/root{full}/policies";
        var before = File.ReadAllText(kept);
        Swap(Policy("good", Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3") + "\n# " + new string('x', 20_000) + "\n", Policy("other", Lab.ServerAddress6, PolicyText.GuideValues));
        Assert.Contains("ENOSPC", AgentProcess.WaitForEvent(run, AgentEvents.PoliciesNotKept), StringComparison.Ordinal);
        Eventually.True(() => _lab.Client.Get(id) == s_short, TimeSpan.FromSeconds(5));
        Assert.Equal(before, File.ReadAllText(kept));
        Assert.False(File.Exists(kept + ".new"));
    }

    /// <summary>Both nodes have the same file, so there is one Event.</summary>
    [Fact]
    public void Cluster_FileWithATypo_HasOneEventAndTheApisPoliciesAreInForce()
    {
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy("""{"time":"60s","interval":"5s","probes":3}"""));
        Swap("kind: [", "kind: [");
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Dictionary<string, string?> Pod(string name) => new() { ["POD_NAME"] = name, ["POD_NAMESPACE"] = "keepalive-agent", ["POD_UID"] = $"uid of {name}" };
        string[] api = ["--kubernetes-api", _api.Address.ToString()];
        var run = Start(Pod("agent-a"), api);
        Assert.Equal(s_short, _lab.Client.Get(id));
        using var http = new AgentHttp(_address);
        Assert.Equal(HttpStatusCode.OK, http.Get("/readyz").Status);
        var events = Eventually.Value(() => _api.Kind("events").Objects.Values.ToList(), written => written.Count == 2, TimeSpan.FromSeconds(90)).Value;
        Assert.All(events, one =>
        {
            Assert.Equal("keepalive-agent", (string?)one["metadata"]!["namespace"]);
            Assert.Equal(("Pod", "agent-a", "Refused", "Warning"), ((string?)one["regarding"]!["kind"], (string?)one["regarding"]!["name"], (string?)one["reason"], (string?)one["type"]));
            Assert.Matches(@"^policy file /.*/(good|other)\.yaml is refused: /.*\.yaml:1:\d+: error KA\d+: ", (string?)one["note"]);
        });
        Stop(run);
    }

    public void Dispose()
    {
        _runs.ForEach(run => run.Dispose());
        _api.Dispose();
        _lab.Dispose();
        _cgroup?.Dispose();
        _directory.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Returns what <c>terminationMessagePolicy: FallbackToLogsOnError</c> shows of a log.</summary>
    private static string TerminationMessage(string log)
    {
        var lines = log.TrimEnd('\n').Split('\n').TakeLast(MessageLines);
        var text = string.Join('\n', lines);
        return text.Length <= MessageBytes ? text : text[^MessageBytes..];
    }

    private static string Policy(string name, string address, string keepalive) => PolicyText.For(address, keepalive)
        .Replace("name: tcp-keepalive", $"name: {name}", StringComparison.Ordinal)
        .Replace("name: ratings", $"name: {name}", StringComparison.Ordinal)
        .Replace("selector: {}", $"selector: {{ name: {name} }}", StringComparison.Ordinal);

    /// <summary>Renews the mounted ConfigMap as the kubelet does.</summary>
    private void Swap(string good, string other)
    {
        var directory = Directory.CreateDirectory(Path.Combine(Mount, string.Create(CultureInfo.InvariantCulture, $"..2026_11_30_{++_version}")));
        File.WriteAllText(Path.Combine(directory.FullName, "good.yaml"), good);
        File.WriteAllText(Path.Combine(directory.FullName, "other.yaml"), other);
        var next = Path.Combine(Mount, "..data_tmp");
        File.CreateSymbolicLink(next, directory.Name);
        Command.Run("mv", "-T", next, Path.Combine(Mount, "..data"));
    }

    private ProgramRun Start(params string[] more) => Start(null, more);

    private ProgramRun Start(Dictionary<string, string?>? environment, string[] more)
    {
        var run = Launch(["--policies", Mount], environment, more);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        return run;
    }

    private ProgramRun Launch(string[] policies, params string[] more) => Launch(policies, null, more);

    private ProgramRun Launch(string[] policies, Dictionary<string, string?>? environment, string[] more)
    {
        var run = new ProgramRun(
            [
                ProgramRun.AgentPath, "run", .. policies, "--state-dir", StateDirectory, "--interval", "1s", "--listen", _address,
                "--netns", _lab.Client.NetnsPath, .. _datapath,
                .. more.Contains("--data-dir") ? (string[])[] : ["--data-dir", Path.Combine(_directory.FullName, "lib")], .. more,
            ],
            inside: null,
            environment);
        _runs.Add(run);
        return run;
    }

    private static void Stop(ProgramRun run)
    {
        run.Terminate();
        Assert.Equal(0, run.WaitForExit());
    }
}

/// <summary>The tests on pidfd.</summary>
public sealed class PidfdLastGoodPolicyTests() : LastGoodPolicyTests(bpf: false);

/// <summary>The tests on bpf.</summary>
public sealed class BpfLastGoodPolicyTests() : LastGoodPolicyTests(bpf: true);
