using Keepalive.Config;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Advice;

/// <summary>Simulates what is advised, and the same without it.</summary>
internal static class AdviceCheck
{
    private static readonly TimeSpan s_maxDuration = TimeSpan.FromDays(30);

    /// <summary>Waits that the simulation is to see, about.</summary>
    private const double Waits = 2_000_000;

    /// <summary>The most waits: beyond them fewer connections are simulated, since each has to be seen for some requests.</summary>
    private const double MaxWaits = 5_000_000;

    /// <summary>How much longer than its response takes a client waits for it.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    /// <summary>The scenario: connections idle for twice the idle timeout on average, timers as late as they are.</summary>
    /// <param name="request">The requirements.</param>
    /// <param name="settings">The advice; null for no keepalive.</param>
    /// <param name="hz">CONFIG_HZ of the kernels.</param>
    public static Scenario Scenario(AdviceRequest request, KeepaliveSettings? settings, int hz)
    {
        var gap = 2 * request.Rule.IdleTimeout;
        var perConnection = Math.Max(20, Waits / request.Connections);
        var wait = settings?.Time is { } seconds ? TimeSpan.FromSeconds(seconds) : gap;
        var least = 3 * (gap + (request.ServiceTime ?? TimeSpan.Zero));
        // In seconds: a million waits of some days are beyond a TimeSpan.
        var duration = TimeSpan.FromSeconds(Math.Clamp(
            Math.Round(perConnection * wait.TotalSeconds), least.TotalSeconds, Math.Max(s_maxDuration.TotalSeconds, least.TotalSeconds)));
        var connections = Math.Clamp((int)Math.Min(MaxWaits / (duration / wait), int.MaxValue), 1, request.Connections);
        return new Scenario
        {
            Name = "advice",
            Preset = request.Preset,
            Rule = request.Rule,
            Connections = connections,
            Requests = new PoissonArrival(gap),
            ServiceTime = request.ServiceTime is { } time ? new FixedService(time) : null,
            RequestTimeout = s_patience + (request.ServiceTime ?? TimeSpan.Zero),
            Duration = duration,
            Keepalive = settings,
            RoundTrip = request.RoundTrip,
            Loss = request.Loss,
            TimerHz = hz,
        };
    }

    public static RunResult Run(AdviceRequest request, KeepaliveSettings? settings, int hz, int threads, Action<double> progress, CancellationToken cancellation)
    {
        var scenario = Scenario(request, settings, hz);
        return new RunResult(scenario, VirtualEngine.Run(scenario, new VirtualOptions(Threads: threads), progress, cancellation));
    }
}
