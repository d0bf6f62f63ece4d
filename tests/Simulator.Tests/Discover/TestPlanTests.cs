using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>The idle times at which connections are tested.</summary>
public sealed class TestPlanTests
{
    [Fact]
    public void Ladder_GrowsByTheSameFactorToTheLongestTime()
    {
        var rungs = Enumerable.Range(0, 24).Select(rung => TestPlan.Rung(rung, 24, TimeSpan.FromMinutes(20))).ToList();

        Assert.Equal(TestPlan.Shortest, rungs[0]);
        Assert.Equal(1200, rungs[^1].TotalSeconds, 1e-3);
        Assert.All(rungs.Zip(rungs.Skip(1)), pair => Assert.Equal(rungs[1] / rungs[0], pair.Second / pair.First, 1e-4));
    }

    [Fact]
    public void Fill_ConnectionsOfAllAges_AreSpreadEvenlyOverTheGap()
    {
        var targets = TestPlan.Fill([Seconds(10), Seconds(70), Seconds(79), Seconds(85), Seconds(95), Seconds(130)], Seconds(80), Seconds(100), Seconds(2));

        Assert.Equal([null, Seconds(84), Seconds(88), Seconds(92), Seconds(96), null], targets);
    }

    /// <summary>Those that are too old for the gap are not used, nor those that are too young.</summary>
    [Fact]
    public void Divide_ConnectionsOfAllAges_UsesThoseThatReachTheGapSoon()
    {
        TimeSpan[] idle = [Seconds(10), Seconds(70), Seconds(79), Seconds(85), Seconds(95), Seconds(130)];

        var targets = TestPlan.Divide(idle, [], Seconds(80), Seconds(100), Seconds(2));

        Assert.Null(targets[0]);
        Assert.Null(targets[^1]);
        var used = targets[1..^1].Select(target => Assert.NotNull(target)).ToList();
        Assert.All(used.Zip(idle[1..^1]), pair => Assert.True(pair.First >= pair.Second && pair.First > Seconds(80) && pair.First < Seconds(100)));
        Assert.Equal(used.Count, used.Distinct().Count());
    }

    /// <summary>One in the middle answers now; what is tested already is not tested again.</summary>
    [Fact]
    public void Divide_OneDividesTheGap_IsTestedNow()
    {
        Assert.Equal([Seconds(91), null], TestPlan.Divide([Seconds(91), Seconds(130)], [], Seconds(80), Seconds(100), Seconds(2)));
        Assert.Equal([Seconds(95.5)], TestPlan.Divide([Seconds(92)], [Seconds(91)], Seconds(80), Seconds(100), Seconds(2)));
        Assert.Equal([Seconds(85)], TestPlan.Divide([Seconds(79)], [Seconds(90)], Seconds(80), Seconds(100), Seconds(2)));
    }

    [Fact]
    public void Divide_NoneIsCloseToTheGap_TheYoungOnesWait()
    {
        var targets = TestPlan.Divide([Seconds(5), Seconds(7)], [], Seconds(80), Seconds(100), Seconds(2));

        Assert.All(targets, target => Assert.InRange(target!.Value, Seconds(80), Seconds(100)));
    }

    [Fact]
    public void Divide_AllAreTooOld_TestsNone() => Assert.All(TestPlan.Divide([Seconds(101), Seconds(500)], [], Seconds(80), Seconds(100), Seconds(2)), Assert.Null);

    /// <summary>Simulated: any timeout is bracketed within little more than the first rung that is not survived, never the sum of all
    /// idle times.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(61)]
    [InlineData(240)]
    [InlineData(350)]
    [InlineData(899)]
    public void LadderAndDivide_AnyTimeout_TakeOnceTheTimeoutAndTheGap(int timeout)
    {
        const int connections = 63;
        const int rungs = connections * 3 / 8;
        var until = TimeSpan.FromMinutes(20);
        var opened = Enumerable.Range(0, rungs).Select(rung => Seconds(0.1 * rung))
            .Concat(Enumerable.Range(0, connections - rungs).Select(number => TestPlan.Opening(number, connections - rungs, until))).ToArray();
        var targets = Enumerable.Range(0, connections).Select(number => number < rungs ? TestPlan.Rung(number, rungs, until) : (TimeSpan?)null).ToArray();
        var bracket = new Bracket(TimeSpan.Zero, null);
        var (known, dropped) = (new List<TimeSpan>(), new List<TimeSpan>());
        var now = TimeSpan.Zero;
        for (; bracket.To is null || bracket.Width > bracket.To * 0.02; now += Seconds(0.1))
        {
            Assert.True(now < Seconds((timeout * 1.8) + 10), $"{bracket} after {now}");
            for (var i = 0; i < connections; i++)
            {
                if (targets[i] is { } target && now - opened[i] >= target)
                {
                    var idle = now - opened[i];
                    var isAlive = idle < Seconds(timeout);
                    (isAlive ? known : dropped).Add(idle);
                    bracket = Bracket.Of(known, dropped);
                    (opened[i], targets[i]) = (isAlive ? now : TimeSpan.MaxValue, null);
                }
            }
            if (bracket.To is { } most)
            {
                int[] waiting = [.. Enumerable.Range(0, connections).Where(i => opened[i] <= now)];
                var planned = TestPlan.Divide([.. waiting.Select(i => now - opened[i])], [], bracket.From, most, most * 0.02);
                for (var i = 0; i < waiting.Length; i++)
                {
                    targets[waiting[i]] = planned[i];
                }
            }
        }
        Assert.InRange(Seconds(timeout), bracket.From, bracket.To.Value);
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);
}
