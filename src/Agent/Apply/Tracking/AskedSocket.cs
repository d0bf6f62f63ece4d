using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A socket that is being made to send a probe: its TCP_KEEPIDLE is 1 for a moment.</summary>
internal sealed class AskedSocket
{
    private AskedSocket(WatchedNamespace watched, TrackedSocket socket, KeepaliveOptions values) => (Watched, Socket, Values) = (watched, socket, values);

    public WatchedNamespace Watched { get; }

    public TrackedSocket Socket { get; }

    /// <summary>The values it has, and gets back.</summary>
    public KeepaliveOptions Values { get; }

    /// <summary>The values it has for the moment.</summary>
    public KeepaliveOptions Asking => Values with { Time = 1 };

    public AskState State { get; set; }

    /// <summary>Whether the probe has gone.</summary>
    public bool HasProbed { get; private set; }

    /// <summary>A socket that may be asked, as far as is known without looking at it again; null for any other.</summary>
    public static AskedSocket? TryCreate(WatchedNamespace watched, TrackedSocket socket)
    {
        ref readonly var standing = ref socket.Standing;
        return !standing.IsUnsettled
            && standing is { Outcome: SocketOutcome.Managed, UserTimeout: 0, Memory: { Holder: SocketHolder.Agent, Replaces: null, UserTimeout: null } memory }
            && standing.Current is { Enabled: true, Probes: >= 2, Time: > LeastTime } values && values == memory.Set
            && socket.Seen is { State: TcpState.Established, HasFile: true }
                ? new AskedSocket(watched, socket, values)
                : null;
    }

    /// <summary>Whether it may be asked now.</summary>
    /// <remarks>
    /// A socket that is idle for less than the second asks for nothing: it has just been heard of. One near its own time sends its own probe soon; and with a probe unanswered
    /// its values can be written again only as long as its time has not come, as the kernel would send another one at once (net/ipv4/tcp.c, __tcp_sock_set_keepidle_locked).
    /// </remarks>
    public bool MayBeAsked(in ConnectionInfo info) =>
        info is { State: TcpState.Established, Unanswered: 0, IsSending: false, Idle: >= LeastIdle } && info.Idle < (uint)(Values.Time - Margin) * 1000;

    /// <summary>Takes in what is seen of it after it was written to. The probe has gone if it is unanswered, or something has come since.</summary>
    public void Saw(int unanswered, uint idle)
    {
        HasProbed |= unanswered > 0 || idle < LeastIdle;
        Socket.See(unanswered, idle);
    }

    /// <summary>Seconds before its own time in which a socket is not asked.</summary>
    public const int Margin = 2;

    private const int LeastTime = 1 + Margin;

    /// <summary>Milliseconds.</summary>
    private const uint LeastIdle = 1000;
}

/// <summary>How far asking a socket has come.</summary>
internal enum AskState : byte
{
    /// <summary>Nothing was written.</summary>
    Planned,

    /// <summary>TCP_KEEPIDLE is 1, or may be.</summary>
    Written,

    /// <summary>It has its values again.</summary>
    Done,
}
