using Keepalive.Agent.Workloads;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class AccountSharesTests
{
    private readonly AccountShares _shares = new(maxInAll: 10, maxOfOne: 6, nodeGives: true);
    private readonly Dictionary<string, int> _have = [];

    [Fact]
    public void Allows_ShareUsed_RefusesMore()
    {
        Take("pod a", 6);
        Assert.False(_shares.Allows("pod a", out _));
        Assert.True(_shares.Allows("pod b", out var from));
        Assert.Null(from);
        _shares.GiveBack("pod a");
        Assert.True(_shares.Allows("pod a", out _));
    }

    [Fact]
    public void Allows_AllUsed_LargestAccountMakesRoom()
    {
        Take("pod a", 6);
        Take("pod b", 4);
        Assert.True(_shares.Allows("pod c", out var from));
        Assert.Equal("pod a", from);
        _shares.GiveBack("pod a");
        Take("pod c", 1);
        _have["pod a"]--;
        Settle("pod c", "pod a", "pod b");
        Assert.Equal(10, _have.Values.Sum());
        Assert.Equal([3, 3, 4], _have.Values.Order());
    }

    [Fact]
    public void Allows_Node_HasNoShareOfItsOwn()
    {
        Take(null, 10);
        Assert.True(_shares.Allows("pod a", out var from));
        Assert.Equal(Accountable.Key(null), from);
    }

    [Fact]
    public void Allows_NodeHasTheMost_LargestOtherAccountMakesRoom()
    {
        var shares = new AccountShares(maxInAll: 6, maxOfOne: 5, nodeGives: false);
        foreach (var account in new[] { null, null, null, "pod a", "pod a", "pod b" })
        {
            shares.Take(account);
        }
        Assert.True(shares.Allows("pod c", out var from));
        Assert.Equal("pod a", from);
        shares.GiveBack("pod a");
        shares.Take("pod c");
        Assert.Equal(1, shares.Of("pod a"));
        Assert.False(shares.Allows("pod d", out _));
        Assert.False(shares.Allows(null, out _));

        var all = new AccountShares(maxInAll: 1, maxOfOne: 5, nodeGives: false);
        all.Take(null);
        Assert.False(all.Allows("pod a", out _));
        Assert.False(all.Allows(null, out _));
    }

    private void Take(string? account, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _shares.Take(account);
        }
        _have[Accountable.Key(account)] = _have.GetValueOrDefault(Accountable.Key(account)) + count;
    }

    /// <summary>All accounts ask for more until no request is granted.</summary>
    private void Settle(params string[] asking)
    {
        for (int round = 0; round < 20; round++)
        {
            foreach (var account in asking)
            {
                if (_shares.Allows(account, out var from))
                {
                    Assert.NotNull(from);
                    _shares.GiveBack(from);
                    _have[from]--;
                    Take(account, 1);
                }
            }
        }
    }
}
