using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Netlink;

/// <summary>Receives the TCP sockets of one namespace that end with unanswered probes or data. The kernel multicasts a socket when its last
/// reference is gone (sock_diag, SKNLGRP_INET_TCP_DESTROY, Linux 4.2). It keeps the namespace alive.</summary>
/// <remarks>
/// The last reference is gone when the application closes the socket, not when the kernel gives the connection up. The kernel sends a
/// message for every socket of the namespace. A filter in the kernel drops the messages of sockets without unanswered probes and without
/// retransmissions, so connections that end normally are never delivered. The kernel still builds a message for each of them, which takes
/// some 10 µs on a thread of the kernel. A process with CAP_NET_ADMIN over the namespace may multicast, too. Its messages are received, and
/// ignored because of their sender's port.
/// </remarks>
public sealed unsafe class DestroyedSockets : IDisposable
{
    /// <summary>The room for one message, which has 380 bytes with the struct tcp_info of Linux 6.18.</summary>
    private const int BufferSize = 2048;

    /// <summary>Room for some 300 sockets that end at once. The kernel doubles it for its own overhead.</summary>
    private const int ReceiveBuffer = 192 * 1024;

    [ThreadStatic]
    private static byte[]? s_buffer;

    private readonly FileDescriptor _socket;
    private bool _overrun;

    private DestroyedSockets(FileDescriptor socket) => _socket = socket;

    /// <summary>The number of messages that the kernel dropped because the socket had no room. They may come from the
    /// kernel or from other processes.</summary>
    public long Lost { get; private set; }

    internal int Descriptor => _socket.Number;

