using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Interop;

/// <summary>sys/eventfd.h: raw imports and constants.</summary>
internal static partial class SysEventfd
{
    internal const int EFD_CLOEXEC = 0x80000;
    internal const int EFD_NONBLOCK = 0x800;

    /// <summary>eventfd(2): a descriptor, or -1 with errno (EMFILE, ENFILE, ENOMEM).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial SafeFileHandle eventfd(uint initval, int flags);
}
