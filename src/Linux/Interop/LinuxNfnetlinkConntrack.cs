namespace Keepalive.Linux.Interop;

/// <summary>linux/netfilter/nfnetlink_conntrack.h: constants.</summary>
internal static class LinuxNfnetlinkConntrack
{
    internal const int IPCTNL_MSG_CT_NEW = 0;
    internal const int IPCTNL_MSG_CT_GET = 1;
    internal const ushort CTA_TUPLE_ORIG = 1;
    internal const ushort CTA_TUPLE_REPLY = 2;
    internal const ushort CTA_TUPLE_IP = 1;
    internal const ushort CTA_TUPLE_PROTO = 2;
    internal const ushort CTA_IP_V4_SRC = 1;
    internal const ushort CTA_IP_V4_DST = 2;
    internal const ushort CTA_IP_V6_SRC = 3;
    internal const ushort CTA_IP_V6_DST = 4;
    internal const ushort CTA_PROTO_NUM = 1;
    internal const ushort CTA_PROTO_SRC_PORT = 2;
    internal const ushort CTA_PROTO_DST_PORT = 3;
}
