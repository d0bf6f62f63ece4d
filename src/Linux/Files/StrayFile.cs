using System.Globalization;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>A file of another process that was taken for a socket. Closing it may wait for somebody else for any time, and even SIGKILL does not end that.</summary>
public sealed class StrayFile
{
    private readonly int _fd;
    private readonly uint _device;

    internal unsafe StrayFile(int fd)
    {
        _fd = fd;
        SysStat.statx_t about;
        byte nothing = 0;
        _device = SysStat.statx(fd, &nothing, SysStat.AT_EMPTY_PATH | SysStat.AT_STATX_DONT_SYNC, 0, &about) == 0 && about.stx_dev_major == 0 ? about.stx_dev_minor : 0;
    }

    /// <summary>Closes it, which calls its flush operation.</summary>
    public void Close() => _ = Unistd.close(_fd);

    /// <summary>Where it is on FUSE: cuts its file system off from the server that does not answer, which ends <see cref="Close"/>. All who use that file
    /// system get ENOTCONN from then on (Documentation/filesystems/fuse.rst, /sys/fs/fuse/connections).</summary>
    /// <returns>False when it is on no such file system, or the file system of these connections cannot be mounted.</returns>
    public bool TryAbort() => _device != 0 && OwnThread.Run(() =>
    {
        const string connections = "/sys/fs/fuse/connections";
        // Where it is not mounted, such as in a container, for this thread alone.
        if (Sched.unshare(Sched.CLONE_NEWNS) != 0 || SysMount.mount(null, "/", null, SysMount.MS_REC | SysMount.MS_PRIVATE, 0) != 0)
        {
            return false;
        }
        _ = SysMount.mount("none", connections, "fusectl", 0, 0);
        using var abort = FileDescriptor.TryOpen(string.Create(CultureInfo.InvariantCulture, $"{connections}/{_device}/abort"), Unistd.O_WRONLY, out _);
        return abort is not null && TryWrite(abort);
    });

    private static unsafe bool TryWrite(FileDescriptor abort)
    {
        var one = (byte)'1';
        return Unistd.write(abort, &one, 1) == 1;
    }
}
