using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Processes;

/// <summary>A pidfd: one process, never its successor under the same number (pidfd_open(2)).</summary>
public sealed class ProcessDescriptor : SafeHandleMinusOneIsInvalid
{
    private ProcessDescriptor(nint fd)
        : base(ownsHandle: true) => SetHandle(fd);

    /// <summary>pidfd_open(2); null when the process is gone (ESRCH) or the call is unavailable.</summary>
    /// <param name="pid">A process (thread group) id as this program's /proc shows it.</param>
    /// <param name="errno">0, or why it could not be opened.</param>
    public static ProcessDescriptor? TryOpen(int pid, out int errno)
    {
        var fd = SysPidfd.pidfd_open(pid, 0);
        errno = fd < 0 ? Marshal.GetLastPInvokeError() : 0;
        return fd < 0 ? null : new ProcessDescriptor(fd);
    }

    /// <summary>pidfd_getfd(2): duplicates descriptor <paramref name="number"/> of the process. Returns 0 or an errno
    /// (EBADF when it is not open, ESRCH when the process has exited, EPERM without CAP_SYS_PTRACE or by a security module).</summary>
    /// <remarks>Only on 0 is there anything to dispose.</remarks>
    public int TryDuplicate(int number, out DuplicatedSocket socket)
    {
        var fd = SysPidfd.pidfd_getfd(this, number, 0);
        socket = new DuplicatedSocket((int)fd);
        return fd < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    protected override bool ReleaseHandle() => Unistd.close((int)handle) == 0;
}
