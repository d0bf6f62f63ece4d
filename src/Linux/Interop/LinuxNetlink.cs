using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/netlink.h: constants and layouts.</summary>
internal static class LinuxNetlink
{
    internal const int NETLINK_ROUTE = 0;
    internal const int NETLINK_SOCK_DIAG = 4;
    internal const int NETLINK_NETFILTER = 12;
    internal const int NETLINK_ADD_MEMBERSHIP = 1;
    internal const ushort NLM_F_REQUEST = 1;
    internal const ushort NLM_F_DUMP = 0x300;
    internal const ushort NLMSG_ERROR = 2;
    internal const ushort NLMSG_DONE = 3;
    internal const ushort NLA_F_NESTED = 0x8000;

    [StructLayout(LayoutKind.Sequential)]
    internal struct sockaddr_nl
    {
        internal ushort nl_family;
        internal ushort nl_pad;
        internal uint nl_pid;
        internal uint nl_groups;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct nlmsghdr
    {
        internal uint nlmsg_len;
        internal ushort nlmsg_type;
        internal ushort nlmsg_flags;
        internal uint nlmsg_seq;
        internal uint nlmsg_pid;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct nlattr
    {
        internal ushort nla_len;
        internal ushort nla_type;
    }
}
