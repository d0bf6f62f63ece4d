using Keepalive.Agent.Health;
using Keepalive.Agent.Policies;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>The loop as a service of the host: begins when the host listens, on a thread of its own, and ends when the host is told to stop.</summary>
internal sealed class AgentService(
    AgentLoop loop,
    PolicyLoad first,
    AgentHealth health,
    ServiceManager systemd,
    IHostApplicationLifetime lifetime) : BackgroundService
{
    private readonly Lock _lock = new();
    private Task? _run;

    /// <summary>Sockets that could not be given back at the end, where that was asked for; known when <see cref="RunToEnd"/> is done.</summary>
    public int NotGivenBack { get; private set; }

    /// <summary>Runs the loop, or waits for the end of the one that runs. It is not to be cut short: what is given back is given back at its end. Where
    /// the host was stopped while it started, there is no pass, and what a predecessor set is given back all the same.</summary>
    public Task RunToEnd()
    {
        lock (_lock)
        {
            return _run ??= Run();
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => RunToEnd();

    private async Task Run()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = lifetime.ApplicationStarted.Register(started.SetResult);
        var stop = lifetime.ApplicationStopping;
        await started.Task.WaitAsync(stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        using var stopping = stop.Register(() =>
        {
            health.Stopping();
            systemd.Stopping();
        });
        using var over = new CancellationTokenSource();
        var watchdog = Watch(over.Token);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                NotGivenBack = loop.Run(first, stop);
                ended.SetResult();
            }
            catch (Exception e)
            {
                ended.SetException(e);
            }
        })
        { Name = "passes" }.Start();
        try
        {
            await ended.Task.ConfigureAwait(false);
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await watchdog.ConfigureAwait(false);
            lifetime.StopApplication();
        }
    }

    /// <summary>Tells systemd that all is well, as long as it is.</summary>
    private async Task Watch(CancellationToken over)
    {
        if (systemd.WatchdogInterval is not { } interval)
        {
            return;
        }
        try
        {
            for (; ; await Task.Delay(interval, over).ConfigureAwait(false))
            {
                if (!health.IsStuck)
                {
                    systemd.Watchdog();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The loop has ended.
        }
    }
}
