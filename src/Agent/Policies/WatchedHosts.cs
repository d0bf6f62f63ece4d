namespace Keepalive.Agent.Policies;

/// <summary>The addresses of the hosts that the policies name: looked up at once for a new policy, every 30 s in the background from then on.</summary>
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

    /// <summary>What is known of them, and perhaps of others.</summary>
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

    /// <summary>Sets which hosts the policies name; true where all of them were looked up already.</summary>
    public bool Want(IReadOnlySet<string> hosts)
    {
        Wanted = hosts;
        return AreAsked(hosts);
    }

    /// <summary>Looks the hosts up and waits for the answers, as long as the resolver does.</summary>
    public void Resolve(CancellationToken stop)
    {
        if (Wanted.Count > 0)
        {
            // One at a time: the resolver remembers the answers before.
            Task.WhenAny(_asking).Wait(stop);
            ResolveAsync(Wanted, stop).GetAwaiter().GetResult();
            TakeChange();
        }
    }

    /// <summary>Looks the hosts up in the background where that is due, as a slow name server must not hold a pass up. True where answers came since that
    /// say something else than those before.</summary>
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
            // That a host has no address is an answer too.
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
