using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Tracking;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class PassBudgetTests
{
    private static readonly TimeSpan s_share = TimeSpan.FromMilliseconds(50);

    private readonly FakeTimeProvider _time = new();
    private readonly PassBudget _budget;

    public PassBudgetTests()
    {
        _budget = new PassBudget(_time);
        _budget.BeginPass(new PassScope());
    }

    [Fact]
    public void IsSpent_OneShareUsed_OnlyItsAccountWaits()
    {
        Work("pod a", s_share);
        Assert.True(_budget.IsSpent);
        _budget.Charge("pod b");
        Assert.False(_budget.IsSpent);
        _budget.Charge("pod a");
        Assert.True(_budget.IsSpent);
    }

    [Fact]
    public void Stop_WorkWithoutAccount_IsNotCharged()
    {
        Work("pod a", s_share / 2);
        _budget.Stop();
        _time.Advance(100 * s_share);
        Assert.False(_budget.IsSpent);
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);
    }

    [Fact]
    public void IsSpent_ManyAccounts_EachHasLittleAndTheNodeIsNotDelayed()
    {
        for (int i = 0; i < 10; i++)
        {
            Work($"pod {i}", s_share / 1.25);
        }
        Assert.True(_budget.IsSpent);
        Work("pod new", TimeSpan.FromMilliseconds(4));
        Assert.False(_budget.IsSpent);
        Work("pod new", TimeSpan.FromMilliseconds(1));
        Assert.True(_budget.IsSpent);
        _budget.Charge(null);
        Assert.False(_budget.IsSpent);
    }

    /// <summary>A piece of work is not interrupted and may use many shares. When all passes are too long, its account waits until it has
    /// paid for them.</summary>
    [Fact]
    public void IsSpent_PassTooLong_AccountsAboveTheirShareWait()
    {
        Work("pod a", 4 * s_share);
        Work("pod b", 0.5 * s_share);
        _budget.Stop();
        _budget.BeginPass(new PassScope());
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);   // no other account had to wait

        Work("pod a", 4 * s_share);
        Work("pod b", 0.5 * s_share);
        Work("pod c", 2 * s_share);
        Work("pod d", 1.5 * s_share);
        _budget.Stop();
        // Pod a owes six shares and pod c one; each pass pays off one share.
        for (var pass = 1; pass <= 6; pass++)
        {
            _budget.BeginPass(new PassScope());
            _budget.Charge("pod a");
            Assert.True(_budget.IsSpent, $"{pass}");
            _budget.Charge("pod b");
            Assert.False(_budget.IsSpent);
            _budget.Charge("pod c");
            Assert.Equal(pass == 1, _budget.IsSpent);
            _budget.Charge("pod d");
            Assert.False(_budget.IsSpent);
        }
        _budget.BeginPass(new PassScope());
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void IsSpent_Start_AnAccountHasMoreUntilAllHaveUsedMuch(bool isFirst)
    {
        _budget.BeginPass(new PassScope { Full = isFirst, Continues = !isFirst });
        Work("pod a", 4 * s_share - TimeSpan.FromMilliseconds(1));
        Assert.False(_budget.IsSpent);
        Work("pod a", TimeSpan.FromMilliseconds(1));
        Assert.True(_budget.IsSpent);
        for (int i = 0; i < 9; i++)
        {
            Work($"pod {i}", 4 * s_share);
        }
        Work("pod b", s_share - TimeSpan.FromMilliseconds(1));
        Assert.False(_budget.IsSpent);
        Work("pod b", TimeSpan.FromMilliseconds(1));
        Assert.True(_budget.IsSpent);
    }

    /// <summary>In a full pass each account has a share, however much the others use: nothing is known of the skipped sockets yet.</summary>
    [Fact]
    public void IsSpent_FullPass_EachAccountHasAShare()
    {
        _budget.BeginPass(new PassScope { Full = true });
        for (int i = 0; i < 100; i++)
        {
            Work($"pod {i}", s_share / 1.25);
            Assert.False(_budget.IsSpent);
        }
    }

    /// <summary>Regression: after a start with many sockets, their owner had no time in the next ten passes, and its new connections waited
    /// for almost a minute.</summary>
    [Fact]
    public void IsSpent_AfterAStart_ItsTimeIsNoDebtAndNoExcess()
    {
        _budget.BeginPass(new PassScope { Full = true });
        for (var pass = 0; pass < 30; pass++)
        {
            Work("pod a", 20 * s_share);
            Assert.True(_budget.IsSpent, $"{pass}");   // a share for each pass
            _budget.BeginPass(new PassScope { Continues = true });
            _budget.Charge("pod a");
            Assert.False(_budget.IsSpent, $"{pass}");
        }
        Work("pod a", 20 * s_share);
        Assert.True(_budget.IsSpent);
        _budget.BeginPass(new PassScope());
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);
        Assert.Null(_budget.Excess);
    }

    [Fact]
    public void Cost_OfEarlierPasses_IsHigherForSlowAccounts()
    {
        Work("pod slow", s_share);
        Assert.True(_budget.IsSpent);
        Work("pod fast", s_share / 10);
        Assert.False(_budget.IsSpent);
        _budget.BeginPass(new PassScope());
        Assert.True(_budget.Cost("pod slow") > _budget.Cost("pod fast"));
        Assert.Equal(TimeSpan.Zero, _budget.Cost(null));
        _budget.Charge("pod slow");
        Assert.False(_budget.IsSpent);
    }

    [Fact]
    public void Excess_TenLimitedPasses_IsReportedUntilTheyEnd()
    {
        for (int pass = 0; pass < 10; pass++)
        {
            Assert.Null(_budget.Excess);
            Work("pod a", s_share);
            Assert.True(_budget.IsSpent);
            _budget.BeginPass(new PassScope());
        }
        Assert.StartsWith("pod a: ", _budget.Excess, StringComparison.Ordinal);
        for (int pass = 0; pass < 10; pass++)
        {
            _budget.BeginPass(new PassScope());
        }
        Assert.Null(_budget.Excess);
    }

    private void Work(string account, TimeSpan time)
    {
        _budget.Charge(account);
        _time.Advance(time);
    }
}
