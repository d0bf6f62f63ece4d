using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Netlink;

/// <summary>A netlink socket that only the kernel can send to (netlink(7)).</summary>
internal static unsafe class KernelSocket
{
    /// <summary>Opens one in the calling thread's namespace.</summary>
    /// <param name="protocol">NETLINK_SOCK_DIAG, NETLINK_ROUTE, NETLINK_NETFILTER.</param>
    /// <param name="answer">How long to wait for an answer.</param>
    /// <exception cref="LinuxException">EPROTONOSUPPORT if the kernel lacks the protocol, EMFILE also if only the reserve of descriptors is
    /// left, …</exception>
    public static FileDescriptor Open(int protocol, TimeSpan answer)
    {
        var fd = SysSocket.socket(SysSocket.AF_NETLINK, SysSocket.SOCK_RAW | SysSocket.SOCK_CLOEXEC, protocol);
        if (fd < 0)
        {
            throw LinuxException.Last("socket(AF_NETLINK)");
        }
        var socket = new FileDescriptor(fd);
        DescriptorLimit.Admit(socket);
        // Port 0 is the kernel. A connected socket accepts messages from no other sender (net/netlink/af_netlink.c,
        // netlink_getsockbyportid).
        var kernel = new LinuxNetlink.sockaddr_nl { nl_family = SysSocket.AF_NETLINK };
        var limit = new SysSocket.timeval { tv_sec = (nint)answer.TotalSeconds, tv_usec = answer.Milliseconds * 1000 };
        if (SysSocket.connect(socket, &kernel, (uint)sizeof(LinuxNetlink.sockaddr_nl)) != 0
            || SysSocket.setsockopt(socket, SysSocket.SOL_SOCKET, SysSocket.SO_RCVTIMEO, &limit, (uint)sizeof(SysSocket.timeval)) != 0)
        {
            var failure = LinuxException.Last("connect(AF_NETLINK)");
            socket.Dispose();
            throw failure;
        }
        return socket;
    }

    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void Send(FileDescriptor socket, ReadOnlySpan<byte> request)
    {
        fixed (byte* p = request)
        {
            nint n;
            do
            {
                n = SysSocket.send(socket, p, (nuint)request.Length, 0);
            }
            while (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
            if (n < 0)
            {
                throw LinuxException.Last("send(AF_NETLINK)");
            }
        }
    }

    /// <summary>Returns the next messages from the kernel. Messages from other senders are dropped. They can arrive before the socket is
    /// connected.</summary>
    /// <exception cref="LinuxException">ETIMEDOUT if none came in time, ENOBUFS if there were too many.</exception>
    public static ReadOnlySpan<byte> Receive(FileDescriptor socket, byte[] buffer)
    {
        while (true)
        {
            switch (TryReceive(socket, buffer, 0, out var messages))
            {
                case 0 when messages.IsEmpty:
                    continue;
                case 0:
                    return messages;
                case Errno.EAGAIN:
                    throw new LinuxException("recv(AF_NETLINK)", Errno.ETIMEDOUT);
                case Errno.EMSGSIZE:
                    throw new LinuxException("recv(AF_NETLINK): truncated", Errno.ENOBUFS);
                case var errno:
                    throw new LinuxException("recv(AF_NETLINK)", errno);
            }
        }
    }

    /// <summary>Receives the next messages.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="buffer">Receives the messages.</param>
    /// <param name="flags">MSG_DONTWAIT to return at once if there are none; else 0.</param>
    /// <param name="messages">The messages in the buffer; empty if the sender was not the kernel.</param>
    /// <returns>0, or EAGAIN if there are none, EMSGSIZE if they do not fit into the buffer, ENOBUFS if others did not fit into the
    /// socket's buffer.</returns>
    public static int TryReceive(FileDescriptor socket, byte[] buffer, int flags, out ReadOnlySpan<byte> messages)
    {
        messages = default;
        fixed (byte* p = buffer)
        {
            while (true)
            {
                LinuxNetlink.sockaddr_nl sender;
                var length = (uint)sizeof(LinuxNetlink.sockaddr_nl);
                var n = SysSocket.recvfrom(socket, p, (nuint)buffer.Length, SysSocket.MSG_TRUNC | flags, &sender, &length);
                if (n >= 0)
                {
                    if (length != sizeof(LinuxNetlink.sockaddr_nl) || sender.nl_pid != 0)
                    {
                        return 0;
                    }
                    messages = n <= buffer.Length ? buffer.AsSpan(0, (int)n) : default;
                    return n <= buffer.Length && n > 0 ? 0 : Errno.EMSGSIZE;
                }
                if (Marshal.GetLastPInvokeError() is var errno and not Errno.EINTR)
                {
                    return errno;
                }
            }
        }
    }
}
