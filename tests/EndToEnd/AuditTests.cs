using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent audit</c> on a node with sockets of every kind, compared with <c>ss</c> and getsockopt(2).</summary>
public sealed class AuditTests : IDisposable
{
    private const string Database = "10.77.9.5";

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public AuditTests()
    {
        Live.Require();
        _lab = new Lab();
        _lab.AddServerAddress(Database);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For(Database, "time: 60s, interval: 10s, probes: 6"));
    }

    [Fact]
    public void Audit_SocketsOfEveryKind_AgreesWithSsAndGetsockopt()
    {
        var none = _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        int own = _lab.Client.Connect(Lab.ServerAddress, _port);
        int late = _lab.Client.Connect(Lab.ServerAddress6, _port);
        int managed = _lab.Client.Connect(Database, _port);
        int local = _lab.Client.Connect("127.0.0.1", _lab.Client.Listen("127.0.0.1"));
        _lab.Client.EnableKeepalive(own, idle: 60, interval: 10, count: 6);
        _lab.Client.EnableKeepalive(late, idle: 340, interval: 10, count: 6);
        Assert.Contains("1 set", _agent.Once().Output, StringComparison.Ordinal);

        var result = Audit("--idle", "0s", "-o", "json");

        Assert.Equal(0, result.ExitCode);
        var lines = result.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        AssertGroup(lines, none.First, 3, "noKeepalive", atRisk: 3);
        AssertGroup(lines, own, 1, "kept", atRisk: 0);
        // 340 s is less than 350, but the kernel's timer may fire some seconds late.
        AssertGroup(lines, late, 1, "tooLate", atRisk: 1);
        AssertGroup(lines, managed, 1, "kept", atRisk: 0);
        var summary = lines[^1];
        Assert.Equal("summary", summary.GetProperty("kind").GetString());
        Assert.Equal(4, summary.GetProperty("atRisk").GetInt32());
        Assert.Equal(350, summary.GetProperty("idleTimeout").GetInt32());
        // Both ends of the loopback connection.
        Assert.Equal(2, summary.GetProperty("local").GetInt32());
        Assert.Equal(Ss.Read(_lab.Client).Count - 2, summary.GetProperty("connections").GetInt32());
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), _lab.Client.Get(local));
    }

    [Fact]
    public void Audit_OfABalancer_TakesItsTimeoutAndFailsOnDemand()
    {
        int own = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.EnableKeepalive(own, idle: 300, interval: 10, count: 6);

        Assert.Equal(0, Audit("--idle", "0s", "--fail").ExitCode);
        var azure = Audit("--idle", "0s", "--fail", "--balancer", "azure-lb");
        Assert.Equal(1, azure.ExitCode);
        Assert.Contains("1 at risk of being forgotten by azure-lb after 240s", azure.Output, StringComparison.Ordinal);
        Assert.Equal(0, Audit("--idle", "0s", "--fail", "--balancer", "azure-lb", "--idle-timeout", "400s").ExitCode);
        var proxy = Audit("--idle", "0s", "--fail", "--balancer", "aws-alb");
        Assert.Equal(1, proxy.ExitCode);
        Assert.Contains("TCP keepalive cannot help", proxy.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Audit_BalancerWithoutATimeout_RequiresOne()
    {
        var result = Audit("--balancer", "haproxy");
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("--idle-timeout", result.Error, StringComparison.Ordinal);
        Assert.Equal(0, Audit("--balancer", "haproxy", "--idle-timeout", "60s").ExitCode);
    }

    [Fact]
    public void Audit_ConnectionInUse_IsAtRiskUnlessOnlyQuietOnesCount()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        // A busy pool is as unprotected as a quiet one: only --idle excludes it.
        Assert.Equal(1, Audit("--fail").ExitCode);
        Assert.Equal(0, Audit("--fail", "--idle", "1m").ExitCode);
        Eventually.True(() => Audit("--fail", "--idle", "1s").ExitCode == 1, notAfter: TimeSpan.FromSeconds(15));
        Assert.False(_lab.Client.Get(id).On);
    }

    [Fact]
    public void Audit_WithPolicies_ReportsTheirEffectAndSetsNothing()
    {
        var ids = _lab.Client.ConnectMany(Database, _port, 2);
        _lab.Client.Connect(Lab.ServerAddress, _port);
        var result = Audit("--idle", "0s", "--policies", _agent.PolicyPath);
        Assert.Contains("bookinfo/tcp-keepalive would set 2", result.Output, StringComparison.Ordinal);
        Assert.Contains("3 at risk of being forgotten by a device on the path after 350s; the policies would set 2", result.Output, StringComparison.Ordinal);
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), _lab.Client.Get(ids.First));
    }

    [Fact]
    public void Audit_AcceptedConnections_AreOfTheirListener()
    {
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 4);
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "audit", "--netns", _lab.Server.NetnsPath, "--idle", "0s", "-o", "json"]);
        var group = Assert.Single(result.Lines.Select(line => JsonDocument.Parse(line).RootElement), line => line.TryGetProperty("direction", out _));
        Assert.Equal("accepted", group.GetProperty("direction").GetString());
        Assert.Equal($"{Lab.ServerAddress}:{_port}", group.GetProperty("local").GetString());
        Assert.Equal(4, group.GetProperty("connections").GetInt32());
        Assert.Equal(_lab.Server.Pid, Assert.Single(group.GetProperty("pids").EnumerateArray()).GetInt32());
    }

    [Fact]
    public void Audit_OtherEndProbes_IsNotAtRisk()
    {
        int own = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.EnableKeepalive(own, idle: 60, interval: 10, count: 6);
        string[] audit = [ProgramRun.AgentPath, "audit", "--netns", _lab.Server.NetnsPath, "--idle", "0s", "--fail"];
        Assert.Equal(1, ProgramRun.ToEnd(audit).ExitCode);
        var both = ProgramRun.ToEnd([.. audit, "--netns", _lab.Client.NetnsPath]);
        Assert.Equal(0, both.ExitCode);
        Assert.Contains("kept by the other end", both.Output, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
    }

    private CommandResult Audit(params string[] options) => ProgramRun.ToEnd(
        [ProgramRun.AgentPath, "audit", "--netns", _lab.Client.NetnsPath, "--state-dir", _agent.StateDirectory, .. options]);

    /// <summary>The group of a socket shows what its owner and ss report of it.</summary>
    private void AssertGroup(List<JsonElement> lines, int id, int connections, string finding, int atRisk)
    {
        var (values, seen) = (_lab.Client.Get(id), Ss.Read(_lab.Client, id));
        var group = Assert.Single(lines, line => line.TryGetProperty("remote", out var remote) && remote.GetString() == Unmapped(seen.Remote)
            && new KeepaliveValues(
                line.GetProperty("keepalive").GetBoolean(),
                line.GetProperty("time").GetInt32(),
                line.GetProperty("interval").GetInt32(),
                line.GetProperty("probes").GetInt32()) == values);
        Assert.Equal(connections, group.GetProperty("connections").GetInt32());
        Assert.Equal(finding, group.GetProperty("finding").GetString());
        Assert.Equal(atRisk, group.GetProperty("atRisk").GetInt32());
        Assert.Equal(_lab.Client.Pid, Assert.Single(group.GetProperty("pids").EnumerateArray()).GetInt32());
        Assert.Equal(values.On, seen.Timer == "keepalive");
        Assert.InRange(group.GetProperty("longestIdleMs").GetInt64(), 0, 60_000);
    }

    private static string Unmapped(System.Net.IPEndPoint end) =>
        (end.Address.IsIPv4MappedToIPv6 ? new System.Net.IPEndPoint(end.Address.MapToIPv4(), end.Port) : end).ToString();
}
