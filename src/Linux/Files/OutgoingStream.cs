using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Files;

/// <summary>A file that is written from front to back, or a FIFO or device in its place, whose reader takes what comes when it likes. The wait for it can be ended.</summary>
public sealed unsafe class OutgoingStream : ForwardStream
{
    /// <summary>So often <see cref="_waiting"/> is called while nobody reads, in milliseconds.</summary>
    private const int Turn = 100;

    private readonly SafeFileHandle _file;
    private readonly Action _waiting;
    private readonly bool _isRegular;
    private long _length;

    private OutgoingStream(SafeFileHandle file, bool isRegular, Action waiting)
        : base(FileAccess.Write) => (_file, _isRegular, _waiting) = (file, isRegular, waiting);

    /// <summary>Makes a file, or empties the one that is there.</summary>
    /// <param name="path">Its path. Where a FIFO is there, its reader is waited for.</param>
    /// <param name="waiting">Called while a reader is waited for, ten times a second; what it throws ends the wait.</param>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    public static OutgoingStream Create(string path, Action waiting)
    {
        ArgumentNullException.ThrowIfNull(waiting);
        const uint mode = 0x1B6;   // 0666, less the umask
        int errno;
        FileDescriptor? file;
        while ((file = FileDescriptor.TryOpen(path, Unistd.O_WRONLY | Unistd.O_CREAT, out errno, mode)) is null)
        {
            // What nobody reads: a FIFO, or a socket.
            if (errno != Errno.ENXIO || Kind(SysStat.AT_FDCWD, path, 0) != SysStat.S_IFIFO)
            {
                throw new LinuxException("open", errno);
            }
            waiting();
            Thread.Sleep(Turn);
        }
        using (file)
        {
            var isRegular = Kind(file.Number, "", SysStat.AT_EMPTY_PATH) == SysStat.S_IFREG;
            if (isRegular && Unistd.ftruncate(file, 0) != 0)
            {
                throw LinuxException.Last("ftruncate");
            }
            var stream = new OutgoingStream(new SafeFileHandle(file.Number, ownsHandle: true), isRegular, waiting);
            file.SetHandleAsInvalid();
            return stream;
        }
    }

    /// <exception cref="LinuxException">There is no room, or no reader any more. A partial write to a regular file is undone.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        var rest = buffer;
        while (!rest.IsEmpty)
        {
            nint n;
            fixed (byte* p = rest)
            {
                n = Unistd.write(_file, p, (nuint)rest.Length);
            }
            if (n >= 0)
            {
                rest = rest[(int)n..];
            }
            else if (Marshal.GetLastPInvokeError() is var errno && errno == Errno.EAGAIN)
            {
                WaitForReader();
            }
            else if (errno != Errno.EINTR)
            {
                _ = _isRegular ? Unistd.ftruncate(_file, _length) : 0;
                throw new LinuxException("write", errno);
            }
        }
        _length += buffer.Length;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _file.Dispose();
        }
        base.Dispose(disposing);
    }

    private void WaitForReader()
    {
        var descriptor = new SysPoll.pollfd { fd = (int)_file.DangerousGetHandle(), events = SysPoll.POLLOUT };
        while (SysPoll.poll(&descriptor, 1, Turn) == 0)
        {
            _waiting();
        }
    }

    private static int Kind(int directory, string path, int flags)
    {
        SysStat.statx_t status;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            return SysStat.statx(directory, p, flags, SysStat.STATX_TYPE, &status) == 0 ? status.stx_mode & SysStat.S_IFMT : 0;
        }
    }
}
