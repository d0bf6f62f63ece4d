using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/if_packet.h, linux/if_ether.h: constants and layouts of packet(7) sockets.</summary>
internal static class LinuxIfPacket
{
    internal const ushort ETH_P_ALL = 3;

    internal const int PACKET_RX_RING = 5;
    internal const int PACKET_STATISTICS = 6;
    internal const int PACKET_VERSION = 10;
    internal const int PACKET_IGNORE_OUTGOING = 23;
    internal const int TPACKET_V2 = 1;

    internal const uint TP_STATUS_KERNEL = 0;
    internal const uint TP_STATUS_USER = 1;
    internal const uint TP_STATUS_VLAN_VALID = 1 << 4;
    internal const uint TP_STATUS_VLAN_TPID_VALID = 1 << 6;

    [InlineArray(8)]
    internal struct hardware_address
    {
        private byte _0;
    }

    /// <summary>The protocol is in network byte order.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct sockaddr_ll
    {
        internal ushort sll_family;
        internal ushort sll_protocol;
        internal int sll_ifindex;
        internal ushort sll_hatype;
        internal byte sll_pkttype;
        internal byte sll_halen;
        internal hardware_address sll_addr;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct tpacket_req
    {
        internal uint tp_block_size;
        internal uint tp_block_nr;
        internal uint tp_frame_size;
        internal uint tp_frame_nr;
    }

    /// <summary>At the beginning of each slot of the ring; the frame is tp_mac bytes further on.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 32)]
    internal struct tpacket2_hdr
    {
        internal uint tp_status;
        internal uint tp_len;
        internal uint tp_snaplen;
        internal ushort tp_mac;
        internal ushort tp_net;
        internal uint tp_sec;
        internal uint tp_nsec;
        internal ushort tp_vlan_tci;
        internal ushort tp_vlan_tpid;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct tpacket_stats
    {
        internal uint tp_packets;
        internal uint tp_drops;
    }
}
