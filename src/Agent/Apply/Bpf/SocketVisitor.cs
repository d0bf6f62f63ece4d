using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Takes in the sockets of one namespace: tracks and decides about those a rule selects, and reports the others as they pass.</summary>
internal ref struct SocketVisitor : IBpfRecordVisitor<BpfAbi.ka_socket>
{
    private readonly WatchedNamespace _watched;
    private readonly PassContext _pass;
    private readonly InheritedSockets _inherited;
    private readonly IReadOnlySet<ulong> _announced;
    private readonly IReadOnlyDictionary<ulong, int> _owners;
    private readonly SocketLedger _ledger;
    private readonly List<PlannedChange> _changes;
    private readonly bool _compares;
    private readonly bool _judgesAnew;

    /// <param name="watched">The namespace.</param>
    /// <param name="pass">The pass it belongs to.</param>
    /// <param name="inherited">What a predecessor knew; taken out as it is met.</param>
    /// <param name="announced">Sockets whose setting, when they were established, was reported in this pass.</param>
    /// <param name="owners">Process by socket; empty where nobody asked.</param>
    /// <param name="ledger">Decides and keeps account.</param>
    /// <param name="changes">Where decisions go that are to be carried out.</param>
    public SocketVisitor(
        WatchedNamespace watched,
        PassContext pass,
        InheritedSockets inherited,
        IReadOnlySet<ulong> announced,
        IReadOnlyDictionary<ulong, int> owners,
        SocketLedger ledger,
        List<PlannedChange> changes)
    {
        (_watched, _pass, _inherited, _announced, _owners, _ledger, _changes) = (watched, pass, inherited, announced, owners, ledger, changes);
        _compares = pass.Scope.Full || !ReferenceEquals(watched.ComparedWith, pass.Policy);
        _judgesAnew = (watched.ComparedWith as PolicySnapshot)?.JudgesAs(pass.Policy) != true;
    }

    /// <summary>Sockets seen.</summary>
    public int Count { get; private set; }

    /// <summary>Columns that this kernel does not show.</summary>
    public uint Unknown { get; private set; }

    public void Visit(in BpfAbi.ka_socket seen)
    {
        Count++;
        Unknown |= seen.unknown;
        if (IsClosed(in seen))
        {
            // One that was tracked counts as not seen, and is dropped: the application is done with it.
            _pass.Sink.Socket(Unmanaged(in seen));
            return;
        }
        if (!_watched.Sockets.TryGetValue(seen.tuple.cookie, out var socket))
        {
            socket = TryTrack(in seen);
            if (socket is null)
            {
                return;
            }
        }
        else if (socket.Move(seen.tuple.Local, seen.tuple.Remote) || _compares)
        {
            Compare(socket);
        }
        if (IsNew(socket) && (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0)
        {
            TakeIn(socket, in seen);
        }
        Update(socket, in seen);
    }

    private readonly TrackedSocket? TryTrack(in BpfAbi.ka_socket seen)
    {
        var (local, remote) = (seen.tuple.Local, seen.tuple.Remote);
        var rule = seen.state == (byte)TcpState.Listen ? null : _pass.Policy.Match(in local, in remote);
        SocketMemory? memory = _inherited.Remove((_watched.Inode, seen.tuple.cookie), out var known) ? known : null;
        var atOnce = (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0;
        var mayHaveArrived = memory is null && _inherited.MayHaveArrived(seen.values.ToOptions());
        if (rule is null && memory is null && !atOnce && !mayHaveArrived && !_pass.Scope.ReadAll)
        {
            _pass.Sink.Socket(Unmanaged(in seen));
            return null;
        }
        var socket = new TrackedSocket
        {
            Namespace = _watched.Inode,
            Cookie = seen.tuple.cookie,
            Local = local,
            Remote = remote,
            Memory = memory,
        };
        socket.Select(rule, _pass.Policy);
        _watched.Sockets.Add(socket.Cookie, socket);
        return socket;
    }

    /// <summary>Whether no pass has decided about a tracked socket so far: it was not met before, or only while it was connecting.</summary>
    public static bool IsNew(TrackedSocket socket) =>
        socket.Memory is null && (socket.Current is null || socket.Outcome == SocketOutcome.Pending);

    /// <summary>Takes in that a socket was set when it was established.</summary>
    private readonly void TakeIn(TrackedSocket socket, in BpfAbi.ka_socket seen)
    {
        _ledger.Remember(socket, AsIfUntouched(in seen));
        if (!_announced.Contains(socket.Cookie))
        {
            // The ring had no room for it, it came after the ring was read, or an earlier pass met it while it was connecting. It is a change of
            // its own: another may follow in this pass. What the application has written since counts as found.
            _pass.Sink.Socket(Arrivals.Record(in seen.tuple, in seen.found, in seen.set, socket.Rule));
        }
    }

    /// <summary>What the application would have made of a socket that was set when it was established, had nobody touched it: what it has
    /// written since counts as its own first setting.</summary>
    public static SocketMemory AsIfUntouched(in BpfAbi.ka_socket seen)
    {
        var (found, set, now) = (seen.found.ToOptions(), seen.set.ToOptions(), seen.values.ToOptions());
        return SocketMemory.OfAgent(
            new KeepaliveOptions(
                now.Enabled && found.Enabled,
                now.Time == set.Time ? found.Time : now.Time,
                now.Interval == set.Interval ? found.Interval : now.Interval,
                now.Probes == set.Probes ? found.Probes : now.Probes),
            now);
    }

    /// <summary>An equal rule of a new policy changes nothing, unless what is done with existing values has changed.</summary>
    private readonly void Compare(TrackedSocket socket)
    {
        var (local, remote) = (socket.Local, socket.Remote);
        var rule = _pass.Policy.Match(in local, in remote);
        if (_pass.Scope.Full || _judgesAnew || !TrackedSocket.SameEffect(socket.Rule, rule))
        {
            socket.Unsettled = true;
        }
        socket.Select(rule, _pass.Policy);
    }

    private readonly void Update(TrackedSocket socket, in BpfAbi.ka_socket seen)
    {
        var current = seen.values.ToOptions();
        socket.SeenInDump = _watched.Dumps;
        socket.State = (TcpState)seen.state;
        socket.Timer = Timer(in seen);
        socket.TimerExpires = TimerExpires(in seen);
        socket.Unanswered = Unanswered(in seen);
        socket.Idle = Idle(in seen);
        socket.UserTimeout = (int)seen.user_timeout;
        socket.Own = Own(in seen);
        if (_owners.Count > 0)
        {
            socket.Pid = _owners.GetValueOrDefault(socket.Cookie);
        }
        if (!socket.Unsettled && current == socket.Current)
        {
            return;
        }
        if (!CanBeSet(socket, in seen))
        {
            socket.Current = current;
        }
        else if (_ledger.Decide(socket, current, _pass.Policy, _pass.Scope, Untouched(in seen)) is { } verdict)
        {
            if (current.Enabled && seen.unanswered > 0 && socket.Timer is TcpTimer.Keepalive or TcpTimer.ZeroWindowProbe or TcpTimer.Unknown
                && !SocketLedger.EvenIfProbing(verdict, _pass.Scope))
            {
                SocketLedger.Defer(socket, _pass.Scope);
            }
            else
            {
                socket.Unsettled = true;
                _changes.Add(new PlannedChange(_watched, socket, current, verdict));
            }
        }
    }

    /// <summary>Whether a socket is one to decide about; one that is not has its outcome when this returns.</summary>
    private readonly bool CanBeSet(TrackedSocket socket, in BpfAbi.ka_socket seen)
    {
        if ((seen.kind & (BpfAbi.KA_KERNEL | BpfAbi.KA_SUBFLOW)) != 0)
        {
            socket.Outcome = SocketOutcome.Unreachable;
            socket.Reason = (seen.kind & BpfAbi.KA_SUBFLOW) != 0 ? FailureReasons.Multipath : FailureReasons.NoOwner;
            socket.Unsettled = true;
            return false;
        }
        if (socket.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2
            || (_pass.Scope.ReadAll && socket.State == TcpState.Listen))
        {
            if ((seen.kind & BpfAbi.KA_NO_INODE) == 0)
            {
                return true;
            }
            socket.Reason = FailureReasons.NotAccepted;
        }
        // Connecting, or waiting to be accepted: what its application makes of it first is its own.
        socket.Outcome = socket.Rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Pending;
        socket.Unsettled = true;
        return false;
    }

    /// <summary>What a new socket of the namespace has: in the place of what this one had, where it was not set at once.</summary>
    private static KeepaliveOptions? Untouched(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_SET_AT_ONCE) == 0 ? seen.found.ToOptions() : null;

    private static bool IsClosed(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_NO_INODE) != 0
        && (TcpState)seen.state is TcpState.FinWait1 or TcpState.FinWait2 or TcpState.LastAck or TcpState.Closing;

    private static TcpTimer Timer(in BpfAbi.ka_socket seen) => (seen.unknown & BpfAbi.KA_UNKNOWN_TIMER) == 0 ? (TcpTimer)seen.timer : TcpTimer.Unknown;

    private static uint? TimerExpires(in BpfAbi.ka_socket seen) => (seen.unknown & BpfAbi.KA_UNKNOWN_EXPIRES) == 0 ? seen.expires : null;

    private static uint? Idle(in BpfAbi.ka_socket seen) => (seen.unknown & BpfAbi.KA_UNKNOWN_IDLE) == 0 ? seen.idle : null;

    private static int Unanswered(in BpfAbi.ka_socket seen) => Timer(in seen) is TcpTimer.Keepalive or TcpTimer.Unknown ? seen.unanswered : 0;

    private static OwnValues Own(in BpfAbi.ka_socket seen) =>
        (OwnValues)((seen.values.flags >> 1) & 7) | OwnValues.Known;

    private readonly SocketRecord Unmanaged(in BpfAbi.ka_socket seen) => new()
    {
        Namespace = _watched.Inode,
        Cookie = seen.tuple.cookie,
        Local = seen.tuple.Local,
        Remote = seen.tuple.Remote,
        State = (TcpState)seen.state,
        Timer = Timer(in seen),
        TimerExpires = TimerExpires(in seen),
        Unanswered = Unanswered(in seen),
        Idle = Idle(in seen),
        Current = seen.values.ToOptions(),
        Own = Own(in seen),
        UserTimeout = (int)seen.user_timeout,
        Outcome = SocketOutcome.Unmanaged,
        Pid = _owners.Count > 0 ? _owners.GetValueOrDefault(seen.tuple.cookie) : 0,
    };
}
