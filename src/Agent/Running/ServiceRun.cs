using Keepalive.Agent.Log;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>The service: passes and listeners, until a signal stops it.</summary>
internal sealed partial class ServiceRun(ListenAddresses addresses, ProblemOutput problems, Signals signals, ILogger logger, IServiceProvider services) : IAgentRun
{
    /// <summary>How long connections may take to end when the service stops. Restoring sockets has no such limit.</summary>
    private static readonly TimeSpan s_stopWithin = TimeSpan.FromSeconds(2);

    public async Task<int> RunAsync()
    {
        var directory = services.GetRequiredService<RunDirectory>();
        if (!directory.IsOwner)
        {
            problems.Writer.WriteLine(
                $"keepalive-agent: another agent is running with this state directory (pid {directory.Holder()}, lock "
                + $"{directory.Location}/lock). Stop it first.");
            return ExitCodes.Failed;
        }
        directory.Warnings.ForEach(LogState);
        var chosen = services.GetRequiredService<ChosenDatapath>();
        if (chosen.WhyNotBpf is { } why)
        {
            LogFallback(why);
        }
        await using var host = Host(directory.Location);
        var passes = host.Services.GetRequiredService<AgentService>();
        try
        {
            await host.StartAsync().ConfigureAwait(false);
            var loop = services.GetRequiredService<AgentLoop>();
            signals.OnReload(loop.Reload);
            LogStarted(BuildInformation.Version, chosen.Datapath.Name, loop.Interval.TotalSeconds, ListenAddress.Describe(addresses.Listen));
            await host.WaitForShutdownAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (signals.Stop.IsCancellationRequested)
        {
            // A signal came while the host started. That is not a failure.
        }
        await passes.RunToEnd().ConfigureAwait(false);
        LogStopped();
        return passes.NotGivenBack > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    /// <summary>Creates the host with the capture, the passes and the listeners. They start in this order, and stop in the reverse
    /// order.</summary>
    private WebApplication Host(string stateDirectory)
    {
        // The usual sources of a host (files of the working directory, variables) must not decide how this one listens.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services
            .AddSingleton(services.GetRequiredService<ILoggerFactory>())
            .AddSingleton<IHostLifetime>(own => new SignalLifetime(signals, own.GetRequiredService<IHostApplicationLifetime>()))
            .AddSingleton(services.GetRequiredService<AgentCheck>())
            .AddHostedParts(services)
            .Configure<HostOptions>(host => host.ShutdownTimeout = s_stopWithin);
        var socket = AgentServer.SocketPath(stateDirectory, logger);
        AgentServer.Configure(builder, addresses, socket, services.GetRequiredService<DescriptorShares>().Connections, logger);
        var application = builder.Build();
        application.Run(services.GetRequiredService<AgentPages>().Serve);
        return application;
    }

    [LoggerMessage(EventIds.Started, LogLevel.Information,
        "keepalive-agent {Version} started: datapath {Datapath}, a pass every {Interval} s, metrics on {Listen}")]
    private partial void LogStarted(string version, string datapath, double interval, string listen);

    [LoggerMessage(EventIds.DatapathFallback, LogLevel.Information, "The " + ChosenDatapath.NoBpf + "{Reason}; using pidfd")]
    private partial void LogFallback(string reason);

    [LoggerMessage(EventIds.StateNotUnderstood, LogLevel.Warning, "{Warning}")]
    private partial void LogState(string warning);

    [LoggerMessage(EventIds.Stopped, LogLevel.Information, "Stopped")]
    private partial void LogStopped();
}
