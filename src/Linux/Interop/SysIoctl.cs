using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/ioctl.h, linux/sockios.h, linux/nsfs.h: raw imports and constants.</summary>
internal static partial class SysIoctl
{
    internal const int SIOCGSKNS = 0x894C;
    internal const int NS_GET_USERNS = 0xB701;

    /// <summary>ioctl(2) without an argument. SIOCGSKNS returns a descriptor of the socket's network namespace, or -1 with errno (EPERM
    /// without CAP_NET_ADMIN over it). NS_GET_USERNS (ioctl_ns(2)) returns a descriptor of the user namespace that owns a namespace, or -1
    /// with errno (EPERM if it is not a descendant of the caller's).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(SafeHandle fd, nuint request);

    /// <summary>The same for a descriptor that is only a number.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(int fd, nuint request);
}
