using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The agent on a cluster's API: real HTTP to a fake server, and real sockets that follow the server's objects. These tests run on
/// each datapath with pods.</summary>
public abstract class KubernetesTests : IDisposable
{
    private protected static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private protected static readonly KeepaliveValues Untouched = new(false, 7200, 75, 9);
    private protected static readonly KeepaliveValues Guide = new(true, 700, 10, 20);
    private protected static readonly KeepaliveValues Short = new(true, 60, 5, 3);

    private protected static readonly string s_containerId = new('5', 64);

    private protected const string GuideJson = """{"time":"700s","interval":"10s","probes":20}""";
    private protected const string ShortJson = """{"time":"60s","interval":"5s","probes":3}""";

    /// <summary>Each test has a pod of its own: its cgroup may lie beside those of tests that run at the same time.</summary>
    private protected readonly string _podId = Guid.NewGuid().ToString();
    private protected readonly Lab _lab;
    private protected readonly FakeApiServer _api = FakeApiServer.Start().WithGloo();
    private protected readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-agent");
    private protected readonly List<ProgramRun> _runs = [];
    private protected readonly string[] _datapath;
    private protected readonly TestCgroup? _cgroup;
    private protected readonly int _port;
    private protected PodGroup? _pod;
    private protected string _listen = "none";

