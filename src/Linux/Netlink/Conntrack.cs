using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>Finds the real destinations of connections in one namespace's connection tracking, which translates them
/// (nf_conntrack_netlink). It keeps the namespace alive.</summary>
/// <remarks>
/// Each connection is one question, which takes some µs. The table is never dumped. Only entries of the default zone are found.
/// It needs CAP_NET_ADMIN over the namespace.
/// </remarks>
public sealed class Conntrack : IDisposable
{
    /// <summary>The time to wait for an answer. The kernel answers already while the request is sent.</summary>
    private static readonly TimeSpan s_answer = TimeSpan.FromMilliseconds(100);

    /// <summary>The maximum number of questions in one request. Their answers, about a KiB each, wait in the socket's buffer at the same
    /// time.</summary>
    private const int Batch = 64;

    private const int Ports = 2 * 8;
    private const int MaxQuestion = 96;
    private const ushort Answer = (LinuxNfnetlink.NFNL_SUBSYS_CTNETLINK << 8) | LinuxNfnetlinkConntrack.IPCTNL_MSG_CT_NEW;

    private readonly FileDescriptor _socket;
    private readonly byte[] _request = GC.AllocateUninitializedArray<byte>(Batch * MaxQuestion, pinned: true);
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(8 * 1024, pinned: true);
    private uint _sequence = (uint)Random.Shared.Next();

    private Conntrack(FileDescriptor socket) => _socket = socket;

    /// <summary>Opens a socket in the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">EPROTONOSUPPORT if the kernel has no nfnetlink, EMFILE, …</exception>
    public static Conntrack Open() => new(KernelSocket.Open(LinuxNetlink.NETLINK_NETFILTER, s_answer));

    /// <summary>Looks up the ends that really answer connections.</summary>
    /// <param name="connections">The connections, with the ends that the opening sockets show.</param>
    /// <param name="ends">Receives the end that answers each connection. It is the remote end if that is not translated. It is null if the
    /// namespace does not track the connection, or if the other end opened it.</param>
    /// <returns>0, or an errno: EPERM without CAP_NET_ADMIN over the namespace, EINVAL if the kernel has no connection tracking, ETIMEDOUT.
    /// The content of <paramref name="ends"/> is then undefined.</returns>
    public int TryFind(ReadOnlySpan<ConnectionEnds> connections, Span<SocketEndpoint?> ends)
    {
        for (var errno = 0; !connections.IsEmpty; connections = connections[Math.Min(Batch, connections.Length)..], ends = ends[Math.Min(Batch, ends.Length)..])
        {
            var some = connections[..Math.Min(Batch, connections.Length)];
            if ((errno = TryFindSome(some, ends[..some.Length])) != 0)
            {
                return errno;
            }
        }
        return 0;
    }

    public void Dispose() => _socket.Dispose();

    private int TryFindSome(ReadOnlySpan<ConnectionEnds> connections, Span<SocketEndpoint?> ends)
    {
        var first = _sequence + 1;
        var length = 0;
        foreach (ref readonly var connection in connections)
        {
            length += Ask(_request.AsSpan(length), ++_sequence, in connection);
        }
        KernelSocket.Send(_socket, _request.AsSpan(0, length));
        for (var answered = 0; answered < connections.Length;)
        {
            if (KernelSocket.TryReceive(_socket, _buffer, 0, out var messages) is var errno and not 0)
            {
                return errno == Errno.EAGAIN ? Errno.ETIMEDOUT : errno;
            }
            while (NetlinkMessages.TryNext("nfnetlink", ref messages, out var header, out var payload))
            {
                // Other messages answer an earlier request that timed out.
                if (header.nlmsg_seq - first is var index && index >= connections.Length)
                {
                    continue;
                }
                if (header.nlmsg_type == LinuxNetlink.NLMSG_ERROR)
                {
                    var error = payload.Length >= sizeof(int) ? -MemoryMarshal.Read<int>(payload) : Errno.EINVAL;
                    if (error != Errno.ENOENT)
                    {
                        return error == 0 ? Errno.EINVAL : error;
                    }
                    ends[(int)index] = null;
                    answered++;
                }
                else if (header.nlmsg_type == Answer)
                {
                    ends[(int)index] = Parse(payload, in connections[(int)index]);
                    answered++;
                }
            }
        }
        return 0;
    }

    /// <summary>Returns the end that answers a connection, from the kernel's entry of it.</summary>
    internal static SocketEndpoint? Parse(ReadOnlySpan<byte> entry, in ConnectionEnds connection)
    {
        ConnectionEnds? original = null, reply = null;
        var rest = entry[Math.Min(entry.Length, Unsafe.SizeOf<LinuxNfnetlink.nfgenmsg>())..];
        while (NetlinkAttributes.TryNext(ref rest, out var type, out var value))
        {
            if (type == LinuxNfnetlinkConntrack.CTA_TUPLE_ORIG)
            {
                original = Tuple(value);
            }
            else if (type == LinuxNfnetlinkConntrack.CTA_TUPLE_REPLY)
            {
                reply = Tuple(value);
            }
        }
        // The kernel finds an entry by either of its tuples. So the entry may belong to a connection that the other end opened.
        return original == connection ? reply?.Local : null;
    }

