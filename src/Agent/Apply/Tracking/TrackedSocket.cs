using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A socket that a rule selects, or selected: what is known of it between two passes. Mutable; owned by the pass thread.</summary>
internal sealed class TrackedSocket
{
    private SeenSocket _seen;
    private SocketStanding _standing = new();
    private SocketReach _reach;

    /// <param name="inode">Its namespace.</param>
    /// <param name="seen">What the dump that it is first met in says of it.</param>
    /// <param name="dump">The number of that dump.</param>
    public TrackedSocket(ulong inode, in SeenSocket seen, long dump) => (Namespace, _seen, SeenInDump) = (inode, seen, dump);

    /// <summary>Inode number of the network namespace.</summary>
    public ulong Namespace { get; }

    public ulong Cookie => _seen.Cookie;

    public SocketEndpoint Local => _seen.Local;

    public SocketEndpoint Remote => _seen.Remote;

    /// <summary>What the last dump said of it.</summary>
    public ref readonly SeenSocket Seen => ref _seen;

    /// <summary>Where it stands.</summary>
    public ref SocketStanding Standing => ref _standing;

    /// <summary>How it is reached.</summary>
    public ref SocketReach Reach => ref _reach;

    /// <summary>The dump of its namespace that it was last in.</summary>
    public long SeenInDump { get; private set; }

    /// <summary>Whether it is gone from the kernel's table; queues that still hold it drop it.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Takes in what a dump says of it; true where it is between other ends than before: a socket that is disconnected (connect(2),
    /// AF_UNSPEC) keeps its cookie. It is to be judged anew.</summary>
    /// <param name="seen">What the dump says.</param>
    /// <param name="dump">The number of the dump.</param>
    public bool See(in SeenSocket seen, long dump)
    {
        var hasMoved = seen.Local != _seen.Local || seen.Remote != _seen.Remote;
        (_seen, SeenInDump) = (seen, dump);
        if (hasMoved)
        {
            _standing.Unsettle();
        }
        return hasMoved;
    }

    /// <summary>It is not in the kernel's table any more, or nobody looks at it there.</summary>
    public void Leave() => IsGone = true;

    public SocketRecord ToRecord() => _seen.ToRecord(Namespace) with
    {
        Found = _standing.Memory is { Holder: not SocketHolder.Application } memory ? memory.Found : null,
        Current = _standing.Current,
        Replaced = _standing.Replaced,
        Own = _standing.Own,
        Changed = _standing.Replaced is not null && _standing.Outcome is not (SocketOutcome.WouldApply or SocketOutcome.WouldRestore),
        UserTimeout = _standing.UserTimeout,
        Rule = _standing.Rule,
        Outcome = _standing.Outcome,
        Reason = _standing.Reason,
        Pid = _reach.Pid,
    };
}
