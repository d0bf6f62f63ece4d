using System.Diagnostics;
using System.Reflection;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Commands;
using Keepalive.Agent.Health;
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
using Microsoft.Extensions.Hosting;
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
        [typeof(ClusterOptions)] = [nameof(Cluster), nameof(ClusterMemory), nameof(PodDirectory)],
        [typeof(StateOptions)] = [nameof(KeptData), nameof(RunDirectory)],
        [typeof(DatapathRequest)] = [nameof(ChosenDatapath)],
        [typeof(CaptureOptions)] = [nameof(CaptureChoice)],
        [typeof(PassOptions)] = [nameof(AgentLoop), nameof(SingleRun)],
        [typeof(ListenAddresses)] = [nameof(AgentServer), nameof(ServiceRun)],
    };

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

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
            Assert.Equal(hasCluster ? [provider.GetRequiredService<Cluster>()] : [], provider.GetServices<IHostedService>());
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
        _datapath.Passed = _ => stop.Cancel();

        Assert.Equal(0, provider.GetRequiredService<AgentLoop>().Run(provider.GetRequiredService<PolicyLoad>(), stop.Token));

        Assert.Equal(1, _datapath.Passes);
        Assert.Equal(1, provider.GetRequiredService<PolicyFigures>().Now.InForce);
        Assert.Equal(7, provider.GetRequiredService<SocketTally>().Now.Scanned);
    }

    /// <summary>Regression: what the first pass had no time for waited for the next interval, and the agent was ready.</summary>
    [Fact]
    public void Loop_FirstPassCutShort_IsContinuedAtOnceAndReadyAfterwards()
    {
        var interval = TimeSpan.FromSeconds(1);
        var services = new ServiceCollection().AddKeepaliveAgent(
            Options(hasCluster: false) with { Passes = new PassOptions { Interval = interval, DryRun = false, RestoreOnExit = false } });
        services.Replace(ServiceDescriptor.Singleton(_ => new ChosenDatapath(_datapath)));
        using var provider = services.BuildServiceProvider();
        using var stop = new CancellationTokenSource();
        var health = provider.GetRequiredService<AgentHealth>();
        List<(bool Full, bool Continues, bool Ready)> passes = [];
        _datapath.CutShort = 3;
        _datapath.Passed = scope =>
        {
            passes.Add((scope.Full, scope.Continues, health.Report().Ready));
            if (passes.Count == 5)
            {
                stop.Cancel();
            }
        };
        var clock = Stopwatch.StartNew();

        provider.GetRequiredService<AgentLoop>().Run(provider.GetRequiredService<PolicyLoad>(), stop.Token);

        Assert.Equal([(true, false, false), (false, true, false), (false, true, false), (false, true, false), (false, false, true)], passes);
        Assert.InRange(clock.Elapsed, interval, 10 * interval);   // only the fifth pass waited
    }

    /// <summary>The host stops waiting for its listeners after a while. It must not stop the capture for that reason while sockets are
    /// restored.</summary>
    [Fact]
    public async Task Stop_RestoreTakesLongerThanTheListeners_EndsTheCaptureAfterTheLastPass()
    {
        var services = new ServiceCollection().AddKeepaliveAgent(Options(hasCluster: false, restore: true));
        services.Replace(ServiceDescriptor.Singleton(_ => new ChosenDatapath(_datapath))).Replace(ServiceDescriptor.Singleton(_ => new CaptureChoice(isWanted: true, whyNot: null)));
        await using var provider = services.BuildServiceProvider();
        var (watch, policy) = (provider.GetRequiredService<LivenessWatch>(), provider.GetRequiredService<PolicyLoad>().Snapshot!);
        using var passed = new ManualResetEventSlim();
        using var listeners = new SlowListeners();
        var capturesWhileRestoring = false;
        _datapath.Passed = scope =>
        {
            if (scope.Last)
            {
                Assert.True(listeners.Aborted.Wait(s_patience));
                capturesWhileRestoring = !SpinWait.SpinUntil(() => watch.Follow(policy) is null, TimeSpan.FromMilliseconds(300));
            }
            else if (!scope.DryRun)
            {
                passed.Set();
            }
        };
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddHostedParts(provider)
            .AddSingleton<IHostedService>(listeners)
            .AddSingleton<IHostLifetime, AgentRun.RunLifetime>()
            .Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMilliseconds(100));
        using var host = builder.Build();
        Assert.Null(watch.Follow(policy));

        await host.StartAsync(TestContext.Current.CancellationToken);
        Assert.True(passed.Wait(s_patience, TestContext.Current.CancellationToken));
        await host.StopAsync(TestContext.Current.CancellationToken);

        Assert.True(capturesWhileRestoring);
        Assert.Null(watch.Follow(policy));
        Assert.Equal(0, host.Services.GetRequiredService<AgentService>().NotGivenBack);
        Assert.False(_datapath.IsDisposed);
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

    private RunOptions Options(bool hasCluster, bool once = false, bool restore = false)
    {
        var policy = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(policy, PolicyYaml);
        return new RunOptions
        {
            Start = new StartOptions { Once = once, NeedsCluster = false, NeedsCapture = false, Namespaces = [] },
            Log = new LogOptions(Json: false, LogLevel.None),
            Policies = new PolicyOptions { Paths = [policy], Side = Side.Client, Existing = ExistingMode.Tighten },
            Cluster = hasCluster ? new ClusterOptions { Access = ApiAccess.Of(new Uri("http://127.0.0.1:9/")) } : null,
            State = new StateOptions { DataDirectory = null, Directory = Path.Combine(_directory, "state"), ReadOnly = false, RecordsChanges = true },
            Datapath = new DatapathRequest(DatapathKind.Auto, Cgroup: null, Namespaces: [], Attach: true),
            Capture = new CaptureOptions(Asked: false),
            Passes = new PassOptions { Interval = TimeSpan.FromSeconds(5), DryRun = false, RestoreOnExit = restore },
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

    /// <summary>Listeners with a connection that does not end by itself.</summary>
    private sealed class SlowListeners : IHostedService, IDisposable
    {
        public ManualResetEventSlim Aborted { get; } = new();

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public async Task StopAsync(CancellationToken cancellationToken)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Aborted.Set();
        }

        public void Dispose() => Aborted.Dispose();
    }

    private sealed class RecordingDatapath : IDatapath
    {
        public int Passes { get; private set; }

        /// <summary>The number of passes that have not enough time.</summary>
        public int CutShort { get; set; }

        public bool IsDisposed { get; private set; }

        public Action<PassScope> Passed { get; set; } = _ => { };

        public string Name => "recording";

        public ApplyCounts Counts { get; } = new();

        public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
        {
            Passes++;
            Assert.Equal(scope.Last, policy.Policy.Rules.IsEmpty);
            Passed(scope);
            return new PassSummary { Sockets = 7, IsCutShort = Passes <= CutShort };
        }

        public void Dispose() => IsDisposed = true;
    }
}
