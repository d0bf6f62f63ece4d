using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/vfs.h and linux/magic.h: raw imports, constants and the head of struct statfs as 64-bit systems have it.</summary>
internal static unsafe partial class SysVfs
{
    internal const uint CGROUP_SUPER_MAGIC = 0x27e0eb;
    internal const uint CGROUP2_SUPER_MAGIC = 0x63677270;

    [StructLayout(LayoutKind.Explicit, Size = 120)]
    internal struct statfs_t
    {
        [FieldOffset(0)] internal long f_type;
    }

    /// <summary>statfs(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int statfs(byte* path, statfs_t* buf);
}
