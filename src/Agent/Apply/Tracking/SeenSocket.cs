using System.Runtime.InteropServices;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The state of one socket in a dump.</summary>
/// <remarks>Each tracked socket has one, so it is packed: addresses without padding, and one bit for each fact that may be unknown.</remarks>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct SeenSocket
{
    private readonly ulong _localUpper;
    private readonly ulong _localLower;
    private readonly ulong _remoteUpper;
    private readonly ulong _remoteLower;
    private readonly ushort _localPort;
    private readonly ushort _remotePort;
    private readonly uint _timerExpires;
    private readonly uint _idle;
    private readonly uint _roundTrip;
    private readonly uint _uid;
    private readonly byte _unanswered;
    private readonly Facts _facts;

    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    public required ulong Cookie { get; init; }

    public required SocketEndpoint Local
    {
        get => new(_localUpper, _localLower, _localPort);
        init => (_localUpper, _localLower, _localPort) = (value.Upper, value.Lower, value.Port);
    }

    public required SocketEndpoint Remote
    {
        get => new(_remoteUpper, _remoteLower, _remotePort);
        init => (_remoteUpper, _remoteLower, _remotePort) = (value.Upper, value.Lower, value.Port);
    }

    public TcpState State { get; init; }

    public TcpTimer Timer { get; init; }

    /// <summary>Milliseconds to the timer's nominal instant; null if unknown.</summary>
    public uint? TimerExpires
    {
        get => Known(Facts.TimerExpires, _timerExpires);
        init => (_timerExpires, _facts) = (value ?? 0, With(Facts.TimerExpires, value is not null));
    }

    /// <summary>Probes sent without an answer; the kernel counts them in a byte.</summary>
    public int Unanswered
    {
        get => _unanswered;
        init => _unanswered = (byte)Math.Clamp(value, 0, byte.MaxValue);
    }

    /// <summary>Milliseconds since anything was received; null if the dump did not ask for it or it is unknown.</summary>
    public uint? Idle
    {
        get => Known(Facts.Idle, _idle);
        init => (_idle, _facts) = (value ?? 0, With(Facts.Idle, value is not null));
    }

    /// <summary>The smoothed round-trip time in microseconds; null if the dump did not ask for it or it is unknown.</summary>
    public uint? RoundTrip
    {
        get => Known(Facts.RoundTrip, _roundTrip);
        init => (_roundTrip, _facts) = (value ?? 0, With(Facts.RoundTrip, value is not null));
    }

    /// <summary>The id of the cgroup that it was made in; 0 if unknown or not asked for.</summary>
    public ulong CgroupId { get; init; }

    /// <summary>The user that made it; null if unknown or not asked for.</summary>
    public uint? Uid
    {
        get => Known(Facts.Uid, _uid);
        init => (_uid, _facts) = (value ?? 0, With(Facts.Uid, value is not null));
    }

    /// <summary>Whether it has a file. It has none while it waits to be accepted, and after its last descriptor was closed.</summary>
    public bool HasFile
    {
        get => (_facts & Facts.HasFile) != 0;
        init => _facts = With(Facts.HasFile, value);
    }

    /// <summary>Whether the agent's programs set it when it was established.</summary>
    public bool IsSetAtOnce
    {
        get => (_facts & Facts.IsSetAtOnce) != 0;
        init => _facts = With(Facts.IsSetAtOnce, value);
    }

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

    private uint? Known(Facts fact, uint value) => (_facts & fact) != 0 ? value : null;

    private Facts With(Facts fact, bool isTrue) => isTrue ? _facts | fact : _facts & ~fact;

    [Flags]
    private enum Facts : byte
    {
        TimerExpires = 1,
        Idle = 2,
        RoundTrip = 4,
        Uid = 8,
        HasFile = 16,
        IsSetAtOnce = 32,
    }
}

/// <summary>The values read from a socket itself.</summary>
/// <param name="Values">Its values.</param>
/// <param name="Own">Which of them were set on the socket itself.</param>
/// <param name="UserTimeout">TCP_USER_TIMEOUT in milliseconds; null if it is unknown.</param>
internal readonly record struct SocketReading(KeepaliveOptions Values, OwnValues Own, int? UserTimeout);
