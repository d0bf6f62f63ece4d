using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Files;

/// <summary>Standard output that tells when nobody reads it any more; <see cref="Console"/>'s goes on as if nothing were.</summary>
public sealed unsafe class StandardOutputStream() : ForwardStream(FileAccess.Write)
{
    private readonly SafeFileHandle _file = new(Unistd.STDOUT_FILENO, ownsHandle: false);

    /// <summary>Looks whether there is somebody left to write for.</summary>
    /// <exception cref="OutputException">There is not: the pipe's other end is closed, the terminal gone.</exception>
    public void ThrowIfAbandoned()
    {
        if (Poll(0, 0, out var events) && (events & (SysPoll.POLLERR | SysPoll.POLLHUP)) != 0)
        {
            throw new OutputException(Errno.EPIPE);
        }
    }

    /// <exception cref="OutputException">It cannot be written to.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            nint n;
            fixed (byte* p = buffer)
            {
                n = Unistd.write(_file, p, (nuint)buffer.Length);
            }
            if (n >= 0)
            {
                buffer = buffer[(int)n..];
            }
            else if (Marshal.GetLastPInvokeError() is var errno && errno == Errno.EAGAIN)
            {
                Poll(SysPoll.POLLOUT, -1, out _);   // somebody has made the pipe or terminal a non-blocking one
            }
            else if (errno != Errno.EINTR)
            {
                throw new OutputException(errno);
            }
        }
    }

    private bool Poll(short events, int timeout, out short found)
    {
        var descriptor = new SysPoll.pollfd { fd = (int)_file.DangerousGetHandle(), events = events };
        var ready = SysPoll.poll(&descriptor, 1, timeout);
        found = descriptor.revents;
        return ready > 0;
    }
}

/// <summary>Standard output cannot be written to.</summary>
public sealed class OutputException(int errno) : Exception($"standard output: {new LinuxException("write", errno).Message}")
{
    /// <summary>Whether nobody reads it any more, as happens to everything in front of head(1).</summary>
    public bool IsAbandoned { get; } = errno == Errno.EPIPE;
}