    protected KubernetesTests(bool bpf)
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
        }
        _datapath = bpf ? ["--datapath", "bpf", "--cgroup", _cgroup!.Path] : ["--datapath", "pidfd"];
    }

    [Fact]
    public void Agent_StartedWhilePodsAreUnavailable_DoesNotChangeTheirSockets()
    {
        RunInPod();
        var id = Managed("--node-name", "node-1");
        _runs[0].Kill();
        _runs[0].WaitForExit();
        _api.Kind("pods").Refusal = 503;
        Start("--node-name", "node-1", "--data-dir", "none");
        var another = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.Remains(() => _lab.Client.Get(id) == Guide && _lab.Client.Get(another) == Untouched, 3 * Interval);
        _api.Kind("pods").Refusal = null;
        Eventually.True(() => _lab.Client.Get(another) == Guide, TimeSpan.FromSeconds(60));
        Assert.Equal(Guide, _lab.Client.Get(id));
    }

    /// <summary>The node is rebooted, and the API server is away: the objects that the agent before has kept are in force, and stale.</summary>
    [Fact]
    public void Agent_StartedWhileTheServerIsAway_KeptObjectsAreInForceUntilItAnswers()
    {
        RunInPod();
        _listen = AgentHttp.FreeAddress();
        string[] options = ["--node-name", "node-1", "--data-dir", Path.Combine(_directory.FullName, "lib")];
        Managed(options);
        _runs[0].Terminate();
        Assert.Equal(0, _runs[0].WaitForExit());
        Directory.Delete(Path.Combine(_directory.FullName, "run"), recursive: true);
        var port = _api.Address.Port;
        _api.Dispose();

        var run = Start(options);
        using var http = new AgentHttp(_listen);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(30));
        run.WaitForLine(line => line.Contains("[66] ", StringComparison.Ordinal) && line.Contains("stale objects that this node has kept, last confirmed ", StringComparison.Ordinal));
        Assert.Equal(1, http.Sum("keepalive_kubernetes_state_stale", "{resource=\"connectionpolicies.resilience.policy.gloo.solo.io\"}"));
        Assert.InRange(http.Sum("keepalive_kubernetes_state_age_seconds", "{resource=\"services\"}"), 5, 300);
        var ready = http.Get("/readyz");
        Assert.Equal(System.Net.HttpStatusCode.OK, ready.Status);
        Assert.Contains("stale objects of the cluster are in force, kept on this node and last confirmed 20", ready.Body, StringComparison.Ordinal);

        // The server is back, with another policy. All kinds are read within the longest wait of one.
        using var back = FakeApiServer.Start(port: port, version: 5000).WithGloo();
        back.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        back.Apply(Pod(leftAlone: false));
        back.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        back.Apply(ClusterText.Policy(ShortJson));
        Eventually.True(() => _lab.Client.Get(id) == Short, TimeSpan.FromSeconds(15));
        Eventually.True(() => http.Sum("keepalive_kubernetes_state_stale", "") == 0, TimeSpan.FromSeconds(5));
        Assert.DoesNotContain("stale", http.Get("/readyz").Body, StringComparison.Ordinal);
    }

    [Fact]
    public void Agent_StartedForTheFirstTimeWhileTheServerIsAway_EnforcesWithinSecondsOfItsReturn()
    {
        var port = _api.Address.Port;
        _api.Dispose();
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start();
        // By now, the waits of most kinds would be far longer.
        Eventually.Remains(() => _lab.Client.Get(id) == Untouched, TimeSpan.FromSeconds(20));
        using var back = FakeApiServer.Start(port: port).WithGloo();
        back.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        back.Apply(ClusterText.Policy(GuideJson));
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(12));
    }

    [Fact]
    public void Pod_WithTheAnnotation_IsIgnoredAndOthersAreNamed()
    {
        RunInPod(leftAlone: true);
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        var run = Start("--node-name", "node-1");
        var socket = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.Remains(() => _lab.Client.Get(socket) == Untouched, 3 * Interval);
        Assert.Contains("  result        not set: pod shop/cart-1 has keepalive-agent/enforce: \"false\"\n", Explain(), StringComparison.Ordinal);

        _api.Apply(Pod(leftAlone: false));
        WithinAnInterval(() => _lab.Client.Get(socket) == Guide);
        Assert.Contains("of pod shop/cart-1/app;", run.WaitForLine(line => line.Contains("Set ", StringComparison.Ordinal)).Replace(':', ';'), StringComparison.Ordinal);

        var listed = ProgramRun.ToEnd(
        [
            ProgramRun.AgentPath, "sockets", "-o", "json", "--netns", _lab.Client.NetnsPath, "--kubernetes-api", _api.Address.ToString(), "--node-name", "node-1",
            "--state-dir", Path.Combine(_directory.FullName, "run"),
        ]);
        Assert.Contains("\"namespace\":\"shop\",\"pod\":\"cart-1\",\"container\":\"app\"", listed.Output, StringComparison.Ordinal);

        // The whole namespace is annotated now. The socket is restored.
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","annotations":{"keepalive-agent/enforce":"false"}}}""");
        WithinAnInterval(() => _lab.Client.Get(socket) == Untouched);
        Assert.Contains(_api.Requests, request => request.Contains("fieldSelector=spec.nodeName%3Dnode-1", StringComparison.Ordinal));
        Assert.Contains("  result        not set: namespace shop has keepalive-agent/enforce: \"false\"\n", Explain(), StringComparison.Ordinal);

        string Explain() => ProgramRun.ToEnd(
        [
            ProgramRun.AgentPath, "explain", "--socket", _lab.Client.LocalEndPoint(socket).ToString(), "--netns", _lab.Client.NetnsPath,
            "--state-dir", Path.Combine(_directory.FullName, "run"),
        ]).Output;
    }

    /// <summary>A policy for the pods with a label, which the pod gets and loses; then values that the pod chooses.</summary>
    [Fact]
    public void Pod_LabelledAndAnnotated_HasThePolicyForItAndItsOwnValues()
    {
        RunInPod();
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(ShortJson).Replace("\"annotations\":{", "\"annotations\":{\"keepalive-agent/from\":\"namespace=shop,app in (web)\",", StringComparison.Ordinal));
        var run = Start("--node-name", "node-1", "--pod-annotations", "20s/5s");
        var socket = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.Remains(() => _lab.Client.Get(socket) == Untouched, 3 * Interval);

        var labelled = Pod(leftAlone: false).Replace("\"annotations\":{", "\"labels\":{\"app\":\"web\"},\"annotations\":{", StringComparison.Ordinal);
        _api.Apply(labelled);
        WithinAnInterval(() => _lab.Client.Get(socket) == Short);
        var another = _lab.Client.Connect(Lab.ServerAddress, _port);
        WithinAnInterval(() => _lab.Client.Get(another) == Short);

        // Its own values are for other destinations; the policy goes, and they are in force here too.
        _api.Apply(labelled.Replace("\"annotations\":{", "\"annotations\":{\"keepalive-agent/keepalive\":\"2s/6s/4\",", StringComparison.Ordinal));
        run.WaitForLine(line => line.Contains("KA080", StringComparison.Ordinal) && line.Contains("Pod shop/cart-1", StringComparison.Ordinal));
        Eventually.Remains(() => _lab.Client.Get(socket) == Short, 2 * Interval);
        _api.Delete("connectionpolicies", "bookinfo", "tcp-keepalive");
        WithinAnInterval(() => (_lab.Client.Get(socket), _lab.Client.Get(another)) == (new KeepaliveValues(true, 20, 6, 4), new KeepaliveValues(true, 20, 6, 4)));
        // The running agent knows the pod, and so the rule.
        var explained = ProgramRun.ToEnd(
        [
            ProgramRun.AgentPath, "explain", "--socket", _lab.Client.LocalEndPoint(socket).ToString(), "--netns", _lab.Client.NetnsPath,
            "--state-dir", Path.Combine(_directory.FullName, "run"),
        ]).Output;
        Assert.Contains("  policy        annotation/keepalive (Pod shop/cart-1), in force in the running agent\n", explained, StringComparison.Ordinal);
        Assert.Contains("  result        the policy's values are in force\n", explained, StringComparison.Ordinal);

        _api.Apply(Pod(leftAlone: false));
        WithinAnInterval(() => (_lab.Client.Get(socket), _lab.Client.Get(another)) == (Untouched, Untouched));
    }

    /// <summary>Uses an address of the loopback interface in the tests' own namespace. The policy selects only this address.</summary>
    [Fact]
    public void Pod_WithTheNodesNetwork_IsLeftAloneAndOthersOfTheNodeAreNot()
    {
        var nodes = $"/proc/{Environment.ProcessId}/ns/net";
        var first = Command.Try(["readlink", "/proc/1/ns/net"]).Output.Trim();
        Assert.SkipWhen(first.Length > 0 && first != new FileInfo(nodes).LinkTarget, "the tests do not run in the network namespace of the node");
        var address = $"127.{(_cgroup is null ? 98 : 99)}.{(Environment.ProcessId >> 8) & 255}.{Environment.ProcessId & 255}";
        using var server = Holder.Start();
        using var other = Holder.Start();
        using var pod = Holder.Start();
        _pod = new PodGroup(_cgroup?.Path ?? TestCgroup.Root!, _podId, s_containerId);
        _pod.Add(pod.Pid);
        _cgroup?.Add(other.Pid);
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        _api.Apply(OnHost(leftAlone: true));
        _api.Apply(ClusterText.ExternalService(address));
        _api.Apply(ClusterText.Policy(GuideJson));
        var port = server.Listen(address);
        var (before, others) = (pod.Connect(address, port), other.Connect(address, port));
        _listen = AgentHttp.FreeAddress();
        Start("--node-name", "node-1", "--netns", nodes);
        using var http = new AgentHttp(_listen);
        Eventually.True(() => other.Get(others) == Guide, TimeSpan.FromSeconds(10));
        var after = pod.Connect(address, port);
        Eventually.Remains(() => (pod.Get(before), pod.Get(after)) == (Untouched, Untouched), 3 * Interval);

        _api.Apply(OnHost(leftAlone: false));
        WithinAnInterval(() => (pod.Get(before), pod.Get(after)) == (Guide, Guide));
        const string rule = "policy=\"bookinfo/tcp-keepalive\",destination=\"bookinfo/ratings\"";
        Eventually.True(() => http.Sum("keepalive_sockets", rule + ",namespace=\"shop\",state=\"managed\"") == 2, TimeSpan.FromSeconds(10));
        Assert.Equal(1, http.Sum("keepalive_sockets", rule + ",namespace=\"\",state=\"managed\""));
        Assert.Equal(2, http.Sum("keepalive_applied_total", "policy=\"bookinfo/tcp-keepalive\",namespace=\"shop\""));
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","annotations":{"keepalive-agent/enforce":"false"}}}""");
        WithinAnInterval(() => (pod.Get(before), pod.Get(after)) == (Untouched, Untouched));
        Assert.Equal(Guide, other.Get(others));

        string OnHost(bool leftAlone) => ClusterText.Pod("shop", "cart-1", _podId, "node-1", "192.0.2.1", "app", s_containerId, leftAlone, hostNetwork: true);
    }

    [Theory]
    [InlineData("--namespaces=jobs,shop", true)]
    [InlineData("--namespaces=jobs", false)]
    [InlineData("--exclude-namespaces=shop", false)]
    [InlineData("--exclude-namespaces=jobs", true)]
    public void Namespaces_NamedOrExcluded_PodsOfTheOthersAreIgnored(string option, bool isSet)
    {
        RunInPod();
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start("--node-name", "node-1", option);
        if (isSet)
        {
            WithinAnInterval(() => _lab.Client.Get(id) == Guide);
        }
        else
        {
            Eventually.Remains(() => _lab.Client.Get(id) == Untouched, 3 * Interval);
        }
    }

    [Fact]
    public void Pod_Known_ItsNamespaceIsInMetricsAndItsNameInTheRest()
    {
        RunInPod();
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy("""{"time":"1s","interval":"1s","probes":3}"""));
        _listen = AgentHttp.FreeAddress();
        var run = Start("--node-name", "node-1");
        _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.Connect(Lab.ServerAddress6, _port);
        using var http = new AgentHttp(_listen);
        const string rule = "policy=\"bookinfo/tcp-keepalive\",destination=\"bookinfo/ratings\",namespace=\"shop\"";
        Eventually.True(() => http.Sum("keepalive_sockets", rule + ",state=\"managed\"") == 1, TimeSpan.FromSeconds(10));
        Eventually.True(() => http.Sum("keepalive_unprotected_sockets", "{namespace=\"shop\",reason=\"noPolicy\"}") == 1, TimeSpan.FromSeconds(10));
        Eventually.True(() => http.Sum("keepalive_probes_total", rule) > 0, TimeSpan.FromSeconds(15));
        Assert.Equal(1, http.Sum("keepalive_applied_total", "policy=\"bookinfo/tcp-keepalive\",namespace=\"shop\""));
        Assert.Equal(1, http.Sum("keepalive_collector_success", "{collector=\"kubernetes\"}"));
        Assert.InRange(http.Sum("keepalive_kubernetes_state_age_seconds", "{resource=\"pods\"}"), 0, 60);

        using var own = AgentHttp.OverUnixSocket(Path.Combine(_directory.FullName, "run", "agent.sock"));
        var listed = own.Json("/sockets").EnumerateArray().Single();
        Assert.Equal(("shop", "cart-1"), (listed.GetProperty("namespace").GetString(), listed.GetProperty("pod").GetString()));

        _lab.BlackHole();
        run.WaitForLine(line => line.Contains("Dead ", StringComparison.Ordinal) && line.Contains(" of pod shop/cart-1/app: 3 probes unanswered", StringComparison.Ordinal));
        Eventually.True(() => http.Sum("keepalive_connections_dead_total", rule + ",cause=\"probes\"") == 1, TimeSpan.FromSeconds(10));
    }

    public void Dispose()
    {
        _runs.ForEach(run => run.Dispose());
        _api.Dispose();
        _lab.Dispose();
        _pod?.Dispose();
        _cgroup?.Dispose();
        _directory.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Moves the client into a pod of node-1.</summary>
    private protected void RunInPod(bool leftAlone = false)
    {
        _pod = new PodGroup(_cgroup?.Path ?? TestCgroup.Root!, _podId, s_containerId);
        _pod.Add(_lab.Client.Pid);
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        _api.Apply(Pod(leftAlone));
    }

    private protected string Pod(bool leftAlone) => ClusterText.Pod("shop", "cart-1", _podId, "node-1", "10.1.0.7", "app", s_containerId, leftAlone);

    private protected int Managed(params string[] more)
    {
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start(more);
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(10));
        return id;
    }

    private protected ProgramRun Start(params string[] more)
    {
        var run = ProgramRun.Agent(
        [
            "run", "--kubernetes-api", _api.Address.ToString(), "--interval", "1s", "--listen", _listen, "--netns", _lab.Client.NetnsPath,
            "--state-dir", Path.Combine(_directory.FullName, "run"), .. _datapath, .. more,
        ]);
        _runs.Add(run);
        run.WaitForLine(line => line.Contains("keepalive-agent", StringComparison.Ordinal) && line.Contains("started", StringComparison.Ordinal));
        return run;
    }

    /// <summary>The name of a pod's cgroup with containerd and systemd.</summary>
    private protected sealed class PodGroup(string root, string uid, string container) : IDisposable
    {
        private readonly string _slice = Directory.CreateDirectory(Path.Combine(root, $"kubepods-burstable-pod{uid.Replace('-', '_')}.slice")).FullName;

        public void Add(int pid)
        {
            var scope = Directory.CreateDirectory(Path.Combine(_slice, $"cri-containerd-{container}.scope"));
            File.WriteAllText(Path.Combine(scope.FullName, "cgroup.procs"), $"{pid}");
        }

        public void Dispose() => Eventually.True(() => TryRemove(Path.Combine(_slice, $"cri-containerd-{container}.scope")) && TryRemove(_slice), TimeSpan.FromSeconds(10));

        private static bool TryRemove(string path)
        {
            try
            {
                Directory.Delete(path);
            }
            catch (DirectoryNotFoundException)
            {
                // The pod has been deleted.
            }
            catch (IOException)
            {
                return false;
            }
            return true;
        }
    }

    /// <summary>One interval and slack for a busy machine.</summary>
    private protected void WithinAnInterval(Func<bool> condition)
    {
        try
        {
            Eventually.True(condition, Interval + TimeSpan.FromSeconds(2));
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}\n{_runs[^1].Error}{string.Join('\n', _api.Requests)}", e);
        }
    }
}

