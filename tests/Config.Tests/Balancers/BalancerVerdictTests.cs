using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Config.Tests.Balancers;

public sealed class BalancerVerdictTests
{
    public static TheoryData<string> Named => [.. BalancerPresets.All.Select(preset => preset.Name)];

    [Theory]
    [InlineData(60, 10, 6, "aws-nlb", BalancerStanding.Kept, 5)]
    [InlineData(300, 10, 9, "aws-nlb", BalancerStanding.Kept, 1)]
    [InlineData(300, 75, 9, "aws-nlb", BalancerStanding.NoMargin, 0)]
    [InlineData(300, 10, 1, "aws-nlb", BalancerStanding.NoMargin, 0)]
    [InlineData(340, 10, 9, "aws-nlb", BalancerStanding.Forgotten, -1)]
    [InlineData(700, 10, 20, "aws-nlb", BalancerStanding.Forgotten, -1)]
    [InlineData(700, 10, 20, "azure-lb", BalancerStanding.Forgotten, -1)]
    [InlineData(700, 10, 20, "gcp-vpc-firewall", BalancerStanding.Forgotten, -1)]
    [InlineData(700, 10, 20, "kube-proxy-ipvs", BalancerStanding.Kept, 14)]
    [InlineData(10, 1, 9, "aws-alb", BalancerStanding.PayloadNeeded, 8)]
    [InlineData(60, 10, 6, "aws-global-accelerator", BalancerStanding.ProbesUnanswered, 5)]
    [InlineData(60, 10, 6, "docker-desktop", BalancerStanding.PayloadNeeded, 5)]
    [InlineData(60, 10, 6, "cloudflare-gateway", BalancerStanding.PayloadNeeded, 5)]
    [InlineData(870, 10, 6, "docker-swarm", BalancerStanding.Forgotten, -1)]
    public void Verdict_ValuesAgainstAPreset_IsAsTheTimerAllows(int time, int interval, int probes, string name, BalancerStanding standing, int lost)
    {
        var verdict = new BalancerVerdict(new KeepaliveSettings(time, interval, probes), BalancerPresets.Find(name)!);
        Assert.Equal((standing, lost), (verdict.Standing, verdict.LostProbes));
    }

    [Fact]
    public void Verdict_TimeMissing_DependsOnTheNamespace()
    {
        var verdict = new BalancerVerdict(default, BalancerPresets.Find("linux-conntrack")!);
        Assert.Equal((7200, 75, 9), (verdict.Schedule.Time, verdict.Schedule.Interval, verdict.Schedule.Probes));
        Assert.Equal(BalancerStanding.Depends, verdict.Standing);
        Assert.Equal(150, new BalancerVerdict(default, BalancerPresets.Find("aws-nlb")!).KeptUpTo);
        Assert.Equal(0.5, verdict.ProbesPerHour);
    }

    [Fact]
    public void Verdict_TimeoutConfigured_TakesThePresetsPlace()
    {
        var settings = new KeepaliveSettings(700, 10, 20);
        Assert.Equal(BalancerStanding.Kept, new BalancerVerdict(settings, BalancerPresets.Find("aws-nlb")!, 1000).Standing);
        Assert.Equal(1000, new BalancerVerdict(settings, BalancerPresets.Find("aws-nlb")!, 1000).IdleTimeout);
    }

    /// <summary>An idle timeout that a person gives needs no source.</summary>
    [Theory]
    [InlineData("aws-nlb", null, BalancerFacts.None)]
    [InlineData("calico-ebpf", null, BalancerFacts.IdleTimeout | BalancerFacts.Refresh)]
    [InlineData("calico-ebpf", 3600, BalancerFacts.Refresh)]
    [InlineData("aws-nat-gateway", null, BalancerFacts.None)]
    public void Unconfirmed_FactsBehindTheVerdict_AreNamed(string name, int? timeout, BalancerFacts expected) =>
        Assert.Equal(expected, new BalancerVerdict(new(60, 10, 6), BalancerPresets.Find(name)!, timeout).Unconfirmed);

    [Theory]
    [MemberData(nameof(Named))]
    public void Advice_Followed_KeepsTheConnection(string name)
    {
        var preset = BalancerPresets.Find(name)!;
        foreach (var timeout in new[] { preset.IdleTimeout ?? 60, 30, 60, 61, 350, 3600 })
        {
            foreach (var (time, interval, probes) in new[] { (7200, 75, 9), (700, 10, 20), (60, 1, 3), (60, 400, 6), (1, 1, 1), (20, 10, 2) })
            {
                var own = new KeepaliveSettings(time, interval, probes);
                var advised = new BalancerVerdict(own, preset, timeout).Advise();
                Assert.NotNull(advised);
                var verdict = new BalancerVerdict(advised.Value, preset, timeout);
                Assert.Equal(
                    preset.DropsProbes ? BalancerStanding.ProbesUnanswered
                    : preset.Refresh == Refresh.PayloadOnly ? BalancerStanding.PayloadNeeded
                    : BalancerStanding.Kept,
                    verdict.Standing);
                Assert.True(verdict.LostProbes >= 2);
                Assert.True(advised.Value.Interval * advised.Value.Probes >= BalancerCheck.BriefOutage);
            }
        }
    }

    /// <summary>Correct values do not change.</summary>
    [Theory]
    [InlineData(60, 10, 2, 60, 10, 3)]
    [InlineData(1, 1, 1, 1, 1, 30)]
    [InlineData(60, 10, 6, 60, 10, 6)]
    [InlineData(700, 10, 20, 240, 10, 20)]
    public void Advice_ForANetworkLoadBalancer_ChangesWhatMustBe(int time, int interval, int probes, int newTime, int newInterval, int newProbes) =>
        Assert.Equal(
            new KeepaliveSettings(newTime, newInterval, newProbes),
            new BalancerVerdict(new(time, interval, probes), BalancerPresets.Find("aws-nlb")!).Advise());

    /// <summary>Regression: the fraction of a second that discover measures was cut off.</summary>
    [Theory]
    [InlineData(0.9, BalancerStanding.Forgotten)]
    [InlineData(1.1, BalancerStanding.NoMargin)]
    [InlineData(2.9, BalancerStanding.Kept)]
    [InlineData(2.0, BalancerStanding.NoMargin)]
    public void Verdict_TimeoutWithAFraction_KeepsIt(double timeout, BalancerStanding expected)
    {
        var verdict = new BalancerVerdict(new(1, 1, 9), BalancerPresets.Unnamed, timeout);
        Assert.Equal((timeout, expected), (verdict.IdleTimeout, verdict.Standing));
    }

    /// <summary>Payload each second does not keep a connection that is forgotten after 0.9 s.</summary>
    [Theory]
    [InlineData(0.9, "every 0.3s", "idle for 0.7s")]
    [InlineData(2, "every 0.6s", "idle for 1s")]
    [InlineData(346.1, "every 115s", "idle for 276s")]
    public void InsteadOfKeepalive_AnyTimeout_IsBelowIt(double timeout, string ping, string close)
    {
        var text = BalancerCheck.InsteadOfKeepalive(timeout);
        Assert.Contains(ping, text, StringComparison.Ordinal);
        Assert.Contains(close, text, StringComparison.Ordinal);
    }

    [Fact]
    public void Advice_TimeoutOfASecond_IsNone() => Assert.Null(new BalancerVerdict(new(1, 1, 9), BalancerPresets.Find("aws-nlb")!, 1).Advise());
}
