using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>
/// sys/pidfd.h. The two calls go through syscall(2), whose numbers are the same on every architecture, because glibc has had
/// wrappers only since 2.36.
/// </summary>
internal static partial class SysPidfd
{
    internal const int SYS_pidfd_open = 434;
    internal const int SYS_pidfd_getfd = 438;

    /// <summary>pidfd_open(2), Linux 5.3: a descriptor, or -1 with errno (ESRCH, EINVAL for a thread id, ENOSYS).</summary>
    internal static nint pidfd_open(int pid, uint flags) => syscall(SYS_pidfd_open, pid, (nint)flags, 0);

    /// <summary>pidfd_getfd(2), Linux 5.6: a descriptor (close-on-exec), or -1 with errno (EBADF, ESRCH, EPERM, EMFILE, ENOSYS).</summary>
    internal static nint pidfd_getfd(SafeHandle pidfd, int targetfd, uint flags) => syscall(SYS_pidfd_getfd, pidfd, targetfd, (nint)flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nint a, nint b, nint c);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, SafeHandle a, nint b, nint c);
}
