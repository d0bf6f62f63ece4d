using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Takes in the sockets of one namespace's dump: tracks those a rule selects and reports the others as they pass.</summary>
/// <param name="watched">The namespace.</param>
/// <param name="pass">The pass it belongs to.</param>
/// <param name="inherited">What a predecessor knew; taken out as it is met.</param>
/// <param name="audit">Where new sockets join the rotation.</param>
internal ref struct DumpVisitor(
    WatchedNamespace watched,
    PassContext pass,
    InheritedSockets inherited,
    ValueAudit audit) : ISockDiagVisitor
{
    private readonly bool _judgesAnew = (watched.ComparedWith as PolicySnapshot)?.JudgesAs(pass.Policy) != true;

    /// <summary>Whether sockets known already are compared with the policy again.</summary>
    public bool Compares { get; } = pass.Scope.Full || !ReferenceEquals(watched.ComparedWith, pass.Policy);

    /// <summary>Sockets seen.</summary>
    public int Count { get; private set; }

    public void Visit(in DiagnosedSocket seen)
    {
        Count++;
        if (IsClosed(in seen))
        {
            // One that was tracked counts as not seen, and is dropped: the application is done with it, and its descriptor's number may
            // already be another socket's.
            pass.Sink.Socket(Unmanaged(in seen, seen.Local, seen.Remote));
            return;
        }
        if (!watched.Sockets.TryGetValue(seen.Cookie, out var socket))
        {
            socket = TryTrack(in seen);
            if (socket is null)
            {
                return;
            }
        }
        else if (socket.Move(seen.Local, seen.Remote) || Compares)
        {
            Compare(socket);
        }
        Update(socket, in seen);
    }

    private readonly TrackedSocket? TryTrack(in DiagnosedSocket seen)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        var rule = seen.State == TcpState.Listen ? null : pass.Policy.Match(in local, in remote);
        SocketMemory? memory = inherited.Remove((watched.Inode, seen.Cookie), out var known) ? known : null;
        if (rule is null && memory is null && !pass.Scope.ReadAll)
        {
            pass.Sink.Socket(Unmanaged(in seen, local, remote));
            return null;
        }
        var socket = new TrackedSocket
        {
            Namespace = watched.Inode,
            Cookie = seen.Cookie,
            Local = local,
            Remote = remote,
            Memory = memory,
        };
        socket.Select(rule, pass.Policy);
        watched.Sockets.Add(seen.Cookie, socket);
        audit.Add(socket);
        return socket;
    }

    /// <summary>An equal rule of a new policy changes nothing, unless what is done with existing values has changed.</summary>
    private readonly void Compare(TrackedSocket socket)
    {
        var (local, remote) = (socket.Local, socket.Remote);
        var rule = pass.Policy.Match(in local, in remote);
        if (pass.Scope.Full || _judgesAnew || !TrackedSocket.SameEffect(socket.Rule, rule))
        {
            socket.Unsettled = true;
            socket.NextTry = 0;
        }
        socket.Select(rule, pass.Policy);
    }

    private readonly void Update(TrackedSocket socket, in DiagnosedSocket seen)
    {
        socket.SeenInDump = watched.Dumps;
        socket.State = seen.State;
        socket.Timer = seen.Timer;
        socket.TimerExpires = seen.TimerExpires;
        socket.Unanswered = Unanswered(in seen);
        socket.Idle = seen.Idle;
        socket.Inode = seen.Inode;
        if (socket.Unsettled)
        {
            socket.CgroupId = seen.CgroupId;
            // A dump without details does not say.
            socket.IsMultipath |= seen.IsMultipathSubflow;
        }
    }

    /// <summary>Whether the application has closed it and only the kernel still has to do with it. Without an inode but open is one that
    /// waits to be accepted.</summary>
    private static bool IsClosed(in DiagnosedSocket seen) =>
        seen.Inode == 0 && seen.State is (TcpState.FinWait1 or TcpState.FinWait2 or TcpState.LastAck or TcpState.Closing);

    private static int Unanswered(in DiagnosedSocket seen) => seen.Timer == TcpTimer.Keepalive ? seen.TimerCount : 0;

    private readonly SocketRecord Unmanaged(in DiagnosedSocket seen, SocketEndpoint local, SocketEndpoint remote) => new()
    {
        Namespace = watched.Inode,
        Cookie = seen.Cookie,
        Local = local,
        Remote = remote,
        State = seen.State,
        Timer = seen.Timer,
        TimerExpires = seen.TimerExpires,
        Unanswered = Unanswered(in seen),
        Idle = seen.Idle,
        Outcome = SocketOutcome.Unmanaged,
    };
}
