using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>ifaddrs.h, net/if.h and the socket addresses of netinet/in.h: raw imports, constants and layouts.</summary>
internal static unsafe partial class IfAddrs
{
    internal const uint IFF_UP = 1;
    internal const uint IFF_LOOPBACK = 8;

    [StructLayout(LayoutKind.Sequential)]
    internal struct ifaddrs
    {
        internal ifaddrs* ifa_next;
        internal byte* ifa_name;
        internal uint ifa_flags;
        internal byte* ifa_addr;
        internal byte* ifa_netmask;
        internal byte* ifa_ifu;
        internal void* ifa_data;
    }

    [StructLayout(LayoutKind.Explicit, Size = 16)]
    internal struct sockaddr_in
    {
        [FieldOffset(0)] internal ushort sin_family;
        [FieldOffset(4)] internal uint sin_addr;
    }

    [StructLayout(LayoutKind.Explicit, Size = 28)]
    internal struct sockaddr_in6
    {
        [FieldOffset(0)] internal ushort sin6_family;
        [FieldOffset(8)] internal UInt128Bytes sin6_addr;
    }

    /// <summary>struct in6_addr: sixteen bytes, aligned as four.</summary>
    [System.Runtime.CompilerServices.InlineArray(4)]
    internal struct UInt128Bytes
    {
        private uint _0;
    }

    /// <summary>getifaddrs(3): 0 and a list for freeifaddrs, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getifaddrs(ifaddrs** ifap);

    /// <summary>freeifaddrs(3).</summary>
    [LibraryImport("libc")]
    internal static partial void freeifaddrs(ifaddrs* ifa);
}
