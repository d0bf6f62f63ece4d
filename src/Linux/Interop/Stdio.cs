using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>stdio.h: raw imports.</summary>
internal static unsafe partial class Stdio
{
    /// <summary>vsnprintf(3): the length the whole text has, or a negative number. A va_list is handed on as the pointer that it, or its
    /// address, is to a callee on x86-64 and arm64.</summary>
    [LibraryImport("libc")]
    internal static partial int vsnprintf(byte* str, nuint size, byte* format, void* ap);
}
