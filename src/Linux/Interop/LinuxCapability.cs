using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/capability.h: raw imports, constants and layouts.</summary>
internal static unsafe partial class LinuxCapability
{
    internal const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
    internal const int CAP_NET_ADMIN = 12;
    internal const int CAP_NET_RAW = 13;
    internal const int CAP_SYS_PTRACE = 19;
    internal const int CAP_SYS_ADMIN = 21;
    internal const int CAP_PERFMON = 38;
    internal const int CAP_BPF = 39;

    [StructLayout(LayoutKind.Sequential)]
    internal struct cap_user_header
    {
        internal uint version;
        internal int pid;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct cap_user_data
    {
        internal uint effective;
        internal uint permitted;
        internal uint inheritable;
    }

    /// <summary>capget(2): 0, or -1 with errno. Version 3 fills two data elements.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int capget(cap_user_header* hdrp, cap_user_data* datap);
}
