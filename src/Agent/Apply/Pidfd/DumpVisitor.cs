using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Passes the sockets of a sock_diag dump to the intake.</summary>
internal readonly struct DumpVisitor(DumpIntake intake) : ISockDiagVisitor
{
    private readonly bool _isShared = intake.Watched.IsShared;

    public void Visit(in DiagnosedSocket seen)
    {
        var (idle, roundTrip) = seen.Clocks;
        var socket = intake.Take(new SeenSocket
        {
            Cookie = seen.Cookie,
            Local = seen.Local,
            Remote = seen.Remote,
            State = seen.State,
            Timer = seen.Timer,
            TimerExpires = seen.TimerExpires,
            Unanswered = seen.Timer == TcpTimer.Keepalive ? seen.TimerCount : 0,
            Idle = idle,
            RoundTrip = roundTrip,
            HasFile = seen.Inode != 0,
            // A namespace of one workload needs neither. For a socket without a file, the kernel shows 0 instead of the user.
            CgroupId = _isShared ? seen.CgroupId : 0,
            Uid = _isShared && seen.Inode != 0 ? seen.Uid : null,
        });
        if (socket is null)
        {
            return;
        }
        ref var reach = ref socket.Reach;
        reach.Inode = seen.Inode;
        if (socket.Standing.IsUnsettled)
        {
            reach.CgroupId = seen.CgroupId;
            if (seen.IsMultipathSubflow)
            {
                reach.Barrier = FailureReasons.Multipath;   // only a dump with details shows it
            }
        }
    }
}
