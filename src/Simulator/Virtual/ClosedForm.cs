using Keepalive.Config.Balancers;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>A figure that can be computed, beside the simulated one.</summary>
/// <param name="What">Its name.</param>
/// <param name="Formula">How it is computed.</param>
/// <param name="Expected">The computed value.</param>
/// <param name="Simulated">The simulated value.</param>
/// <param name="StandardError">Of what came out, for that many trials; 0 where it is exact.</param>
internal sealed record ClosedFormRow(string What, string Formula, double Expected, double Simulated, double StandardError)
{
    /// <summary>The name of the part of all requests that fails.</summary>
    public const string FailedRequests = "failed requests";

    /// <summary>How far they are apart, in standard errors; null where one would have to be divided by nothing.</summary>
    public double? Errors => StandardError > 0 ? (Simulated - Expected) / StandardError : Math.Abs(Simulated - Expected) <= 1e-9 * Math.Abs(Expected) ? 0 : null;
}

/// <summary>Results of a scenario in closed form, computed without the engine.</summary>
internal static class ClosedForm
{
    /// <summary>The part of all requests that fails, and the formula; null where none is known.</summary>
    public static (double Expected, string Formula)? FailureRate(Scenario scenario)
    {
        if (scenario is not { Retries: 0, Failures.IsEmpty: true, Restarts.IsEmpty: true, ServerKeepalive: null, ReopensAtOnce: true }
            || scenario.Rule.Behaviour.Expiry is ExpiryClass.InsideRevives or ExpiryClass.ResetBoth or ExpiryClass.FinBoth
            || (scenario.Pool > 1 && scenario.Pick == PoolPick.LastUsed))
        {
            return null;
        }
        var idle = scenario.Rule.IdleTimeout.TotalSeconds;
        if (scenario.ServiceTime is { } service)
        {
            return scenario.Loss > 0 ? null : WithServiceTime(scenario, service, idle);
        }
        if (scenario.Keepalive is null)
        {
            // A lost request is sent again a little later: the gap is no longer what it was.
            return scenario.Loss > 0 ? null : WithoutKeepalive(scenario, idle);
        }
        // Probes that do not restart the clock still find out that the connection is gone, some time.
        return scenario.Rule.Behaviour.Refresh == Refresh.PayloadOnly ? null : scenario.Loss > 0 ? WithLoss(scenario, idle) : WithKeepalive(scenario, idle);
    }

    /// <summary>The longest it takes to find a silent endpoint dead, counted from the last packet heard; null without keepalive.</summary>
    public static (double Expected, string Formula)? Detection(Scenario scenario) =>
        scenario is { Keepalive: { Time: { } time, Interval: { } interval, Probes: { } probes }, TimerHz: null } && time >= interval
            ? (time + (probes * interval), "time + probes × interval")
            : null;

    /// <summary>A request fails when its connection was not used for T; nothing can have been idle that long before T has passed for the first time.</summary>
    private static (double, string)? WithoutKeepalive(Scenario scenario, double idle)
    {
        if (scenario.Requests is FixedArrival { Every: var every } && scenario.Pool == 1)
        {
            return every.TotalSeconds > idle ? (AtAll(scenario, idle), "gap > T: 1 − T/duration") : (0, "gap ≤ T");
        }
        if (scenario.Requests is not PoissonArrival { Mean: var mean } || scenario.Duration.TotalSeconds <= idle)
        {
            return null;
        }
        var (x, atAll) = (idle / mean.TotalSeconds, AtAll(scenario, idle));
        if (scenario.Pool == 1)
        {
            return (atAll * Math.Exp(-x), "e^(−T/mean) × (1 − T/duration)");
        }
        if (scenario.Pick == PoolPick.Random)
        {
            // How many other requests come between is geometric: the gaps of one connection are exponential again.
            return (atAll * Math.Exp(-x / scenario.Pool), "e^(−T/(pool × mean)) × (1 − T/duration)");
        }
        var (term, sum) = (1.0, 1.0);
        for (var k = 1; k < scenario.Pool; k++)
        {
            term *= x / k;
            sum += term;
        }
        return (atAll * Math.Exp(-x) * sum, "P(Erlang(pool, mean) > T) × (1 − T/duration)");
    }

