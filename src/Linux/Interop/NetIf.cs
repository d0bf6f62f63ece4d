using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>net/if.h: raw import and layout.</summary>
internal static unsafe partial class NetIf
{
    [InlineArray(16)]
    internal struct interface_name
    {
        private byte _0;
    }

    /// <summary>With the pointer of its union, which is what ethtool requests use.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    internal struct ifreq
    {
        internal interface_name ifr_name;
        internal void* ifr_data;
    }

    /// <summary>if_nametoindex(3): the index in the calling thread's namespace, or 0 with errno (ENODEV).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial uint if_nametoindex(byte* ifname);
}
