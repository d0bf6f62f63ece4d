using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Passes the sockets of a sock_diag dump to the intake.</summary>
internal struct DumpVisitor(DumpIntake intake, SocketRoster? roster) : ISockDiagVisitor
{
    private readonly bool _isShared = intake.Watched.IsShared;

    /// <summary>Sockets in ESTABLISHED.</summary>
    public int Established { get; private set; }

    /// <summary>Sockets in CLOSE-WAIT.</summary>
    public int CloseWait { get; private set; }

    public void Visit(in DiagnosedSocket socket)
    {
        var seen = ToSeen(in socket, _isShared);
        Established += seen.State == TcpState.Established ? 1 : 0;
        CloseWait += seen.State == TcpState.CloseWait ? 1 : 0;
        roster?.Add(new SocketIdentity(seen.Cookie, seen.Local, seen.Remote), socket.Inode);
        if (intake.Take(in seen) is { } tracked)
        {
            Place(tracked, in socket);
        }
    }

    /// <summary>Returns the state of a socket.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="isShared">Whether its namespace may contain sockets of several workloads.</param>
    public static SeenSocket ToSeen(in DiagnosedSocket socket, bool isShared)
    {
        var (idle, roundTrip) = socket.Clocks;
        return new SeenSocket
        {
            Cookie = socket.Cookie,
            Local = socket.Local,
            Remote = socket.Remote,
            State = socket.State,
            Timer = socket.Timer,
            TimerExpires = socket.TimerExpires,
            Unanswered = socket.Timer == TcpTimer.Keepalive ? socket.TimerCount : 0,
            Idle = idle,
            RoundTrip = roundTrip,
            HasFile = socket.Inode != 0,
            // A namespace of one workload needs neither. For a socket without a file, the kernel shows 0 instead of the user.
            CgroupId = isShared ? socket.CgroupId : 0,
            Uid = isShared && socket.Inode != 0 ? socket.Uid : null,
        };
    }

    /// <summary>Notes where a tracked socket is found.</summary>
    public static void Place(TrackedSocket tracked, in DiagnosedSocket socket)
    {
        ref var reach = ref tracked.Reach;
        reach.Inode = socket.Inode;
        if (tracked.Standing.IsUnsettled)
        {
            reach.CgroupId = socket.CgroupId;
            if (socket.IsMultipathSubflow)
            {
                reach.Barrier = FailureReasons.Multipath;   // only a dump with details shows it
            }
        }
    }
}
