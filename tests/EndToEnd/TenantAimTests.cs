using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A tenant that sends the agent false lists of sockets in the kernel's place: the agent sets and reports none of these.</summary>
public sealed class TenantAimTests : IDisposable
{
    private const string Selected = "203.0.113.77";

    private readonly TestCgroup _cgroup = new();
    private readonly AgentProcess _agent = new();

    /// <summary>Regression: the agent accepted the answers as the kernel's. One made it set a socket that no policy selects. The other made
    /// it log a connection that did not exist.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void SockDiagAnswers_FromATenant_AreIgnored(string datapath)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For(Selected, PolicyText.GuideValues));
        using var tenant = new Tenant(Attacks.Forger, Selected);
        var run = _agent.Start("--netns", tenant.NetnsPath, "--log-level", "debug");
        AgentProcess.WaitForEvent(run, 30, times: 2);

        string sent = tenant.Run.WaitForLine(line => line.StartsWith("sent ", StringComparison.Ordinal), TimeSpan.FromSeconds(30));

        // The attack found a socket to send to: without one nothing would be tested.
        Assert.DoesNotContain("to 0 sockets", sent, StringComparison.Ordinal);
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        Assert.DoesNotContain(Selected, pages.Get("/sockets").Body, StringComparison.Ordinal);
        Assert.DoesNotContain(Selected, run.Error, StringComparison.Ordinal);
        Assert.Equal("value 0", tenant.Run.WaitForLine(line => line.StartsWith("value ", StringComparison.Ordinal)));
    }

    /// <summary>Regression: it counted as a connection to the first destination until it was closed.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Socket_DisconnectedAndConnectedToAnother_IsJudgedAgain(string datapath)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For("127.0.0.1", PolicyText.GuideValues));
        using var tenant = new Tenant(Attacks.Turncoat);
        var run = _agent.Start("--netns", tenant.NetnsPath);
        tenant.Run.WaitForLine(line => line == "to 127.0.0.1: 1 700", TimeSpan.FromSeconds(20));
        tenant.Run.WaitForLine(line => line == "to 127.0.0.2: 0 7200", TimeSpan.FromSeconds(20));
        tenant.Run.WaitForLine(line => line == "to 127.0.0.1 again: 1 700", TimeSpan.FromSeconds(20));
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        Eventually.True(() => pages.Get("/sockets").Body.Contains("127.0.0.1:", StringComparison.Ordinal), TimeSpan.FromSeconds(5));
        Assert.False(run.HasExited, run.Error);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _cgroup.Dispose();
    }
}
