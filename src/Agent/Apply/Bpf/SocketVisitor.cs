using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Passes the sockets of one namespace from an iterator to the intake, and collects the tracked ones to decide about: the iterator
/// shows their values, too.</summary>
/// <param name="intake">Tracks sockets and matches them with the policy.</param>
/// <param name="announced">Sockets that were set when they were established, and reported as such in this pass.</param>
/// <param name="owners">Process by socket; empty if it is not needed.</param>
/// <param name="ledger">Records the sockets that were set when they were established.</param>
/// <param name="decisions">Receives the sockets to decide about.</param>
internal struct SocketVisitor(
    DumpIntake intake, IReadOnlySet<ulong> announced, IReadOnlyDictionary<ulong, int> owners, SocketLedger ledger, List<PendingDecision> decisions)
    : IBpfRecordVisitor<BpfAbi.ka_socket>
{
    private FoundValues? _last;

    /// <summary>Columns that this kernel does not show.</summary>
    public uint Unknown { get; private set; }

    /// <summary>The number of sockets that are connecting.</summary>
    public int Connecting { get; private set; }

    public void Visit(in BpfAbi.ka_socket seen)
    {
        Unknown |= seen.unknown | seen.maker.unknown;
        Connecting += seen.state == (byte)TcpState.SynSent ? 1 : 0;
        var current = seen.values.ToOptions();
        var own = (OwnValues)((seen.values.flags >> 1) & 7) | OwnValues.Known;
        var timeout = seen.UserTimeout;
        var pid = owners.Count > 0 ? owners.GetValueOrDefault(seen.tuple.cookie) : 0;
        if (intake.Take(Seen(in seen), new SocketReading(current, own, timeout), pid) is not { } socket)
        {
            return;
        }
        ref var standing = ref socket.Standing;
        if (standing.IsNew && (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0)
        {
            TakeIn(socket, in seen);
        }
        var hasOtherTimeout = timeout != standing.UserTimeout;
        standing.Read(own, timeout);
        if (owners.Count > 0)
        {
            socket.Reach.HeldBy(pid);
        }
        socket.Reach.Barrier = Barrier(in seen);
        var isDecided = standing.IsUnsettled || current != standing.Current || hasOtherTimeout;
        if (isDecided)
        {
            decisions.Add(new PendingDecision(socket, Values(current, Untouched(in seen)), IsProbing(in seen, current)));
        }
        intake.Note(socket, isDecided);
    }

    /// <summary>Returns the memory of a socket that was set when it was established, as if the agent had not set it then: values that the
    /// application has written since count as its own first setting.</summary>
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

    private FoundValues Values(KeepaliveOptions current, KeepaliveOptions? untouched) =>
        _last is { } last && last.Current == current && last.Untouched == untouched ? last : _last = new FoundValues(current, untouched);

    /// <summary>Notes that a socket was set when it was established, and reports it unless that was done.</summary>
    private readonly void TakeIn(TrackedSocket socket, in BpfAbi.ka_socket seen)
    {
        ledger.Remember(socket, AsIfUntouched(in seen));
        if (!announced.Contains(socket.Cookie))
        {
            // The ring had no room for it, it came after the ring was read, or an earlier pass found it while it was connecting. This
            // change has a record of its own: another change may follow in this pass. Values that the application has written since count
            // as found.
            Arrivals.Report(
                intake.Pass.Sink, ledger, new BpfAbi.ka_arrival { tuple = seen.tuple, found = seen.found, set = seen.set }, socket.Standing.Rule, socket.Workload);
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
            CgroupId = seen.maker.cgroup,
            Uid = seen.maker.Uid,
            IsSetAtOnce = (seen.kind & BpfAbi.KA_SET_AT_ONCE) != 0,
        };
    }

    /// <summary>The reason why a socket can never be set; null if there is none.</summary>
    private static string? Barrier(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_SUBFLOW) != 0 ? FailureReasons.Multipath : (seen.kind & BpfAbi.KA_KERNEL) != 0 ? FailureReasons.NoOwner : null;

    /// <summary>The values of a new socket of the namespace. The record has them in <c>found</c>, unless the socket was set at once; then
    /// null.</summary>
    private static KeepaliveOptions? Untouched(in BpfAbi.ka_socket seen) =>
        (seen.kind & BpfAbi.KA_SET_AT_ONCE) == 0 ? seen.found.ToOptions() : null;

    private static bool IsProbing(in BpfAbi.ka_socket seen, KeepaliveOptions current) =>
        current.Enabled && seen.unanswered > 0 && Timer(in seen) is TcpTimer.Keepalive or TcpTimer.ZeroWindowProbe or TcpTimer.Unknown;

    private static TcpTimer Timer(in BpfAbi.ka_socket seen) => (seen.unknown & BpfAbi.KA_UNKNOWN_TIMER) == 0 ? (TcpTimer)seen.timer : TcpTimer.Unknown;
}
