using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Interop;

/// <summary>sys/epoll.h: raw imports and constants. <c>struct epoll_event</c> is packed on x86-64 and nowhere else, which no one struct can
/// mirror.</summary>
internal static unsafe partial class SysEpoll
{
    internal const int EPOLL_CLOEXEC = 0x80000;
    internal const int EPOLL_CTL_ADD = 1;
    internal const int EPOLL_CTL_DEL = 2;
    internal const int EPOLLIN = 1;

    /// <summary>epoll_create1(2): a descriptor, or -1 with errno (EMFILE, ENFILE, ENOMEM).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial SafeFileHandle epoll_create1(int flags);

    /// <summary>epoll_ctl(2): 0, or -1 with errno (EEXIST, ENOENT, ENOSPC, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int epoll_ctl(SafeFileHandle epfd, int op, int fd, void* @event);

    /// <summary>epoll_wait(2): how many events were stored, 0 after the timeout, or -1 with errno (EINTR, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int epoll_wait(SafeFileHandle epfd, void* events, int maxevents, int timeout);
}
