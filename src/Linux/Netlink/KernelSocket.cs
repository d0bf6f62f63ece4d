using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Netlink;

/// <summary>A netlink socket that the kernel alone can send to (netlink(7)).</summary>
internal static unsafe class KernelSocket
{
    /// <summary>Opens one in the calling thread's namespace.</summary>
    /// <param name="protocol">NETLINK_SOCK_DIAG, NETLINK_ROUTE.</param>
    /// <param name="answerSeconds">How long an answer is waited for.</param>
    /// <exception cref="LinuxException">EPROTONOSUPPORT when the kernel lacks the protocol, EMFILE also where only the reserve is left, …</exception>
    public static FileDescriptor Open(int protocol, int answerSeconds)
    {
        var fd = SysSocket.socket(SysSocket.AF_NETLINK, SysSocket.SOCK_RAW | SysSocket.SOCK_CLOEXEC, protocol);
        if (fd < 0)
        {
            throw LinuxException.Last("socket(AF_NETLINK)");
        }
        var socket = new FileDescriptor(fd);
        DescriptorLimit.Admit(socket);
        // Port 0 is the kernel's; one that is connected takes from no other (net/netlink/af_netlink.c, netlink_getsockbyportid).
        var kernel = new LinuxNetlink.sockaddr_nl { nl_family = SysSocket.AF_NETLINK };
        var limit = new SysSocket.timeval { tv_sec = answerSeconds };
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

    /// <summary>The next messages of the kernel's; anything that came from elsewhere, as it can between the socket's making and its connecting, is dropped.</summary>
    /// <exception cref="LinuxException">ETIMEDOUT when none came in time, ENOBUFS when there were more than fit.</exception>
    public static ReadOnlySpan<byte> Receive(FileDescriptor socket, byte[] buffer)
    {
        fixed (byte* p = buffer)
        {
            while (true)
            {
                LinuxNetlink.sockaddr_nl sender;
                var length = (uint)sizeof(LinuxNetlink.sockaddr_nl);
                var n = SysSocket.recvfrom(socket, p, (nuint)buffer.Length, SysSocket.MSG_TRUNC, &sender, &length);
                if (n < 0)
                {
                    switch (Marshal.GetLastPInvokeError())
                    {
                        case Errno.EINTR:
                            continue;
                        case Errno.EAGAIN:
                            throw new LinuxException("recv(AF_NETLINK)", Errno.ETIMEDOUT);
                        default:
                            throw LinuxException.Last("recv(AF_NETLINK)");
                    }
                }
                if (length != sizeof(LinuxNetlink.sockaddr_nl) || sender.nl_pid != 0)
                {
                    continue;
                }
                return n <= buffer.Length && n > 0 ? buffer.AsSpan(0, (int)n) : throw new LinuxException("recv(AF_NETLINK): truncated", Errno.ENOBUFS);
            }
        }
    }
}
