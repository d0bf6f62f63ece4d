using Keepalive.Config;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Scenarios;

/// <summary>The work to simulate a scenario, estimated before anything runs.</summary>
internal static class ScenarioEffort
{
    /// <summary>The most steps of a scenario. One processor does some ten million a second.</summary>
    public const double MaxSteps = 1e11;

    /// <summary>Steps of a request: sent, answered, and what its connection had to catch up with.</summary>
    private const int StepsOfRequest = 5;

    /// <summary>The engine waits this long between two attempts to connect.</summary>
    private const double ReconnectSeconds = 1;

    /// <summary>The events of a scenario, about.</summary>
    public static double Steps(Scenario scenario)
    {
        var duration = scenario.Duration.TotalSeconds;
        var ofConnection = ProbeSteps(scenario, duration) + ReopenSteps(scenario, duration);
        return (scenario.Connections * ofConnection) + (scenario.Clients * RequestSteps(scenario, duration));
    }

    private static double ProbeSteps(Scenario scenario, double duration)
    {
        // Where nothing can go wrong, all probes of a quiet connection are one sum.
        var isSum = scenario is { ServerKeepalive: null, Loss: 0, TimerHz: null, RemovalCheck: null, Rule.Behaviour.DropsProbes: false };
        return (isSum ? 0 : Of(scenario.Keepalive)) + Of(scenario.ServerKeepalive);

        double Of(KeepaliveSettings? end) => end is null ? 0 : 2 * duration / Math.Max(end.Value.Time!.Value, end.Value.Interval!.Value);
    }

    /// <summary>Connections that end are made again, also while their endpoint is away.</summary>
    private static double ReopenSteps(Scenario scenario, double duration)
    {
        if (!scenario.ReopensAtOnce)
        {
            return 0;
        }
        var away = scenario.Failures.Sum(failure => Math.Min(duration, failure.Every is { } every
            ? duration * failure.Lasts.TotalSeconds / (failure.Lasts + every).TotalSeconds
            : failure.Lasts.TotalSeconds)) / scenario.Endpoints;
        var ends = scenario is { Keepalive: null, ServerKeepalive: null, Rule.Behaviour.Expiry: ExpiryClass.ResetBoth or ExpiryClass.FinBoth };
        return (Math.Min(duration, away) / ReconnectSeconds) + (ends ? 2 * duration / scenario.Rule.IdleTimeout.TotalSeconds : 0);
    }

    private static double RequestSteps(Scenario scenario, double duration)
    {
        var busy = (scenario.RoundTrip + (scenario.ServiceTime?.Usual ?? TimeSpan.Zero)).TotalSeconds;
        return scenario.Requests switch
        {
            OnOffArrival { On.TotalSeconds: var on, Off.TotalSeconds: var off, Mean.TotalSeconds: var mean } =>
                duration / (on + off) * (1 + (StepsOfRequest * on / (mean + busy))),
            { MeanGap: { } gap } => StepsOfRequest * duration / (gap.TotalSeconds + busy),
            _ => 0,
        };
    }
}