    /// <summary>Reads the source and the destination of one direction.</summary>
    private static ConnectionEnds? Tuple(ReadOnlySpan<byte> tuple)
    {
        UInt128? source = null, destination = null;
        ushort? sourcePort = null, destinationPort = null;
        while (NetlinkAttributes.TryNext(ref tuple, out var part, out var nested))
        {
            while (NetlinkAttributes.TryNext(ref nested, out var type, out var value))
            {
                switch (part, type, value.Length)
                {
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_IP, LinuxNfnetlinkConntrack.CTA_IP_V4_SRC, 4):
                        source = SocketEndpoint.FromIPv4(BinaryPrimitives.ReadUInt32BigEndian(value), 0).Address;
                        break;
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_IP, LinuxNfnetlinkConntrack.CTA_IP_V4_DST, 4):
                        destination = SocketEndpoint.FromIPv4(BinaryPrimitives.ReadUInt32BigEndian(value), 0).Address;
                        break;
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_IP, LinuxNfnetlinkConntrack.CTA_IP_V6_SRC, 16):
                        source = BinaryPrimitives.ReadUInt128BigEndian(value);
                        break;
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_IP, LinuxNfnetlinkConntrack.CTA_IP_V6_DST, 16):
                        destination = BinaryPrimitives.ReadUInt128BigEndian(value);
                        break;
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_PROTO, LinuxNfnetlinkConntrack.CTA_PROTO_SRC_PORT, 2):
                        sourcePort = BinaryPrimitives.ReadUInt16BigEndian(value);
                        break;
                    case (LinuxNfnetlinkConntrack.CTA_TUPLE_PROTO, LinuxNfnetlinkConntrack.CTA_PROTO_DST_PORT, 2):
                        destinationPort = BinaryPrimitives.ReadUInt16BigEndian(value);
                        break;
                }
            }
        }
        return (source, sourcePort, destination, destinationPort) is ({ } s, { } sp, { } d, { } dp)
            ? new ConnectionEnds(new SocketEndpoint(s, sp), new SocketEndpoint(d, dp))
            : null;
    }

    /// <summary>Writes one question, and returns its length.</summary>
    private static int Ask(Span<byte> into, uint sequence, in ConnectionEnds connection)
    {
        var ipv4 = connection.Local.IsIPv4;
        var address = ipv4 ? 4 : 16;
        var header = Unsafe.SizeOf<LinuxNetlink.nlattr>();
        var addresses = 2 * (header + address);
        var at = Unsafe.SizeOf<LinuxNetlink.nlmsghdr>();
        MemoryMarshal.Write(into[at..], new LinuxNfnetlink.nfgenmsg { nfgen_family = ipv4 ? (byte)SysSocket.AF_INET : (byte)SysSocket.AF_INET6, version = LinuxNfnetlink.NFNETLINK_V0 });
        at += Unsafe.SizeOf<LinuxNfnetlink.nfgenmsg>();
        at += Head(into[at..], LinuxNetlink.NLA_F_NESTED | LinuxNfnetlinkConntrack.CTA_TUPLE_ORIG, (2 * header) + addresses + 8 + Ports);
        at += Head(into[at..], LinuxNetlink.NLA_F_NESTED | LinuxNfnetlinkConntrack.CTA_TUPLE_IP, addresses);
        at += Address(into[at..], ipv4 ? LinuxNfnetlinkConntrack.CTA_IP_V4_SRC : LinuxNfnetlinkConntrack.CTA_IP_V6_SRC, connection.Local.Address, address);
        at += Address(into[at..], ipv4 ? LinuxNfnetlinkConntrack.CTA_IP_V4_DST : LinuxNfnetlinkConntrack.CTA_IP_V6_DST, connection.Remote.Address, address);
        at += Head(into[at..], LinuxNetlink.NLA_F_NESTED | LinuxNfnetlinkConntrack.CTA_TUPLE_PROTO, 8 + Ports);
        at += Small(into[at..], LinuxNfnetlinkConntrack.CTA_PROTO_NUM, [SysSocket.IPPROTO_TCP]);
        at += Small(into[at..], LinuxNfnetlinkConntrack.CTA_PROTO_SRC_PORT, [(byte)(connection.Local.Port >> 8), (byte)connection.Local.Port]);
        at += Small(into[at..], LinuxNfnetlinkConntrack.CTA_PROTO_DST_PORT, [(byte)(connection.Remote.Port >> 8), (byte)connection.Remote.Port]);
        MemoryMarshal.Write(into, new LinuxNetlink.nlmsghdr
        {
            nlmsg_len = (uint)at,
            nlmsg_type = (LinuxNfnetlink.NFNL_SUBSYS_CTNETLINK << 8) | LinuxNfnetlinkConntrack.IPCTNL_MSG_CT_GET,
            nlmsg_flags = LinuxNetlink.NLM_F_REQUEST,
            nlmsg_seq = sequence,
        });
        return at;

        static int Head(Span<byte> into, int type, int length)
        {
            var header = Unsafe.SizeOf<LinuxNetlink.nlattr>();
            MemoryMarshal.Write(into, new LinuxNetlink.nlattr { nla_len = (ushort)(header + length), nla_type = (ushort)type });
            return header;
        }

        static int Address(Span<byte> into, int type, UInt128 address, int length)
        {
            Span<byte> bytes = stackalloc byte[16];
            BinaryPrimitives.WriteUInt128BigEndian(bytes, address);
            var header = Head(into, type, length);
            bytes[^length..].CopyTo(into[header..]);
            return header + length;
        }

        static int Small(Span<byte> into, int type, ReadOnlySpan<byte> value)
        {
            var header = Head(into, type, value.Length);
            into.Slice(header, 4).Clear();
            value.CopyTo(into[header..]);
            return header + 4;
        }
    }
}
