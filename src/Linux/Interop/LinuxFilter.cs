using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/filter.h, linux/bpf_common.h and linux/if_packet.h: the parts of a socket filter.</summary>
internal static class LinuxFilter
{
    internal const ushort BPF_LD = 0x00;
    internal const ushort BPF_LDX = 0x01;
    internal const ushort BPF_JMP = 0x05;
    internal const ushort BPF_RET = 0x06;
    internal const ushort BPF_MISC = 0x07;
    internal const ushort BPF_W = 0x00;
    internal const ushort BPF_H = 0x08;
    internal const ushort BPF_B = 0x10;
    internal const ushort BPF_IMM = 0x00;
    internal const ushort BPF_ABS = 0x20;
    internal const ushort BPF_IND = 0x40;
    internal const ushort BPF_TAX = 0x00;
    internal const ushort BPF_JEQ = 0x10;
    internal const ushort BPF_K = 0x00;

    /// <summary>The first offset that refers to the kernel's data about the packet, not to the packet.</summary>
    internal const int SKF_AD_OFF = -0x1000;
    internal const int SKF_AD_PKTTYPE = 4;

    /// <summary>Finds the offset of the netlink attribute whose type is in X. The search begins at the offset in A. The result is 0 if
    /// there is none.</summary>
    internal const int SKF_AD_NLATTR = 12;
    internal const int PACKET_OTHERHOST = 3;
    internal const int PACKET_OUTGOING = 4;

    [StructLayout(LayoutKind.Sequential)]
    internal struct sock_filter
    {
        internal ushort code;
        internal byte jt;
        internal byte jf;
        internal uint k;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct sock_fprog
    {
        internal ushort len;
        internal nint filter;
    }
}
