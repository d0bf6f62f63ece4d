using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;

namespace Keepalive.Agent.Capture;

/// <summary>Who has how many of the captures there may be: up to a share each, and where all are taken as many as everybody else.</summary>
/// <param name="mostInAll">Captures in all.</param>
/// <param name="mostOfOne">Of one account; the node's own has no such limit.</param>
internal sealed class CaptureShares(int mostInAll, int mostOfOne)
{
    private readonly Dictionary<string, int> _taken = [];
    private int _all;

    /// <summary>Whether an account may have another one.</summary>
    /// <param name="account">The account.</param>
    /// <param name="from">Which account has to give one up for it; null where there is room.</param>
    public bool Allows(string? account, out string? from)
    {
        from = null;
        var own = _taken.GetValueOrDefault(Accountable.Key(account));
        if (account is not null && own >= mostOfOne)
        {
            return false;
        }
        if (_all < mostInAll)
        {
            return true;
        }
        var (most, count) = _taken.MaxBy(taken => taken.Value);
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
    }

    public void GiveBack(string? account)
    {
        _all--;
        if (--_taken[Accountable.Key(account)] == 0)
        {
            _taken.Remove(Accountable.Key(account));
        }
    }
}
