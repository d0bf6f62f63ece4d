using System.Runtime.InteropServices;

namespace Keepalive.Config.Tests;

/// <summary>The processor time of the calling thread. Other tests and programs do not add to it.</summary>
internal static partial class ThreadClock
{
    // linux/time.h
    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    public static TimeSpan Now => clock_gettime(CLOCK_THREAD_CPUTIME_ID, out var time) == 0
        ? TimeSpan.FromSeconds(time.tv_sec) + TimeSpan.FromMicroseconds(time.tv_nsec / 1000)
        : throw new InvalidOperationException("clock_gettime");

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public nint tv_sec;
        public nint tv_nsec;
    }
}
