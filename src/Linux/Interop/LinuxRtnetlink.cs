using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/rtnetlink.h: constants and layouts.</summary>
internal static class LinuxRtnetlink
{
    internal const ushort RTM_NEWROUTE = 24;
    internal const ushort RTM_GETROUTE = 26;
    internal const uint RTM_F_FIB_MATCH = 0x2000;
    internal const ushort RTA_DST = 1;
    internal const ushort RTA_OIF = 4;
    internal const ushort RTA_MULTIPATH = 9;
    internal const byte RTN_LOCAL = 2;

    [StructLayout(LayoutKind.Sequential)]
    internal struct rtmsg
    {
        internal byte rtm_family;
        internal byte rtm_dst_len;
        internal byte rtm_src_len;
        internal byte rtm_tos;
        internal byte rtm_table;
        internal byte rtm_protocol;
        internal byte rtm_scope;
        internal byte rtm_type;
        internal uint rtm_flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct rtnexthop
    {
        internal ushort rtnh_len;
        internal byte rtnh_flags;
        internal byte rtnh_hops;
        internal int rtnh_ifindex;
    }
}
