using System.Buffers.Binary;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Packets;

namespace Keepalive.Linux.Capture;

/// <summary>An interface of any namespace by its index: its name may be whatever those who live there like. Packets begin with their IP header (packet(7),
/// SOCK_DGRAM), whatever the interface puts in front of it.</summary>
/// <remarks>One packet a slot (TPACKET_V2), in blocks of a page: larger ones may be unavailable once memory is fragmented.</remarks>
public sealed unsafe class RingCapture : InterfaceCapture
{
    private const int BlockSize = 4096;
    private const int BlockCount = 32;
    private const int SlotSize = 288;   // the header and its address, 80 bytes, and what is captured
    private const int SlotsInBlock = BlockSize / SlotSize;

    private readonly FileDescriptor _socket;
    private readonly byte* _blocks;
    private readonly int _index;
    private int _next;
    private bool _holds;
    private (uint Received, uint Dropped) _counts;

    private RingCapture(FileDescriptor socket, byte* blocks, int index)
    {
        (_socket, _index) = (socket, index);
        _blocks = blocks;
        Descriptor = socket.Number;
    }

    public override string Name => $"interface {_index}";

    public override LinkType Link => LinkType.Raw;

    internal override int Descriptor { get; }

    /// <summary>Begins to capture on an interface of the calling thread's network namespace. A packet for another host that is only seen here is
    /// left out: the kernel drops it, so that it tells nothing of its sockets.</summary>
    /// <param name="index">The interface's number.</param>
    /// <param name="filter">The filter.</param>
    /// <exception cref="LinuxException">EPERM without CAP_NET_RAW over the namespace, ENODEV, EMFILE, ENOMEM.</exception>
    public static RingCapture Open(int index, SocketFilter filter)
    {
        // Protocol 0: nothing arrives before it is bound to the interface.
        var descriptor = SysSocket.socket(SysSocket.AF_PACKET, SysSocket.SOCK_DGRAM | SysSocket.SOCK_CLOEXEC, 0);
        Check(descriptor < 0 ? -1 : 0, "socket(AF_PACKET)");
        var socket = new FileDescriptor(descriptor);
        DescriptorLimit.Admit(socket);
        var blocks = (byte*)-1;
        try
        {
            var version = LinuxIfPacket.TPACKET_V2;
            Check(SysSocket.setsockopt(socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_VERSION, &version, sizeof(int)), "setsockopt(PACKET_VERSION)");
            var request = new LinuxIfPacket.tpacket_req
            {
                tp_block_size = BlockSize,
                tp_block_nr = BlockCount,
                tp_frame_size = SlotSize,
                tp_frame_nr = BlockCount * SlotsInBlock,
            };
            Check(
                SysSocket.setsockopt(socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_RX_RING, &request, (uint)sizeof(LinuxIfPacket.tpacket_req)),
                "setsockopt(PACKET_RX_RING)");
            blocks = (byte*)SysMman.mmap(null, BlockSize * BlockCount, SysMman.PROT_READ | SysMman.PROT_WRITE, SysMman.MAP_SHARED, socket, 0);
            Check((nint)blocks == -1 ? -1 : 0, "mmap");
            var capture = new RingCapture(socket, blocks, index);
            capture.SetFilter(filter);
            var address = new LinuxIfPacket.sockaddr_ll
            {
                sll_family = SysSocket.AF_PACKET,
                sll_protocol = BinaryPrimitives.ReverseEndianness(LinuxIfPacket.ETH_P_ALL),
                sll_ifindex = index,
            };
            Check(SysSocket.bind(socket, &address, (uint)sizeof(LinuxIfPacket.sockaddr_ll)), "bind(AF_PACKET)");
            return capture;
        }
        catch
        {
            if ((nint)blocks != -1)
            {
                _ = SysMman.munmap(blocks, BlockSize * BlockCount);
            }
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Changes the filter. Packets that are in the ring already stay there.</summary>
    /// <exception cref="LinuxException">EINVAL when it is too long for the kernel.</exception>
    public void SetFilter(SocketFilter filter)
    {
        // Everything comes to a loopback interface twice.
        var errno = _index == RouteLookup.Loopback
            ? filter.Attach(_socket, LinuxFilter.PACKET_OTHERHOST, LinuxFilter.PACKET_OUTGOING)
            : filter.Attach(_socket, LinuxFilter.PACKET_OTHERHOST);
        if (errno != 0)
        {
            throw new LinuxException("setsockopt(SO_ATTACH_FILTER)", errno);
        }
    }

    public override bool TryRead(out long time, out ReadOnlySpan<byte> data, out int wireLength)
    {
        if (_holds)
        {
            _holds = false;
            Volatile.Write(ref Slot()->tp_status, LinuxIfPacket.TP_STATUS_KERNEL);
            _next = (_next + 1) % (BlockCount * SlotsInBlock);
        }
        var slot = Slot();
        if ((Volatile.Read(ref slot->tp_status) & LinuxIfPacket.TP_STATUS_USER) == 0)
        {
            time = wireLength = 0;
            data = default;
            return Error() is var errno and not 0 ? throw new PcapException($"{Name}: {new LinuxException("read", errno).Message}") : false;
        }
        _holds = true;
        time = (slot->tp_sec * 1_000_000_000L) + slot->tp_nsec;
        data = new ReadOnlySpan<byte>((byte*)slot + slot->tp_net, (int)Math.Min(slot->tp_snaplen, (uint)(SlotSize - slot->tp_net)));
        wireLength = (int)Math.Min(slot->tp_len, int.MaxValue);
        return true;
    }

    public override (uint Received, uint Dropped) Statistics()
    {
        LinuxIfPacket.tpacket_stats statistics;
        var length = (uint)sizeof(LinuxIfPacket.tpacket_stats);
        // The kernel begins anew with each reading.
        if (!_socket.IsClosed && SysSocket.getsockopt(_socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_STATISTICS, &statistics, &length) == 0)
        {
            _counts = (_counts.Received + statistics.tp_packets, _counts.Dropped + statistics.tp_drops);
        }
        return _counts;
    }

    public override void Dispose()
    {
        if (!_socket.IsClosed)
        {
            _ = SysMman.munmap(_blocks, BlockSize * BlockCount);
            _socket.Dispose();
        }
    }

    /// <summary>ENETDOWN when the interface went down or away, else 0.</summary>
    private int Error()
    {
        int error;
        uint length = sizeof(int);
        return SysSocket.getsockopt(_socket, SysSocket.SOL_SOCKET, SysSocket.SO_ERROR, &error, &length) == 0 ? error : 0;
    }

    private LinuxIfPacket.tpacket2_hdr* Slot() =>
        (LinuxIfPacket.tpacket2_hdr*)(_blocks + (_next / SlotsInBlock * BlockSize) + (_next % SlotsInBlock * SlotSize));

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw LinuxException.Last(call);
        }
    }
}
