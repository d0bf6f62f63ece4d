using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>An advisory lock that ends with the process, however it ends (flock(2)).</summary>
public sealed class InstanceLock : IDisposable
{
    private readonly FileDescriptor _file;

    private InstanceLock(FileDescriptor file) => _file = file;

    /// <summary>Takes the lock without waiting and writes this process's id into the file; null when another process holds it.</summary>
    /// <exception cref="UntrustedFileException">Somebody else could have put the file there.</exception>
    /// <exception cref="LinuxException">The file cannot be created.</exception>
    public static InstanceLock? TryAcquire(string path)
    {
        var file = OwnFile.TryOpen(path, Unistd.O_RDWR | Unistd.O_CREAT, out var errno)
            ?? throw new LinuxException($"open {path}", errno);
        if (Unistd.flock(file, Unistd.LOCK_EX | Unistd.LOCK_NB) == 0)
        {
            WriteProcessId(file);
            return new InstanceLock(file);
        }
        errno = Marshal.GetLastPInvokeError();
        file.Dispose();
        return errno == Errno.EAGAIN ? null : throw new LinuxException($"flock {path}", errno);
    }

    /// <summary>The process id in the file: who holds the lock, or held it last. Null where there is none to read.</summary>
    public static string? Holder(string path)
    {
        Span<byte> buffer = stackalloc byte[32];
        using var file = OwnFile.TryOpen(path, Unistd.O_RDONLY, out _);
        var length = file?.Read(buffer, 0) ?? 0;
        return length > 0 ? Encoding.ASCII.GetString(buffer[..length]).Trim() : null;
    }

    public void Dispose() => _file.Dispose();

    private static unsafe void WriteProcessId(FileDescriptor file)
    {
        Span<byte> text = stackalloc byte[16];
        Environment.ProcessId.TryFormat(text, out var length, default, CultureInfo.InvariantCulture);
        text[length++] = (byte)'\n';
        _ = Unistd.ftruncate(file, 0);
        fixed (byte* p = text)
        {
            // Its content is for people only: the lock also works on a full disk.
            _ = Unistd.pwrite(file, p, (nuint)length, 0);
        }
    }
}