    /// <summary>
    /// A request fails when its response takes longer than the client waits, or, without keepalive, than T. Idle connections must be safe:
    /// how often a gap of random length is too long depends on how long the requests between take.
    /// </summary>
    private static (double, string)? WithServiceTime(Scenario scenario, ServiceTime service, double idle)
    {
        var patience = scenario.RequestTimeout.TotalSeconds - scenario.RoundTrip.TotalSeconds;
        var isSafe = scenario.Keepalive is null
            ? scenario.Requests is FixedArrival { Every: var every } && every.TotalSeconds < idle && scenario.Pool == 1
            : scenario.Rule.Behaviour.Refresh != Refresh.PayloadOnly && WithKeepalive(scenario, idle) is not null;
        if (!isSafe)
        {
            return null;
        }
        var (most, what) = scenario.Keepalive is null && idle < patience ? (idle, "T") : (patience, "(requestTimeout − rtt)");
        return service switch
        {
            FixedService { Time: var time } => time.TotalSeconds > most ? (1, $"serviceTime > {what}") : (0, $"serviceTime ≤ {what}"),
            ExponentialService { Mean: var mean } => (Math.Exp(-most / mean.TotalSeconds), $"e^(−{what}/mean serviceTime)"),
            _ => null,
        };
    }

    /// <summary>
    /// The part of the requests that come after T: requests are as many in all parts of the duration, those of fixed gaps too, as the
    /// first are at random times within one.
    /// </summary>
    private static double AtAll(Scenario scenario, double idle) => Math.Max(0, 1 - (idle / scenario.Duration.TotalSeconds));

    private static (double, string)? WithKeepalive(Scenario scenario, double idle)
    {
        var (time, interval) = (scenario.Keepalive!.Value.Time!.Value, scenario.Keepalive.Value.Interval!.Value);
        var between = Math.Max(interval, time + scenario.RoundTrip.TotalSeconds);
        if (scenario.TimerHz is not null || time < interval)
        {
            return null;
        }
        if (between + scenario.RoundTrip.TotalSeconds < idle)
        {
            return (0, "time < T");
        }
        // Probes that come too late change nothing before the connection is forgotten, and then find out themselves.
        return null;
    }

    /// <summary>Fixed gaps that end before a first probe that arrives could be too long ago: all probes before T have to be lost.</summary>
    private static (double, string)? WithLoss(Scenario scenario, double idle)
    {
        var (time, interval, probes) = (scenario.Keepalive!.Value.Time!.Value, scenario.Keepalive.Value.Interval!.Value, scenario.Keepalive.Value.Probes!.Value);
        if (scenario is not { Requests: FixedArrival { Every: var every }, Pool: 1, TimerHz: null } || scenario.Rule.Behaviour.Refresh != Refresh.AnyPacket
            || every.TotalSeconds <= idle + 1 || every.TotalSeconds >= time + idle || every.TotalSeconds >= time + (probes * interval) || time < interval
            || scenario.Rule.Behaviour.Expiry != ExpiryClass.ResetOnNextPacket)
        {
            return null;
        }
        var before = 0;
        while (time + (before * interval) < idle && before < probes)
        {
            before++;
        }
        // Probes after T are answered with a reset, so the connection ends before its request; only where none comes between is the formula right.
        if (time + (before * interval) < every.TotalSeconds)
        {
            return null;
        }
        var rate = scenario.LossBurst > TimeSpan.Zero ? 1 / (scenario.LossBurst.TotalSeconds * (1 - scenario.Loss)) : double.PositiveInfinity;
        var again = scenario.Loss + ((1 - scenario.Loss) * Math.Exp(-rate * interval));
        var expected = scenario.Loss * Math.Pow(again, before - 1) * AtAll(scenario, idle);
        var what = scenario.LossBurst > TimeSpan.Zero
            ? "loss × P(lost again after interval)ⁿ⁻¹ × (1 − T/duration), n probes before T"
            : "lossⁿ × (1 − T/duration), n probes before T";
        return LostRequests(scenario, rate) < 0.01 * expected ? (expected, what) : null;
    }

    /// <summary>About how many requests fail because no retransmission comes through, which the formula leaves out.</summary>
    private static double LostRequests(Scenario scenario, double rate)
    {
        // RFC 6298: the time to retransmit doubles; Linux begins with a fifth of a second.
        var (attempts, last, wait) = (1, 0.0, 0.2);
        while (last + wait < scenario.RequestTimeout.TotalSeconds && attempts < 15)
        {
            (attempts, last, wait) = (attempts + 1, last + wait, 2 * wait);
        }
        return double.IsInfinity(rate) ? Math.Pow(1 - Math.Pow(1 - scenario.Loss, 2), attempts) : scenario.Loss * Math.Exp(-last / scenario.LossBurst.TotalSeconds);
    }
}
