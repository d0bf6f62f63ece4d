using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>Receives the sockets of a dump one by one.</summary>
public interface ISockDiagVisitor
{
    void Visit(in DiagnosedSocket socket);
}

/// <summary>A sock_diag(7) socket: enumerates the TCP sockets of the namespace it was opened in, and keeps that namespace alive.</summary>
/// <remarks>
/// It asks in the older form (TCPDIAG_GETSOCK), the one whose dump takes both address families in a single walk of the kernel's hash table;
/// the walk covers the whole machine's table for each namespace, and two of them would cost twice as much.
/// </remarks>
public sealed class SockDiag : IDisposable
{
    // The kernel fills at most 32 KiB of a dump at a time, and only if the reader's buffer has shown itself that large.
    private const int BufferSize = 32 * 1024;

    [ThreadStatic]
    private static byte[]? s_buffer;

    private readonly FileDescriptor _socket;
    private uint _sequence;

    private SockDiag(FileDescriptor socket) => _socket = socket;

    /// <summary>Opens one in the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">EPROTONOSUPPORT when the kernel has no sock_diag, EMFILE, …</exception>
    public static SockDiag Open()
    {
        var fd = SysSocket.socket(SysSocket.AF_NETLINK, SysSocket.SOCK_RAW | SysSocket.SOCK_CLOEXEC, LinuxNetlink.NETLINK_SOCK_DIAG);
        return fd < 0 ? throw LinuxException.Last("socket(AF_NETLINK, NETLINK_SOCK_DIAG)") : new SockDiag(new FileDescriptor(fd));
    }

    /// <summary>The cookie of the namespace it is in (SO_NETNS_COOKIE); 0 before Linux 5.14, which has none.</summary>
    internal unsafe ulong NamespaceCookie()
    {
        ulong cookie;
        uint length = sizeof(ulong);
        return SysSocket.getsockopt(_socket.Number, SysSocket.SOL_SOCKET, SysSocket.SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
    }

    /// <summary>A descriptor of the namespace it is in.</summary>
    internal FileDescriptor OpenNamespace()
    {
        var fd = SysIoctl.ioctl(_socket, SysIoctl.SIOCGSKNS);
        return fd < 0 ? throw LinuxException.Last("ioctl(SIOCGSKNS)") : new FileDescriptor(fd);
    }

    /// <summary>Visits every TCP socket in one of <paramref name="states"/>.</summary>
    /// <param name="states">The states wanted.</param>
    /// <param name="details">Whether the idle clock is wanted too (struct tcp_info; each socket is locked for it).</param>
    /// <param name="visitor">Called for each; sockets may come and go while it runs.</param>
    /// <exception cref="LinuxException">The kernel refused the dump or ran out of memory in it.</exception>
    public unsafe void Dump<TVisitor>(TcpStates states, bool details, ref TVisitor visitor)
        where TVisitor : ISockDiagVisitor, allows ref struct
    {
        Request(states, details);
        var buffer = s_buffer ??= GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true);
        var header = Unsafe.SizeOf<LinuxNetlink.nlmsghdr>();
        while (true)
        {
            var rest = (ReadOnlySpan<byte>)buffer.AsSpan(0, Receive(buffer));
            while (rest.Length >= header)
            {
                var message = MemoryMarshal.Read<LinuxNetlink.nlmsghdr>(rest);
                if (message.nlmsg_len < header || message.nlmsg_len > rest.Length)
                {
                    throw new LinuxException("sock_diag: malformed message", Errno.EINVAL);
                }
                var payload = rest[header..(int)message.nlmsg_len];
                rest = rest[Math.Min(rest.Length, (int)((message.nlmsg_len + 3) & ~3u))..];
                if (message.nlmsg_seq != _sequence)
                {
                    continue;   // the rest of an earlier dump that was given up
                }
                switch (message.nlmsg_type)
                {
                    case LinuxNetlink.NLMSG_DONE or LinuxNetlink.NLMSG_ERROR:
                        // Both carry an error number first, negative, or 0.
                        var error = payload.Length >= sizeof(int) ? MemoryMarshal.Read<int>(payload) : 0;
                        if (error < 0)
                        {
                            throw new LinuxException("sock_diag dump", -error);
                        }
                        return;
                    case LinuxInetDiag.TCPDIAG_GETSOCK:
                        if (payload.Length >= Unsafe.SizeOf<LinuxInetDiag.inet_diag_msg>())
                        {
                            visitor.Visit(new DiagnosedSocket(payload));
                        }
                        break;
                }
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    private unsafe void Request(TcpStates states, bool details)
    {
        DumpRequest request = default;
        request.Header.nlmsg_len = (uint)sizeof(DumpRequest);
        request.Header.nlmsg_type = LinuxInetDiag.TCPDIAG_GETSOCK;
        request.Header.nlmsg_flags = LinuxNetlink.NLM_F_REQUEST | LinuxNetlink.NLM_F_DUMP;
        request.Header.nlmsg_seq = ++_sequence;
        request.Body.idiag_states = (uint)states;
        request.Body.idiag_ext = details ? (byte)(1 << (LinuxInetDiag.INET_DIAG_INFO - 1)) : (byte)0;
        nint n;
        do
        {
            n = SysSocket.send(_socket, &request, (nuint)sizeof(DumpRequest), 0);
        }
        while (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        if (n < 0)
        {
            throw LinuxException.Last("send(sock_diag)");
        }
    }

    private unsafe int Receive(byte[] buffer)
    {
        fixed (byte* p = buffer)
        {
            nint n;
            do
            {
                n = SysSocket.recv(_socket, p, (nuint)buffer.Length, SysSocket.MSG_TRUNC);
            }
            while (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
            if (n < 0)
            {
                throw LinuxException.Last("recv(sock_diag)");
            }
            return n <= buffer.Length && n > 0 ? (int)n : throw new LinuxException("recv(sock_diag): truncated", Errno.ENOBUFS);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct DumpRequest
    {
        public LinuxNetlink.nlmsghdr Header;
        public LinuxInetDiag.inet_diag_req Body;
    }
}