/// <summary>On pidfd, and the tests that do not depend on the datapath.</summary>
public sealed class KubernetesPidfdTests() : KubernetesTests(bpf: false)
{
    [Fact]
    public void Policy_CreatedChangedBrokenDeleted_SocketsFollow()
    {
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start();
        Assert.Equal(Untouched, _lab.Client.Get(id));

        _api.Apply(ClusterText.Policy(GuideJson));
        WithinAnInterval(() => _lab.Client.Get(id) == Guide);

        _api.Apply(ClusterText.Policy(ShortJson));
        WithinAnInterval(() => _lab.Client.Get(id) == Short);

        // Invalid: reported, and the previous values stay in force, for new connections too.
        _api.Apply(ClusterText.Policy("""{"time":"one minute"}"""));
        run.WaitForLine(line => line.Contains("ConnectionPolicy bookinfo/tcp-keepalive", StringComparison.Ordinal) && line.Contains("KA030", StringComparison.Ordinal));
        var another = _lab.Client.Connect(Lab.ServerAddress, _port);
        WithinAnInterval(() => _lab.Client.Get(another) == Short);
        Assert.Equal(Short, _lab.Client.Get(id));

        _api.Delete("connectionpolicies", "bookinfo", "tcp-keepalive");
        WithinAnInterval(() => _lab.Client.Get(id) == Untouched && _lab.Client.Get(another) == Untouched);
    }

