using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Running;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Keepalive.Agent.Tests.Running;

/// <summary>The parts of <c>run</c> can be put together, and that alone changes nothing on the node.</summary>
public sealed class AgentCompositionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("composition").FullName;
    private readonly RecordingDatapath _datapath = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Agent_AllParts_AreMadeWithoutChangingTheNode(bool hasCluster)
    {
        var services = new ServiceCollection().AddKeepaliveAgent(Options(hasCluster));
        services.Replace(ServiceDescriptor.Singleton(_ => new ChosenDatapath(_datapath)));
        using (var provider = services.BuildServiceProvider(new ServiceProviderOptions { ValidateOnBuild = true, ValidateScopes = true }))
        {
            Assert.All(Made(services), service => Assert.NotEmpty(provider.GetServices(service)));
            Assert.Equal(hasCluster, provider.GetService<Cluster>() is not null);
            Assert.Equal(hasCluster ? 6 : 5, provider.GetServices<IMetricsCollector>().Count());
            Assert.Same(provider.GetRequiredService<LivenessMonitor>(), provider.GetRequiredService<LivenessWatch>().Monitor);
            Assert.NotNull(provider.GetRequiredService<AgentPages>());
            Assert.Equal(0, _datapath.Passes);
            Assert.False(_datapath.IsDisposed);
        }
        Assert.True(_datapath.IsDisposed);
        Assert.Equal(["policy.yaml"], Directory.GetFileSystemEntries(_directory).Select(Path.GetFileName));
    }

    [Fact]
    public void Loop_StoppedAfterItsFirstPass_HasMadeOnePass()
    {
        var services = new ServiceCollection().AddKeepaliveAgent(Options(hasCluster: false));
        services.Replace(ServiceDescriptor.Singleton(_ => new ChosenDatapath(_datapath)));
        using var provider = services.BuildServiceProvider();
        using var stop = new CancellationTokenSource();
        _datapath.Passed = stop.Cancel;

        Assert.Equal(0, provider.GetRequiredService<AgentLoop>().Run(provider.GetRequiredService<PolicyLoad>(), stop.Token));

        Assert.Equal(1, _datapath.Passes);
        Assert.Equal(1, provider.GetRequiredService<PolicyFigures>().Now.InForce);
        Assert.Equal(7, provider.GetRequiredService<SocketTally>().Now.Scanned);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>All parts except the ones that touch the node, the state directory and its file, and the one that waits for the
    /// cluster.</summary>
    private static IEnumerable<Type> Made(IServiceCollection services) =>
        services.Select(service => service.ServiceType).Distinct().Where(type => type != typeof(RunDirectory) && type != typeof(StateFile) && type != typeof(PolicyLoad));

    private RunOptions Options(bool hasCluster)
    {
        var policy = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(policy, PolicyYaml);
        return new RunOptions
        {
            Policies = [policy],
            Cluster = hasCluster ? new ClusterOptions { Access = ApiAccess.Of(new Uri("http://127.0.0.1:9/")) } : null,
            Addresses = new ListenAddresses { Listen = null, ListenLocal = null, AgentChecks = [] },
            Interval = TimeSpan.FromSeconds(5),
            Datapath = DatapathKind.Auto,
            Cgroup = null,
            Existing = ExistingMode.Tighten,
            Side = Side.Client,
            DryRun = false,
            Once = false,
            RestoreOnExit = false,
            Namespaces = [],
            StateDirectory = Path.Combine(_directory, "state"),
            Capture = false,
            JsonLog = false,
            LogLevel = LogLevel.None,
        };
    }

    private const string PolicyYaml = """
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: p
          namespace: n
        spec:
          applyToDestinations:
          - kind: EXTERNAL_SERVICE
            selector:
              name: e
          config:
            tcp:
              tcpKeepalive:
                time: 60s
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata:
          name: e
          namespace: n
        spec:
          addresses: ["192.0.2.1"]
          ports:
          - number: 443
        """;

    private sealed class RecordingDatapath : IDatapath
    {
        public int Passes { get; private set; }

        public bool IsDisposed { get; private set; }

        public Action Passed { get; set; } = () => { };

        public string Name => "recording";

        public ApplyCounts Counts { get; } = new();

        public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
        {
            Passes++;
            Assert.NotEmpty(policy.Policy.Rules);
            Passed();
            return new PassSummary { Sockets = 7 };
        }

        public void Dispose() => IsDisposed = true;
    }
}
