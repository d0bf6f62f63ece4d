using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>
/// A file that grows at its end. Appended bytes are in the page cache, safe from the end of this process by any signal, when the call
/// returns. (Not safe from a power cut; it is meant for /run.)
/// </summary>
/// <remarks>Written by write(2) and not through a mapping, which costs a microsecond an entry more: a mapped file that somebody else
/// truncates ends the process.</remarks>
public sealed unsafe class AppendLog : IDisposable
{
    private readonly FileDescriptor _file;
    private readonly string _path;

    internal AppendLog(FileDescriptor file, string path)
    {
        _file = file;
        _path = path;
    }

    /// <summary>Bytes appended so far.</summary>
    public long Length { get; private set; }

    /// <summary>Creates the file at <paramref name="path"/> (mode 0600); what was there under its name is removed.</summary>
    /// <exception cref="LinuxException">It cannot be created.</exception>
    public static AppendLog Create(string path) =>
        new(OwnFile.TryCreate(path, out var errno) ?? throw new LinuxException($"create {path}", errno), path);

    /// <summary>Goes on with the file at <paramref name="path"/> behind its first <paramref name="length"/> bytes; what follows them is cut off.</summary>
    /// <exception cref="UntrustedFileException">Somebody else could have put it there.</exception>
    /// <exception cref="LinuxException">It cannot be opened or cut.</exception>
    public static AppendLog Continue(string path, long length)
    {
        var file = OwnFile.TryOpen(path, Unistd.O_RDWR, out var errno) ?? throw new LinuxException($"open {path}", errno);
        if (Unistd.ftruncate(file, length) < 0)
        {
            errno = Marshal.GetLastPInvokeError();
            file.Dispose();
            throw new LinuxException($"truncate {path}", errno);
        }
        return new AppendLog(file, path) { Length = length };
    }

    /// <summary>Appends <paramref name="bytes"/>, all or nothing.</summary>
    /// <exception cref="LinuxException">The file system is full; nothing was appended.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        nint n;
        fixed (byte* p = bytes)
        {
            do
            {
                n = Unistd.pwrite(_file, p, (nuint)bytes.Length, Length);
            }
            while (n < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        }
        if (n != bytes.Length)
        {
            var errno = n < 0 ? Marshal.GetLastPInvokeError() : Errno.ENOSPC;
            _ = Unistd.ftruncate(_file, Length);
            throw new LinuxException($"write {_path}", errno);
        }
        Length += n;
    }

    /// <summary>Waits until the bytes are on the disk: they are safe from a power cut then.</summary>
    /// <exception cref="LinuxException">They cannot be written.</exception>
    public void Sync()
    {
        if (Unistd.fsync(_file) < 0)
        {
            throw LinuxException.Last($"fsync {_path}");
        }
    }

    public void Dispose() => _file.Dispose();
}