    [Fact]
    public void Server_Unavailable_StateStaysAndLaterChangesFollow()
    {
        var id = Managed();
        var port = _api.Address.Port;
        _api.Dispose();
        var another = _lab.Client.Connect(Lab.ServerAddress, _port);
        WithinAnInterval(() => _lab.Client.Get(another) == Guide);

        // The server is back without the policy, and its version numbers have started again.
        using var back = FakeApiServer.Start(port: port, version: 5000).WithGloo();
        back.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        Eventually.True(() => _lab.Client.Get(id) == Untouched && _lab.Client.Get(another) == Untouched, TimeSpan.FromSeconds(60));
    }

    [Fact]
    public void Agent_StartedWhileTheServerIsUnavailable_RestoresNothing()
    {
        var id = Managed();
        _runs[0].Kill();
        _runs[0].WaitForExit();
        foreach (var plural in (string[])["connectionpolicies", "externalservices"])
        {
            _api.Kind(plural).Refusal = 503;
        }
        var second = Start("--data-dir", "none");
        second.WaitForLine(line => line.Contains("Policies in force: 0", StringComparison.Ordinal));
        Eventually.Remains(() => _lab.Client.Get(id) == Guide, 3 * Interval);
        _api.Delete("connectionpolicies", "bookinfo", "tcp-keepalive");
        foreach (var plural in (string[])["connectionpolicies", "externalservices"])
        {
            _api.Kind(plural).Refusal = null;
        }
        Eventually.True(() => _lab.Client.Get(id) == Untouched, TimeSpan.FromSeconds(60));
    }

