using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>poll.h: raw imports, constants and layouts.</summary>
internal static unsafe partial class SysPoll
{
    internal const short POLLIN = 1;
    internal const short POLLOUT = 4;
    internal const short POLLERR = 8;
    internal const short POLLHUP = 16;

    [StructLayout(LayoutKind.Sequential)]
    internal struct pollfd
    {
        internal int fd;
        internal short events;
        internal short revents;
    }

    /// <summary>poll(2): how many are ready, 0 after the timeout, or -1 with errno (EINTR, …).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int poll(pollfd* fds, nuint nfds, int timeout);
}
