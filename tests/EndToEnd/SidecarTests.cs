using System.Globalization;
using System.Net;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A pod with a sidecar: a rule sends the application's connections to a proxy in the same network namespace, and the proxy connects
/// from 127.0.0.6 to the application.</summary>
public sealed class SidecarTests : IDisposable
{
    private const string Service = "10.77.9.5";
    private const string Service6 = "fd77::9:5";
    private const int ProxyPort = 15001;

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly TestCgroup? _cgroup;
    private readonly Holder _proxy;
    private readonly string _address = AgentHttp.FreeAddress();
    private readonly int _port;

    public SidecarTests()
    {
        Live.Require("nft");
        _lab = new Lab();
        _cgroup = TestCgroup.Root is null ? null : new TestCgroup();
        _cgroup?.Add(_lab.Client.Pid);
        _lab.AddServerAddress(Service);
        _lab.AddServerAddress(Service6);
        _port = _lab.Server.Listen();
        _proxy = _lab.Client.StartBeside();
        _cgroup?.Add(_proxy.Pid);
        _proxy.Listen("127.0.0.1", ProxyPort);
        _proxy.Listen("::1", ProxyPort);
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        Redirect();
    }

    [Fact]
    public void Audit_ProxyThatProbes_NothingIsAtRisk()
    {
        Populate();
        var summary = Audit();
        Assert.Equal((0, 0), (summary.ExitCode, summary.Line.GetProperty("atRisk").GetInt32()));
        // Both ends of three connections of the application and of one to it.
        Assert.Equal(8, summary.Line.GetProperty("local").GetInt32());
        Assert.Equal(1, summary.Line.GetProperty("connections").GetInt32());
        // The proxy's own connections are not.
        _proxy.Connect(Lab.ServerAddress, _port);
        Assert.Equal((1, 1), (Audit().ExitCode, Audit().Line.GetProperty("atRisk").GetInt32()));
    }

    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Metrics_ProxyThatProbes_NothingIsUnprotected(string datapath)
    {
        if (datapath == "bpf")
        {
            Assert.SkipWhen(_cgroup is null, "no cgroup version 2 hierarchy is mounted");
            _agent.UseBpf(_cgroup!);
        }
        Populate();
        _agent.Launch("--interval", "1s", "--listen", _address);
        using var http = new AgentHttp(_address);
        Eventually.True(() => IsUp(http) && http.Sum("keepalive_scanned_sockets") >= 9, TimeSpan.FromSeconds(30));
        Assert.Equal(0, http.Sum("keepalive_unprotected_sockets"));
        // Also a connection that comes later.
        _lab.Client.Connect(Service, _port);
        Eventually.True(() => http.Sum("keepalive_scanned_sockets") >= 11, TimeSpan.FromSeconds(30));
        Assert.Equal(0, http.Sum("keepalive_unprotected_sockets"));
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => http.Sum("keepalive_unprotected_sockets") == 1, TimeSpan.FromSeconds(30));
    }

    /// <summary>Both ends of a redirected connection are within the namespace: neither has a probe to gain.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Run_KeepaliveForOtherHosts_SetsOnlyWhatLeavesTheNamespace(string datapath)
    {
        if (datapath == "bpf")
        {
            Assert.SkipWhen(_cgroup is null, "no cgroup version 2 hierarchy is mounted");
            _agent.UseBpf(_cgroup!);
        }
        _agent.WritePolicy(PolicyText.For($"\"{Lab.ServerAddress6}\"", PolicyText.GuideValues));
        int redirected = _lab.Client.Connect(Service, _port);
        int outside = _lab.Client.Connect(Lab.ServerAddress, _port);
        int special = _lab.Client.Connect(Lab.ServerAddress6, _port);
        int within = _lab.Client.Connect("127.0.0.1", _lab.Client.Listen("127.0.0.1"));
        _lab.Server.Connect(Lab.ClientAddress, _lab.Client.Listen(Lab.ClientAddress));
        Eventually.True(() => _proxy.Count().Accepted == 1 && _lab.Client.Count().Accepted == 2, TimeSpan.FromSeconds(5));
        var run = _agent.Launch("--interval", "1s", "--listen", _address, "--keepalive", "240s/20s/4", "--restore-on-exit");
        using var http = new AgentHttp(_address);
        Eventually.True(() => IsUp(http) && _lab.Client.Get(outside).On, TimeSpan.FromSeconds(10));
        var values = new KeepaliveValues(true, 240, 20, 4);
        AssertValues();
        // A connection that comes later, and its proxy's end.
        int later = _lab.Client.Connect(Service, _port);
        int laterOutside = _lab.Client.Connect(Lab.ServerAddress, _port);
        // A first pass that compiles its code uses up the time of the next ones.
        Eventually.True(() => _lab.Client.Get(laterOutside) == values, TimeSpan.FromSeconds(30));
        AssertValues();
        Assert.False(_lab.Client.Get(later).On);
        Assert.False(_proxy.Get(SocketId.Accepted(1)).On);
        // With the one that the pod has accepted from another host.
        const string series = "policy=\"command-line/keepalive\",destination=\"command-line/other-hosts\"";
        Eventually.True(() => http.Sum("keepalive_sockets", series) == 3 && http.Sum("keepalive_unprotected_sockets") == 0, TimeSpan.FromSeconds(30));
        Assert.Equal(1, http.Sum("keepalive_sockets", "policy=\"bookinfo/tcp-keepalive\""));
        // A client that has connected to the pod is no endpoint to judge.
        Assert.Equal(HttpStatusCode.OK, http.Get($"/destinations/[{Lab.ServerAddress6}]:{_port}").Status);
        Assert.Equal(HttpStatusCode.NotFound, http.Get($"/destinations/{Lab.ServerAddress}:{_port}").Status);
        Assert.Equal(1, http.Sum("keepalive_destination_in_pool"));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit());
        Assert.False(_lab.Client.Get(outside).On);
        Assert.False(_lab.Client.Get(special).On);

        void AssertValues()
        {
            Assert.Equal(values, _lab.Client.Get(outside));
            Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(special));
            Assert.False(_lab.Client.Get(redirected).On);
            Assert.False(_proxy.Get(SocketId.Accepted(0)).On);
            Assert.False(_lab.Client.Get(within).On);
        }
    }

    /// <summary>The remote end of a connection to a server is the local end of all connections of the server.</summary>
    [Fact]
    public void Audit_TenantConnectsToAServer_TheServersOtherConnectionsStayAtRisk()
    {
        int server = _lab.Client.Listen(Lab.ClientAddress);
        _lab.Server.Connect(Lab.ClientAddress, server);
        using var tenant = _lab.Client.StartBesideAs(4711);
        int own = tenant.Connect(Lab.ClientAddress, server, from: "127.0.0.9");
        Assert.Equal(1, Audit().Line.GetProperty("atRisk").GetInt32());
        tenant.HalfClose(own);
        Assert.Equal(1, Audit().Line.GetProperty("atRisk").GetInt32());
    }

    public void Dispose()
    {
        _agent.Dispose();
        _proxy.Dispose();
        _lab.Dispose();
        _cgroup?.Dispose();
    }

    private static bool IsUp(AgentHttp http)
    {
        try
        {
            return http.Get("/readyz").Status == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private void Redirect()
    {
        string rules = string.Create(CultureInfo.InvariantCulture, $$"""
            table ip mesh {
              chain output {
                type nat hook output priority -100;
                ip daddr {{Service}} tcp dport {{_port}} redirect to :{{ProxyPort}}
              }
            }
            table ip6 mesh {
              chain output {
                type nat hook output priority -100;
                ip6 daddr {{Service6}} tcp dport {{_port}} redirect to :{{ProxyPort}}
              }
            }
            """);
        _lab.Client.Shell($"nft -f - <<'.'\n{rules}\n.");
    }

    private void Populate()
    {
        _lab.Client.ConnectMany(Service, _port, 2);
        _lab.Client.Connect(Service6, _port);
        _proxy.Connect(Lab.ClientAddress, _lab.Client.Listen(Lab.ClientAddress), from: "127.0.0.6");
        _proxy.EnableKeepalive(_proxy.Connect(Lab.ServerAddress, _port), idle: 60, interval: 10, count: 6);
        Eventually.True(() => _proxy.Count().Accepted == 3 && _lab.Server.Count().Accepted == 1, TimeSpan.FromSeconds(5));
    }

    private (int ExitCode, JsonElement Line) Audit()
    {
        var result = ProgramRun.ToEnd(
            [ProgramRun.AgentPath, "audit", "--netns", _lab.Client.NetnsPath, "--state-dir", _agent.StateDirectory, "--idle", "0s", "--fail", "-o", "json"]);
        return (result.ExitCode, JsonDocument.Parse(result.Lines.Last()).RootElement);
    }
}
