using Keepalive.Agent.Kubernetes;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>How the watches of the cluster start and end.</summary>
public sealed class ClusterTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly FakeApiServer _api = FakeApiServer.Start().WithGloo();
    private readonly Cluster _cluster;

    public ClusterTests() => _cluster = new Cluster(
        new ClusterOptions
        {
            Access = ApiAccess.Of(_api.Address),
            Timing = new WatchTiming { StartWithin = TimeSpan.Zero, EventsWithin = TimeSpan.Zero },
        },
        TimeProvider.System,
        NullLogger.Instance);

    [Fact]
    public async Task Stop_OpenWatches_EndsThemAndSendsNothingMore()
    {
        Assert.Empty(_api.Requests);
        await StartAsync();

        await _cluster.StopAsync(TestContext.Current.CancellationToken);

        var requests = _api.Requests.Count;
        Eventually.True(() => _api.Watches == 0, s_patience);
        _cluster.WantSlices(new HashSet<(string, string)> { ("shop", "a") });
        Assert.False(SpinWait.SpinUntil(() => _api.Requests.Count > requests, TimeSpan.FromMilliseconds(200)));
    }

    [Fact]
    public async Task Dispose_OpenWatches_EndsThem()
    {
        await StartAsync();

        _cluster.Dispose();

        Eventually.True(() => _api.Watches == 0, s_patience);
    }

    /// <summary>The mesh-wide settings are wanted with DestinationRules only, and no other ConfigMap is.</summary>
    [Fact]
    public async Task MeshConfig_ClusterWithoutGloo_IsTheOnlyConfigMapRequested()
    {
        await StartAsync();
        Assert.DoesNotContain(_api.Requests, request => request.Contains("configmaps", StringComparison.Ordinal));

        _api.WithoutGloo().WithIstio();
        foreach (var (ns, name) in (ReadOnlySpan<(string, string)>)[("istio-system", "istio"), ("istio-system", "istio-sidecar"), ("shop", "istio")])
        {
            _api.Apply($$$"""
                {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}","namespace":"{{{ns}}}"},"data":{"mesh":"tcpKeepalive:\n  time: 60s\n"}}
                """);
        }

        Eventually.True(() => _cluster.View().Resources.All.OfType<MeshConfig>().Any(), s_patience);
        var config = Assert.Single(_cluster.View().Resources.All.OfType<MeshConfig>());
        Assert.Equal(("istio-system/istio", "60s"), (config.QualifiedName, config.TcpKeepalive!.Time!.Value.Value));
        Assert.All(_api.Requests.Where(request => request.Contains("configmaps", StringComparison.Ordinal)), request =>
            Assert.Contains("/api/v1/namespaces/istio-system/configmaps?", request, StringComparison.Ordinal));
    }

    /// <summary>The policies of proxies, their routes and their Services meet in the view; without the option none of them is requested.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ProxyPolicies_OfTheServer_AreRequestedWithTheOptionOnly(bool isWanted)
    {
        using var api = FakeApiServer.Start().WithProxies();
        api.Apply("""
            {"apiVersion":"gateway.envoyproxy.io/v1alpha1","kind":"BackendTrafficPolicy","metadata":{"name":"btp","namespace":"shop"},
             "spec":{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"web"}],"tcpKeepalive":{"idleTime":"60s"}}}
            """);
        api.Apply("""
            {"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"web","namespace":"shop"},
             "spec":{"rules":[{"backendRefs":[{"name":"web","port":80}]}]}}
            """);
        api.Apply("""
            {"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"clusterIP":"10.96.0.10","ports":[{"port":80}]}}
            """);
        using var cluster = new Cluster(
            new ClusterOptions
            {
                Access = ApiAccess.Of(api.Address),
                ProxyPolicies = isWanted,
                Timing = new WatchTiming { StartWithin = TimeSpan.Zero, EventsWithin = TimeSpan.Zero },
            },
            TimeProvider.System,
            NullLogger.Instance);
        await cluster.StartAsync(TestContext.Current.CancellationToken);
        Eventually.True(() => cluster.IsComplete && cluster.View().Resources.All.OfType<Service>().Any(), s_patience);

        var rules = Keepalive.Config.Compilation.PolicyCompiler.Compile(cluster.View().Resources, new() { SelectedOnly = true }).Policy.Rules;
        Assert.Equal(isWanted ? ["BackendTrafficPolicy/shop/btp 10.96.0.10/32:80"] : [], rules.Select(rule => $"{rule.Policy} {rule.Prefix}/32:{rule.Port}"));
        Assert.Equal(isWanted, api.Requests.Any(request => request.Contains("backendtrafficpolicies", StringComparison.Ordinal)));
        Assert.DoesNotContain(api.Requests, request => request.Contains("clienttrafficpolicies", StringComparison.Ordinal));
    }

    /// <summary>The server answers for one kind. All the others wait, and are requested then.</summary>
    [Fact]
    public async Task Server_AnswersForOneKindAgain_AllAreRequestedAtOnce()
    {
        // All that are requested: a request that the clock passes by would be late.
        string[] kinds =
        [
            "services", "connectionpolicies", "virtualdestinations", "externalservices", "externalendpoints", "serviceentries", "workloadentries",
            "customresourcedefinitions",
        ];
        _api.WithIstio();
        foreach (var kind in kinds)
        {
            _api.Kind(kind).Refusal = 503;
        }
        var clock = new TestClock();
        var timing = new WatchTiming { StartWithin = TimeSpan.Zero, EventsWithin = TimeSpan.Zero, Backoff = TimeSpan.FromHours(1), MaxBackoff = TimeSpan.FromHours(1), MaxWhileUnknown = TimeSpan.FromDays(1), LookForAbsent = TimeSpan.FromDays(10) };
        using var cluster = new Cluster(new ClusterOptions { Access = ApiAccess.Of(_api.Address), Timing = timing, From = PolicyOrigin.Gloo }, clock, NullLogger.Instance);
        await cluster.StartAsync(TestContext.Current.CancellationToken);
        Eventually.True(() => kinds.All(kind => cluster.Troubles().Any(trouble => trouble.Contains($"{kind} is refused", StringComparison.Ordinal))), s_patience);
        foreach (var kind in kinds)
        {
            _api.Kind(kind).Refusal = null;
        }
        // The shortest wait ends, and no other one does.
        Eventually.True(() => clock.PassWait(ApiConnection.AnswerWithin) >= TimeSpan.FromMinutes(10), s_patience);
        Eventually.True(() => cluster.IsComplete, s_patience);
        Assert.True(clock.GetUtcNow() - new TestClock().GetUtcNow() < TimeSpan.FromHours(1.5));
    }

    /// <summary>Another server, or a proxy that does not reach the cluster's, says that it has none of the kinds.</summary>
    [Fact]
    public async Task Server_HasNoneOfTheKinds_IsNotBelieved()
    {
        string[] kinds = ["services", "connectionpolicies", "virtualdestinations", "externalservices", "externalendpoints", "customresourcedefinitions"];
        foreach (var kind in kinds)
        {
            _api.Kind(kind).Refusal = 404;
        }
        var soon = TimeSpan.FromMilliseconds(50);
        var timing = new WatchTiming { StartWithin = TimeSpan.Zero, Backoff = soon, MaxBackoff = soon, GoneAfter = TimeSpan.FromSeconds(2), LookForAbsent = TimeSpan.FromDays(10) };
        using var cluster = new Cluster(new ClusterOptions { Access = ApiAccess.Of(_api.Address), Timing = timing }, TimeProvider.System, NullLogger.Instance);
        await cluster.StartAsync(TestContext.Current.CancellationToken);
        Eventually.True(() => cluster.Troubles().Count(trouble => trouble.Contains("which every cluster has", StringComparison.Ordinal)) == 2, s_patience);
        Eventually.Remains(() => !cluster.IsComplete && cluster.IsUnheardOf, TimeSpan.FromMilliseconds(300));

        foreach (var kind in kinds)
        {
            _api.Kind(kind).Refusal = null;
        }
        Eventually.True(() => cluster.IsComplete, s_patience);
        Assert.Equal(Knowledge.Known, cluster.Definitions.Knowledge);

        // Also not when the objects are known already.
        foreach (var kind in kinds)
        {
            _api.Kind(kind).Refusal = 404;
        }
        _api.EndWatches();
        Eventually.True(() => cluster.Troubles().Count(trouble => trouble.Contains("which every cluster has", StringComparison.Ordinal)) == 2, s_patience);
        Eventually.Remains(() => cluster.IsComplete, 1.5 * timing.GoneAfter);
    }

    /// <summary>A listener whose queue is full drops what comes, as a firewall does.</summary>
    [Fact]
    public async Task Server_Unreachable_IsAnotherMessageThanOneThatDoesNotAnswer()
    {
        using var listener = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.IPv6Loopback, 0));
        listener.Listen(1);
        var address = (System.Net.IPEndPoint)listener.LocalEndPoint!;
        var full = Enumerable.Range(0, 4).Select(_ => new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp) { Blocking = false }).ToList();
        foreach (var one in full)
        {
            try
            {
                one.Connect(address);
            }
            catch (System.Net.Sockets.SocketException)
            {
                // It is under way.
            }
        }
        using var api = new ApiConnection(ApiAccess.Of(new Uri($"http://[::1]:{address.Port}/")), TimeProvider.System, new WatchTiming { ConnectWithin = TimeSpan.FromSeconds(1) });
        var failure = await Assert.ThrowsAsync<ApiException>(() => api.GetAsync("version", "application/json", TestContext.Current.CancellationToken));
        Assert.Equal($"http://[::1]:{address.Port}/ is unreachable: no connection within 1 s", failure.Message);
        full.ForEach(one => one.Dispose());
    }

    public void Dispose()
    {
        _cluster.Dispose();
        _api.Dispose();
    }

    private async Task StartAsync()
    {
        await _cluster.StartAsync(TestContext.Current.CancellationToken);
        Eventually.True(() => _cluster.IsComplete && _api.Watches > 0, s_patience);
    }
}
