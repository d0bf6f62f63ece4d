using Keepalive.Agent.Health;
using Keepalive.Agent.Policies;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>The loop as a service of the host. It starts when the host listens, on its own thread, and ends when the host is
/// stopped.</summary>
internal sealed class AgentService(
    AgentLoop loop,
    PolicyLoad first,
    AgentHealth health,
    ServiceManager systemd,
    IHostApplicationLifetime lifetime) : BackgroundService
{
    private readonly Lock _lock = new();
    private Task? _run;

    /// <summary>The number of sockets that could not be restored at the end, if restoring was asked for. Known after
    /// <see cref="RunToEnd"/>.</summary>
    public int NotGivenBack { get; private set; }

    /// <summary>Runs the loop, or waits for the end of the running one. It must not be interrupted, because it restores sockets at its end.
    /// If the host was stopped during its start, there is no pass, and the sockets that a predecessor set are restored all the
    /// same.</summary>
    public Task RunToEnd()
    {
        lock (_lock)
        {
            return _run ??= Run();
        }
    }

    /// <summary>Waits for the end of the loop without a limit, because it restores sockets at its end. The parts that it uses then, such as
    /// the capture, started earlier and are stopped later.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        // The caller of RunToEnd gets the exception.
        await RunToEnd().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
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

    /// <summary>Sends the watchdog's signal to systemd while the service is healthy.</summary>
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
