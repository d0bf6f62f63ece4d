using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/inet_diag.h, linux/sock_diag.h and the head of struct tcp_info (linux/tcp.h): constants and layouts.</summary>
internal static class LinuxInetDiag
{
    internal const ushort TCPDIAG_GETSOCK = 18;
    internal const ushort SOCK_DIAG_BY_FAMILY = 20;
    internal const int SKNLGRP_INET_TCP_DESTROY = 1;
    internal const int SKNLGRP_INET6_TCP_DESTROY = 3;
    internal const int SK_MEMINFO_DROPS = 8;
    internal const ushort INET_DIAG_INFO = 2;
    internal const ushort INET_DIAG_ULP_INFO = 19;
    internal const ushort INET_DIAG_CGROUP_ID = 21;
    internal const ushort INET_ULP_INFO_NAME = 1;

    [InlineArray(4)]
    internal struct be32x4
    {
        private uint _0;
    }

    [InlineArray(2)]
    internal struct u32x2
    {
        private uint _0;
    }

    /// <summary>Ports and addresses are in network byte order.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct inet_diag_sockid
    {
        internal ushort idiag_sport;
        internal ushort idiag_dport;
        internal be32x4 idiag_src;
        internal be32x4 idiag_dst;
        internal uint idiag_if;
        internal u32x2 idiag_cookie;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct inet_diag_req
    {
        internal byte idiag_family;
        internal byte idiag_src_len;
        internal byte idiag_dst_len;
        internal byte idiag_ext;
        internal inet_diag_sockid id;
        internal uint idiag_states;
        internal uint idiag_dbs;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct inet_diag_msg
    {
        internal byte idiag_family;
        internal byte idiag_state;
        internal byte idiag_timer;
        internal byte idiag_retrans;
        internal inet_diag_sockid id;
        internal uint idiag_expires;
        internal uint idiag_rqueue;
        internal uint idiag_wqueue;
        internal uint idiag_uid;
        internal uint idiag_inode;
    }

    /// <summary>The part of struct tcp_info that every kernel since 4.6 has; the kernel copies as much as it is given room for.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 148)]
    internal struct tcp_info
    {
        [FieldOffset(0)] internal byte tcpi_state;
        [FieldOffset(2)] internal byte tcpi_retransmits;
        [FieldOffset(3)] internal byte tcpi_probes;
        [FieldOffset(24)] internal uint tcpi_unacked;
        [FieldOffset(44)] internal uint tcpi_last_data_sent;
        [FieldOffset(52)] internal uint tcpi_last_data_recv;
        [FieldOffset(56)] internal uint tcpi_last_ack_recv;
        [FieldOffset(68)] internal uint tcpi_rtt;
        [FieldOffset(100)] internal uint tcpi_total_retrans;
        [FieldOffset(128)] internal ulong tcpi_bytes_received;
        [FieldOffset(140)] internal uint tcpi_segs_in;
        [FieldOffset(144)] internal uint tcpi_notsent_bytes;
    }
}
