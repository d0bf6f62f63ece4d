using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A socket that a rule selects, or selected: what is known of it between two passes. Mutable; owned by the pass thread.</summary>
internal sealed class TrackedSocket
{
    /// <summary>Passes between two tries, at most.</summary>
    private const int MostPassesApart = 12;

    private SocketEndpoint _local;
    private SocketEndpoint _remote;
    private bool _wasMatched;

    public required ulong Namespace { get; init; }

    public required ulong Cookie { get; init; }

    public required SocketEndpoint Local { get => _local; init => _local = value; }

    public required SocketEndpoint Remote { get => _remote; init => _remote = value; }

    public CompiledRule? Rule { get; private set; }

    /// <summary>Whether it has no rule because not everything is known that rules are made of: what was set on it stays.</summary>
    public bool IsUndecided { get; private set; }

    public SocketMemory? Memory { get; set; }

    public SocketOutcome Outcome { get; set; } = SocketOutcome.Pending;

    public string? Reason { get; set; }

    /// <summary>The values read or written last; null before the first reading.</summary>
    public KeepaliveOptions? Current { get; set; }

    /// <summary>What <see cref="Current"/> has replaced (or, in a dry run, would) since the last record.</summary>
    public KeepaliveOptions? Replaced { get; set; }

    public OwnValues Own { get; set; }

    public int UserTimeout { get; set; }

    /// <summary>The process and its descriptor through which the socket was last reached; 0 where not known.</summary>
    public int Pid { get; set; }

    public int Descriptor { get; set; }

    /// <summary>Whether the policy has not been brought to bear yet: the next pass tries again.</summary>
    public bool Unsettled { get; set; } = true;

    /// <summary>Whether the search for its owner had no time to end, and goes on.</summary>
    public bool IsLeftOver => LeftOverSince is not null;

    /// <summary>The pass whose search was cut short.</summary>
    public long? LeftOverSince { get; set; }

    /// <summary>Passes to leave out before the next try, and how many that failed.</summary>
    public int Attempts { get; set; }

    public long NextTry { get; set; }

    // What the last dump said.
    public long SeenInDump { get; set; }

    public TcpState State { get; set; }

    public TcpTimer Timer { get; set; }

    public uint? TimerExpires { get; set; }

    public int Unanswered { get; set; }

    public uint? Idle { get; set; }

    public uint Inode { get; set; }

    public ulong CgroupId { get; set; }

    public bool IsMultipath { get; set; }

    /// <summary>Whether the kernel was asked if it is a subflow, after no process was found to hold it.</summary>
    public bool IsMultipathKnown { get; set; }

    /// <summary>Whether it is gone from the kernel's table; queues that still hold it drop it.</summary>
    public bool Gone { get; set; }

    /// <summary>Takes in between which ends it is; true where they are others than before: a socket that is disconnected (connect(2), AF_UNSPEC) keeps its
    /// cookie. It is to be judged anew.</summary>
    public bool Move(in SocketEndpoint local, in SocketEndpoint remote)
    {
        if (local == _local && remote == _remote)
        {
            return false;
        }
        (_local, _remote) = (local, remote);
        (Unsettled, NextTry) = (true, 0);
        return true;
    }

    /// <summary>Whether two rules ask the same of a socket.</summary>
    public static bool SameEffect(CompiledRule? a, CompiledRule? b) =>
        ReferenceEquals(a, b) || (a is not null && b is not null && a.Settings == b.Settings && a.Existing == b.Existing);

    /// <summary>Takes in which rule of a policy selects it.</summary>
    /// <remarks>One that loses a rule was selected by what is known: only of one that never had any here, or where nothing is known any more,
    /// is that undecided.</remarks>
    public void Select(CompiledRule? rule, PolicySnapshot policy)
    {
        IsUndecided = rule is null && !policy.IsComplete && (IsUndecided || !_wasMatched || ReferenceEquals(policy, PolicySnapshot.Undecided));
        (Rule, _wasMatched) = (rule, true);
    }

    /// <summary>When it is tried again, being unsettled: at the next pass where only the far end or the application is waited for, else less and less
    /// often.</summary>
    /// <param name="pass">The number of this pass.</param>
    public void PutOff(long pass)
    {
        if (NextTry <= pass)
        {
            var soon = Outcome is SocketOutcome.Deferred || (Outcome is SocketOutcome.Pending && Attempts < 6);
            NextTry = pass + (soon ? 1 : Math.Min(MostPassesApart, 1 << Math.Min(Attempts, 10)));
            Attempts++;
        }
    }

    public SocketRecord ToRecord() => new()
    {
        Namespace = Namespace,
        Cookie = Cookie,
        Local = Local,
        Remote = Remote,
        State = State,
        Timer = Timer,
        TimerExpires = TimerExpires,
        Unanswered = Unanswered,
        Idle = Idle,
        Found = Memory is { Holder: not SocketHolder.Application } memory ? memory.Found : null,
        Current = Current,
        Replaced = Replaced,
        Own = Own,
        Changed = Replaced is not null && Outcome is not (SocketOutcome.WouldApply or SocketOutcome.WouldRestore),
        UserTimeout = UserTimeout,
        Rule = Rule,
        Outcome = Outcome,
        Reason = Reason,
        Pid = Pid,
    };
}
