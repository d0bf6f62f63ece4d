using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/resource.h: raw imports and constants.</summary>
internal static unsafe partial class SysResource
{
    internal const int RLIMIT_NOFILE = 7;

    [StructLayout(LayoutKind.Sequential)]
    internal struct rlimit_t
    {
        internal ulong rlim_cur;
        internal ulong rlim_max;
    }

    /// <summary>getrlimit(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getrlimit(int resource, rlimit_t* rlim);

    /// <summary>setrlimit(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int setrlimit(int resource, rlimit_t* rlim);
}
