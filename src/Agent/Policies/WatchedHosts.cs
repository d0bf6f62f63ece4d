namespace Keepalive.Agent.Policies;

/// <summary>The addresses of the hosts that policies name. They are looked up at once for a new policy, and then every 30 s in the
/// background.</summary>
internal sealed class WatchedHosts(HostResolver resolver, TimeProvider time)
{
    private static readonly TimeSpan s_resolveEvery = TimeSpan.FromSeconds(30);
    private static readonly IReadOnlySet<string> s_none = new HashSet<string>();

    private readonly Lock _lock = new();
    private IReadOnlySet<string> _asked = s_none;
    private HostAnswers _answers = HostAnswers.None;
    private bool _isChanged;
    private Task _asking = Task.CompletedTask;
    private long _askedAt;

    /// <summary>The hosts that the policies name.</summary>
    public IReadOnlySet<string> Wanted { get; private set; } = s_none;

    /// <summary>The answers for these hosts, and perhaps for others.</summary>
    public HostAnswers Answers
    {
        get
        {
            lock (_lock)
            {
                return _answers;
            }
        }
    }

    /// <summary>Sets the hosts that the policies name. Returns true if all of them were looked up already.</summary>
    public bool Want(IReadOnlySet<string> hosts)
    {
        Wanted = hosts;
        return AreAsked(hosts);
    }

    /// <summary>Looks the hosts up, and waits for the answers as long as the resolver does.</summary>
    public void Resolve(CancellationToken stop)
    {
        if (Wanted.Count > 0)
        {
            // One lookup at a time, because the resolver stores the earlier answers.
            Task.WhenAny(_asking).Wait(stop);
            ResolveAsync(Wanted, stop).GetAwaiter().GetResult();
            TakeChange();
        }
    }

    /// <summary>Looks the hosts up in the background if that is due, because a slow name server must not delay a pass. Returns true if
    /// answers came that differ from those before.</summary>
    public bool Refresh(CancellationToken stop)
    {
        var isDue = !AreAsked(Wanted) || time.GetElapsedTime(_askedAt) >= s_resolveEvery;
        if (isDue && Wanted.Count > 0 && _asking.IsCompleted)
        {
            var hosts = Wanted;
            _asking = Task.Run(() => ResolveAsync(hosts, stop), stop);
        }
        return TakeChange();
    }

    private bool AreAsked(IReadOnlySet<string> hosts)
    {
        lock (_lock)
        {
            return hosts.IsSubsetOf(_asked);
        }
    }

    private async Task ResolveAsync(IReadOnlySet<string> hosts, CancellationToken stop)
    {
        _askedAt = time.GetTimestamp();
        var answers = await resolver.ResolveAsync(hosts, stop).ConfigureAwait(false);
        lock (_lock)
        {
            // A host without an address is an answer too.
            _isChanged |= !hosts.IsSubsetOf(_asked) || !_answers.IsSameAs(answers);
            (_asked, _answers) = (hosts, answers);
        }
    }

    private bool TakeChange()
    {
        lock (_lock)
        {
            var isChanged = _isChanged;
            _isChanged = false;
            return isChanged;
        }
    }
}
