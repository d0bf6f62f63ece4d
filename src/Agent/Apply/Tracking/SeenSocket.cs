using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The state of one socket in a dump.</summary>
internal readonly record struct SeenSocket
{
    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    public required ulong Cookie { get; init; }

    public required SocketEndpoint Local { get; init; }

    public required SocketEndpoint Remote { get; init; }

    public TcpState State { get; init; }

    public TcpTimer Timer { get; init; }

    /// <summary>Milliseconds to the timer's nominal instant; null if unknown.</summary>
    public uint? TimerExpires { get; init; }

    /// <summary>Probes sent without an answer.</summary>
    public int Unanswered { get; init; }

    /// <summary>Milliseconds since anything was received; null if the dump did not ask for it or it is unknown.</summary>
    public uint? Idle { get; init; }

    /// <summary>The smoothed round-trip time in microseconds; null if the dump did not ask for it or it is unknown.</summary>
    public uint? RoundTrip { get; init; }

    /// <summary>The id of the cgroup that it was made in; 0 if unknown or not asked for.</summary>
    public ulong CgroupId { get; init; }

    /// <summary>The user that made it; null if unknown or not asked for.</summary>
    public uint? Uid { get; init; }

    /// <summary>Whether it has a file. It has none while it waits to be accepted, and after its last descriptor was closed.</summary>
    public bool HasFile { get; init; }

    /// <summary>Whether the agent's programs set it when it was established.</summary>
    public bool IsSetAtOnce { get; init; }

    /// <summary>Whether the application has closed it, so that only the kernel still uses it. An open socket without a file waits to be
    /// accepted.</summary>
    public bool IsClosed => !HasFile && State is TcpState.FinWait1 or TcpState.FinWait2 or TcpState.LastAck or TcpState.Closing;

    /// <summary>Whether it is in a state in which its options have an effect.</summary>
    /// <param name="scope">Whether the options of listening sockets are read, too.</param>
    public bool HasOptions(PassScope scope) =>
        State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2 || (scope.ReadAll && State == TcpState.Listen);

    /// <summary>Returns a record of these facts. The fields that depend on the policy are empty.</summary>
    /// <param name="inode">Its namespace.</param>
    /// <param name="workload">The workload it belongs to.</param>
    public SocketRecord ToRecord(ulong inode, string workload) => new()
    {
        Namespace = inode,
        Workload = workload,
        Cookie = Cookie,
        Local = Local,
        Remote = Remote,
        State = State,
        Timer = Timer,
        TimerExpires = TimerExpires,
        Unanswered = Unanswered,
        Idle = Idle,
        RoundTrip = RoundTrip,
    };
}

/// <summary>The values read from a socket itself.</summary>
/// <param name="Values">Its values.</param>
/// <param name="Own">Which of them were set on the socket itself.</param>
/// <param name="UserTimeout">TCP_USER_TIMEOUT in milliseconds; null if it is unknown.</param>
internal readonly record struct SocketReading(KeepaliveOptions Values, OwnValues Own, int? UserTimeout);
