using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/socket.h, sys/uio.h, netinet/tcp.h: raw imports, constants and layouts.</summary>
internal static unsafe partial class SysSocket
{
    internal const int AF_UNSPEC = 0;
    internal const int AF_INET = 2;
    internal const int AF_INET6 = 10;
    internal const int AF_NETLINK = 16;
    internal const int AF_PACKET = 17;
    internal const int SOCK_DGRAM = 2;
    internal const int SOCK_RAW = 3;
    internal const int SOCK_CLOEXEC = 0x80000;

    internal const int SOL_SOCKET = 1;
    internal const int SO_ERROR = 4;
    internal const int SO_RCVBUF = 8;
    internal const int SO_KEEPALIVE = 9;
    internal const int SO_RCVTIMEO = 20;
    internal const int SO_ATTACH_FILTER = 26;
    internal const int SO_MEMINFO = 55;
    internal const int SO_COOKIE = 57;
    internal const int SO_NETNS_COOKIE = 71;

    internal const int IPPROTO_TCP = 6;
    internal const int IPPROTO_MPTCP = 262;
    internal const int TCP_KEEPIDLE = 4;
    internal const int TCP_KEEPINTVL = 5;
    internal const int TCP_KEEPCNT = 6;
    internal const int TCP_INFO = 11;
    internal const int TCP_USER_TIMEOUT = 18;

    internal const int SOL_PACKET = 263;
    internal const int SOL_NETLINK = 270;

    internal const int MSG_TRUNC = 0x20;
    internal const int MSG_DONTWAIT = 0x40;

    [StructLayout(LayoutKind.Sequential)]
    internal struct timeval
    {
        internal nint tv_sec;
        internal nint tv_usec;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct iovec
    {
        internal void* iov_base;
        internal nuint iov_len;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct msghdr
    {
        internal void* msg_name;
        internal uint msg_namelen;
        internal iovec* msg_iov;
        internal nuint msg_iovlen;
        internal void* msg_control;
        internal nuint msg_controllen;
        internal int msg_flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct mmsghdr
    {
        internal msghdr msg_hdr;
        internal uint msg_len;
    }

    /// <summary>socket(2): a descriptor, or -1 with errno (EAFNOSUPPORT, EMFILE, EPERM, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int socket(int domain, int type, int protocol);

    /// <summary>send(2): bytes sent, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint send(SafeHandle sockfd, void* buf, nuint len, int flags);

    /// <summary>connect(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int connect(SafeHandle sockfd, void* addr, uint addrlen);

    /// <summary>recvfrom(2): bytes received (with MSG_TRUNC the real length), 0 at end, or -1 with errno (EINTR, EAGAIN, ENOBUFS,
    /// …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint recvfrom(SafeHandle sockfd, void* buf, nuint len, int flags, void* src_addr, uint* addrlen);

    /// <summary>getsockname(2): 0, or -1 with errno (EBADF, ENOTSOCK, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getsockname(int sockfd, void* addr, uint* addrlen);

    /// <summary>getpeername(2): 0, or -1 with errno (ENOTCONN, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getpeername(int sockfd, void* addr, uint* addrlen);

    /// <summary>getsockopt(2): 0, or -1 with errno (EBADF, ENOTSOCK, ENOPROTOOPT, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getsockopt(int sockfd, int level, int optname, void* optval, uint* optlen);

    /// <summary>setsockopt(2): 0, or -1 with errno (EINVAL out of range, EPERM by a BPF hook, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int setsockopt(int sockfd, int level, int optname, void* optval, uint optlen);

    /// <summary>setsockopt(2), for a socket of this process's own: 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int setsockopt(SafeHandle sockfd, int level, int optname, void* optval, uint optlen);

    /// <summary>getsockopt(2), for a socket of this process's own: 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getsockopt(SafeHandle sockfd, int level, int optname, void* optval, uint* optlen);

    /// <summary>bind(2): 0, or -1 with errno (ENODEV, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int bind(SafeHandle sockfd, void* addr, uint addrlen);

    /// <summary>sendmmsg(2): messages sent, or -1 with errno where the first could not be (EMSGSIZE, ENOBUFS, ENETDOWN, EAGAIN,
    /// …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int sendmmsg(SafeHandle sockfd, mmsghdr* msgvec, uint vlen, int flags);
}
