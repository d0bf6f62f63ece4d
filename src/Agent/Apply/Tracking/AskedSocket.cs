using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A socket that is made to send a probe. Its TCP_KEEPIDLE is 1 for a short time.</summary>
internal sealed class AskedSocket
{
    private AskedSocket(WatchedNamespace watched, TrackedSocket socket, KeepaliveOptions values, int? userTimeout) =>
        (Watched, Socket, Values, UserTimeout) = (watched, socket, values, userTimeout);

    public WatchedNamespace Watched { get; }

    public TrackedSocket Socket { get; }

    /// <summary>Its values, which are restored afterwards.</summary>
    public KeepaliveOptions Values { get; }

    /// <summary>Its user timeout; null if it is unknown. With another one it is not asked.</summary>
    public int? UserTimeout { get; }

    /// <summary>Its values until the probe was sent.</summary>
    public KeepaliveOptions Asking => Values with { Time = 1 };

    public AskState State { get; set; }

    /// <summary>Whether the probe was sent.</summary>
    public bool HasProbed { get; private set; }

    /// <summary>Returns a socket that may be asked, by its last known state; null if it may not be asked.</summary>
    public static AskedSocket? TryCreate(WatchedNamespace watched, TrackedSocket socket)
    {
        ref readonly var standing = ref socket.Standing;
        return !standing.IsUnsettled
            && standing is { Outcome: SocketOutcome.Managed, Memory: { Holder: SocketHolder.Agent, Replaces: null } memory }
            && standing.Current is { Enabled: true, Probes: >= 2, Time: > LeastTime } values && values == memory.Set
            && !Config.UserTimeout.IsShort(standing.UserTimeout ?? 0, values.Time, values.Interval, values.Probes)
            && socket.Seen is { State: TcpState.Established, HasFile: true }
                ? new AskedSocket(watched, socket, values, standing.UserTimeout)
                : null;
    }

    /// <summary>Whether it may be asked now.</summary>
    /// <remarks>
    /// A socket that received something within the last second is not asked: nothing is in doubt. A socket near its own time is not asked
    /// either, because it sends its own probe soon. Also, while the probe is unanswered, the values can be restored only before the
    /// socket's own time. After it, the kernel would send another probe at once (net/ipv4/tcp.c, __tcp_sock_set_keepidle_locked).
    /// </remarks>
    public bool MayBeAsked(in ConnectionInfo info) =>
        info is { State: TcpState.Established, Unanswered: 0, IsSending: false, Idle: >= LeastIdle } && info.Idle < (uint)(Values.Time - Margin) * 1000;

    /// <summary>Records its state after it was written. The probe was sent if it is unanswered, or if something was received
    /// since.</summary>
    public void Saw(int unanswered, uint idle)
    {
        HasProbed |= unanswered > 0 || idle < LeastIdle;
        Socket.See(unanswered, idle);
    }

    /// <summary>The time before its own probe in which a socket is not asked, in seconds.</summary>
    public const int Margin = 2;

    private const int LeastTime = 1 + Margin;

    /// <summary>The minimum idle time, in milliseconds.</summary>
    private const uint LeastIdle = 1000;
}

/// <summary>The progress of asking a socket.</summary>
internal enum AskState : byte
{
    /// <summary>Nothing was written.</summary>
    Planned,

    /// <summary>TCP_KEEPIDLE is 1, or may be.</summary>
    Written,

    /// <summary>Nothing is left to restore.</summary>
    Done,
}
