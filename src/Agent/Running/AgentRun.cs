using System.Net.Sockets;
using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Health;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Log;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Linux;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Keepalive.Agent.Running;

/// <summary>Puts <c>run</c> together: checks what it needs, then one pass, or the service until it is told to stop.</summary>
internal static partial class AgentRun
{
    /// <summary>How long connections may take to end when the service stops; what is given back to sockets is waited for.</summary>
    private static readonly TimeSpan StopWithin = TimeSpan.FromSeconds(2);

    /// <summary>How long standard error may take a line of a service that does not start.</summary>
    private static readonly TimeSpan WriteWithin = TimeSpan.FromSeconds(1);

    /// <summary>Lines that wait for the log's reader where each connection has lines of its own (--log-level debug).</summary>
    private const int DetailedQueueLength = 16 * 1024;

    public static int Execute(RunOptions options)
    {
        var signals = Signals.Own;
        using var loggers = CreateLoggers(options);
        var error = options.Once ? Console.Error : options.JsonLog ? new StartProblems(loggers.CreateLogger("agent")) : new PatientWriter(Console.Error, WriteWithin);
        using var cluster = options.Cluster is { } wanted ? new Cluster(wanted, TimeProvider.System, loggers.CreateLogger("kubernetes")) : null;
        cluster?.Start();
        var policies = new PolicySource(options.Policies, options.Side, options.Existing, new HostResolver(), cluster);
        PolicyLoad load;
        try
        {
            load = policies.Load(signals.Stop);
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Done;
        }
        // The service has a log for warnings.
        var worthSaying = options.Once || load.Snapshot is null ? Severity.Warning : Severity.Error;
        foreach (var diagnostic in load.Diagnostics.Where(d => d.Severity >= worthSaying))
        {
            error.WriteLine(diagnostic);
        }
        if (load.Snapshot is null || (options.Once && load.Errors.Any()))
        {
            return ExitCodes.InvalidInput;
        }
        if (options.Once && options.Policies.Count == 0 && cluster is { IsUnheardOf: true })
        {
            error.WriteLine($"keepalive-agent: nothing is known of the cluster: {(cluster.Troubles() is [var first, ..] ? first : "its API server does not answer")}");
            return ExitCodes.Failed;
        }
        if (options.Once && !load.Snapshot.IsComplete)
        {
            error.WriteLine("keepalive-agent: warning: not everything is known of the cluster; this run goes by what is");
        }
        if (!Privileges.Check(error))
        {
            return ExitCodes.NotPermitted;
        }
        if (options is { Capture: true, Once: false } && CapturePrivileges.Missing() is { } missing)
        {
            error.WriteLine($"keepalive-agent: {missing}");
            return ExitCodes.NotPermitted;
        }
        if (!Privileges.CheckNamespaces(options.Namespaces, error))
        {
            return ExitCodes.Usage;
        }
        try
        {
            return options.Once ? Once(options, load.Snapshot, cluster, error) : Serve(options, policies, load, signals, loggers, cluster, error).GetAwaiter().GetResult();
        }
        catch (DatapathException e)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{e.Message}. 'keepalive-agent support' tells more.");
            return ExitCodes.NotPermitted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            error.WriteLine($"keepalive-agent: {e.Message}");
            return ExitCodes.Failed;
        }
    }

    private static int Once(RunOptions options, PolicySnapshot policy, Cluster? cluster, TextWriter error)
    {
        using var directory = options.DryRun ? RunDirectory.Read(options.StateDirectory) : RunDirectory.Open(options.StateDirectory);
        if (!options.DryRun && !directory.IsOwner)
        {
            error.WriteLine(
                $"keepalive-agent: warning: an agent is running (pid {RunDirectory.Holder(options.StateDirectory)}); it will take what this run "
                + "sets for the applications' own values");
        }
        directory.Warnings.ForEach(warning => error.WriteLine($"keepalive-agent: warning: {warning}"));
        using var state = directory.IsOwner ? directory.CreateState() : null;
        using var chosen = ChosenDatapath.Create(
            options.RequestDatapath(DescriptorShares.Measure()), policy, directory.Inherited, state, attach: false, exempts: Exemption(cluster));
        if (chosen.WhyNotBpf is { } why)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{why}; using pidfd");
        }
        // Once and then giving everything back: what is left of that is the giving back of what earlier runs have set.
        var restore = options.RestoreOnExit;
        var report = new OnceReport(Console.Out, whenRestored: restore ? "asked for with --restore-on-exit" : null, cluster?.Pods);
        var summary = chosen.Datapath.Pass(
            restore ? PolicySnapshot.Empty : policy, new PassScope { Full = true, Owners = true, DryRun = options.DryRun, Only = true, Last = restore }, report);
        report.Summary(summary);
        foreach (var trouble in summary.Gaps)
        {
            error.WriteLine($"keepalive-agent: warning: {trouble}");
        }
        if (summary.NotReached > 0)
        {
            error.WriteLine($"keepalive-agent: {Words.Count(summary.NotReached, "socket")} in them could not be given back; the state file knows them");
        }
        // What a damaged state file does not tell of is not given back either.
        var isWhole = report.Failed == 0 && summary is { NamespaceFailures: 0, NotReached: 0 } && (!restore || directory.Warnings.Count == 0);
        return isWhole ? ExitCodes.Done : ExitCodes.Failed;
    }

    private static async Task<int> Serve(
        RunOptions options, PolicySource policies, PolicyLoad load, Signals signals, ILoggerFactory loggers, Cluster? cluster, TextWriter error)
    {
        using var directory = RunDirectory.Open(options.StateDirectory);
        if (!directory.IsOwner)
        {
            error.WriteLine(
                $"keepalive-agent: another agent is running with this state directory (pid {RunDirectory.Holder(options.StateDirectory)}, lock "
                + $"{options.StateDirectory}/lock). Stop it first.");
            return ExitCodes.Failed;
        }
        var logger = loggers.CreateLogger("agent");
        foreach (var warning in directory.Warnings)
        {
            LogState(logger, warning);
        }
        using var state = options.DryRun ? null : directory.CreateState();
        var descriptors = DescriptorShares.Measure();
        using var chosen = ChosenDatapath.Create(
            options.RequestDatapath(descriptors), load.Snapshot!, directory.Inherited, state, attach: !options.DryRun, exempts: Exemption(cluster));
        var datapath = chosen.Datapath;
        if (chosen.WhyNotBpf is { } why)
        {
            LogFallback(logger, why);
        }
        var time = TimeProvider.System;
        var health = new AgentHealth(time, options.Interval)
        {
            Cluster = cluster is null ? null : cluster.Troubles,
            RefusedObjects = cluster is null ? null : cluster.Refused,
        };
        var systemd = new ServiceManager(new SystemdNotifier(), Environment.GetEnvironmentVariable, logger);
        var (captures, whyNoCapture) = Captures(options, logger);
        using var liveness = new LivenessWatch(captures, time, logger, descriptors.Captures, cluster?.Pods);
        var figures = new PolicyFigures(time);
        var tally = new SocketTally { Pods = cluster?.Pods };
        var metrics = new MetricRegistry(BuildInformation.Version, datapath.Name, KernelRelease.Text, logger);
        var sockets = new SocketCollector(metrics, tally, datapath.Name);
        metrics.Add(sockets);
        metrics.Add(new LivenessCollector(metrics, liveness));
        var capture = new CaptureCollector(metrics, liveness, whyNoCapture);
        if (options.Capture != false)
        {
            metrics.Add(capture);
        }
        metrics.Add(new PolicyCollector(metrics, figures));
        metrics.Add(new ProcessCollector(metrics));
        if (cluster is not null)
        {
            metrics.Add(new KubernetesCollector(metrics, cluster.Ages));
        }
        using var loop = new AgentLoop(
            options,
            datapath,
            policies,
            figures,
            tally,
            sockets,
            whyNoCapture,
            new ChangeLog(logger) { Pods = cluster?.Pods },
            liveness,
            health,
            systemd,
            logger);

        // Nothing of what a host usually reads (files of the working directory, variables) is to decide how this one listens.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime>(services => new SignalLifetime(signals, services.GetRequiredService<IHostApplicationLifetime>()));
        builder.Services.AddSingleton(new AgentCheck(liveness.Monitor, time, logger));
        builder.Services.AddSingleton(services =>
            new AgentService(loop, load, health, systemd, services.GetRequiredService<IHostApplicationLifetime>()));
        builder.Services.AddHostedService(services => services.GetRequiredService<AgentService>());
        builder.Services.Configure<HostOptions>(host =>
        {
            host.ServicesStopConcurrently = true;
            host.ShutdownTimeout = StopWithin;
        });
        var socket = AgentServer.SocketPath(options.StateDirectory, logger);
        AgentServer.Configure(builder, options.Addresses, socket, descriptors.Connections, logger);
        await using var host = builder.Build();
        host.Run(new AgentPages(new MetricsPage(metrics, time), health, liveness.Monitor, cluster?.Pods).Serve);
        try
        {
            await host.StartAsync().ConfigureAwait(false);
            signals.OnReload(loop.Reload);
            LogStarted(logger, BuildInformation.Version, datapath.Name, options.Interval.TotalSeconds, ListenAddress.Describe(options.Addresses.Listen));
            await host.WaitForShutdownAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            // A signal came while the host started, which is no failure.
        }
        var service = host.Services.GetRequiredService<AgentService>();
        await service.RunToEnd().ConfigureAwait(false);
        LogStopped(logger);
        return service.NotGivenBack > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    private static NamespaceExemption? Exemption(Cluster? cluster) => cluster?.Pods is { } pods ? pods.Exempts : null;

    /// <summary>Whether to capture: if asked for, and, where nothing was said, if it can be done; else why it cannot.</summary>
    private static (bool Captures, string? WhyNot) Captures(RunOptions options, ILogger logger)
    {
        if (options.Capture == false)
        {
            return (false, null);
        }
        if (CapturePrivileges.Missing() is { } missing)
        {
            LogNoCapture(logger, missing);
            return (false, missing);
        }
        return (true, null);
    }

    private static ILoggerFactory CreateLoggers(RunOptions options) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(options.LogLevel);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // That the port is taken is said in one line of our own.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        logging.AddConsole(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;
            console.FormatterName = options.JsonLog ? ConsoleFormatterNames.Json : ConsoleFormatterNames.Simple;
            // If nobody reads the log, lines are dropped and counted; passes and the end never wait for a reader.
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
            console.MaxQueueLength = options.LogLevel >= LogLevel.Information ? console.MaxQueueLength : DetailedQueueLength;
        });
        if (options.JsonLog)
        {
            logging.AddJsonConsole(console =>
            {
                (console.TimestampFormat, console.UseUtcTimestamp) = ("yyyy-MM-ddTHH:mm:ss.fffZ", true);
                console.JsonWriterOptions = new JsonWriterOptions { Encoder = AgentJson.Encoder };
            });
        }
        else
        {
            logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.ColorBehavior = LoggerColorBehavior.Disabled;
            });
        }
        logging.Services.RemoveAll<ILoggerProvider>();
        logging.Services.AddSingleton<ConsoleLoggerProvider>();
        logging.Services.AddSingleton<ILoggerProvider>(services => new CleanLogs(services.GetRequiredService<ConsoleLoggerProvider>()));
    });

    [LoggerMessage(EventIds.Started, LogLevel.Information,
        "keepalive-agent {Version} started: datapath {Datapath}, a pass every {Interval} s, metrics on {Listen}")]
    private static partial void LogStarted(ILogger logger, string version, string datapath, double interval, string listen);

    [LoggerMessage(EventIds.DatapathFallback, LogLevel.Information, "The " + ChosenDatapath.NoBpf + "{Reason}; using pidfd")]
    private static partial void LogFallback(ILogger logger, string reason);

    [LoggerMessage(EventIds.StateNotUnderstood, LogLevel.Warning, "{Warning}")]
    private static partial void LogState(ILogger logger, string warning);

    [LoggerMessage(EventIds.CaptureUnavailable, LogLevel.Warning,
        "{Missing} Until then liveness is what the kernel's timers show at each pass; --capture off says the same and this no more")]
    private static partial void LogNoCapture(ILogger logger, string missing);

    [LoggerMessage(EventIds.Stopped, LogLevel.Information, "Stopped")]
    private static partial void LogStopped(ILogger logger);
}
