using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>The timer sock_diag reports for a socket (net/ipv4/inet_diag.c). A pending retransmission or zero-window probe hides
/// keepalive.</summary>
public enum TcpTimer : byte
{
    None = 0,
    Retransmit = 1,
    Keepalive = 2,
    TimeWait = 3,
    ZeroWindowProbe = 4,

    /// <summary>Unknown.</summary>
    Unknown = 255,
}

/// <summary>A view of one inet_diag_msg and its attributes in the receive buffer; it cannot outlive the callback that receives
/// it.</summary>
public readonly ref struct DiagnosedSocket
{
    private readonly ref readonly LinuxInetDiag.inet_diag_msg _message;
    private readonly ReadOnlySpan<byte> _attributes;

    internal DiagnosedSocket(ReadOnlySpan<byte> payload)
    {
        _message = ref MemoryMarshal.AsRef<LinuxInetDiag.inet_diag_msg>(payload);
        _attributes = payload[Unsafe.SizeOf<LinuxInetDiag.inet_diag_msg>()..];
    }

    /// <summary>The kernel's identity of the socket, never reused until the next boot (since Linux 5.7 unique over all
    /// namespaces).</summary>
    public ulong Cookie => _message.id.idiag_cookie[0] | ((ulong)_message.id.idiag_cookie[1] << 32);

    public TcpState State => (TcpState)_message.idiag_state;

    public SocketEndpoint Local => Endpoint(in _message.id.idiag_src, _message.id.idiag_sport);

    public SocketEndpoint Remote => Endpoint(in _message.id.idiag_dst, _message.id.idiag_dport);

    public TcpTimer Timer => (TcpTimer)_message.idiag_timer;

    /// <summary>Milliseconds until the timer fires, by its nominal instant; the timer wheel may be up to an eighth late.</summary>
    public uint TimerExpires => _message.idiag_expires;

    /// <summary>Probes sent without an answer, when the timer is keepalive or zero-window; retransmissions otherwise.</summary>
    public byte TimerCount => _message.idiag_retrans;

    /// <summary>The socket's inode in sockfs; 0 while it waits to be accepted and after its last descriptor was closed.</summary>
    public uint Inode => _message.idiag_inode;

    /// <summary>The owner's user id in the reader's user namespace.</summary>
    public uint Uid => _message.idiag_uid;

    /// <summary>Bytes sent and not acknowledged.</summary>
    public uint WriteQueue => _message.idiag_wqueue;

    /// <summary>The cgroup the socket was made in (Linux 5.8), 0 if the kernel does not report it.</summary>
    public ulong CgroupId =>
        TryGetAttribute(LinuxInetDiag.INET_DIAG_CGROUP_ID, out var value) && value.Length >= 8 ? MemoryMarshal.Read<ulong>(value) : 0;

    /// <summary>Milliseconds since anything was received, payload or acknowledgement: the clock keepalive runs by
    /// (include/net/tcp.h, keepalive_time_elapsed). Null if the dump was made without details.</summary>
    public uint? Idle => Clocks.Idle;

    /// <summary>The smoothed round-trip time in microseconds. Null without details, and before anything was acknowledged.</summary>
    public uint? RoundTrip => Clocks.RoundTrip;

    /// <summary><see cref="Idle"/> and <see cref="RoundTrip"/>, found together.</summary>
    public (uint? Idle, uint? RoundTrip) Clocks
    {
        get
        {
            ref readonly var info = ref FindInfo();
            return Unsafe.IsNullRef(in info)
                ? default
                : (Math.Min(info.tcpi_last_data_recv, info.tcpi_last_ack_recv), info.tcpi_rtt > 0 ? info.tcpi_rtt : null);
        }
    }

    /// <summary>The number of unanswered probes, of keepalive or of a zero window. Null without details.</summary>
    public byte? Probes => !Unsafe.IsNullRef(in FindInfo()) ? FindInfo().tcpi_probes : null;

    /// <summary>The number of times that the retransmission timer has expired since anything was acknowledged. Null without
    /// details.</summary>
    public byte? Retransmits => !Unsafe.IsNullRef(in FindInfo()) ? FindInfo().tcpi_retransmits : null;

    /// <summary>Whether the socket is a subflow of a multipath connection, which no descriptor reaches.</summary>
    public bool IsMultipathSubflow
    {
        get
        {
            if (!TryGetAttribute(LinuxInetDiag.INET_DIAG_ULP_INFO, out var nested))
            {
                return false;
            }
            while (NetlinkAttributes.TryNext(ref nested, out var type, out var value))
            {
                if (type == LinuxInetDiag.INET_ULP_INFO_NAME)
                {
                    return value.StartsWith("mptcp"u8);
                }
            }
            return false;
        }
    }

    /// <summary>The key of a socket in a request for it alone.</summary>
    internal static LinuxInetDiag.inet_diag_sockid Identify(ulong cookie, in SocketEndpoint local, in SocketEndpoint remote)
    {
        LinuxInetDiag.inet_diag_sockid id = default;
        id.idiag_sport = BinaryPrimitives.ReverseEndianness(local.Port);
        id.idiag_dport = BinaryPrimitives.ReverseEndianness(remote.Port);
        Write(local, ref id.idiag_src);
        Write(remote, ref id.idiag_dst);
        id.idiag_cookie[0] = (uint)cookie;
        id.idiag_cookie[1] = (uint)(cookie >> 32);
        return id;

        static void Write(in SocketEndpoint endpoint, ref LinuxInetDiag.be32x4 address)
        {
            if (endpoint.IsIPv4)
            {
                address[0] = BinaryPrimitives.ReverseEndianness((uint)endpoint.Address);
            }
            else
            {
                BinaryPrimitives.WriteUInt128BigEndian(MemoryMarshal.AsBytes((Span<uint>)address), endpoint.Address);
            }
        }
    }

    /// <summary>Returns its struct tcp_info in the buffer; a null reference without details.</summary>
    private ref readonly LinuxInetDiag.tcp_info FindInfo() =>
        ref TryGetAttribute(LinuxInetDiag.INET_DIAG_INFO, out var value) && value.Length >= Unsafe.SizeOf<LinuxInetDiag.tcp_info>()
            ? ref MemoryMarshal.AsRef<LinuxInetDiag.tcp_info>(value)
            : ref Unsafe.NullRef<LinuxInetDiag.tcp_info>();

    private bool TryGetAttribute(ushort wanted, out ReadOnlySpan<byte> value)
    {
        var rest = _attributes;
        while (NetlinkAttributes.TryNext(ref rest, out var type, out value))
        {
            if (type == wanted)
            {
                return true;
            }
        }
        return false;
    }

    private SocketEndpoint Endpoint(in LinuxInetDiag.be32x4 address, ushort port)
    {
        var hostPort = BinaryPrimitives.ReverseEndianness(port);
        if (_message.idiag_family != SysSocket.AF_INET6)
        {
            return SocketEndpoint.FromIPv4(BinaryPrimitives.ReverseEndianness(address[0]), hostPort);
        }
        var bytes = MemoryMarshal.AsBytes((ReadOnlySpan<uint>)address);
        return new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(bytes), hostPort);
    }
}
