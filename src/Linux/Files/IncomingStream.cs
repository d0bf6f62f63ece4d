using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Files;

/// <summary>Bytes that come when they come: from a pipe, a FIFO, a terminal. The wait for them can be ended, which a blocking read cannot.</summary>
public sealed unsafe class IncomingStream : ForwardStream
{
    /// <summary>So often <see cref="_waiting"/> is called while nothing comes, in milliseconds.</summary>
    private const int Turn = 100;

    private readonly SafeFileHandle _file;
    private readonly string _name;
    private readonly Action _waiting;

    private IncomingStream(SafeFileHandle file, string name, Action waiting)
        : base(FileAccess.Read)
    {
        _file = file;
        _name = name;
        _waiting = waiting;
    }

    /// <summary>Standard input, whatever it is.</summary>
    /// <param name="waiting">Called where there is nothing to read at hand, and then ten times a second; what it throws ends the reading.</param>
    public static IncomingStream Standard(Action waiting) =>
        new(new SafeFileHandle(Unistd.STDIN_FILENO, ownsHandle: false), "standard input", waiting);

    /// <summary>Opens a file without waiting for who writes to it, where it is a FIFO. A regular file is a <see cref="FileStream"/>.</summary>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    public static Stream Open(string path, Action waiting)
    {
        using var file = FileDescriptor.TryOpen(path, Unistd.O_RDONLY, out var errno) ?? throw new LinuxException("open", errno);
        SysStat.statx_t status;
        byte empty = 0;
        if (SysStat.statx(file.Number, &empty, SysStat.AT_EMPTY_PATH, SysStat.STATX_TYPE, &status) != 0)
        {
            throw LinuxException.Last("statx");
        }
        if ((status.stx_mode & SysStat.S_IFMT) == SysStat.S_IFDIR)
        {
            throw new LinuxException("open", Errno.EISDIR);
        }
        var handle = new SafeFileHandle(file.Number, ownsHandle: true);
        file.SetHandleAsInvalid();
        return (status.stx_mode & SysStat.S_IFMT) == SysStat.S_IFREG
            ? new FileStream(handle, FileAccess.Read, bufferSize: 0)
            : new IncomingStream(handle, path, waiting);
    }

    public override int Read(Span<byte> buffer)
    {
        while (true)
        {
            for (var timeout = 0; !IsReady(timeout); timeout = Turn)
            {
                _waiting();
            }
            nint n;
            fixed (byte* p = buffer)
            {
                n = Unistd.read(_file, p, (nuint)buffer.Length);
            }
            if (n >= 0)
            {
                return (int)n;
            }
            if (Marshal.GetLastPInvokeError() is var errno and not (Errno.EINTR or Errno.EAGAIN))
            {
                throw new LinuxException($"read {_name}", errno);
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _file.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <summary>Whether a read would return at once: with bytes, at the end, or with an error.</summary>
    private bool IsReady(int timeout)
    {
        var descriptor = new SysPoll.pollfd { fd = (int)_file.DangerousGetHandle(), events = SysPoll.POLLIN };
        var ready = SysPoll.poll(&descriptor, 1, timeout);
        return ready >= 0 || Marshal.GetLastPInvokeError() == Errno.EINTR ? ready > 0 : throw LinuxException.Last("poll");
    }
}
