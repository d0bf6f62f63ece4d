using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/mman.h: raw imports and constants.</summary>
internal static unsafe partial class SysMman
{
    internal const int PROT_READ = 1;
    internal const int PROT_WRITE = 2;
    internal const int MAP_SHARED = 1;

    /// <summary>mmap(2): an address, or -1 with errno (ENOMEM, EAGAIN, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial void* mmap(void* addr, nuint length, int prot, int flags, SafeHandle fd, long offset);

    /// <summary>munmap(2): 0, or -1 with errno (EINVAL).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int munmap(void* addr, nuint length);
}
