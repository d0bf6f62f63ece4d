using Keepalive.Agent.Audit;
using Keepalive.Agent.Health;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Support;
using Keepalive.Linux;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Registers the parts of the agent. Each part is created on its first use, and the container disposes of the parts in reverse
/// order.</summary>
internal static class AgentComposition
{
    /// <summary>Adds everything that <c>run</c> needs, for a single run and for the service.</summary>
    public static IServiceCollection AddKeepaliveAgent(this IServiceCollection services, RunOptions options) => services
        .AddSingleton(options.Start)
        .AddSingleton(options.Log)
        .AddSingleton(options.Policies)
        .AddSingleton(options.State)
        .AddSingleton(options.Datapath)
        .AddSingleton(options.Capture)
        .AddSingleton(options.Passes)
        .AddSingleton(options.Addresses)
        .AddSingleton(TimeProvider.System)
        .AddSingleton(Signals.Own)
        .AddSingleton(_ => DescriptorShares.Measure())
        .AddSingleton(_ => KeptData.Of(options.State))
        .AddLog()
        .AddCluster(options.Cluster)
        .AddPolicies()
        .AddDatapath()
        .AddLiveness()
        .AddMetrics()
        .AddHealth()
        .AddPages()
        .AddPasses()
        .AddRun(options.Start.Once);

    /// <summary>Adds the services of the service's own host, in the order of their start: the capture, then the passes. The host stops them
    /// in the reverse order, one after the other, so the capture ends after the last pass.</summary>
    /// <param name="host">The services of the host.</param>
    /// <param name="parts">The parts of the agent, which live longer than the host.</param>
    public static IServiceCollection AddHostedParts(this IServiceCollection host, IServiceProvider parts) => host
        .AddSingleton<IHostedService>(parts.GetRequiredService<LivenessWatch>())
        .AddSingleton(own => ActivatorUtilities.CreateInstance<AgentService>(parts, own.GetRequiredService<IHostApplicationLifetime>()))
        .AddHostedService(own => own.GetRequiredService<AgentService>());

    private static IServiceCollection AddLog(this IServiceCollection services) => services
        .AddSingleton(provider => AgentLog.Create(provider.GetRequiredService<LogOptions>()))
        .AddSingleton<ILogger>(provider => provider.GetRequiredService<ILoggerFactory>().CreateLogger("agent"))
        .AddSingleton(provider => new ProblemOutput(provider.GetRequiredService<StartOptions>().Once
            ? Console.Error
            : AgentLog.Problems(provider.GetRequiredService<LogOptions>(), provider.GetRequiredService<ILogger>())));

    /// <summary>Adds the cluster, if the cluster's API is used.</summary>
    private static IServiceCollection AddCluster(this IServiceCollection services, ClusterOptions? options) => options is null
        ? services
        : services
            .AddSingleton(options)
            .AddSingleton(provider => new Cluster(
                provider.GetRequiredService<ClusterOptions>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILoggerFactory>().CreateLogger("kubernetes"),
                provider.GetRequiredService<KeptData>().Directory))
            .AddHostedService(provider => provider.GetRequiredService<Cluster>())
            .AddSingleton<IMetricsCollector>(provider => new KubernetesCollector(
                provider.GetRequiredService<MetricRegistry>(), provider.GetRequiredService<Cluster>().Ages));

    private static IServiceCollection AddPolicies(this IServiceCollection services) => services
        .AddSingleton(provider => new HostResolver(
            disk: !provider.GetRequiredService<StartOptions>().Once && provider.GetRequiredService<KeptData>().Directory is { } directory ? new KeptHosts(directory) : null))
        .AddSingleton(provider => new PolicySource(
            provider.GetRequiredService<PolicyOptions>(),
            provider.GetRequiredService<HostResolver>(),
            provider.GetService<Cluster>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<StartOptions>().Once
                ? null
                : new LastGoodFiles(provider.GetRequiredService<KeptData>().Directory, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger>())))
        .AddSingleton(provider => provider.GetRequiredService<PolicySource>().Load(provider.GetRequiredService<Signals>().Stop))
        .AddSingleton<PolicyFigures>();

    private static IServiceCollection AddDatapath(this IServiceCollection services) => services
        .AddSingleton(provider => RunDirectory.Of(provider.GetRequiredService<StateOptions>()))
        .AddSingleton(provider => provider.GetRequiredService<RunDirectory>().CreateState())
        .AddSingleton(provider =>
        {
            var directory = provider.GetRequiredService<RunDirectory>();
            return ChosenDatapath.Create(
                provider.GetRequiredService<DatapathRequest>(),
                provider.GetRequiredService<DescriptorShares>().Namespaces,
                provider.GetRequiredService<PolicyLoad>().Snapshot!,
                directory.Inherited,
                directory.IsOwner && provider.GetRequiredService<StateOptions>().RecordsChanges ? provider.GetRequiredService<StateFile>() : null,
                exempts: provider.Pods() is { } pods ? pods.Exempts : null,
                hostExempts: provider.Pods()?.OnHost);
        });

