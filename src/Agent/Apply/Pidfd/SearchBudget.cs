namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>How long a pass may look for the owners of sockets, for each that is <see cref="Accountable"/>.</summary>
/// <param name="time">The clock.</param>
internal sealed class SearchBudget(TimeProvider time)
{
    /// <summary>Of a pass that others follow. A search over ten thousand descriptors takes about that long.</summary>
    private static readonly TimeSpan Share = TimeSpan.FromMilliseconds(50);

    /// <summary>The same for root's own processes.</summary>
    private static readonly TimeSpan ShareOfTheNode = TimeSpan.FromMilliseconds(500);

    /// <summary>Of the last pass, which whoever stops the service waits for.</summary>
    private static readonly TimeSpan LastShare = TimeSpan.FromMilliseconds(300);

    /// <summary>Of a pass that none follows and that a user waits for.</summary>
    private static readonly TimeSpan OnlyShare = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, TimeSpan> _spent = [];
    private string _account = "";
    private long _begun;
    private TimeSpan _left;
    private TimeSpan _share = Share;
    private TimeSpan _shareOfTheNode = ShareOfTheNode;

    /// <summary>What is spent is spent by the pass.</summary>
    public void BeginPass(PassScope scope)
    {
        _spent.Clear();
        _share = scope.Only ? OnlyShare : scope.Last ? LastShare : Share;
        _shareOfTheNode = scope.Only ? OnlyShare : scope.Last ? 2 * ShareOfTheNode : ShareOfTheNode;
    }

    /// <summary>Begins a search on somebody's account; null is the node's.</summary>
    public void Begin(string? account)
    {
        _account = account ?? "";
        _left = (account is null ? _shareOfTheNode : _share) - _spent.GetValueOrDefault(_account);
        _begun = time.GetTimestamp();
    }

    /// <summary>Whether it has to stop.</summary>
    public bool IsSpent => time.GetElapsedTime(_begun) >= _left;

    public void End() => _spent[_account] = _spent.GetValueOrDefault(_account) + time.GetElapsedTime(_begun);
}
