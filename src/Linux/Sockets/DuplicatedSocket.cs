using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Sockets;

/// <summary>A second descriptor of another process's socket. It lives on the stack and must be disposed at once.</summary>
/// <remarks>
/// While it is open, the application's close(2) sends no FIN: the struct file has one more reference. Every call returns 0 or an errno; a
/// socket that is gone meanwhile is normal.
/// </remarks>
public readonly ref struct DuplicatedSocket
{
    private readonly int _fd;

    internal DuplicatedSocket(int fd) => _fd = fd;

    /// <summary>Closes the descriptor.</summary>
    public void Dispose() => _ = Unistd.close(_fd);

    /// <summary>Takes the descriptor off the stack, to use it together with others; to be disposed in place of this.</summary>
    public HeldSocket Hold() => new(_fd);

    /// <summary>The descriptor of a file that is not a socket; to be closed in place of <see cref="Dispose"/>.</summary>
    public StrayFile ToFile() => new(_fd);

    /// <summary>SO_COOKIE (Linux 4.12): the identity of a socket for its whole life. ENOTSOCK if the descriptor is not a socket.</summary>
    public unsafe int TryGetCookie(out ulong cookie)
    {
        ulong value;
        uint length = sizeof(ulong);
        var result = SysSocket.getsockopt(_fd, SysSocket.SOL_SOCKET, SysSocket.SO_COOKIE, &value, &length);
        cookie = result == 0 ? value : 0;
        return result == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>Whether the socket is in a namespace. False if unknown: before Linux 5.14 it takes CAP_NET_ADMIN over the socket's
    /// namespace.</summary>
    /// <remarks>A cookie of 0 is unknown, and two unknown cookies are equal. The inode number then decides.</remarks>
    public bool IsIn(in NamespaceIdentity expected) =>
        expected.Cookie != 0 && TryGetNamespaceCookie() is var cookie and not 0
            ? cookie == expected.Cookie
            : TryGetNamespaceInode() is var inode and not 0 && inode == expected.Inode;

    /// <summary>The ends as the application sees them (getsockname(2), getpeername(2)). A program of a cgroup may name another peer than
    /// the packets have (BPF_CGROUP_INET4_GETPEERNAME). ENOTCONN before the handshake has ended and once the connection has.</summary>
    public int TryGetEndpoints(out SocketEndpoint local, out SocketEndpoint remote)
    {
        remote = default;
        var errno = TryGetName(peer: false, out local);
        return errno != 0 ? errno : TryGetName(peer: true, out remote);
    }

    /// <summary>Reads all four options.</summary>
    public int TryGetOptions(out KeepaliveOptions options)
    {
        options = default;
        int errno;
        if ((errno = TryGet(SysSocket.SOL_SOCKET, SysSocket.SO_KEEPALIVE, out var enabled)) != 0
            || (errno = TryGet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPIDLE, out var time)) != 0
            || (errno = TryGet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPINTVL, out var interval)) != 0
            || (errno = TryGet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPCNT, out var probes)) != 0)
        {
            return errno;
        }
        options = new KeepaliveOptions(enabled != 0, time, interval, probes);
        return 0;
    }

    /// <summary>TCP_USER_TIMEOUT in milliseconds, 0 = off. Where set it replaces TCP_KEEPCNT (net/ipv4/tcp_timer.c).</summary>
    public int TryGetUserTimeout(out int milliseconds) => TryGet(SysSocket.IPPROTO_TCP, SysSocket.TCP_USER_TIMEOUT, out milliseconds);

    /// <summary>Reads the state of probes from TCP_INFO, and whether data keeps them from being sent.</summary>
    public unsafe int TryGetInfo(out ConnectionInfo info)
    {
        LinuxInetDiag.tcp_info read = default;
        var length = (uint)sizeof(LinuxInetDiag.tcp_info);
        var result = SysSocket.getsockopt(_fd, SysSocket.IPPROTO_TCP, SysSocket.TCP_INFO, &read, &length);
        info = new ConnectionInfo(
            (TcpState)read.tcpi_state,
            read.tcpi_probes,
            read.tcpi_unacked != 0 || read.tcpi_notsent_bytes != 0,
            Math.Min(read.tcpi_last_data_recv, read.tcpi_last_ack_recv));
        return result == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>SO_KEEPALIVE. Switching it on arms the timer with the full time; TCP_KEEPIDLE must be written after it.</summary>
    public int TrySetEnabled(bool enabled) => TrySet(SysSocket.SOL_SOCKET, SysSocket.SO_KEEPALIVE, enabled ? 1 : 0);

    /// <summary>TCP_KEEPIDLE in seconds. It restarts a running timer with the remaining time, which may be 0.</summary>
    public int TrySetTime(int seconds) => TrySet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPIDLE, seconds);

    /// <summary>TCP_KEEPINTVL in seconds. A running timer keeps its instant.</summary>
    public int TrySetInterval(int seconds) => TrySet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPINTVL, seconds);

    /// <summary>TCP_KEEPCNT.</summary>
    public int TrySetProbes(int count) => TrySet(SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPCNT, count);

    /// <summary>TCP_USER_TIMEOUT in milliseconds; 0 is none.</summary>
    public int TrySetUserTimeout(int milliseconds) => TrySet(SysSocket.IPPROTO_TCP, SysSocket.TCP_USER_TIMEOUT, milliseconds);

    private unsafe int TryGetName(bool peer, out SocketEndpoint name)
    {
        // struct sockaddr_in6; sockaddr_in is shorter.
        Span<byte> address = stackalloc byte[28];
        var length = (uint)address.Length;
        name = default;
        fixed (byte* p = address)
        {
            if ((peer ? SysSocket.getpeername(_fd, p, &length) : SysSocket.getsockname(_fd, p, &length)) != 0)
            {
                return Marshal.GetLastPInvokeError();
            }
        }
        var port = BinaryPrimitives.ReadUInt16BigEndian(address[2..]);
        switch (MemoryMarshal.Read<ushort>(address))
        {
            case SysSocket.AF_INET:
                name = SocketEndpoint.FromIPv4(BinaryPrimitives.ReadUInt32BigEndian(address[4..]), port);
                return 0;
            case SysSocket.AF_INET6:
                name = new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(address[8..]), port);
                return 0;
            default:
                return Errno.EAFNOSUPPORT;
        }
    }

    private unsafe ulong TryGetNamespaceCookie()
    {
        ulong cookie;
        uint length = sizeof(ulong);
        return SysSocket.getsockopt(_fd, SysSocket.SOL_SOCKET, SysSocket.SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
    }

    private unsafe ulong TryGetNamespaceInode()
    {
        var file = SysIoctl.ioctl(_fd, SysIoctl.SIOCGSKNS);
        if (file < 0)
        {
            return 0;
        }
        SysStat.statx_t about;
        byte nothing = 0;
        var result = SysStat.statx(file, &nothing, SysStat.AT_EMPTY_PATH, SysStat.STATX_INO, &about);
        _ = Unistd.close(file);
        return result == 0 ? about.stx_ino : 0;
    }

    private unsafe int TryGet(int level, int option, out int value)
    {
        int v;
        uint length = sizeof(int);
        var result = SysSocket.getsockopt(_fd, level, option, &v, &length);
        value = result == 0 ? v : 0;
        return result == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    private unsafe int TrySet(int level, int option, int value) =>
        SysSocket.setsockopt(_fd, level, option, &value, sizeof(int)) == 0 ? 0 : Marshal.GetLastPInvokeError();
}
