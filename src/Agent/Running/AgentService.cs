using Keepalive.Agent.Health;
using Keepalive.Agent.Policies;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>The loop as a service of the host: begins when the host listens, on a thread of its own, and ends when the host is told to stop.</summary>
internal sealed class AgentService(
    AgentLoop loop,
    PolicyLoad first,
    AgentHealth health,
    SystemdNotifier systemd,
    IHostApplicationLifetime lifetime) : BackgroundService
{
    /// <summary>Sockets that could not be given back at the end, where that was asked for; known when <see cref="Completion"/> is.</summary>
    public int NotGivenBack { get; private set; }

    /// <summary>The end of the loop, which is not to be cut short: what is given back is given back then.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lifetime.ApplicationStarted.Register(started.SetResult);
        return Completion = Run(started.Task);
    }

    private async Task Run(Task started)
    {
        var stop = lifetime.ApplicationStopping;
        try
        {
            await started.WaitAsync(stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }
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
