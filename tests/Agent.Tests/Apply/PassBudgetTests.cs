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
    public void IsSpent_OneHasUsedItsShare_OnlyThatOneWaits()
    {
        Work("pod a", s_share);
        Assert.True(_budget.IsSpent);
        _budget.Charge("pod b");
        Assert.False(_budget.IsSpent);
        _budget.Charge("pod a");
        Assert.True(_budget.IsSpent);
    }

    [Fact]
    public void Stop_WorkForNobody_IsOnNoAccount()
    {
        Work("pod a", s_share / 2);
        _budget.Stop();
        _time.Advance(100 * s_share);
        Assert.False(_budget.IsSpent);
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);
    }

    [Fact]
    public void IsSpent_ManyTogether_OthersHaveLittleAndTheNodeIsNotHeldUp()
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

    /// <summary>One piece of work is not cut short, and may take many shares: in a siege the next one comes when that has been made up for.</summary>
    [Fact]
    public void IsSpent_PassesTooLongForAll_WhoeverTookMoreThanAShareWaits()
    {
        Work("pod a", 4 * s_share);
        Work("pod b", 0.5 * s_share);
        _budget.Stop();
        _budget.BeginPass(new PassScope());
        _budget.Charge("pod a");
        Assert.False(_budget.IsSpent);   // nobody was held up

        Work("pod a", 4 * s_share);
        Work("pod b", 0.5 * s_share);
        Work("pod c", 2 * s_share);
        Work("pod d", 1.5 * s_share);
        _budget.Stop();
        // It owes 3 and 3, of which each pass makes up for one; the other one.
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

    /// <summary>What the first pass leaves out is what nobody knows of yet: there a share is all that counts.</summary>
    [Fact]
    public void IsSpent_FullPass_HasNoLimitForAllTogether()
    {
        _budget.BeginPass(new PassScope { Full = true });
        for (int i = 0; i < 100; i++)
        {
            Work($"pod {i}", s_share / 1.25);
            Assert.False(_budget.IsSpent);
        }
    }

    [Fact]
    public void Cost_OfPassesBefore_TellsTheDearFromTheCheap()
    {
        Work("pod dear", s_share);
        Assert.True(_budget.IsSpent);
        Work("pod cheap", s_share / 10);
        Assert.False(_budget.IsSpent);
        _budget.BeginPass(new PassScope());
        Assert.True(_budget.Cost("pod dear") > _budget.Cost("pod cheap"));
        Assert.Equal(TimeSpan.Zero, _budget.Cost(null));
        _budget.Charge("pod dear");
        Assert.False(_budget.IsSpent);
    }

    [Fact]
    public void Excess_TenPassesCutShort_IsToldAndNotAfterTheLastOne()
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