    private static IServiceCollection AddLiveness(this IServiceCollection services) => services
        .AddSingleton(provider => CaptureChoice.Make(provider.GetRequiredService<CaptureOptions>(), provider.GetRequiredService<ILogger>()))
        .AddSingleton(provider => new Backends(Backends.NodeNamespace, provider.GetRequiredService<TimeProvider>()))
        .AddSingleton(provider => new LivenessWatch(
            provider.GetRequiredService<CaptureChoice>().Captures,
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger>(),
            provider.GetRequiredService<DescriptorShares>().Captures,
            provider.GetRequiredService<DescriptorShares>().Destroyed,
            provider.Pods(),
            provider.GetRequiredService<Backends>()))
        .AddSingleton(provider => provider.GetRequiredService<LivenessWatch>().Monitor);

    private static IServiceCollection AddMetrics(this IServiceCollection services) => services
        .AddSingleton(provider => new SocketTally
        {
            Pods = provider.Pods(),
            IdleTimeout = new AuditYardstick(null, null, TimeSpan.Zero, Machine.Recognize()).IdleTimeout,
        })
        .AddSingleton(provider => new MetricRegistry(
            BuildInformation.Version, provider.GetRequiredService<ChosenDatapath>().Datapath.Name, KernelRelease.Text, provider.GetRequiredService<ILogger>()))
        .AddSingleton(provider => new SocketCollector(
            provider.GetRequiredService<MetricRegistry>(), provider.GetRequiredService<SocketTally>(), provider.GetRequiredService<ChosenDatapath>().Datapath.Name))
        .AddSingleton<IMetricsCollector>(provider => provider.GetRequiredService<SocketCollector>())
        .AddSingleton<IMetricsCollector, LivenessCollector>()
        .AddSingleton<IMetricsCollector>(provider => new CaptureCollector(
            provider.GetRequiredService<MetricRegistry>(), provider.GetRequiredService<LivenessWatch>(), provider.GetRequiredService<CaptureChoice>().WhyNot))
        .AddSingleton<IMetricsCollector, PolicyCollector>()
        .AddSingleton<IMetricsCollector, ProcessCollector>()
        .AddSingleton(provider =>
        {
            var registry = provider.GetRequiredService<MetricRegistry>();
            foreach (var collector in provider.GetServices<IMetricsCollector>().Where(one => one is not CaptureCollector || provider.GetRequiredService<CaptureChoice>().IsWanted))
            {
                registry.Add(collector);
            }
            return new MetricsPage(registry, provider.GetRequiredService<TimeProvider>());
        });

    private static IServiceCollection AddHealth(this IServiceCollection services) => services
        .AddSingleton(provider =>
        {
            var cluster = provider.GetService<Cluster>();
            return new AgentHealth(provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<PassOptions>().Interval)
            {
                Cluster = cluster is null ? null : cluster.Troubles,
                RefusedObjects = cluster is null ? null : cluster.Refused,
            };
        })
        .AddSingleton<ISystemdNotifier, SystemdNotifier>()
        .AddSingleton(provider => new ServiceManager(
            provider.GetRequiredService<ISystemdNotifier>(), Environment.GetEnvironmentVariable, provider.GetRequiredService<ILogger>()));

    private static IServiceCollection AddPages(this IServiceCollection services) => services
        .AddSingleton<AgentCheck>()
        .AddSingleton(provider => new AgentPages(
            provider.GetRequiredService<MetricsPage>(), provider.GetRequiredService<AgentHealth>(), provider.GetRequiredService<LivenessMonitor>(), provider.Pods(),
            provider.GetRequiredService<ExplainPage>(), provider.GetRequiredService<OverviewPage>()))
        .AddSingleton<UnmanagedTally>()
        .AddSingleton(provider => new OverviewPage(
            new AgentFacts(
                provider.GetRequiredService<ChosenDatapath>().Datapath.Name,
                provider.GetRequiredService<CaptureChoice>().Captures,
                provider.GetRequiredService<PassOptions>().Interval),
            provider.GetRequiredService<LivenessMonitor>(),
            provider.GetRequiredService<UnmanagedTally>(),
            provider.GetRequiredService<PolicyFigures>(),
            provider.GetRequiredService<AgentHealth>(),
            provider.Pods(),
            provider.GetRequiredService<TimeProvider>()))
        .AddSingleton(provider => new ExplainPage(
            provider.GetRequiredService<PolicySource>(), provider.GetRequiredService<LivenessMonitor>(), provider.Pods()));

    private static IServiceCollection AddPasses(this IServiceCollection services) => services
        .AddSingleton(provider => new ChangeLog(provider.GetRequiredService<ILogger>()) { Pods = provider.Pods() })
        .AddSingleton<AgentLoop>();

    private static IServiceCollection AddRun(this IServiceCollection services, bool once)
    {
        services.AddSingleton<StartCheck>();
        return once ? services.AddSingleton<IAgentRun, SingleRun>() : services.AddSingleton<IAgentRun, ServiceRun>();
    }

    /// <summary>Returns the node's pods; null if they are unknown.</summary>
    private static PodDirectory? Pods(this IServiceProvider provider) => provider.GetService<Cluster>()?.Pods;
}
