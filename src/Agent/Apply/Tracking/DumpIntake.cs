using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Takes in what a dump says of the sockets of one namespace: tracks those a rule selects, and reports the others as they pass.</summary>
/// <param name="watched">The namespace.</param>
/// <param name="pass">The pass it belongs to.</param>
/// <param name="inherited">What a predecessor knew; taken out as it is met.</param>
/// <param name="tracked">Told of each socket that is tracked from now on.</param>
internal sealed class DumpIntake(WatchedNamespace watched, PassContext pass, InheritedSockets inherited, Action<TrackedSocket>? tracked)
{
    private readonly bool _judgesAnew = pass.Scope.Full || watched.ComparedWith?.JudgesAs(pass.Policy) != true;

    /// <summary>The namespace.</summary>
    public WatchedNamespace Watched => watched;

    /// <summary>The pass, as it is in this namespace.</summary>
    public PassContext Pass => pass;

    /// <summary>Whether sockets known already are compared with the policy again.</summary>
    public bool Compares { get; } = pass.Scope.Full || !ReferenceEquals(watched.ComparedWith, pass.Policy);

    /// <summary>Sockets seen.</summary>
    public int Count { get; private set; }

    /// <summary>Takes in one socket.</summary>
    /// <param name="seen">What the dump says of it.</param>
    /// <param name="reading">What it has, where the dump shows that, too.</param>
    /// <param name="pid">The process that holds it, 0 where not known.</param>
    /// <returns>Null where it is not tracked; then it has been reported.</returns>
    public TrackedSocket? Take(in SeenSocket seen, in SocketReading? reading = null, int pid = 0)
    {
        Count++;
        TrackedSocket? socket = null;
        // A closed one that was tracked counts as not seen, and is dropped: the application is done with it, and its descriptor's number may already
        // be another socket's.
        if (!seen.IsClosed)
        {
            if (!watched.Sockets.TryGetValue(seen.Cookie, out socket))
            {
                socket = TryTrack(in seen, in reading);
            }
            else if (socket.See(in seen, watched.Dumps) || Compares)
            {
                Compare(socket);
            }
        }
        if (socket is null)
        {
            pass.Sink.Socket(seen.ToRecord(watched.Inode) with
            {
                Current = reading?.Values,
                Own = reading?.Own ?? OwnValues.None,
                UserTimeout = reading?.UserTimeout ?? 0,
                Outcome = SocketOutcome.Unmanaged,
                Pid = pid,
            });
        }
        return socket;
    }

    private TrackedSocket? TryTrack(in SeenSocket seen, in SocketReading? reading)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        var rule = seen.State == TcpState.Listen ? null : pass.Policy.Match(in local, in remote);
        SocketMemory? memory = inherited.Remove((watched.Inode, seen.Cookie), out var known) ? known : null;
        var isAgents = memory is not null || seen.IsSetAtOnce || (reading is { } read && inherited.MayHaveArrived(read.Values));
        if (rule is null && !isAgents && !pass.Scope.ReadAll)
        {
            return null;
        }
        var socket = new TrackedSocket(watched.Inode, in seen, watched.Dumps);
        socket.Standing.Remember(memory);
        socket.Standing.Select(rule, pass.Policy);
        watched.Sockets.Add(seen.Cookie, socket);
        tracked?.Invoke(socket);
        return socket;
    }

    /// <summary>An equal rule of a new policy changes nothing, unless what is done with existing values has changed.</summary>
    private void Compare(TrackedSocket socket)
    {
        var (local, remote) = (socket.Local, socket.Remote);
        var rule = pass.Policy.Match(in local, in remote);
        ref var standing = ref socket.Standing;
        if (_judgesAnew || !standing.IsSameBy(rule))
        {
            standing.Unsettle();
        }
        standing.Select(rule, pass.Policy);
    }
}
