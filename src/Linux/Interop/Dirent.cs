using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>dirent.h: raw imports.</summary>
internal static unsafe partial class Dirent
{
    /// <summary>getdents64(2): bytes placed in the buffer, 0 at the end of the directory, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint getdents64(SafeHandle fd, void* dirp, nuint count);
}
