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
/// A process with CAP_NET_ADMIN over the namespace may send to any netlink socket there. So the socket is connected to the kernel
/// (netlink(7)), which keeps others out. Also, the sender of each message is checked, and sequence numbers begin at a random number. It
/// uses the older request (TCPDIAG_GETSOCK), because its dump covers both address families in a single walk of the kernel's hash table. For
/// each namespace the walk covers the table of the whole machine, so two walks would cost twice as much.
/// </remarks>
public sealed class SockDiag : IDisposable
{
    // The kernel fills at most 32 KiB of a dump at a time, and only if the reader's buffer has shown itself that large.
    private const int BufferSize = 32 * 1024;

    /// <summary>Any socket between the ends (include/uapi/linux/inet_diag.h, INET_DIAG_NOCOOKIE in both words).</summary>
    private const ulong AnyCookie = ulong.MaxValue;

    /// <summary>The kernel answers at once; a part of a dump of a table of millions takes some milliseconds.</summary>
    private static readonly TimeSpan s_answer = TimeSpan.FromSeconds(10);

    [ThreadStatic]
    private static byte[]? s_buffer;

    private readonly FileDescriptor _socket;
    private uint _sequence = (uint)Random.Shared.Next();

    private SockDiag(FileDescriptor socket) => _socket = socket;

    /// <summary>Opens one in the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">EPROTONOSUPPORT if the kernel has no sock_diag, EMFILE, …</exception>
    public static SockDiag Open() => new(KernelSocket.Open(LinuxNetlink.NETLINK_SOCK_DIAG, s_answer));

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
    public void Dump<TVisitor>(TcpStates states, bool details, ref TVisitor visitor)
        where TVisitor : ISockDiagVisitor, allows ref struct
    {
        DumpRequest request = default;
        request.Header.nlmsg_flags = LinuxNetlink.NLM_F_REQUEST | LinuxNetlink.NLM_F_DUMP;
        request.Body.idiag_states = (uint)states;
        request.Body.idiag_ext = details ? (byte)(1 << (LinuxInetDiag.INET_DIAG_INFO - 1)) : (byte)0;
        Send(ref request);
        while (true)
        {
            var rest = KernelSocket.Receive(_socket, Buffer);
            while (TryNext(_sequence, ref rest, out var type, out var payload))
            {
                if (IsEnd(type, payload, out var error))
                {
                    if (error != 0)
                    {
                        throw new LinuxException("sock_diag dump", error);
                    }
                    return;
                }
                if (IsSocket(type, payload))
                {
                    visitor.Visit(new DiagnosedSocket(payload));
                }
            }
        }
    }

    /// <summary>Visits those of some sockets that the namespace has between their two ends and that a dump would show. The cost does not
    /// depend on the number of sockets of the machine, as that of a dump does. Listeners are not found.</summary>
    /// <param name="sockets">The sockets.</param>
    /// <param name="states">The states wanted. What is left of a socket in TIME-WAIT keeps its cookie.</param>
    /// <param name="visitor">Called for each that is found, in order.</param>
    /// <exception cref="LinuxException">The kernel refused or did not answer.</exception>
    public void Find<TVisitor>(ReadOnlySpan<SocketIdentity> sockets, TcpStates states, ref TVisitor visitor)
        where TVisitor : ISockDiagVisitor, allows ref struct
    {
        // The answers of a batch fit into the socket's buffer.
        const int batch = 32;
        Span<DumpRequest> requests = stackalloc DumpRequest[batch];
        while (!sockets.IsEmpty)
        {
            var count = Math.Min(batch, sockets.Length);
            for (var i = 0; i < count; i++)
            {
                ref readonly var socket = ref sockets[i];
                requests[i] = RequestFor(socket.Cookie, socket.Local, socket.Remote);
                Number(ref requests[i]);
            }
            var first = _sequence - (uint)count + 1;
            KernelSocket.Send(_socket, MemoryMarshal.AsBytes(requests[..count]));
            for (var i = 0; i < count;)
            {
                var rest = KernelSocket.Receive(_socket, Buffer);
                while (i < count && TryNext(first + (uint)i, ref rest, out var type, out var payload))
                {
                    i++;
                    if (IsSocket(type, payload) && new DiagnosedSocket(payload) is var found
                        && Is(in found, sockets[i - 1]) && (states & (TcpStates)(1u << (int)found.State)) != 0)
                    {
                        visitor.Visit(in found);
                    }
                }
            }
            sockets = sockets[count..];
        }
    }