    /// <summary>Begins to listen in the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">EPROTONOSUPPORT if the kernel has no sock_diag, ENOENT if it has none for TCP, EMFILE,
    /// …</exception>
    public static DestroyedSockets Open()
    {
        var socket = KernelSocket.Open(LinuxNetlink.NETLINK_SOCK_DIAG, TimeSpan.Zero);
        try
        {
            // The groups are joined last, so that every message passes the filter.
            var room = ReceiveBuffer;
            Set(socket, SysSocket.SOL_SOCKET, SysSocket.SO_RCVBUF, "SO_RCVBUF", &room, sizeof(int));
            Attach(socket);
            foreach (var group in (ReadOnlySpan<int>)[LinuxInetDiag.SKNLGRP_INET_TCP_DESTROY, LinuxInetDiag.SKNLGRP_INET6_TCP_DESTROY])
            {
                var joined = group;
                Set(socket, SysSocket.SOL_NETLINK, LinuxNetlink.NETLINK_ADD_MEMBERSHIP, "NETLINK_ADD_MEMBERSHIP", &joined, sizeof(int));
            }
            return new DestroyedSockets(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Reads the next message, without waiting for one.</summary>
    /// <param name="socket">The socket that the message is about; null if the message is not from the kernel.</param>
    /// <returns>Whether there was a message. There may then be more.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public bool TryRead(out DestroyedSocket? socket)
    {
        socket = null;
        while (true)
        {
            switch (KernelSocket.TryReceive(_socket, s_buffer ??= GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true), SysSocket.MSG_DONTWAIT, out var messages))
            {
                case 0:
                    socket = Parse(messages);
                    return true;
                case Errno.EMSGSIZE:
                    return true;
                case Errno.ENOBUFS:
                    // This is reported once. The kernel drops further messages until all queued ones are read (netlink_overrun).
                    _overrun = true;
                    continue;
                case Errno.EAGAIN:
                    if (_overrun)
                    {
                        _overrun = false;
                        Lost = Drops();
                    }
                    return false;
                case var errno:
                    throw new LinuxException("recv(AF_NETLINK)", errno);
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Returns the socket that a datagram from the kernel is about.</summary>
    internal static DestroyedSocket? Parse(ReadOnlySpan<byte> messages)
    {
        var rest = messages;
        if (rest.IsEmpty
            || !NetlinkMessages.TryNext("sock_diag", ref rest, out var header, out var payload)
            || header.nlmsg_type != LinuxInetDiag.SOCK_DIAG_BY_FAMILY
            || payload.Length < sizeof(LinuxInetDiag.inet_diag_msg))
        {
            return null;
        }
        var gone = new DiagnosedSocket(payload);
        return gone is { Probes: { } probes, Retransmits: { } retransmits }
            ? new DestroyedSocket(gone.Cookie, gone.Local, gone.Remote, gone.State, probes, retransmits)
            : null;
    }

    /// <summary>Makes the kernel drop messages of sockets without unanswered probes and without retransmissions.</summary>
    private static void Attach(FileDescriptor socket)
    {
        // The attributes before struct tcp_info depend on the kernel, so the filter searches for it. A load beyond the end of a message
        // drops the message.
        var attributes = (uint)(sizeof(LinuxNetlink.nlmsghdr) + sizeof(LinuxInetDiag.inet_diag_msg));
        LinuxInetDiag.tcp_info info;
        var both = (uint)(sizeof(LinuxNetlink.nlattr) + ((byte*)&info.tcpi_retransmits - (byte*)&info));
        Span<LinuxFilter.sock_filter> instructions =
        [
            new() { code = LinuxFilter.BPF_LD | LinuxFilter.BPF_IMM, k = attributes },
            new() { code = LinuxFilter.BPF_LDX | LinuxFilter.BPF_IMM, k = LinuxInetDiag.INET_DIAG_INFO },
            new() { code = LinuxFilter.BPF_LD | LinuxFilter.BPF_W | LinuxFilter.BPF_ABS, k = unchecked((uint)(LinuxFilter.SKF_AD_OFF + LinuxFilter.SKF_AD_NLATTR)) },
            new() { code = LinuxFilter.BPF_JMP | LinuxFilter.BPF_JEQ | LinuxFilter.BPF_K, k = 0, jt = 3 },
            new() { code = LinuxFilter.BPF_MISC | LinuxFilter.BPF_TAX },
            // tcpi_retransmits and tcpi_probes are adjacent.
            new() { code = LinuxFilter.BPF_LD | LinuxFilter.BPF_H | LinuxFilter.BPF_IND, k = both },
            new() { code = LinuxFilter.BPF_JMP | LinuxFilter.BPF_JEQ | LinuxFilter.BPF_K, k = 0, jf = 1 },
            new() { code = LinuxFilter.BPF_RET | LinuxFilter.BPF_K, k = 0 },
            new() { code = LinuxFilter.BPF_RET | LinuxFilter.BPF_K, k = uint.MaxValue },
        ];
        fixed (LinuxFilter.sock_filter* first = instructions)
        {
            var program = new LinuxFilter.sock_fprog { len = (ushort)instructions.Length, filter = (nint)first };
            Set(socket, SysSocket.SOL_SOCKET, SysSocket.SO_ATTACH_FILTER, "SO_ATTACH_FILTER", &program, sizeof(LinuxFilter.sock_fprog));
        }
    }

    private long Drops()
    {
        var values = stackalloc uint[LinuxInetDiag.SK_MEMINFO_DROPS + 1];
        var length = (uint)(sizeof(uint) * (LinuxInetDiag.SK_MEMINFO_DROPS + 1));
        // The option exists since Linux 4.12. Before that, the number is unknown, and each overrun counts as one message.
        return SysSocket.getsockopt(_socket, SysSocket.SOL_SOCKET, SysSocket.SO_MEMINFO, values, &length) == 0
            ? values[LinuxInetDiag.SK_MEMINFO_DROPS]
            : Lost + 1;
    }

    private static void Set(FileDescriptor socket, int level, int option, string name, void* value, int length)
    {
        if (SysSocket.setsockopt(socket, level, option, value, (uint)length) != 0)
        {
            throw LinuxException.Last($"setsockopt({name})");
        }
    }
}
