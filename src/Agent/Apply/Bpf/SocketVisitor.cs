using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Takes in the sockets of one namespace, as an iterator shows them, and decides about those that are tracked: what each has is shown, too.</summary>
/// <param name="intake">Tracks and compares.</param>
/// <param name="announced">Sockets whose setting, when they were established, was reported in this pass.</param>
/// <param name="owners">Process by socket; empty where nobody asked.</param>
/// <param name="ledger">Decides and keeps account.</param>
/// <param name="changes">Where decisions go that are to be carried out.</param>
internal struct SocketVisitor(
    DumpIntake intake, IReadOnlySet<ulong> announced, IReadOnlyDictionary<ulong, int> owners, SocketLedger ledger, List<PlannedChange> changes)
    : IBpfRecordVisitor<BpfAbi.ka_socket>
{
    /// <summary>Columns that this kernel does not show.</summary>
    public uint Unknown { get; private set; }

    public void Visit(in BpfAbi.ka_socket seen)
    {
        Unknown |= seen.unknown;
        var current = seen.values.ToOptions();
        var own = (OwnValues)((seen.values.flags >> 1) & 7) | OwnValues.Known;
        var pid = owners.Count > 0 ? owners.GetValueOrDefault(seen.tuple.cookie) : 0;
        if (intake.Take(Seen(in seen), new SocketReading(current, own, (int)seen.user_timeout), pid) is not { } socket)
        {
            return;
        }
        ref var standing = ref socket.Standing;
        if (standing.IsNew && (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0)
        {
            TakeIn(socket, in seen);
        }
        standing.Read(own, (int)seen.user_timeout);
        if (owners.Count > 0)
        {
            socket.Reach.HeldBy(pid);
        }
        socket.Reach.Barrier = Barrier(in seen);
        if (standing.IsUnsettled || current != standing.Current)
        {
            Decide(socket, current, in seen);
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

    /// <summary>Takes in that a socket was set when it was established.</summary>
    private readonly void TakeIn(TrackedSocket socket, in BpfAbi.ka_socket seen)
    {
        ledger.Remember(socket, AsIfUntouched(in seen));
        if (!announced.Contains(socket.Cookie))
        {
            // The ring had no room for it, it came after the ring was read, or an earlier pass met it while it was connecting. It is a change of
            // its own: another may follow in this pass. What the application has written since counts as found.
            Arrivals.Report(intake.Pass.Sink, ledger, new BpfAbi.ka_arrival { tuple = seen.tuple, found = seen.found, set = seen.set }, socket.Standing.Rule);
        }
    }

    private readonly void Decide(TrackedSocket socket, KeepaliveOptions current, in BpfAbi.ka_socket seen)
    {
        if (!ledger.CanBeSet(socket, intake.Pass.Scope))
        {
            socket.Standing.Read(current);
        }
        else if (ledger.Decide(socket, current, intake.Pass, Untouched(in seen)) is { } verdict
            && ledger.MayWrite(socket, verdict, IsProbing(in seen, current), intake.Pass.Scope))
        {
            socket.Standing.StayUnsettled();
            changes.Add(new PlannedChange(intake.Watched, socket, current, verdict));
        }
    }

    private static SeenSocket Seen(in BpfAbi.ka_socket seen)
    {
        var timer = Timer(in seen);
        return new SeenSocket
        {
            Cookie = seen.tuple.cookie,
            Local = seen.tuple.Local,
            Remote = seen.tuple.Remote,
            State = (TcpState)seen.state,
            Timer = timer,
            TimerExpires = (seen.unknown & BpfAbi.KA_UNKNOWN_EXPIRES) == 0 ? seen.expires : null,
            Unanswered = timer is TcpTimer.Keepalive or TcpTimer.Unknown ? seen.unanswered : 0,
            Idle = (seen.unknown & BpfAbi.KA_UNKNOWN_IDLE) == 0 ? seen.idle : null,
            HasFile = (seen.kind & BpfAbi.KA_NO_INODE) == 0,
            IsSetAtOnce = (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0,
        };
    }

    /// <summary>Why a socket is none to decide about, whatever becomes of it.</summary>
    private static string? Barrier(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_SUBFLOW) != 0 ? FailureReasons.Multipath : (seen.kind & BpfAbi.KA_KERNEL) != 0 ? FailureReasons.NoOwner : null;

    /// <summary>What a new socket of the namespace has: in the place of what this one had, where it was not set at once.</summary>
    private static KeepaliveOptions? Untouched(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_SET_AT_ONCE) == 0 ? seen.found.ToOptions() : null;

    private static bool IsProbing(in BpfAbi.ka_socket seen, KeepaliveOptions current) =>
        current.Enabled && seen.unanswered > 0 && Timer(in seen) is TcpTimer.Keepalive or TcpTimer.ZeroWindowProbe or TcpTimer.Unknown;

    private static TcpTimer Timer(in BpfAbi.ka_socket seen) => (seen.unknown & BpfAbi.KA_UNKNOWN_TIMER) == 0 ? (TcpTimer)seen.timer : TcpTimer.Unknown;
}
