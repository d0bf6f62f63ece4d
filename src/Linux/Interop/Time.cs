using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>time.h: raw imports and constants.</summary>
internal static unsafe partial class Time
{
    internal const int CLOCK_MONOTONIC_COARSE = 6;

    [StructLayout(LayoutKind.Sequential)]
    internal struct timespec
    {
        internal nint tv_sec;
        internal nint tv_nsec;
    }

    /// <summary>clock_getres(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int clock_getres(int clockid, timespec* res);
}
