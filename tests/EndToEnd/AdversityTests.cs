using System.Globalization;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Hidden processes, names that cannot be resolved, moved links, reused ports: the agent continues to work.</summary>
public sealed class AdversityTests : IDisposable
{
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly TestCgroup _cgroup = new();
    private readonly AgentProcess _agent;
    private readonly int _port;

    public AdversityTests()
    {
        Live.Require("python3");
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For($"{Lab.ServerAddress}, {Tenant.Address}", PolicyText.GuideValues));
    }

    [Theory]
    [InlineData("pidfd", "undumpable")]
    [InlineData("pidfd", "mounted over")]
    [InlineData("bpf", "undumpable")]
    [InlineData("bpf", "mounted over")]
    public void Process_NotDumpable_ItsSocketsAreSet(string datapath, string how)
    {
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        using var tenant = new Tenant(Attacks.Hidden, how, Tenant.Address);
        _agent.Start("--netns", tenant.NetnsPath);

        Assert.Equal("set 1 700", tenant.Run.WaitForLine(line => line.StartsWith("set ", StringComparison.Ordinal), TimeSpan.FromSeconds(20)));
    }

    /// <summary>A name server that receives queries and never answers.</summary>
    [Fact]
    public void Names_Unresolvable_DelayNeitherOthersNorTheEnd()
    {
        const string silent = """
            import socket, time
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.53", 53))
            print("ready", flush=True)
            while True:
                s.recv(4096)
                print("asked", flush=True)
            """;
        _lab.Client.Ip("link set lo up");
        using var server = new ProgramRun(["python3", "-c", silent], _lab.Client);
        server.WaitForLine(line => line == "ready");
        var resolver = _agent.PolicyPath + ".resolv";
        File.WriteAllText(resolver, "nameserver 127.0.0.53\noptions timeout:30 attempts:5\n");
        try
        {
            _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues) + """

                ---
                apiVersion: networking.gloo.solo.io/v2
                kind: ExternalService
                metadata: { name: unresolved, namespace: bookinfo }
                spec:
                  hosts: [nobody.example.com]
                  ports: [{ number: 443, protocol: TLS }]
                """);
            int id = _lab.Client.Connect(Lab.ServerAddress, _port);
            var run = _agent.LaunchBy(
                ["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", resolver],
                ["--interval", "1s", "--listen", "none"],
                _lab.Client);

            server.WaitForLine(line => line == "asked", TimeSpan.FromSeconds(20));
            Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(15));
            int next = _lab.Client.Connect(Lab.ServerAddress, _port);
            Eventually.True(() => _lab.Client.Get(next) == s_guide, TimeSpan.FromSeconds(15));
            run.Terminate();
            Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));
        }
        finally
        {
            File.Delete(resolver);
        }
    }

    /// <summary>Another connection between the same two ends. The record of the previous one must not apply to it.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Ports_Reused_AreAnotherConnection(string datapath)
    {
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        using var tenant = new Tenant(Attacks.SamePorts, Tenant.Address);
        var run = _agent.Start("--netns", tenant.NetnsPath);

        // Each connection is set at both ends, although the application changed the previous one. The last one gets its original values
        // back.
        Assert.Equal("values 1 700, 1 700, 1 700, 1 700", tenant.Run.WaitForLine(line => line.StartsWith("values ", StringComparison.Ordinal), TimeSpan.FromSeconds(60)));
        // The log is written up to a second later.
        Eventually.Value(Set, static set => set >= 8, TimeSpan.FromSeconds(20));
        _agent.WritePolicy(PolicyText.For("198.51.100.1", PolicyText.GuideValues));
        Assert.Equal("back 0 7200", tenant.Run.WaitForLine(line => line.StartsWith("back ", StringComparison.Ordinal), TimeSpan.FromSeconds(20)));
        Assert.Equal(8, Set());

        int Set() => run.Error.Split('\n').Count(line => line.Contains("agent[20] ", StringComparison.Ordinal) && line.Contains("keepalive off → on", StringComparison.Ordinal));
    }

    /// <summary>Moves a captured link to another namespace and back.</summary>
    [Fact]
    public void Link_MovedAwayAndBack_IsCapturedAgainAndOthersAllTheTime()
    {
        using var other = new Lab();
        using var both = new AgentProcess(_lab.Client, other.Client);
        both.WritePolicy(PolicyText.For(Lab.ServerAddress, "time: 1s, interval: 1s, probes: 9"));
        _lab.Client.Connect(Lab.ServerAddress, _port);
        other.Client.Connect(Lab.ServerAddress, other.Server.Listen());
        string metrics = AgentHttp.FreeAddress();
        var run = both.Launch("--interval", "1s", "--listen", metrics);
        using var pages = new AgentHttp(metrics);
        Eventually.True(() => Replies() >= 4, TimeSpan.FromSeconds(20));

        for (int i = 0; i < 3; i++)
        {
            var third = other.Server.Pid.ToString(CultureInfo.InvariantCulture);
            _lab.Client.Run("ip", "link", "set", Lab.ClientInterface, "netns", third);
            other.Server.Run("ip", "link", "set", Lab.ClientInterface, "netns", _lab.Client.Pid.ToString(CultureInfo.InvariantCulture));
        }
        var replies = Replies();
        Eventually.True(() => Replies() >= replies + 4, TimeSpan.FromSeconds(20));
        Assert.False(run.HasExited, run.Error);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));

        double Replies()
        {
            try
            {
                return pages.Sum("keepalive_probe_replies_total");
            }
            catch (HttpRequestException)
            {
                return 0;
            }
        }
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }
}
