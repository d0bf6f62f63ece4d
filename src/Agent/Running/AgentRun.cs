using System.Net.Sockets;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Log;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Runs <c>run</c>: checks the requirements, then makes one pass, or runs the service until it is stopped.</summary>
internal static partial class AgentRun
{
    /// <summary>How long connections may take to end when the service stops. Restoring sockets has no such limit.</summary>
    private static readonly TimeSpan s_stopWithin = TimeSpan.FromSeconds(2);

    /// <summary>How long a write to standard error may take if the service does not start.</summary>
    private static readonly TimeSpan s_writeWithin = TimeSpan.FromSeconds(1);

    public static int Execute(RunOptions options)
    {
        using var services = new ServiceCollection().AddKeepaliveAgent(options).BuildServiceProvider();
        var error = options.Once ? Console.Error : options.JsonLog ? new StartProblems(services.GetRequiredService<ILogger>()) : new PatientWriter(Console.Error, s_writeWithin);
        try
        {
            services.GetService<Cluster>()?.Start();
            return Refuse(options, services, error) ?? (options.Once ? Once(options, services, error) : Serve(options, services, error).GetAwaiter().GetResult());
        }
        catch (DatapathException e)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{e.Message}. See 'keepalive-agent support'.");
            return ExitCodes.NotPermitted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            error.WriteLine($"keepalive-agent: {e.Message}");
            return ExitCodes.Failed;
        }
    }

    /// <summary>Reports the problems of the policies. Returns an exit code if the agent cannot run; null if it can.</summary>
    private static int? Refuse(RunOptions options, ServiceProvider services, TextWriter error)
    {
        PolicyLoad load;
        try
        {
            load = services.GetRequiredService<PolicyLoad>();
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
        if (options.Once && options.Policies.Count == 0 && services.GetService<Cluster>() is { IsUnheardOf: true } cluster)
        {
            error.WriteLine($"keepalive-agent: the cluster's state is unknown: {(cluster.Troubles() is [var first, ..] ? first : "its API server does not answer")}");
            return ExitCodes.Failed;
        }
        if (options.Once && !load.Snapshot.IsComplete)
        {
            error.WriteLine("keepalive-agent: warning: the cluster's state is incomplete; this run uses what is known");
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
        return Privileges.CheckNamespaces(options.Namespaces, error) ? null : ExitCodes.Usage;
    }

    private static int Once(RunOptions options, ServiceProvider services, TextWriter error)
    {
        var directory = services.GetRequiredService<RunDirectory>();
        if (!options.DryRun && !directory.IsOwner)
        {
            error.WriteLine(
                $"keepalive-agent: warning: an agent is running (pid {RunDirectory.Holder(options.StateDirectory)}); it will treat the values of this run "
                + "as the applications' own");
        }
        directory.Warnings.ForEach(warning => error.WriteLine($"keepalive-agent: warning: {warning}"));
        var chosen = services.GetRequiredService<ChosenDatapath>();
        if (chosen.WhyNotBpf is { } why)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{why}; using pidfd");
        }
        // A single run with --restore-on-exit would restore its own changes at once. Only the changes of earlier runs remain to be
        // restored.
        var restore = options.RestoreOnExit;
        var policy = restore ? PolicySnapshot.Empty : services.GetRequiredService<PolicyLoad>().Snapshot!;
        var report = new OnceReport(Console.Out, whenRestored: restore ? "asked for with --restore-on-exit" : null, services.GetService<Cluster>()?.Pods);
        var summary = chosen.Datapath.Pass(policy, new PassScope { Full = true, Owners = true, DryRun = options.DryRun, Only = true, Last = restore }, report);
        report.Summary(summary);
        foreach (var trouble in summary.Gaps)
        {
            error.WriteLine($"keepalive-agent: warning: {trouble}");
        }
        if (summary.NotReached > 0)
        {
            error.WriteLine($"keepalive-agent: {Words.Count(summary.NotReached, "socket")} in them could not be restored; the state file has them");
        }
        // Sockets that are missing in a damaged state file are not restored either.
        var isWhole = report.Failed == 0 && summary is { NamespaceFailures: 0, NotReached: 0 } && (!restore || directory.Warnings.Count == 0);
        return isWhole ? ExitCodes.Done : ExitCodes.Failed;
    }

    private static async Task<int> Serve(RunOptions options, ServiceProvider services, TextWriter error)
    {
        var directory = services.GetRequiredService<RunDirectory>();
        if (!directory.IsOwner)
        {
            error.WriteLine(
                $"keepalive-agent: another agent is running with this state directory (pid {RunDirectory.Holder(options.StateDirectory)}, lock "
                + $"{options.StateDirectory}/lock). Stop it first.");
            return ExitCodes.Failed;
        }
        var logger = services.GetRequiredService<ILogger>();
        directory.Warnings.ForEach(warning => LogState(logger, warning));
        var chosen = services.GetRequiredService<ChosenDatapath>();
        if (chosen.WhyNotBpf is { } why)
        {
            LogFallback(logger, why);
        }
        var signals = services.GetRequiredService<Signals>();
        await using var host = Host(options, services);
        var passes = host.Services.GetRequiredService<AgentService>();
        try
        {
            await host.StartAsync().ConfigureAwait(false);
            signals.OnReload(services.GetRequiredService<AgentLoop>().Reload);
            LogStarted(logger, BuildInformation.Version, chosen.Datapath.Name, options.Interval.TotalSeconds, ListenAddress.Describe(options.Addresses.Listen));
            await host.WaitForShutdownAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            // A signal came while the host started. That is not a failure.
        }
        await passes.RunToEnd().ConfigureAwait(false);
        LogStopped(logger);
        return passes.NotGivenBack > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    /// <summary>Creates the host with the listeners and the passes.</summary>
    private static WebApplication Host(RunOptions options, ServiceProvider services)
    {
        // The usual sources of a host (files of the working directory, variables) must not decide how this one listens.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services
            .AddSingleton(services.GetRequiredService<ILoggerFactory>())
            .AddSingleton<IHostLifetime>(own => new SignalLifetime(services.GetRequiredService<Signals>(), own.GetRequiredService<IHostApplicationLifetime>()))
            .AddSingleton(services.GetRequiredService<AgentCheck>())
            .AddSingleton(own => ActivatorUtilities.CreateInstance<AgentService>(services, own.GetRequiredService<IHostApplicationLifetime>()))
            .AddHostedService(own => own.GetRequiredService<AgentService>())
            .Configure<HostOptions>(host => (host.ServicesStopConcurrently, host.ShutdownTimeout) = (true, s_stopWithin));
        var logger = services.GetRequiredService<ILogger>();
        var socket = AgentServer.SocketPath(options.StateDirectory, logger);
        AgentServer.Configure(builder, options.Addresses, socket, services.GetRequiredService<DescriptorShares>().Connections, logger);
        var application = builder.Build();
        application.Run(services.GetRequiredService<AgentPages>().Serve);
        return application;
    }

    [LoggerMessage(EventIds.Started, LogLevel.Information,
        "keepalive-agent {Version} started: datapath {Datapath}, a pass every {Interval} s, metrics on {Listen}")]
    private static partial void LogStarted(ILogger logger, string version, string datapath, double interval, string listen);

    [LoggerMessage(EventIds.DatapathFallback, LogLevel.Information, "The " + ChosenDatapath.NoBpf + "{Reason}; using pidfd")]
    private static partial void LogFallback(ILogger logger, string reason);

    [LoggerMessage(EventIds.StateNotUnderstood, LogLevel.Warning, "{Warning}")]
    private static partial void LogState(ILogger logger, string warning);

    [LoggerMessage(EventIds.Stopped, LogLevel.Information, "Stopped")]
    private static partial void LogStopped(ILogger logger);
}
