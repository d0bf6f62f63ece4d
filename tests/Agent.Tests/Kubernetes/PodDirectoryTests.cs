using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>Pods with the node's network, which are found by the workload of a socket.</summary>
public sealed class PodDirectoryTests : IDisposable
{
    private const string First = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
    private const string Second = "1b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(20);

    private readonly FakeApiServer _api = FakeApiServer.Start();
    private readonly TestClock _clock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private PodDirectory? _pods;
    private ApiConnection? _connection;

    [Fact]
    public void Exempts_PodOrItsNamespaceSaysSo_IsLeftAlone()
    {
        Apply("agents", "first", First, leftAlone: false);
        Apply("agents", "second", Second, leftAlone: true);
        var pods = Start();
        Eventually.True(() => Of(pods, First, Second) == (Exemption.None, Exemption.LeftAlone), s_soon);
        Assert.True(pods.OnHost.MayExempt());
        Assert.Equal((Exemption.None, Exemption.None), (pods.OnHost.Of("unit:sshd.service").Exemption, pods.OnHost.Of("uid:0").Exemption));

        Apply("agents", "second", Second, leftAlone: false);
        Eventually.True(() => Of(pods, First, Second) == (Exemption.None, Exemption.None), s_soon);
        Assert.False(pods.OnHost.MayExempt());

        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"agents","labels":{"keepalive-agent/enforce":"false"}}}""");
        Eventually.True(() => Of(pods, First, Second) == (Exemption.LeftAlone, Exemption.LeftAlone), s_soon);
        Assert.True(pods.OnHost.MayExempt());
    }

    [Fact]
    public void Exempts_NamespacesAreNamed_OnlyTheirPodsAreSet()
    {
        Apply("agents", "first", First, leftAlone: false);
        Apply("jobs", "second", Second, leftAlone: false);
        var pods = Start("agents");
        Eventually.True(() => Of(pods, First, Second) == (Exemption.None, Exemption.LeftAlone), s_soon);
        Assert.Equal(Exemption.LeftAlone, pods.OnHost.Of("unit:sshd.service").Exemption);
        Assert.True(pods.OnHost.MayExempt());
    }

    [Fact]
    public void Exempts_PodThatTheApiDoesNotKnow_IsWaitedForAMinute()
    {
        var pods = Start();
        Eventually.True(() => pods.IsKnown, s_soon);
        Assert.Equal(Exemption.NotKnown, pods.OnHost.Of($"pod:{First}").Exemption);
        _clock.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(Exemption.None, pods.OnHost.Of($"pod:{First}").Exemption);
    }

    [Fact]
    public void Exempts_ApiHasNotAnswered_IsNotKnown()
    {
        using var connection = new ApiConnection(ApiAccess.Of(_api.Address), _clock);
        using var pods = new PodDirectory(connection, Options(), _clock, NullLogger.Instance);
        Assert.Equal(Exemption.NotKnown, pods.OnHost.Of($"pod:{First}").Exemption);
        Assert.True(pods.OnHost.MayExempt());
    }

    [Fact]
    public void Find_ByWorkload_IsThePodsNamespaceAndName()
    {
        Apply("agents", "first", First, leftAlone: false);
        var pods = Start();
        Eventually.True(() => pods.Find($"pod:{First}") == new Workload("agents", "first", null), s_soon);
        Assert.Null(pods.Find($"pod:{Second}"));
        Assert.Null(pods.Find("uid:0"));
    }

    public void Dispose()
    {
        _stop.Cancel();
        Task.WaitAll([.. _running], TimeSpan.FromSeconds(10));
        _pods?.Dispose();
        _connection?.Dispose();
        _api.Dispose();
        _stop.Dispose();
    }

    private static (Exemption, Exemption) Of(PodDirectory pods, string one, string other) => (pods.OnHost.Of($"pod:{one}").Exemption, pods.OnHost.Of($"pod:{other}").Exemption);

    private void Apply(string ns, string name, string uid, bool leftAlone) =>
        _api.Apply(ClusterText.Pod(ns, name, uid, "node-1", "192.0.2.1", "app", new string('a', 64), leftAlone, hostNetwork: true));

    private ClusterOptions Options(params string[] namespaces) => new()
    {
        Access = ApiAccess.Of(_api.Address),
        NodeName = "node-1",
        Namespaces = namespaces,
        Timing = new WatchTiming { StartWithin = TimeSpan.Zero },
    };

    private PodDirectory Start(params string[] namespaces)
    {
        _connection = new ApiConnection(ApiAccess.Of(_api.Address), _clock);
        _pods = new PodDirectory(_connection, Options(namespaces), _clock, NullLogger.Instance);
        foreach (var watch in new[] { _pods.Pods, _pods.Namespaces })
        {
            _running.Add(Task.Run(() => watch.RunAsync(_stop.Token)));
        }
        return _pods;
    }
}
