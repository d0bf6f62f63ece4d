using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Packets;

/// <summary>All frames that arrive at one interface, in memory shared with the kernel, and a way to send frames out of it (packet(7)).</summary>
/// <remarks>
/// <code>
///   kernel ──► [ frame ][ frame ][ frame ][       ]        TryPeek(0), TryPeek(1), … look at them where they are,
///                 0        1        2                      Queue(ring, n) sends one from there, Release returns the slots
/// </code>
/// A ring rather than recvmmsg(2): what it can hold is not bounded by net.core.rmem_max, which an ordinary user cannot raise, and each frame
/// comes with the time the kernel got it. Not thread-safe.
/// </remarks>
public sealed unsafe class PacketRing : IDisposable
{
    /// <summary>Frames sent with one system call.</summary>
    public const int Batch = 64;

    /// <summary>The longest frame, bytes: an MTU of 1500 with room for headers and tags. Longer ones are dropped and counted.</summary>
    public const int MaxFrame = SlotSize - HeaderRoom;

    private const int SlotSize = 2048;
    private const int SlotCount = 4096;
    private const int BlockSize = 64 * 1024;
    private const int HeaderRoom = 128;
    private const int TagSize = 4;
    private const int AddressesSize = 12;

    private readonly FileDescriptor _socket;
    private readonly byte* _slots;
    private readonly SysSocket.mmsghdr* _messages;
    private readonly SysSocket.iovec* _vectors;
    private readonly byte* _scratch;
    private int _next;
    private int _queued;

    private PacketRing(FileDescriptor socket, byte* slots)
    {
        _socket = socket;
        _slots = slots;
        _messages = (SysSocket.mmsghdr*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(SysSocket.mmsghdr));
        _vectors = (SysSocket.iovec*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(SysSocket.iovec));
        _scratch = (byte*)NativeMemory.Alloc(Batch, SlotSize);
        for (var i = 0; i < Batch; i++)
        {
            _messages[i].msg_hdr.msg_iov = &_vectors[i];
            _messages[i].msg_hdr.msg_iovlen = 1;
        }
    }

    /// <summary>Frames the kernel took for sending.</summary>
    public long Sent { get; private set; }

    /// <summary>Frames that could not be sent: longer than the MTU, shorter than a header, or the interface down or gone.</summary>
    public long NotSent { get; private set; }

