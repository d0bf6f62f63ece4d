using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/ioctl.h, linux/sockios.h: raw imports and constants.</summary>
internal static partial class SysIoctl
{
    internal const int SIOCGSKNS = 0x894C;

    /// <summary>ioctl(2) without an argument: SIOCGSKNS gives a descriptor of the socket's network namespace, or -1 with errno (EPERM without
    /// CAP_NET_ADMIN over it).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(SafeHandle fd, nuint request);

    /// <summary>The same for a descriptor that is only a number.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(int fd, nuint request);
}
