using Keepalive.Simulator.Virtual;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

/// <summary>Compares the engine with closed formulas, which are independent of it.</summary>
public sealed class ClosedFormTests
{
    private const double StandardErrors = 4;

    /// <summary>Scenarios with a known share of failed requests, computed without the engine's code.</summary>
    public static TheoryData<string, double> FailureRates => new()
    {
        // P(no use for T) with Poisson arrivals; no failure before the first T has passed.
        { Poisson("aws-nlb", 500), Math.Exp(-350.0 / 500) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 200, seed: 2), Math.Exp(-350.0 / 200) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 100, seed: 3), Math.Exp(-3.5) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 3000, seed: 4), Math.Exp(-350.0 / 3000) * (1 - (350.0 / 86400)) },
        { Poisson("kube-proxy-ipvs", 600, seed: 5), Math.Exp(-900.0 / 600) * (1 - (900.0 / 86400)) },
        { Poisson("azure-lb", 300, "requestTimeout: 1s", seed: 6), Math.Exp(-240.0 / 300) * (1 - (240.0 / 86400)) },
        { Poisson("{idleTimeout: 60s, expiry: drop-until-syn}", 30, "requestTimeout: 100ms", seed: 7), Math.Exp(-2) * (1 - (60.0 / 86400)) },
        { Poisson("{idleTimeout: 60s, expiry: per-direction}", 45, "requestTimeout: 100ms", seed: 8), Math.Exp(-60.0 / 45) * (1 - (60.0 / 86400)) },
        { Poisson("{idleTimeout: 60s, expiry: reset-on-next-packet, refresh: payload}", 45, seed: 9), Math.Exp(-60.0 / 45) * (1 - (60.0 / 86400)) },

        { Poisson("{preset: octavia, expiry: silent-drop}", 60, "requestTimeout: 100ms", seed: 10), Math.Exp(-50.0 / 60) * (1 - (50.0 / 86400)) },

        // A pool used in turn: the gaps have an Erlang distribution.
        { Poisson("aws-nlb", 150, "pool: {connections: 2, pick: round-robin}", seed: 11), Erlang(2, 350.0 / 150) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 100, "pool: {connections: 4, pick: round-robin}", seed: 12), Erlang(4, 3.5) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 60, "pool: {connections: 10, pick: round-robin}", seed: 13), Erlang(10, 350.0 / 60) * (1 - (350.0 / 86400)) },

        // A pool with random choice: exponential gaps, longer by the size of the pool.
        { Poisson("aws-nlb", 150, "pool: {connections: 2, pick: random}", seed: 14), Math.Exp(-350.0 / 300) * (1 - (350.0 / 86400)) },
        { Poisson("aws-nlb", 50, "pool: {connections: 10, pick: random}", seed: 15), Math.Exp(-350.0 / 500) * (1 - (350.0 / 86400)) },

        // All n probes before T are lost, independently; again no failure before the first T has passed.
        { Lossy(300, 60, 5, "360s", "10%", seed: 16), 0.1 * (1 - (350.0 / 86400)) },
        { Lossy(300, 40, 5, "370s", "10%", seed: 17), 0.1 * 0.1 * (1 - (350.0 / 86400)) },
        { Lossy(300, 20, 6, "355s", "10%", seed: 18), 0.1 * 0.1 * 0.1 * (1 - (350.0 / 86400)) },
        { Lossy(240, 30, 9, "355s", "10%", seed: 19), Math.Pow(0.1, 4) * (1 - (350.0 / 86400)) },

        // The same with losses that occur together.
        { Lossy(344, 4, 5, "351.5s", "10%, burst: 4s", seed: 20), 0.1 * Again(0.1, 4, 4) * (1 - (350.0 / 86400)) },
        { Lossy(340, 4, 6, "351.5s", "20%, burst: 3s", seed: 21), 0.2 * Math.Pow(Again(0.2, 3, 4), 2) * (1 - (350.0 / 86400)) },
    };

    [Theory]
    [MemberData(nameof(FailureRates))]
    public void FailedRequests_OfManyRequests_AgreeWithTheFormula(string yaml, double expected)
    {
        var result = VirtualRun.Of(yaml, threads: 2);
        var error = Math.Sqrt(expected * (1 - expected) / result.Totals.Requests);

        Assert.True(result.Totals.Requests > 20_000, $"{result.Totals.Requests} requests");
        Assert.True(Math.Abs(result.FailureRate - expected) < StandardErrors * error,
            $"{result.FailureRate} is {(result.FailureRate - expected) / error:0.00} standard errors from {expected}");
    }

    [Theory]
    [MemberData(nameof(FailureRates))]
    public void ClosedForm_OfTheSameScenarios_IsPrinted(string yaml, double expected)
    {
        var printed = ClosedForm.FailureRate(VirtualRun.Read(yaml));

        Assert.Equal(expected, printed!.Value.Expected, 1e-12);
    }

    /// <summary>Requests whose only risk is the wait for the response.</summary>
    public static TheoryData<string, double> LostResponses => new()
    {
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "{exponential: 2m}", "1h", seed: 31), Math.Exp(-240.0 / 120) },
        { Service("{idleTimeout: 240s, expiry: reset-on-next-packet}", "{exponential: 5m}", "1h", seed: 32), Math.Exp(-240.0 / 300) },
        { Service("{idleTimeout: 240s, expiry: per-direction}", "{exponential: 2m}", "1h", seed: 33), Math.Exp(-240.0 / 120) },
        { Service("{idleTimeout: 240s, expiry: reset-on-next-packet, refresh: payload}", "{exponential: 3m}", "1h", seed: 34), Math.Exp(-240.0 / 180) },
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "{exponential: 1m}", "2m", seed: 35), Math.Exp(-119.998 / 60) },
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "{exponential: 5m}", "15m", "keepalive: {time: 60s, interval: 10s, probes: 6}", seed: 36), Math.Exp(-899.998 / 300) },
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "230s", "15m", seed: 37), 0 },
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "241s", "15m", seed: 38), 1 },
        { Service("{idleTimeout: 240s, expiry: silent-drop}", "10m", "15m", "keepalive: {time: 200s, interval: 10s, probes: 6}", seed: 39), 0 },
    };

    [Theory]
    [MemberData(nameof(LostResponses))]
    public void LostResponses_OfManyRequests_AgreeWithTheFormula(string yaml, double expected)
    {
        var result = VirtualRun.Of(yaml, threads: 2);
        var error = Math.Sqrt(expected * (1 - expected) / result.Totals.Requests);

        Assert.True(result.Totals.Requests > 5_000, $"{result.Totals.Requests} requests");
        Assert.True(Math.Abs(result.FailureRate - expected) <= StandardErrors * error, $"{result.FailureRate} is not {expected}");
        Assert.Equal(expected, ClosedForm.FailureRate(result.Scenario)!.Value.Expected, 1e-12);
    }

    [Theory]
    [InlineData(359, 0)]
    [InlineData(351, 0)]
    [InlineData(349, 1)]
    public void FailedRequests_OfFixedGaps_AreAllOrNone(int idleTimeout, int expected)
    {
        var result = VirtualRun.Of($$"""
            balancer: {idleTimeout: {{idleTimeout}}s, expiry: reset-on-next-packet}
            connections: 50
            requests: {arrival: fixed, every: 350s}
            duration: 24h
            """);

        Assert.InRange(result.Totals.Requests, 50 * 246, 50 * 247);
        // The first gap is only a part of one. It is too short in one case of 350.
        Assert.InRange(result.Totals.Status503, expected * (result.Totals.Requests - 50), expected * (result.Totals.Requests - 45));
    }

    [Theory]
    [InlineData(60, 10, 6)]
    [InlineData(20, 5, 3)]
    [InlineData(7, 7, 1)]
    public void DeadEndpoint_FromTheLastPacketHeard_IsKnownAfterTimeAndAllIntervals(int time, int interval, int probes)
    {
        var result = VirtualRun.Of($$"""
            balancer: aws-nlb
            connections: 300
            requests: {arrival: poisson, mean: 100h}
            duration: 2h
            keepalive: {time: {{time}}s, interval: {{interval}}s, probes: {{probes}}}
            failures: [{at: 1h, lasts: 1h}]
            """);

        Assert.Equal(300, result.Totals.Deaths.Count);
        Assert.All(result.Totals.Deaths, death => Assert.Equal(TimeSpan.FromSeconds(time + (probes * interval)).Ticks, death));
        Assert.All(result.Totals.Notices, notice => Assert.InRange(notice, TimeSpan.FromSeconds(probes * interval).Ticks, TimeSpan.FromSeconds(time + (probes * interval)).Ticks));
    }

    [Fact]
    public void Probes_OfQuietConnections_AreOneEachTimeAndRoundTrip()
    {
        var result = VirtualRun.Of("""
            balancer: aws-nlb
            connections: 100
            requests: {arrival: poisson, mean: 80000h}
            duration: 24h
            keepalive: {time: 60s, interval: 10s, probes: 6}
            network: {rtt: 500ms}
            seed: 5
            """);

        // Established after one round trip. The first probe is 60 s later, then one every 60.5 s.
        Assert.Equal(100 * (1 + (long)((86400 - 0.25 - 0.5 - 60) / 60.5)), result.Totals.ClientProbes);
    }

    [Theory]
    [InlineData("{arrival: fixed, every: 20h}")]
    [InlineData("{arrival: fixed, every: 1000h}")]
    [InlineData("{arrival: poisson, mean: 20h}")]
    [InlineData("{arrival: onOff, on: 1m, off: 20h, mean: 1s}")]
    public void Probes_OfRareRequests_AreThoseOfConnectionsThatAreThereFromTheBeginning(string requests)
    {
        var result = VirtualRun.Of($$"""
            balancer: aws-nlb
            connections: 500
            requests: {{requests}}
            duration: 19h
            keepalive: {time: 60s, interval: 10s, probes: 6}
            """);

        Assert.Equal(500, result.Totals.Opened);
        Assert.InRange(result.ProbesPerHour, 59.5, 60);
    }

    private static string Poisson(string balancer, int mean, string more = "", int seed = 1) => $$"""
        balancer: {{balancer}}
        connections: 1000
        requests: {arrival: poisson, mean: {{mean}}s}
        duration: 24h
        network: {rtt: 2ms}
        seed: {{seed}}
        {{more}}
        """;

    private static string Service(string balancer, string serviceTime, string requestTimeout, string more = "", int seed = 1) => $$"""
        balancer: {{balancer}}
        connections: 100
        requests: {arrival: fixed, every: 1m}
        serviceTime: {{serviceTime}}
        requestTimeout: {{requestTimeout}}
        duration: 40h
        network: {rtt: 2ms}
        seed: {{seed}}
        {{more}}
        """;

    private static string Lossy(int time, int interval, int probes, string every, string loss, int seed) => $$"""
        balancer: aws-nlb
        connections: 1000
        requests: {arrival: fixed, every: {{every}}}
        duration: 24h
        requestTimeout: 120s
        keepalive: {time: {{time}}s, interval: {{interval}}s, probes: {{probes}}}
        network: {rtt: 2ms, loss: {{loss}}}
        seed: {{seed}}
        """;

    private static double Erlang(int shape, double x) => Math.Exp(-x) * Enumerable.Range(0, shape).Sum(k => Math.Pow(x, k) / Enumerable.Range(1, k).Aggregate(1.0, (product, i) => product * i));

    /// <summary>The probability that a bad path is bad again after a while.</summary>
    private static double Again(double loss, double burst, double after) => loss + ((1 - loss) * Math.Exp(-after / (burst * (1 - loss))));
}
