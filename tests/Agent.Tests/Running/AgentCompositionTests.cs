using System.Reflection;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Commands;
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
    /// <summary>The types that take each record of options. Commands compose them.</summary>
    private static readonly Dictionary<Type, string[]> s_owners = new()
    {
        [typeof(StartOptions)] = [nameof(StartCheck)],
        [typeof(LogOptions)] = [nameof(AgentLog)],
        [typeof(PolicyOptions)] = [nameof(PolicySource)],
        [typeof(ClusterOptions)] = [nameof(Cluster), nameof(PodDirectory)],
        [typeof(StateOptions)] = [nameof(RunDirectory)],
        [typeof(DatapathRequest)] = [nameof(ChosenDatapath)],
        [typeof(CaptureOptions)] = [nameof(CaptureChoice)],
        [typeof(PassOptions)] = [nameof(AgentLoop), nameof(SingleRun)],
        [typeof(ListenAddresses)] = [nameof(AgentServer), nameof(ServiceRun)],
    };

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

    [Theory]
    [InlineData(false, typeof(ServiceRun))]
    [InlineData(true, typeof(SingleRun))]
    public void Run_Mode_IsChosenByItsOption(bool once, Type expected)
    {
        using var provider = new ServiceCollection().AddKeepaliveAgent(Options(hasCluster: false, once)).BuildServiceProvider();

        Assert.IsType(expected, provider.GetRequiredService<IAgentRun>());
    }

    [Fact]
    public void Options_OfEachOwner_AreGivenOneByOneAndNeverTogether()
    {
        var options = Options(hasCluster: true);
        using var provider = new ServiceCollection().AddKeepaliveAgent(options).BuildServiceProvider();

        Assert.All(s_owners.Keys, record => Assert.Same(typeof(RunOptions).GetProperties().Single(one => one.PropertyType == record).GetValue(options), provider.GetService(record)));
        Assert.Null(provider.GetService<RunOptions>());
    }

    [Fact]
    public void Parts_Options_AreOnlyTheirOwn()
    {
        var users = typeof(RunOptions).Assembly.GetTypes()
            .Where(type => type.Namespace?.StartsWith("Keepalive.Agent", StringComparison.Ordinal) == true && type.Namespace != typeof(RunCommand).Namespace && !type.IsNested)
            .Except([typeof(AgentComposition), typeof(RunOptions)]).Except(s_owners.Keys)
            .SelectMany(type => Taken(type).Where(taken => taken == typeof(RunOptions) || s_owners.ContainsKey(taken)).Distinct().Select(taken => (Taken: taken, By: type)))
            .ToLookup(use => use.Taken, use => use.By.Name);

        Assert.All(s_owners, owner => Assert.Equal(owner.Value, users[owner.Key].Order(StringComparer.Ordinal)));
        Assert.Equal([nameof(AgentRun)], users[typeof(RunOptions)]);
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

    /// <summary>The types of all parameters of a type's constructors and methods.</summary>
    private static IEnumerable<Type> Taken(Type type)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        return type.GetConstructors(all).Cast<MethodBase>().Concat(type.GetMethods(all)).SelectMany(method => method.GetParameters()).Select(parameter => parameter.ParameterType);
    }

    private RunOptions Options(bool hasCluster, bool once = false)
    {
        var policy = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(policy, PolicyYaml);
        return new RunOptions
        {
            Start = new StartOptions { Once = once, NeedsCluster = false, NeedsCapture = false, Namespaces = [] },
            Log = new LogOptions(Json: false, LogLevel.None),
            Policies = new PolicyOptions { Paths = [policy], Side = Side.Client, Existing = ExistingMode.Tighten },
            Cluster = hasCluster ? new ClusterOptions { Access = ApiAccess.Of(new Uri("http://127.0.0.1:9/")) } : null,
            State = new StateOptions { Directory = Path.Combine(_directory, "state"), ReadOnly = false, RecordsChanges = true },
            Datapath = new DatapathRequest(DatapathKind.Auto, Cgroup: null, Namespaces: [], Attach: true),
            Capture = new CaptureOptions(Asked: false),
            Passes = new PassOptions { Interval = TimeSpan.FromSeconds(5), DryRun = false, RestoreOnExit = false },
            Addresses = new ListenAddresses { Listen = null, ListenLocal = null, AgentChecks = [] },
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