    [Fact]
    public void Kind_RefusedPermanently_PoliciesStillFollow()
    {
        _api.WithIstio().Kind("serviceentries").Refusal = 403;
        var id = Managed();
        _api.Delete("connectionpolicies", "bookinfo", "tcp-keepalive");
        WithinAnInterval(() => _lab.Client.Get(id) == Untouched);
    }

    [Fact]
    public void Rules_OfIstio_ApplyUntilGlooIsInstalled()
    {
        _api.WithoutGloo().WithIstio();
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"ratings","namespace":"shop"},
             "spec":{"hosts":["ratings.example"],"addresses":["10.77.0.2"],"ports":[{"number":1,"name":"tcp","protocol":"TCP"}],"location":"MESH_EXTERNAL"}}
            """.Replace("\"number\":1", $"\"number\":{_port}", StringComparison.Ordinal));
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"ratings","namespace":"shop"},
             "spec":{"host":"ratings.example","trafficPolicy":{"connectionPool":{"tcp":{"tcpKeepalive":{"time":"60s","interval":"5s","probes":3}}}}}}
            """);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start();
        WithinAnInterval(() => _lab.Client.Get(id) == Short);

        _api.WithGloo();
        WithinAnInterval(() => _lab.Client.Get(id) == Untouched);
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        WithinAnInterval(() => _lab.Client.Get(id) == Guide);
    }

    [Fact]
    public void Source_ChosenByAuto_IsLoggedAtEachChangeWithTheRulesThatAreNotUsed()
    {
        _api.WithoutGloo().WithIstio();
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"db","namespace":"shop"},
             "spec":{"host":"db.shop.svc.cluster.local","trafficPolicy":{"connectionPool":{"tcp":{"tcpKeepalive":{"time":"60s"}}}}}}
            """);
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"generated","namespace":"shop","labels":{"reconciler.mesh.gloo.solo.io/name":"translator"}},
             "spec":{"host":"b.shop.svc.cluster.local","trafficPolicy":{"connectionPool":{"tcp":{"tcpKeepalive":{"time":"60s"}}}}}}
            """);
        var run = Start();
        run.WaitForLine(line => line.Contains("policies come from DestinationRules, because the cluster has no ConnectionPolicies", StringComparison.Ordinal));
        _api.WithGloo();
        run.WaitForLine(line => line.Contains("policies come from ConnectionPolicies, because the cluster has this kind", StringComparison.Ordinal));
        run.WaitForLine(line => line.Contains("are not used, because policies come from ConnectionPolicies: 1 (shop/db);", StringComparison.Ordinal));
    }

    [Fact]
    public void Policy_AlsoInAFile_FileTakesPrecedence()
    {
        var file = Path.Combine(_directory.FullName, "policy.yaml");
        File.WriteAllText(file, ClusterText.Policy(ShortJson));
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start("--policies", file);
        WithinAnInterval(() => _lab.Client.Get(id) == Short);
        // Files precede the API also where they name other objects.
        File.WriteAllText(file, ClusterText.Policy(ShortJson, name: "another"));
        Eventually.Remains(() => _lab.Client.Get(id) == Short, TimeSpan.FromSeconds(5));
        File.WriteAllText(file, ClusterText.Policy(ShortJson, name: "another").Replace("EXTERNAL_SERVICE", "SERVICE", StringComparison.Ordinal));
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Once_KindUnavailable_AppliesTheRestAndReportsIt()
    {
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy(GuideJson));
        _api.Kind("virtualdestinations").Refusal = 403;
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var once = ProgramRun.ToEnd(
        [
            ProgramRun.AgentPath, "run", "--once", "--kubernetes-api", _api.Address.ToString(), "--netns", _lab.Client.NetnsPath,
            "--state-dir", Path.Combine(_directory.FullName, "run"), .. _datapath,
        ]);
        Assert.Equal(0, once.ExitCode);
        Assert.Contains("warning: the cluster's state is incomplete", once.Error, StringComparison.Ordinal);
        Assert.Equal(Guide, _lab.Client.Get(id));
    }

    [Fact]
    public void Service_EndpointSlicesChange_SocketsFollow()
    {
        _api.Apply(ClusterText.Service("shop", "ratings", "10.96.0.10", 9080));
        _api.Apply(ClusterText.Service("shop", "other", "10.96.0.11", 9080));
        _api.Apply(ClusterText.Slice("shop", "ratings", _port, "10.1.2.3"));
        _api.Apply(ClusterText.Slice("shop", "other", _port, "10.1.2.4"));
        _api.Apply("""
            {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy","metadata":{"name":"p","namespace":"shop"},
             "spec":{"applyToDestinations":[{"selector":{"name":"ratings"}}],"config":{"tcp":{"tcpKeepalive":{"time":"700s","interval":"10s","probes":20}}}}}
            """);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Start();
        _api.Apply(ClusterText.Slice("shop", "ratings", _port, "10.1.2.3", Lab.ServerAddress));
        WithinAnInterval(() => _lab.Client.Get(id) == Guide);
        _api.Apply(ClusterText.Slice("shop", "ratings", _port, "10.1.2.3"));
        WithinAnInterval(() => _lab.Client.Get(id) == Untouched);
        // Only the endpoints of the selected Service.
        Assert.All(_api.Requests.Where(request => request.Contains("endpointslices", StringComparison.Ordinal)),
            request => Assert.Contains("/namespaces/shop/endpointslices?", request, StringComparison.Ordinal));
        Assert.All(_api.Requests.Where(request => request.Contains("endpointslices", StringComparison.Ordinal)),
            request => Assert.Contains("in%20%28ratings%29", request, StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void Policy_WithAnError_IsCountedUntilItIsCorrected()
    {
        _api.Apply(ClusterText.Policy("""{"time":"one minute"}"""));
        _listen = AgentHttp.FreeAddress();
        var run = Start();
        using var http = new AgentHttp(_listen);
        Eventually.True(() => http.Sum("keepalive_policies", "invalid") == 1, TimeSpan.FromSeconds(10));
        var ready = http.Get("readyz").Body;
        Assert.Contains("\"policiesValid\":false", ready, StringComparison.Ordinal);
        Assert.Contains("ConnectionPolicy bookinfo/tcp-keepalive", ready, StringComparison.Ordinal);
        run.WaitForLine(line => line.Contains("the object is ignored until it is corrected", StringComparison.Ordinal));
        _api.Apply(ClusterText.Policy(GuideJson));
        Eventually.True(() => http.Sum("keepalive_policies", "invalid") == 0, TimeSpan.FromSeconds(10));
        Assert.Contains("\"policiesValid\":true", http.Get("readyz").Body, StringComparison.Ordinal);
        _api.Apply(ClusterText.Policy("""{"time":"one minute"}"""));
        run.WaitForLine(line => line.Contains("its previous version stays in force", StringComparison.Ordinal));
    }

    /// <summary>Only the policies show which slices are needed: until they are read, no slice is reported as missing.</summary>
    [Fact]
    public void Service_WithoutClusterAddress_IsNotMissingItsSlicesBeforeTheyAreRead()
    {
        _api.Apply(ClusterText.Service("shop", "ratings", "None", _port));
        _api.Apply(ClusterText.Slice("shop", "ratings", _port, Lab.ServerAddress));
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start();
        _api.Apply("""
            {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy","metadata":{"name":"p","namespace":"shop"},
             "spec":{"applyToDestinations":[{"selector":{"name":"ratings"}},{"selector":{"name":"nothing"}}],
             "config":{"tcp":{"tcpKeepalive":{"time":"700s","interval":"10s","probes":20}}}}}
            """);
        WithinAnInterval(() => _lab.Client.Get(id) == Guide);
        // Missing objects are reported once all objects are known.
        run.WaitForLine(line => line.Contains("KA043", StringComparison.Ordinal) && line.Contains("nothing", StringComparison.Ordinal));
        Assert.DoesNotContain("KA044", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Directory_WithoutPolicies_KeepsThoseOfTheApi()
    {
        var directory = _directory.CreateSubdirectory("none");
        var id = Managed("--policies", directory.FullName);
        // An empty directory differs from a missing one: the missing one is refused.
        File.WriteAllText(Path.Combine(directory.FullName, "policy.yaml"), "");
        _runs[0].WaitForLine(line => line.Contains("KA004", StringComparison.Ordinal));
        Assert.Equal(Guide, _lab.Client.Get(id));
    }

    [Fact]
    public void Sockets_WithoutANodeName_ReportsWhyPodsAreMissing()
    {
        var result = ProgramRun.ToEnd(
            [ProgramRun.AgentPath, "sockets", "--netns", _lab.Client.NetnsPath, "--kubernetes-api", _api.Address.ToString()]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("give --node-name", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Policy_WithAnError_HasOneEvent()
    {
        _api.Apply(ClusterText.Policy("""{"time":"one minute"}"""));
        Start();
        Eventually.True(() => EventsOf("tcp-keepalive") == 1, TimeSpan.FromSeconds(45));
        _api.Apply(ClusterText.Policy("""{"time":"one minute","probes":3}"""));
        _api.Apply(ClusterText.ExternalService("192.0.2.1"));
        Eventually.Remains(() => EventsOf("tcp-keepalive") == 1, 3 * Interval);

        int EventsOf(string name) => _api.Kind("events").Objects.Values.Count(
            one => (string?)one["regarding"]!["name"] == name && (string?)one["type"] == "Warning" && ((string?)one["note"])!.StartsWith("KA030", StringComparison.Ordinal));
    }
}

/// <summary>On bpf.</summary>
public sealed class KubernetesBpfTests() : KubernetesTests(bpf: true);
