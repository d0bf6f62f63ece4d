using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A socket that a rule selects or has selected: its state between two passes. Mutable; only the pass thread uses it.</summary>
internal sealed class TrackedSocket : ISocketEntry
{
    private SeenSocket _seen;
    private SocketStanding _standing = new();
    private SocketReach _reach;
    private int _seenInDump;
    private bool _hasNews = true;

    /// <param name="inode">Its namespace.</param>
    /// <param name="seen">Its state in the dump that first showed it.</param>
    /// <param name="dump">The number of that dump.</param>
    public TrackedSocket(ulong inode, in SeenSocket seen, long dump) => (Namespace, _seen, SeenInDump) = (inode, seen, dump);

    /// <summary>Inode number of the network namespace.</summary>
    public ulong Namespace { get; }

    /// <summary>The namespace; null if it is not watched.</summary>
    public WatchedNamespace? Watched { get; init; }

    public ulong Cookie => _seen.Cookie;

    public SocketEndpoint Local => _seen.Local;

    public SocketEndpoint Remote => _seen.Remote;

    /// <summary>Its state in the last dump.</summary>
    public ref readonly SeenSocket Seen => ref _seen;

    /// <summary>Its rule, values, memory and outcome.</summary>
    public ref SocketStanding Standing => ref _standing;

    /// <summary>The way to it.</summary>
    public ref SocketReach Reach => ref _reach;

    /// <summary>The workload it belongs to.</summary>
    public string Workload { get; private set; } = WorkloadName.Unknown;

    /// <summary>Whether its workload is still open: a later pass may find a better one.</summary>
    public bool IsWorkloadOpen { get; private set; } = true;

    /// <summary>Whether the last dump of its namespace also showed its other end.</summary>
    public bool IsLocal
    {
        get;
        set
        {
            _hasNews |= value != field;
            field = value;
        }
    }

    /// <summary>Whether its record has to be reported: it may differ from the last one, the policy still has to be applied, or no rule
    /// selects it.</summary>
    public bool HasNews => _hasNews || _standing.HasNews || _reach.HasNews || _standing.IsUnsettled || _standing.Rule is null;

    /// <summary>The number of the last dump of its namespace that showed it.</summary>
    public long SeenInDump
    {
        get => _seenInDump;
        private set => _seenInDump = (int)value;
    }

    /// <summary>Whether it is gone from the kernel's table; queues that still contain it drop it.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Stores its state in a dump. Returns true if one of its ends differs from the last dump: a socket that is disconnected
    /// (connect(2), AF_UNSPEC) keeps its cookie. Such a socket is judged again.</summary>
    /// <param name="seen">Its state in the dump.</param>
    /// <param name="dump">The number of the dump.</param>
    /// <param name="quiet">If more milliseconds than this have passed since something was received, it was before the last dump.</param>
    public bool See(in SeenSocket seen, long dump, long quiet = long.MaxValue)
    {
        _hasNews |= seen.State != _seen.State || seen.Timer != _seen.Timer || seen.Unanswered != 0 || _seen.Unanswered != 0 || seen.Idle <= quiet;
        IsWorkloadOpen |= seen.CgroupId != _seen.CgroupId || seen.Uid != _seen.Uid;
        var hasMoved = seen.Local != _seen.Local || seen.Remote != _seen.Remote;
        (_seen, SeenInDump) = (seen, dump);
        if (hasMoved)
        {
            _hasNews = true;
            _standing.Unsettle();
        }
        return hasMoved;
    }

    /// <summary>Stores its state after it was asked.</summary>
    public void See(int unanswered, uint? idle) => _seen = _seen with { Unanswered = unanswered, Idle = idle };

    /// <summary>Stores its workload, and whether that is still open.</summary>
    public void BelongsTo(string workload, bool isOpen)
    {
        _hasNews |= workload != Workload;
        (Workload, IsWorkloadOpen) = (workload, isOpen);
    }

    /// <summary>Notes that its record was reported.</summary>
    public void Told(bool isDryRun)
    {
        _hasNews = false;
        _reach.Told();
        _standing.Told(isDryRun);
    }

    /// <summary>Marks it as gone: it is no longer in the kernel's table, or its namespace is no longer watched.</summary>
    public void Leave() => IsGone = true;

    /// <summary>Returns its record.</summary>
    /// <param name="asked">Whether it was made to send a probe in this pass.</param>
    public SocketRecord ToRecord(bool asked = false) => new()
    {
        // Not the record of what was seen with more to it: a record is large, and every pass makes one for each socket.
        Namespace = Namespace,
        Workload = Workload,
        Cookie = _seen.Cookie,
        Local = _seen.Local,
        Remote = _seen.Remote,
        State = _seen.State,
        Timer = _seen.Timer,
        TimerExpires = _seen.TimerExpires,
        Unanswered = _seen.Unanswered,
        Idle = _seen.Idle,
        RoundTrip = _seen.RoundTrip,
        Asked = asked,
        Found = _standing.Memory is { Holder: not SocketHolder.Application } memory ? memory.Found : null,
        Current = _standing.Current,
        Replaced = _standing.Replaced,
        Own = _standing.Own,
        Changed = _standing.Replaced is not null && _standing.Outcome is not (SocketOutcome.WouldApply or SocketOutcome.WouldRestore),
        UserTimeout = _standing.UserTimeout ?? 0,
        ReplacedUserTimeout = _standing.ReplacedUserTimeout,
        HasNewUserTimeout = _standing.HasNewUserTimeout,
        Rule = _standing.Rule,
        Outcome = _standing.Outcome,
        Reason = _standing.Reason,
        Pid = _reach.Pid,
        IsLocal = IsLocal,
    };
}