    /// <summary>Whether the namespace has that socket between those two ends, in any state but that of a listener.</summary>
    /// <exception cref="LinuxException">The kernel refused or did not answer.</exception>
    public bool Has(ulong cookie, in SocketEndpoint local, in SocketEndpoint remote) =>
        TryFind(cookie, in local, in remote, out var found) && Is(in found, new SocketIdentity(cookie, local, remote));

    /// <summary>Whether a socket listens on an address and port, or on the port of all addresses.</summary>
    /// <exception cref="LinuxException">The kernel refused or did not answer.</exception>
    public bool IsListening(in SocketEndpoint end)
    {
        // Without a remote end the kernel finds no connection, so it looks among the listeners (net/ipv4/inet_diag.c, inet_diag_find_one_icsk).
        var nobody = new SocketEndpoint(end.IsIPv4 ? (UInt128)0xFFFF << 32 : 0, 0);
        return TryFind(AnyCookie, in end, in nobody, out var found) && found.State == TcpState.Listen;
    }

    public void Dispose() => _socket.Dispose();

    private static byte[] Buffer => s_buffer ??= GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true);

    internal static bool IsSocket(ushort type, ReadOnlySpan<byte> payload) =>
        type == LinuxInetDiag.TCPDIAG_GETSOCK && payload.Length >= Unsafe.SizeOf<LinuxInetDiag.inet_diag_msg>();

    /// <summary>Finds the socket between two ends.</summary>
    private bool TryFind(ulong cookie, in SocketEndpoint local, in SocketEndpoint remote, out DiagnosedSocket found)
    {
        var request = RequestFor(cookie, in local, in remote);
        Send(ref request);
        while (true)
        {
            var rest = KernelSocket.Receive(_socket, Buffer);
            while (TryNext(_sequence, ref rest, out var type, out var payload))
            {
                if (IsSocket(type, payload))
                {
                    found = new DiagnosedSocket(payload);
                    return true;
                }
                if (IsEnd(type, payload, out _))
                {
                    found = default;
                    return false;
                }
            }
        }
    }

    /// <summary>Whether a message is the last one; both kinds carry an error number first, negative, or 0.</summary>
    private static bool IsEnd(ushort type, ReadOnlySpan<byte> payload, out int error)
    {
        error = payload.Length >= sizeof(int) ? Math.Max(0, -MemoryMarshal.Read<int>(payload)) : 0;
        return type is LinuxNetlink.NLMSG_DONE or LinuxNetlink.NLMSG_ERROR;
    }

    /// <summary>Takes the next message that answers a request. Other messages belong to an earlier request that timed out.</summary>
    internal static bool TryNext(uint sequence, scoped ref ReadOnlySpan<byte> rest, out ushort type, out ReadOnlySpan<byte> payload)
    {
        while (NetlinkMessages.TryNext("sock_diag", ref rest, out var header, out payload))
        {
            if (header.nlmsg_seq == sequence)
            {
                type = header.nlmsg_type;
                return true;
            }
        }
        type = 0;
        return false;
    }

    private static bool Is(in DiagnosedSocket found, in SocketIdentity wanted) =>
        found.Cookie == wanted.Cookie && found.Local == wanted.Local && found.Remote == wanted.Remote;

    private static DumpRequest RequestFor(ulong cookie, in SocketEndpoint local, in SocketEndpoint remote)
    {
        DumpRequest request = default;
        request.Header.nlmsg_flags = LinuxNetlink.NLM_F_REQUEST;
        request.Body.idiag_states = uint.MaxValue;
        // A socket of AF_INET6 with mapped addresses is found as one of AF_INET.
        request.Body.idiag_family = local.IsIPv4 ? (byte)SysSocket.AF_INET : (byte)SysSocket.AF_INET6;
        request.Body.id = DiagnosedSocket.Identify(cookie, in local, in remote);
        return request;
    }

    private unsafe void Number(ref DumpRequest request)
    {
        request.Header.nlmsg_len = (uint)sizeof(DumpRequest);
        request.Header.nlmsg_type = LinuxInetDiag.TCPDIAG_GETSOCK;
        request.Header.nlmsg_seq = ++_sequence;
    }

    private void Send(ref DumpRequest request)
    {
        Number(ref request);
        KernelSocket.Send(_socket, MemoryMarshal.AsBytes(new ReadOnlySpan<DumpRequest>(in request)));
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct DumpRequest
    {
        public LinuxNetlink.nlmsghdr Header;
        public LinuxInetDiag.inet_diag_req Body;
    }
}
