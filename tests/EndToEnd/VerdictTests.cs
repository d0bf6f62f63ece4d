using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The verdict about a destination while tenants lie about it, connections are lost one by one, or firewalls drop
/// replies.</summary>
public sealed class VerdictTests : IDisposable
{
    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly TestCgroup _cgroup = new();
    private readonly List<IDisposable> _started = [];
    private readonly int _port;
    private readonly IPEndPoint _check = IPEndPoint.Parse(AgentHttp.FreeAddress());
    private readonly string _address = AgentHttp.FreeAddress();
    private readonly AgentHttp _http;

    public VerdictTests()
    {
        Live.Require("python3", "nft");
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _http = new AgentHttp(_address);
    }

    /// <summary>Regression: one process kept the destination out in 72 % of the answers, while twenty connections of another process were
    /// alive.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Destination_UnprivilegedProcessMakesItsConnectionsDie_StaysIn(string datapath)
    {
        Start(datapath, "time: 8s, interval: 1s, probes: 3");
        var honest = Workload(1001);
        honest.ConnectMany(Lab.ServerAddress, _port, 20);
        using var forger = Tenant.Beside(_lab.Client.NetnsPath, Attacks.DyingConnections, Lab.ServerAddress, _port.ToString(CultureInfo.InvariantCulture));
        Eventually.True(() => Sum("keepalive_connections_dead_total", "cause=\"probes\"") >= 1, TimeSpan.FromSeconds(30));

        var answers = Ask(TimeSpan.FromSeconds(9));
        Assert.True(Sum("keepalive_connections_dead_total", "cause=\"probes\"") >= 3, Error);
        Assert.Equal(0, answers.Count(answer => answer.StartsWith("down", StringComparison.Ordinal)));
        Assert.InRange(answers.Count, 20, 45);
        // The forger has one vote of its own. The votes of the others are unchanged.
        Assert.Contains(VotesOf(Endpoint), vote => vote.Workload == "uid:65534");
        Assert.Contains(VotesOf(Endpoint), vote => vote is { Workload: "uid:1001", Vote: "in", Connections: 20 });
        Assert.Equal("up", Check($"{Endpoint}@uid:1001"));
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        Assert.Equal($"{Endpoint} is in the pool for uid:1001\n", pages.Get($"/destinations/{Endpoint}?from=uid:1001").Body);
        Assert.Equal($"uid:7?x has no connection to {Endpoint} that counts for a vote\n", pages.Get($"/destinations/{Endpoint}?from=uid:7%0ax").Body);
        // Regression: a name that a template left empty was answered by the votes of all.
        Assert.StartsWith("from= names one workload", pages.Get($"/destinations/{Endpoint}?from=").Body, StringComparison.Ordinal);
        Assert.StartsWith("#ask with", Check($"{Endpoint}@"), StringComparison.Ordinal);
    }

    /// <summary>Regression: a dead destination never left the pool.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Destination_TenantHasItsAddressOnItsOwnLoopback_IsOut(string datapath)
    {
        using var liar = new Tenant(Attacks.OwnServer, Lab.ServerAddress, _port.ToString(CultureInfo.InvariantCulture));
        Start(datapath, "time: 2s, interval: 1s, probes: 2", "--netns", liar.NetnsPath);
        var honest = Workload(1001);
        honest.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => VotesOf(Endpoint).Any(vote => vote.Workload == "uid:1001"), TimeSpan.FromSeconds(20));
        Eventually.True(() => ConnectionsOf(Endpoint) >= 2, TimeSpan.FromSeconds(20));

