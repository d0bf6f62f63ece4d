using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/mount.h: raw imports and constants.</summary>
internal static partial class SysMount
{
    internal const nuint MS_REC = 16384;
    internal const nuint MS_PRIVATE = 1 << 18;

    /// <summary>mount(2): 0, or -1 with errno (EPERM without CAP_SYS_ADMIN, EBUSY when it is there already, ENODEV: the kernel has no such file system).</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int mount(string? source, string target, string? filesystemtype, nuint mountflags, nint data);
}
