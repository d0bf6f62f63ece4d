using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>Finds the interface that a namespace uses for an address (rtnetlink(7), RTM_GETROUTE). The cost does not depend on the number
/// of interfaces.</summary>
public sealed class RouteLookup : IDisposable
{
    /// <summary>The index of the loopback interface in every namespace (include/net/flow.h, LOOPBACK_IFINDEX).</summary>
    public const int Loopback = 1;

    private static readonly TimeSpan s_answer = TimeSpan.FromSeconds(5);

    private readonly FileDescriptor _socket;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(8 * 1024, pinned: true);
    private uint _sequence = (uint)Random.Shared.Next();

    private RouteLookup(FileDescriptor socket) => _socket = socket;

    /// <summary>Opens one in the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">EMFILE, …</exception>
    public static RouteLookup Open() => new(KernelSocket.Open(LinuxNetlink.NETLINK_ROUTE, s_answer));

    /// <summary>Adds the interfaces of the route that an address matches (Linux 4.13): those that packets to it may use, or the one that
    /// has it.</summary>
    /// <param name="address">In the form of <see cref="SocketEndpoint.Address"/>.</param>
    /// <param name="into">Receives their indices; none without a route.</param>
    /// <returns>Whether the address is the namespace's own: packets to it use the loopback interface.</returns>
    /// <exception cref="LinuxException">The kernel did not answer.</exception>
    public bool Find(UInt128 address, ISet<int> into)
    {
        var headers = Request(address);
        while (true)
        {
            var answer = KernelSocket.Receive(_socket, _buffer);
            if (answer.Length < Unsafe.SizeOf<LinuxNetlink.nlmsghdr>())
            {
                throw new LinuxException("rtnetlink: malformed message", Errno.EINVAL);
            }
            var header = MemoryMarshal.Read<LinuxNetlink.nlmsghdr>(answer);
            if (header.nlmsg_seq != _sequence)
            {
                continue;
            }
            if (header.nlmsg_type != LinuxRtnetlink.RTM_NEWROUTE || answer.Length < headers)
            {
                return false;
            }
            AddInterfaces(answer[headers..], into);
            return MemoryMarshal.Read<LinuxRtnetlink.rtmsg>(answer[Unsafe.SizeOf<LinuxNetlink.nlmsghdr>()..]).rtm_type == LinuxRtnetlink.RTN_LOCAL;
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Asks for the route of an address. Returns the length of the headers, which is the same in the answer.</summary>
    private int Request(UInt128 address)
    {
        var ipv4 = new SocketEndpoint(address, 0).IsIPv4;
        var length = ipv4 ? 4 : 16;
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, address);

        var headers = Unsafe.SizeOf<LinuxNetlink.nlmsghdr>() + Unsafe.SizeOf<LinuxRtnetlink.rtmsg>();
        Span<byte> request = stackalloc byte[headers + Unsafe.SizeOf<LinuxNetlink.nlattr>() + length];
        MemoryMarshal.Write(request, new LinuxNetlink.nlmsghdr
        {
            nlmsg_len = (uint)request.Length,
            nlmsg_type = LinuxRtnetlink.RTM_GETROUTE,
            nlmsg_flags = LinuxNetlink.NLM_F_REQUEST,
            nlmsg_seq = ++_sequence,
        });
        MemoryMarshal.Write(request[Unsafe.SizeOf<LinuxNetlink.nlmsghdr>()..], new LinuxRtnetlink.rtmsg
        {
            rtm_family = ipv4 ? (byte)SysSocket.AF_INET : (byte)SysSocket.AF_INET6,
            rtm_dst_len = (byte)(8 * length),
            rtm_flags = LinuxRtnetlink.RTM_F_FIB_MATCH,
        });
        MemoryMarshal.Write(request[headers..], new LinuxNetlink.nlattr
        {
            nla_len = (ushort)(Unsafe.SizeOf<LinuxNetlink.nlattr>() + length),
            nla_type = LinuxRtnetlink.RTA_DST,
        });
        bytes[^length..].CopyTo(request[^length..]);
        KernelSocket.Send(_socket, request);
        return headers;
    }

    internal static void AddInterfaces(ReadOnlySpan<byte> attributes, ISet<int> into)
    {
        while (NetlinkAttributes.TryNext(ref attributes, out var type, out var value))
        {
            if (type == LinuxRtnetlink.RTA_OIF && value.Length == sizeof(int))
            {
                into.Add(MemoryMarshal.Read<int>(value));
            }
            while (type == LinuxRtnetlink.RTA_MULTIPATH && value.Length >= Unsafe.SizeOf<LinuxRtnetlink.rtnexthop>())
            {
                var hop = MemoryMarshal.Read<LinuxRtnetlink.rtnexthop>(value);
                into.Add(hop.rtnh_ifindex);
                var length = Math.Max(Unsafe.SizeOf<LinuxRtnetlink.rtnexthop>(), (hop.rtnh_len + 3) & ~3);
                value = value[Math.Min(value.Length, length)..];
            }
        }
    }
}