        _lab.BlackHole();
        Eventually.True(() => Check(Endpoint).StartsWith("down", StringComparison.Ordinal), TimeSpan.FromSeconds(20));
        var answers = Ask(TimeSpan.FromSeconds(5));
        Assert.Equal(0, answers.Count(answer => answer == "up"));
        Assert.DoesNotContain(VotesOf(Endpoint), vote => vote.Workload == "uid:65534");
    }

    /// <summary>Regression: all 50 connections ended, and none was reported as dead. The capture sees replies that do not reach the
    /// socket.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Connections_RepliesDroppedBehindTheCapture_AreDeadAsTheKernelSays(string datapath)
    {
        Start(datapath, "time: 2s, interval: 1s, probes: 2");
        var honest = Workload(1001);
        var (first, last) = honest.ConnectMany(Lab.ServerAddress, _port, 50);
        Eventually.True(() => Sum("keepalive_sockets", "state=\"managed\"") == 50, TimeSpan.FromSeconds(20));
        _lab.Client.Shell($"nft add table inet cut && nft 'add chain inet cut in {{ type filter hook input priority 0; }}' && nft add rule inet cut in tcp sport {_port} drop");

        for (var id = first; id <= last; id++)
        {
            var one = id;
            Eventually.True(() => honest.PendingError(one).Over, TimeSpan.FromSeconds(20));
        }
        honest.CloseAll();
        Eventually.True(() => Sum("keepalive_connections_dead_total", "cause=\"probes\"") == 50, TimeSpan.FromSeconds(5));
        Assert.Equal(50, Sum("keepalive_capture_contradictions_total"));
        AgentProcess.WaitForEvent(Run, 48);
        Eventually.True(() => Check(Endpoint).StartsWith("down", StringComparison.Ordinal), TimeSpan.FromSeconds(5));
    }

    /// <summary>Regression: no dead connection was reported.</summary>
    [Theory]
    [InlineData("pidfd", "on")]
    [InlineData("bpf", "on")]
    [InlineData("pidfd", "off")]
    public void Connection_HalfClosedByItsApplication_DiesReported(string datapath, string capture)
    {
        _lab.Server.AcceptByHand();
        Start(datapath, "time: 2s, interval: 1s, probes: 2", "--capture", capture);
        var honest = Workload(1001);
        int id = honest.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => honest.Get(id).On, TimeSpan.FromSeconds(20));
        honest.HalfClose(id);
        Eventually.True(() => Ss.Read(_lab.Client).Any(socket => socket.State == "FIN-WAIT-2"), TimeSpan.FromSeconds(5));

        _lab.BlackHole();
        Eventually.True(() => honest.PendingError(id).Errno != 0, TimeSpan.FromSeconds(20));
        Eventually.True(() => Sum("keepalive_connections_dead_total", "cause=\"probes\"") == 1, TimeSpan.FromSeconds(10));
        Assert.Contains("uid:1001", AgentProcess.WaitForEvent(Run, 40), StringComparison.Ordinal);
    }

    /// <summary>Regression: the destination was out until the next probe of another connection.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Destination_BalancerForgetsOneConnectionOfFifty_StaysIn(string datapath)
    {
        Start(datapath, "time: 12s, interval: 1s, probes: 2");
        var honest = Workload(1001);
        int lost = honest.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => honest.Get(lost).On, TimeSpan.FromSeconds(20));
        // The other connections are some seconds younger. Their own probes come after the end of this one.
        var begun = Stopwatch.StartNew();
        Eventually.True(() => begun.Elapsed > TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10));
        honest.ConnectMany(Lab.ServerAddress, _port, 49);
        var source = honest.LocalEndPoint(lost).Port;
        _lab.Server.Shell($"nft add table inet cut && nft 'add chain inet cut in {{ type filter hook input priority -500; }}' && nft add rule inet cut in tcp sport {source} drop");

        var probes = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
        var answers = new List<string>();
        Eventually.True(() =>
        {
            answers.Add(Check(Endpoint));
            return honest.PendingError(lost).Errno != 0;
        }, TimeSpan.FromSeconds(40));
        answers.AddRange(Ask(TimeSpan.FromSeconds(3)));
        Assert.DoesNotContain(answers, answer => answer != "up");
        Assert.Equal(1, Sum("keepalive_connections_dead_total", "cause=\"probes\""));
        Assert.True(honest.Count().Own >= 49);
        Assert.True(Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) > probes);
    }

    /// <summary>The forged answers are one vote: a tie with one honest workload, a minority with two.</summary>
    [Theory]
    [InlineData("pidfd", 1)]
    [InlineData("bpf", 2)]
    public void DeadDestination_WorkloadForgesAnswers_IsOutIfTwoOthersSayIt(string datapath, int others)
    {
        Start(datapath, "time: 3s, interval: 1s, probes: 2");
        var honest = Enumerable.Range(1001, others).Select(Workload).ToList();
        honest.ForEach(workload => workload.Connect(Lab.ServerAddress, _port));
        using var forger = Tenant.BesideWithRawSockets(_lab.Client.NetnsPath, Attacks.ForgedAnswers, Lab.ServerAddress, _port.ToString(CultureInfo.InvariantCulture));
        Eventually.True(() => VotesOf(Endpoint).Count == others + 1, TimeSpan.FromSeconds(20));

        _lab.BlackHole();
        Eventually.True(() => Sum("keepalive_connections_dead_total", "cause=\"probes\"") == others, TimeSpan.FromSeconds(20));
        Eventually.True(() => VotesOf(Endpoint).Count(vote => vote.Vote == "out") == others, TimeSpan.FromSeconds(5));
        var answers = Ask(TimeSpan.FromSeconds(4));

        var last = answers[(answers.Count / 2)..];   // an answer to a question takes a probe interval
        Assert.Equal(others == 1 ? [] : last, last.Where(answer => answer != "up"));
        Assert.Equal(others, Sum("keepalive_connections_dead_total", "cause=\"probes\""));
        Assert.Contains(VotesOf(Endpoint), vote => vote is { Workload: "uid:65534", Vote: "in" });
        Assert.StartsWith("down", Check($"{Endpoint}@uid:1001"), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _http.Dispose();
        _started.ForEach(one => one.Dispose());
        _agent.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }

    private string Endpoint => $"{Lab.ServerAddress}:{_port}";

    private ProgramRun Run { get; set; } = null!;

    private string Error => Run.Error;

    private void Start(string datapath, string values, params string[] more)
    {
        if (datapath == "bpf")
        {
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, values));
        Run = _agent.Launch(["--interval", "500ms", "--listen", _address, "--agent-check", $"{_check}", .. more]);
        AgentProcess.WaitForEvent(Run, AgentEvents.Ready);
    }

    /// <summary>Another workload in the client's network namespace.</summary>
    private Holder Workload(int user)
    {
        var holder = _lab.Client.StartBesideAs(user);
        _started.Add(holder);
        return holder;
    }

    /// <summary>Returns the agent-check's answers during some time, four a second.</summary>
    private List<string> Ask(TimeSpan during)
    {
        var answers = new List<string>();
        var begun = Stopwatch.StartNew();
        for (var next = TimeSpan.Zero; begun.Elapsed < during; next += TimeSpan.FromMilliseconds(250))
        {
            Eventually.True(() => begun.Elapsed >= next, during + TimeSpan.FromSeconds(5));
            answers.Add(Check(Endpoint));
        }
        return answers;
    }

    private string Check(string question)
    {
        using var client = new TcpClient("127.0.0.1", _check.Port);
        using var stream = client.GetStream();
        stream.Write(System.Text.Encoding.ASCII.GetBytes(question + "\n"));
        using var reader = new StreamReader(stream);
        return reader.ReadLine() ?? "";
    }

    /// <summary>Returns what /destinations says about an endpoint; null while it does not know it.</summary>
    private JsonElement? Destination(string endpoint)
    {
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        using var all = JsonDocument.Parse(pages.Get("/destinations").Body);
        foreach (var one in all.RootElement.EnumerateArray())
        {
            if (one.GetProperty("endpoint").GetString() == endpoint)
            {
                return one.Clone();
            }
        }
        return null;
    }

    private int ConnectionsOf(string endpoint) => Destination(endpoint)?.GetProperty("connections").GetInt32() ?? 0;

    private List<(string Workload, string Vote, int Connections)> VotesOf(string endpoint) => Destination(endpoint) is { } found
        ? [.. found.GetProperty("votes").EnumerateArray().Select(vote => (
            vote.GetProperty("workload").GetString()!, vote.GetProperty("vote").GetString()!, vote.GetProperty("connections").GetInt32()))]
        : [];

    private double Sum(string metric, string label = "") => _http.Sum(metric, label);
}
