using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>What a dump says of one socket.</summary>
internal readonly record struct SeenSocket
{
    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    public required ulong Cookie { get; init; }

    public required SocketEndpoint Local { get; init; }

    public required SocketEndpoint Remote { get; init; }

    public TcpState State { get; init; }

    public TcpTimer Timer { get; init; }

    /// <summary>Milliseconds to the timer's nominal instant; null where not known.</summary>
    public uint? TimerExpires { get; init; }

    /// <summary>Probes sent without an answer.</summary>
    public int Unanswered { get; init; }

    /// <summary>Milliseconds since anything was received; null where the dump did not ask or it is not known.</summary>
    public uint? Idle { get; init; }

    /// <summary>Whether it has a file: not while it waits to be accepted, and not after its last descriptor was closed.</summary>
    public bool HasFile { get; init; }

    /// <summary>Whether the agent's programs set it when it was established.</summary>
    public bool IsSetAtOnce { get; init; }

    /// <summary>Whether the application has closed it and only the kernel still has to do with it. Without a file but open is one that waits to
    /// be accepted.</summary>
    public bool IsClosed => !HasFile && State is TcpState.FinWait1 or TcpState.FinWait2 or TcpState.LastAck or TcpState.Closing;

    /// <summary>Whether it is in a state in which its options count.</summary>
    /// <param name="scope">Whether those of listening sockets are read, too.</param>
    public bool HasOptions(PassScope scope) =>
        State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2 || (scope.ReadAll && State == TcpState.Listen);

    /// <summary>A record of what is known of it, which says nothing of how it stands to the policy.</summary>
    /// <param name="inode">Its namespace.</param>
    public SocketRecord ToRecord(ulong inode) => new()
    {
        Namespace = inode,
        Cookie = Cookie,
        Local = Local,
        Remote = Remote,
        State = State,
        Timer = Timer,
        TimerExpires = TimerExpires,
        Unanswered = Unanswered,
        Idle = Idle,
    };
}

/// <summary>What a reading of a socket itself says.</summary>
/// <param name="Values">Its values.</param>
/// <param name="Own">Which of them it has itself.</param>
/// <param name="UserTimeout">TCP_USER_TIMEOUT in milliseconds, 0 where off or not known.</param>
internal readonly record struct SocketReading(KeepaliveOptions Values, OwnValues Own, int UserTimeout);
