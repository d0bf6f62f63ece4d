using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sched.h and linux/nsfs.h: raw imports and constants.</summary>
internal static partial class Sched
{
    internal const int CLONE_NEWNET = 0x40000000;
    internal const int CLONE_NEWNS = 0x00020000;

    /// <summary>setns(2): 0, or -1 with errno (EPERM without CAP_SYS_ADMIN over the namespace, EINVAL when it is of another kind).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int setns(SafeHandle fd, int nstype);

    /// <summary>unshare(2): 0, or -1 with errno (EPERM without CAP_SYS_ADMIN, ENOSPC at a limit). They move the calling thread only.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int unshare(int flags);
}