    /// <summary>Opens one on an interface of the calling thread's network namespace, which it keeps alive.</summary>
    /// <exception cref="LinuxException">EPERM without CAP_NET_RAW over the namespace, ENODEV, ENOMEM.</exception>
    public static PacketRing Open(string link)
    {
        Span<byte> name = stackalloc byte[Encoding.UTF8.GetMaxByteCount(link.Length) + 1];
        name[Encoding.UTF8.GetBytes(link, name)] = 0;
        uint index;
        fixed (byte* p = name)
        {
            index = NetIf.if_nametoindex(p);
        }
        if (index == 0)
        {
            throw LinuxException.Last($"if_nametoindex({link})");
        }
        // Protocol 0: nothing arrives before it is bound to the interface.
        var socket = new FileDescriptor(SysSocket.socket(SysSocket.AF_PACKET, SysSocket.SOCK_RAW | SysSocket.SOCK_CLOEXEC, 0));
        try
        {
            Check(socket.IsInvalid ? -1 : 0, "socket(AF_PACKET)");
            var version = LinuxIfPacket.TPACKET_V2;
            Check(SysSocket.setsockopt(socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_VERSION, &version, sizeof(int)), "setsockopt(PACKET_VERSION)");
            // Before Linux 4.20 it does not exist; those frames would come around again.
            var yes = 1;
            Check(
                SysSocket.setsockopt(socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_IGNORE_OUTGOING, &yes, sizeof(int)),
                "setsockopt(PACKET_IGNORE_OUTGOING)");
            var request = new LinuxIfPacket.tpacket_req
            {
                tp_block_size = BlockSize,
                tp_block_nr = SlotCount * SlotSize / BlockSize,
                tp_frame_size = SlotSize,
                tp_frame_nr = SlotCount,
            };
            Check(
                SysSocket.setsockopt(socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_RX_RING, &request, (uint)sizeof(LinuxIfPacket.tpacket_req)),
                "setsockopt(PACKET_RX_RING)");
            var slots = SysMman.mmap(null, SlotCount * SlotSize, SysMman.PROT_READ | SysMman.PROT_WRITE, SysMman.MAP_SHARED, socket, 0);
            Check((nint)slots == -1 ? -1 : 0, "mmap");
            var ring = new PacketRing(socket, (byte*)slots);
            var address = new LinuxIfPacket.sockaddr_ll
            {
                sll_family = SysSocket.AF_PACKET,
                sll_protocol = BinaryPrimitives.ReverseEndianness(LinuxIfPacket.ETH_P_ALL),
                sll_ifindex = (int)index,
            };
            if (SysSocket.bind(socket, &address, (uint)sizeof(LinuxIfPacket.sockaddr_ll)) != 0)
            {
                var failure = LinuxException.Last("bind(AF_PACKET)");
                ring.Dispose();
                throw failure;
            }
            return ring;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Looks at a frame that has arrived.</summary>
    /// <param name="ahead">How many frames before it have not been released yet.</param>
    /// <param name="frame">It, until it is released.</param>
    public bool TryPeek(int ahead, out ArrivedFrame frame)
    {
        var slot = Slot(ahead);
        if (ahead >= SlotCount || (Volatile.Read(ref slot->tp_status) & LinuxIfPacket.TP_STATUS_USER) == 0)
        {
            frame = default;
            return false;
        }
        frame = new ArrivedFrame(
            new ReadOnlySpan<byte>((byte*)slot + slot->tp_mac, (int)slot->tp_snaplen),
            (int)slot->tp_len,
            TagOf(slot),
            (slot->tp_sec * TimeSpan.TicksPerSecond) + (slot->tp_nsec / TimeSpan.NanosecondsPerTick));
        return true;
    }

    /// <summary>Takes a frame of another ring for sending, where it is: it must not be released before <see cref="Flush"/>.</summary>
    public void Queue(PacketRing from, int ahead)
    {
        var slot = from.Slot(ahead);
        var frame = (byte*)slot + slot->tp_mac;
        if (slot->tp_snaplen < slot->tp_len || slot->tp_snaplen < AddressesSize)
        {
            NotSent++;
        }
        else if (TagOf(slot) is not 0 and var tag)
        {
            // The kernel takes a VLAN tag out of the frame on its way in.
            Span<byte> tagged = stackalloc byte[SlotSize + TagSize];
            var original = new ReadOnlySpan<byte>(frame, (int)slot->tp_snaplen);
            original[..AddressesSize].CopyTo(tagged);
            BinaryPrimitives.WriteUInt32BigEndian(tagged[AddressesSize..], tag);
            original[AddressesSize..].CopyTo(tagged[(AddressesSize + TagSize)..]);
            Queue(tagged[..(original.Length + TagSize)]);
        }
        else
        {
            Add(frame, slot->tp_snaplen);
        }
    }

    /// <summary>Takes a copy of a frame for sending.</summary>
    public void Queue(ReadOnlySpan<byte> frame)
    {
        if (frame.Length > SlotSize)
        {
            NotSent++;
            return;
        }
        FlushIfFull();
        var copy = _scratch + (_queued * SlotSize);
        frame.CopyTo(new Span<byte>(copy, SlotSize));
        Add(copy, (uint)frame.Length);
    }

    /// <summary>Sends what was queued. A frame that cannot be sent is counted and lost, as on any wire.</summary>
    public void Flush()
    {
        for (var sent = 0; sent < _queued;)
        {
            var n = SysSocket.sendmmsg(_socket, _messages + sent, (uint)(_queued - sent), SysSocket.MSG_DONTWAIT);
            if (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR)
            {
                continue;
            }
            Sent += Math.Max(n, 0);
            NotSent += n > 0 ? 0 : 1;
            sent += n > 0 ? n : 1;
        }
        _queued = 0;
    }

    /// <summary>Returns the first slots to the kernel.</summary>
    public void Release(int count)
    {
        for (var i = 0; i < count; i++)
        {
            Volatile.Write(ref Slot(0)->tp_status, LinuxIfPacket.TP_STATUS_KERNEL);
            _next = (_next + 1) % SlotCount;
        }
    }

    /// <summary>Frames lost because the ring was full, since the last call.</summary>
    public long TakeDropped()
    {
        LinuxIfPacket.tpacket_stats statistics;
        var length = (uint)sizeof(LinuxIfPacket.tpacket_stats);
        return SysSocket.getsockopt(_socket, SysSocket.SOL_PACKET, LinuxIfPacket.PACKET_STATISTICS, &statistics, &length) == 0 ? statistics.tp_drops : 0;
    }

    /// <summary>Waits for a frame at either ring.</summary>
    /// <returns>Whether there may be one; false after <paramref name="milliseconds"/>.</returns>
    public static bool Wait(PacketRing one, PacketRing other, int milliseconds)
    {
        var descriptors = stackalloc SysPoll.pollfd[]
        {
            new() { fd = one._socket.Number, events = SysPoll.POLLIN }, new() { fd = other._socket.Number, events = SysPoll.POLLIN },
        };
        if (SysPoll.poll(descriptors, 2, milliseconds) == 0)
        {
            return false;
        }
        one.TakeError(descriptors[0].revents);
        other.TakeError(descriptors[1].revents);
        return true;
    }

    public void Dispose()
    {
        if (_socket.IsClosed)
        {
            return;
        }
        _ = SysMman.munmap(_slots, SlotCount * SlotSize);
        NativeMemory.Free(_messages);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_scratch);
        _socket.Dispose();
    }

    /// <summary>An interface that goes down is an error to be taken, or poll(2) would tell of it for ever; it may well come up again.</summary>
    private void TakeError(short events)
    {
        if ((events & ~SysPoll.POLLIN) != 0)
        {
            int error;
            uint length = sizeof(int);
            _ = SysSocket.getsockopt(_socket, SysSocket.SOL_SOCKET, SysSocket.SO_ERROR, &error, &length);
        }
    }

    private static uint TagOf(LinuxIfPacket.tpacket2_hdr* slot)
    {
        const uint ieee8021Q = 0x8100;
        if ((slot->tp_status & LinuxIfPacket.TP_STATUS_VLAN_VALID) == 0)
        {
            return 0;
        }
        var protocol = (slot->tp_status & LinuxIfPacket.TP_STATUS_VLAN_TPID_VALID) != 0 ? slot->tp_vlan_tpid : ieee8021Q;
        return (protocol << 16) | slot->tp_vlan_tci;
    }

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw LinuxException.Last(call);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private LinuxIfPacket.tpacket2_hdr* Slot(int ahead) => (LinuxIfPacket.tpacket2_hdr*)(_slots + ((_next + ahead) % SlotCount * SlotSize));

    private void Add(byte* frame, uint length)
    {
        FlushIfFull();
        _vectors[_queued].iov_base = frame;
        _vectors[_queued].iov_len = length;
        _queued++;
    }

    private void FlushIfFull()
    {
        if (_queued == Batch)
        {
            Flush();
        }
    }
}
