using Keepalive.Agent.Kubernetes;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

public sealed class BackoffTests
{
    private static readonly WatchTiming s_timing = new()
    {
        Backoff = TimeSpan.FromSeconds(1),
        MaxBackoff = TimeSpan.FromSeconds(60),
        LookForAbsent = TimeSpan.FromMinutes(5),
    };

    /// <summary>Random numbers that leave a wait unchanged: the middle of its range.</summary>
    private double _random = 0.5;

    [Theory]
    [InlineData(0, 0.5)]
    [InlineData(0.5, 1)]
    [InlineData(0.999, 1.499)]
    public void AfterFailure_EachTime_IsTwiceAsLongUpToTheLongest(double random, double share)
    {
        _random = random;
        var backoff = Create();
        int[] seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        Assert.Equal(seconds.Select(wait => wait * share), seconds.Select(_ => backoff.AfterFailure().TotalSeconds), (one, other) => Math.Abs(one - other) < 1e-6);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    [InlineData(0.999)]
    public void AfterFailure_WhileNothingIsKnown_IsTenSecondsAtMost(double random)
    {
        _random = random;
        var backoff = Create();
        var waits = Enumerable.Range(0, 20).Select(_ => backoff.AfterFailure(isKnown: false).TotalSeconds).ToList();
        Assert.Equal(0.5 + random, waits[0], 6);
        Assert.All(waits[4..], wait => Assert.InRange(wait, 3.3, 10));
    }

    [Fact]
    public void AfterFailure_AfterMany_StaysTheLongest()
    {
        var backoff = Create();
        var waits = Enumerable.Range(0, 100).Select(_ => backoff.AfterFailure()).ToList();
        Assert.All(waits.Skip(6), wait => Assert.Equal(s_timing.MaxBackoff, wait));
    }

    [Fact]
    public void Lasted_AfterFailures_ResetsTheBackoff()
    {
        var backoff = Failed(5);
        backoff.Lasted();
        Assert.Equal(s_timing.Backoff, backoff.AfterFailure());
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(2, 4)]
    [InlineData(3, 8)]
    [InlineData(6, 8)]
    public void EndedSoon_AfterFailures_CountsAsThreeOfThemAtMost(int failures, int seconds)
    {
        var backoff = Failed(failures);
        backoff.EndedSoon();
        Assert.Equal(TimeSpan.FromSeconds(seconds), backoff.AfterFailure());
    }

    [Theory]
    [InlineData(30, 0, 30)]
    [InlineData(30, 0.5, 45)]
    [InlineData(0, 0.5, 0.5)]
    [InlineData(0.25, 0.5, 0.75)]
    public void AfterFailure_BusyServer_IsAskedWithinTwiceItsRetryAfter(double asked, double random, double seconds)
    {
        _random = random;
        Assert.Equal(TimeSpan.FromSeconds(seconds), Failed(6).AfterFailure(TimeSpan.FromSeconds(asked)));
    }

    [Fact]
    public void AfterFailure_ServerBusyForLong_WaitsLongerUntilItOpensAWatch()
    {
        var asked = TimeSpan.FromSeconds(2);
        var backoff = Create();
        for (var times = 0; times < 10; times++)
        {
            Assert.Equal(asked * 1.5, backoff.AfterFailure(asked));
        }
        // The server's own delay stays the minimum.
        Assert.Equal(asked * 1.5, backoff.AfterFailure(asked));
        Assert.Equal(TimeSpan.FromSeconds(2), backoff.AfterFailure(asked));
        Assert.Equal(TimeSpan.FromSeconds(4), backoff.AfterFailure(asked));
        backoff.Opened();
        Assert.Equal(asked * 1.5, backoff.AfterFailure(asked));
    }

    [Fact]
    public void AfterFailure_RetryAfterOfTenMinutesOrMore_IsIgnored()
    {
        var backoff = Create();
        Assert.Equal(s_timing.Backoff, backoff.AfterFailure(TimeSpan.FromMinutes(10)));
        Assert.Equal(TimeSpan.FromTicks(TimeSpan.TicksPerMinute * 15) - TimeSpan.FromTicks(3), backoff.AfterFailure(TimeSpan.FromMinutes(10) - TimeSpan.FromTicks(2)));
    }

    [Theory]
    [InlineData(0, 0, 150)]
    [InlineData(0.5, 0.5, 300)]
    public void OtherWaits_AreOfTheirOwnLength(double random, double beforeList, double whileAbsent)
    {
        _random = random;
        Assert.Equal(TimeSpan.FromSeconds(beforeList), Create().BeforeList);
        Assert.Equal(TimeSpan.FromSeconds(whileAbsent), Create().WhileAbsent);
    }

    private Backoff Create() => new(s_timing, () => _random);

    private Backoff Failed(int times)
    {
        var backoff = Create();
        for (var i = 0; i < times; i++)
        {
            backoff.AfterFailure();
        }
        return backoff;
    }
}
