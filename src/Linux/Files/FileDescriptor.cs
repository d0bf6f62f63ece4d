using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Files;

/// <summary>An owned descriptor that is neither a stream nor a socket to the runtime.</summary>
internal sealed class FileDescriptor : SafeHandleMinusOneIsInvalid
{
    internal FileDescriptor(nint fd)
        : base(ownsHandle: true) => SetHandle(fd);

    internal int Number => (int)handle;

    /// <summary>open(2) with O_CLOEXEC and O_NONBLOCK, so that a FIFO or a device in the place of a file is not waited for; null and <paramref name="errno"/> when it fails.</summary>
    internal static unsafe FileDescriptor? TryOpen(string path, int flags, out int errno, uint mode = 0)
    {
        Span<byte> name = stackalloc byte[512];
        var length = Encoding.UTF8.GetByteCount(path);
        if (length >= name.Length)
        {
            name = new byte[length + 1];
        }
        Encoding.UTF8.GetBytes(path, name);
        name[length] = 0;
        fixed (byte* p = name)
        {
            int fd;
            do
            {
                fd = Unistd.open(p, flags | Unistd.O_CLOEXEC | Unistd.O_NONBLOCK, mode);
            }
            while (fd < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
            errno = fd < 0 ? Marshal.GetLastPInvokeError() : 0;
            return fd < 0 ? null : new FileDescriptor(fd);
        }
    }

    /// <summary>Reads from <paramref name="offset"/>; -1 when the call fails.</summary>
    internal unsafe int Read(Span<byte> buffer, long offset)
    {
        fixed (byte* p = buffer)
        {
            nint n;
            do
            {
                n = Unistd.pread(this, p, (nuint)buffer.Length, offset);
            }
            while (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
            return (int)n;
        }
    }

    protected override bool ReleaseHandle() => Unistd.close((int)handle) == 0;
}
