using System.Runtime.InteropServices;

namespace Keepalive.Agent.Workloads;

/// <summary>Shares of a limited number of things: each owner gets up to its share, and if all are taken, as many as every other owner.</summary>
/// <param name="maxInAll">How many there may be in all.</param>
/// <param name="maxOfOne">Of one account; the node's own has no such limit.</param>
/// <param name="nodeGives">Whether the node gives up its own for others, too.</param>
internal sealed class AccountShares(int maxInAll, int maxOfOne, bool nodeGives)
{
    private readonly Dictionary<string, int> _taken = [];
    private int _all;
    private KeyValuePair<string, int>? _most;

    /// <summary>How many there may be in all.</summary>
    public int MaxInAll => maxInAll;

    /// <summary>How many an account has.</summary>
    public int Of(string? account) => _taken.GetValueOrDefault(Accountable.Key(account));

    /// <summary>Whether an account may have another one.</summary>
    /// <param name="account">The account.</param>
    /// <param name="from">Which account has to give one up for it; null where there is room.</param>
    public bool Allows(string? account, out string? from)
    {
        from = null;
        var own = Of(account);
        if (account is not null && own >= maxOfOne)
        {
            return false;
        }
        if (_all < maxInAll)
        {
            return true;
        }
        var (most, count) = _most ??= _taken.Where(taken => nodeGives || taken.Key != Accountable.Key(null)).DefaultIfEmpty().MaxBy(taken => taken.Value);
        // With one more than the other it would only be the next to give up.
        if (count <= own + 1)
        {
            return false;
        }
        from = most;
        return true;
    }

    public void Take(string? account)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_taken, Accountable.Key(account), out _)++;
        _all++;
        _most = null;
    }

    public void GiveBack(string? account)
    {
        _all--;
        if (--_taken[Accountable.Key(account)] == 0)
        {
            _taken.Remove(Accountable.Key(account));
        }
        _most = null;
    }
}
