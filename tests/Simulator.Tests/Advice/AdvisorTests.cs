using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Tests.Virtual;
using Keepalive.Simulator.Virtual;
using Xunit;

namespace Keepalive.Simulator.Tests.Advice;

public sealed class AdvisorTests
{
    private static readonly int[] s_usualHz = [100, 250, 300, 1000];

    public static TheoryData<string> Balancers => [.. BalancerPresets.All.Where(preset => preset is { IdleTimeout: not null, Refresh: not Refresh.PayloadOnly }).Select(preset => preset.Name)];

    [Theory]
    [MemberData(nameof(Balancers))]
    public void Advice_OfEveryBalancer_HoldsOnEveryUsualKernelAndOutlastsABriefOutage(string balancer)
    {
        foreach (var request in Requests(balancer))
        {
            var what = $"{balancer}, loss {request.Loss}, {request.DetectWithin}";
            var advice = Advisor.Find(request, out var reason);
            Assert.True(advice is not null || request.DetectWithin < TimeSpan.FromSeconds(30), $"{what}: {reason}");
            if (advice is null)
            {
                continue;
            }
            var fitting = int.MaxValue;
            foreach (var hz in s_usualHz)
            {
                var schedule = new KeepaliveSchedule(advice.Settings, hz);
                var way = request.Rule.Behaviour.Refresh == Refresh.PerDirection ? 2 : 1;
                var inTime = Enumerable.Range(1, schedule.Probes).Count(number => schedule.LatestProbe(number) < request.Rule.IdleTimeout - (way * request.RoundTrip));
                fitting = Math.Min(fitting, inTime);
                Assert.True(inTime >= 2, $"{what}: {inTime} of {advice.Settings} come in time at HZ={hz}");
                Assert.True(request.DetectWithin is null || schedule.LatestDeath <= request.DetectWithin, $"{what}: {schedule.LatestDeath} at HZ={hz}");
            }
            // The reported share of dropped connections is the probability of that many lost probes.
            var lost = request.Rule.Behaviour.Refresh == Refresh.PerDirection ? 1 - Math.Pow(1 - request.Loss, 2) : request.Loss;
            Assert.Equal(fitting, advice.ProbesInTime);
            Assert.Equal(Math.Pow(lost, fitting), advice.Forgotten, 1e-18);

            var patience = advice.Settings.Interval!.Value * advice.Settings.Probes!.Value;
            Assert.Equal(patience < BalancerCheck.BriefOutage, advice.Haste is not null);
            Assert.True(advice.Haste is null || request.DetectWithin < TimeSpan.FromSeconds(BalancerCheck.BriefOutage + 5), $"{what}: {advice.Settings}");
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(250)]
    [InlineData(300)]
    [InlineData(1000)]
    public void Advice_ForAnUnnamedKernel_DropsNoConnection(int hz)
    {
        var request = new AdviceRequest { Rule = new BalancerRule(TimeSpan.FromSeconds(350), new IdleBehaviour(ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket)), Connections = 500 };
        var scenario = AdviceCheck.Scenario(request, Advisor.Find(request, out _)!.Settings, hz) with { Duration = TimeSpan.FromDays(1) };
        var result = VirtualRun.Of(scenario);

        Assert.True(result.Probes > 50_000, $"{result.Probes} probes");
        Assert.Equal((0, 0), (result.Totals.Expiries, result.Failed));
    }

    [Fact]
    public void Advice_ForANamedKernel_HasFewerProbes()
    {
        var unknown = Advisor.Find(Request("aws-nlb"), out _)!;
        var known = Advisor.Find(Request("aws-nlb") with { Hz = 250 }, out _)!;

        Assert.True(known.ProbesPerHour < unknown.ProbesPerHour, $"{known.Settings} and {unknown.Settings}");
        Assert.Equal(250, known.WorstHz);
    }

    [Theory]
    [InlineData("2s", 0, null, "only one is sure to come before the idle timeout of 2s has passed. It takes 2 (one may always be lost)")]
    [InlineData("1s", 0, null, "no probe is sure to come before the idle timeout of 1s has passed")]
    [InlineData("10s", 0.4, null, "only 9 are sure to come before the idle timeout of 10s has passed. It takes 16 (for 1e-6 at 40 % loss)")]
    [InlineData("350s", 0, "3s", "within 3s: it takes 2 probes (one may always be lost), and even 1s apart they find it 3.24s after")]
    [InlineData("350s", 0.1, "3s", "it takes 9 probes (for 1e-6 at 10 % loss), and even 1s apart")]
    public void Refusal_ValueMissing_NamesIt(string idle, double loss, string? within, string expected)
    {
        var request = new AdviceRequest
        {
            Rule = new BalancerRule(Time(idle), new IdleBehaviour(ExpiryClass.SilentDrop, Refresh.AnyPacket)),
            Loss = loss,
            DetectWithin = within is null ? null : Time(within),
        };

        Assert.Null(Advisor.Find(request, out var reason));
        Assert.Contains(expected, reason, StringComparison.Ordinal);
    }

    /// <summary>Regression: "raise it" was the answer also where nobody can.</summary>
    [Theory]
    [InlineData("aws-alb", ", or raise its idle timeout (4000s at most).")]
    [InlineData("cloudflare", ". A longer idle timeout is not possible: cloudflare always has 400s.")]
    [InlineData("cloudflare-gateway", ". A longer idle timeout is not possible: cloudflare-gateway always has 270s.")]
    [InlineData("envoy", ", or raise its idle timeout.")]
    public void Refusal_BalancerThatIsFixed_IsNotToBeRaised(string balancer, string end)
    {
        Assert.Null(Advisor.Find(Request(balancer), out var reason));
        Assert.EndsWith(end, reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Refusal_BalancerThatDropsProbes_SaysThatKeepaliveEndsConnections()
    {
        Assert.Null(Advisor.Find(Request("aws-global-accelerator"), out var reason));
        Assert.Contains("keepalive ends healthy connections", reason, StringComparison.Ordinal);
        Assert.DoesNotContain("answers probes itself", reason, StringComparison.Ordinal);
    }

    /// <summary>A time that seems to waste room is the last before the timer is too late.</summary>
    [Theory]
    [InlineData(100, null)]
    [InlineData(250, null)]
    [InlineData(1000, null)]
    [InlineData(null, null)]
    [InlineData(null, "2m")]
    public void Why_TimeOfTheAdvice_IsTheKernelsStepOfThatTime(int? hz, string? within)
    {
        var request = Request("aws-nlb") with { Hz = hz, DetectWithin = within is null ? null : Time(within) };
        var advice = Advisor.Find(request, out _)!;
        var worst = hz ?? (within is null ? advice.WorstHz : s_usualHz.MaxBy(one => new KeepaliveSchedule(advice.Settings, one).LatestDeath));
        var time = advice.Settings.Time!.Value;

        Assert.Equal(new TimerWheel(worst).Granule(time), advice.Step);
        Assert.Contains($"at HZ={worst} a Linux timer of {time}s fires up to {advice.Step.TotalSeconds}s late", advice.Why, StringComparison.Ordinal);
        Assert.Contains(within is null ? "so that probe 2 comes " : "so that a dead peer is detected ", advice.Why, StringComparison.Ordinal);
    }

    /// <summary>An application that has an interval or a number of its own gets a time of its own.</summary>
    [Theory]
    [InlineData("aws-nlb", null)]
    [InlineData("aws-nlb", "2m")]
    [InlineData("gcp-external-passthrough-nlb", null)]
    [InlineData("azure-lb", "10m")]
    public void Fit_EverySetting_KeepsTheConnectionThroughALostProbe(string balancer, string? within)
    {
        var request = Request(balancer) with { DetectWithin = within is null ? null : Time(within) };
        var advised = Advisor.Find(request, out _)!.Settings;
        foreach (var setting in ApplicationSettings.All)
        {
            if (Advisor.Fit(request, time => setting.Values(time, advised)) is not { } values)
            {
                Assert.NotNull(within);
                continue;
            }
            Assert.All(s_usualHz, hz =>
            {
                var schedule = new KeepaliveSchedule(values, hz);
                Assert.True(schedule.Survives(request.Rule.IdleTimeout - request.RoundTrip, 1), $"{setting.Where}: {values}");
                Assert.True(request.DetectWithin is null || schedule.LatestDeath <= request.DetectWithin, $"{setting.Where}: {values}");
            });
            // The next second would be too long.
            Assert.True(setting.Values(advised.Time!.Value, advised) != advised || values == advised, $"{setting.Where}: {values} instead of {advised}");
        }
    }

    /// <summary>Every balancer, and requests that make its simulation long: few or many connections, a long idle timeout, a short time.</summary>
    public static TheoryData<string, string?, int> LongSimulations => new(
        from balancer in Balancers.Select(static row => row.Data)
        from within in new[] { null, "2m", "10s" }
        from connections in new[] { 1, 1000, 1_000_000 }
        select (balancer, within, connections));

    /// <summary>Regression: one connection behind a balancer with 432,000 s was simulated for millennia, a thousand with probes each few
    /// seconds for a billion probes.</summary>
    [Theory]
    [MemberData(nameof(LongSimulations))]
    public void Simulation_OfEveryBalancer_IsBounded(string balancer, string? within, int connections)
    {
        foreach (var idle in new[] { null, "432000s", "720h" })
        {
            var request = Request(balancer) with { DetectWithin = within is null ? null : Time(within), Connections = connections };
            request = idle is null ? request : request with { Rule = request.Rule with { IdleTimeout = Time(idle) } };
            foreach (var settings in new[] { Advisor.Find(request, out _)?.Settings, null })
            {
                var scenario = AdviceCheck.Scenario(request, settings, 1000);
                Assert.True(ScenarioEffort.Steps(scenario) < 5e7, $"{settings} {idle}: {scenario.Connections} for {scenario.Duration}: {ScenarioEffort.Steps(scenario)}");
                Assert.InRange(scenario.Duration, 3 * scenario.Requests.MeanGap!.Value, TimeSpan.FromDays(365));
                Assert.InRange(scenario.Connections, 1, connections);
            }
        }
    }

    /// <summary>Every balancer by every name, also those without an idle timeout of their own.</summary>
    public static TheoryData<string> Names => [.. BalancerPresets.Names];

    /// <summary>Regression: the simulation of one connection behind linux-conntrack never ended.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void AdviceAndRun_OfEveryBalancer_End(string balancer)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var preset = BalancerPresets.Find(balancer)!;
        var request = new AdviceRequest
        {
            Preset = preset,
            Rule = new BalancerRule(TimeSpan.FromSeconds(preset.IdleTimeout ?? 300), preset.Behaviour),
            Connections = 1,
        };
        if (Advisor.Find(request, out var reason) is { } advice)
        {
            Assert.True(AdviceCheck.Run(request, advice.Settings, advice.WorstHz, 1, static _ => { }, limit.Token).Probes > 0);
            Assert.True(AdviceCheck.Run(request, null, advice.WorstHz, 1, static _ => { }, limit.Token).Totals.Requests > 0);
        }
        else
        {
            Assert.NotEmpty(reason);
        }
        var scenario = VirtualRun.Read($"""
            balancer: {(preset.IdleTimeout is null ? $"{{preset: {balancer}, idleTimeout: 300s}}" : balancer)}
            connections: 20
            requests: {"{arrival: poisson, mean: 10m}"}
            timers: {"{hz: 1000}"}
            keepalive: {"{time: 60s, interval: 10s, probes: 3}"}
            """);
        Assert.True(VirtualEngine.Run(scenario, new VirtualOptions(), null, limit.Token).Requests > 0);
    }

    private static IEnumerable<AdviceRequest> Requests(string balancer) =>
        from loss in new[] { 0, 0.01, 0.05 }
        from within in new[] { null, "10m", "2m", "30s" }
        select Request(balancer) with { Loss = loss, DetectWithin = within is null ? null : Time(within) };

    private static AdviceRequest Request(string balancer) => BalancerPresets.Find(balancer) is { IdleTimeout: { } seconds } preset
        ? new AdviceRequest { Preset = preset, Rule = new BalancerRule(TimeSpan.FromSeconds(seconds), preset.Behaviour) }
        : throw new ArgumentException(balancer);

    private static TimeSpan Time(string text) => GoDuration.TryParse(text, out var nanoseconds) ? TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick) : throw new FormatException(text);
}
