using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>malloc.h: raw imports.</summary>
internal static partial class Malloc
{
    /// <summary>malloc_trim(3): 1 if memory was returned to the system, else 0. Of the GNU C library; others do not have it.</summary>
    [LibraryImport("libc")]
    internal static partial int malloc_trim(nuint pad);
}
