namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>How long a pass may look for the owners of sockets, for each that is <see cref="Accountable"/>.</summary>
/// <param name="time">The clock.</param>
internal sealed class SearchBudget(TimeProvider time)
{
    /// <summary>A search over ten thousand descriptors takes about that long.</summary>
    private static readonly TimeSpan Share = TimeSpan.FromMilliseconds(50);

    /// <summary>For root's own processes.</summary>
    private static readonly TimeSpan ShareOfTheNode = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, TimeSpan> _spent = [];
    private string _account = "";
    private long _begun;
    private TimeSpan _left;

    /// <summary>What is spent is spent by the pass.</summary>
    public void BeginPass() => _spent.Clear();

    /// <summary>Begins a search on somebody's account; null is the node's.</summary>
    public void Begin(string? account)
    {
        _account = account ?? "";
        _left = (account is null ? ShareOfTheNode : Share) - _spent.GetValueOrDefault(_account);
        _begun = time.GetTimestamp();
    }

    /// <summary>Whether it has to stop.</summary>
    public bool IsSpent => time.GetElapsedTime(_begun) >= _left;

    public void End() => _spent[_account] = _spent.GetValueOrDefault(_account) + time.GetElapsedTime(_begun);
}
