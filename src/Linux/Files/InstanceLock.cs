using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>An advisory lock that ends with the process, however it ends (flock(2)).</summary>
public sealed class InstanceLock : IDisposable
{
    private readonly FileDescriptor _file;

    private InstanceLock(FileDescriptor file) => _file = file;

    /// <summary>Takes the lock without waiting; null when another process holds it.</summary>
    /// <exception cref="LinuxException">The file cannot be created.</exception>
    public static InstanceLock? TryAcquire(string path)
    {
        var file = FileDescriptor.TryOpen(path, Unistd.O_RDWR | Unistd.O_CREAT, out var errno, mode: 0b110_000_000)
            ?? throw new LinuxException($"open {path}", errno);
        if (Unistd.flock(file, Unistd.LOCK_EX | Unistd.LOCK_NB) == 0)
        {
            return new InstanceLock(file);
        }
        errno = Marshal.GetLastPInvokeError();
        file.Dispose();
        return errno == Errno.EAGAIN ? null : throw new LinuxException($"flock {path}", errno);
    }

    public void Dispose() => _file.Dispose();
}
