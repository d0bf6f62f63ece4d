using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/kcmp.h, through syscall(2): glibc has no wrapper.</summary>
internal static partial class LinuxKcmp
{
    internal const int KCMP_FILES = 2;

    // asm/unistd_64.h, asm-generic/unistd.h
    private static readonly nint s_number = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 312 : 272;

    /// <summary>kcmp(2): 0 where both have the same, 1 to 3 where not, or -1 with errno (EPERM, ESRCH, ENOSYS).</summary>
    internal static nint kcmp(int pid1, int pid2, int type, nint idx1, nint idx2) => syscall(s_number, pid1, pid2, type, idx1, idx2);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e);
}
