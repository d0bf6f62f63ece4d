using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>
/// A file that grows at its end by plain stores into shared memory: an append costs no system call and is in the page cache, safe from the
/// end of this process by any signal, the moment it returns. (Not safe from a power cut; it is meant for /run.)
/// </summary>
/// <remarks>Room is allocated before it is mapped, so a full file system is an error here and never a SIGBUS later.</remarks>
public sealed unsafe class AppendLog : IDisposable
{
    private const int FirstCapacity = 16 * 1024;

    private readonly FileDescriptor _file;
    private byte* _map;
    private long _capacity;

    private AppendLog(FileDescriptor file) => _file = file;

    /// <summary>Bytes appended so far.</summary>
    public long Length { get; private set; }

    /// <summary>Creates or empties the file at <paramref name="path"/> (mode 0600).</summary>
    /// <exception cref="LinuxException">It cannot be created, or the file system is full.</exception>
    public static AppendLog Create(string path)
    {
        var file = FileDescriptor.TryOpen(path, Unistd.O_RDWR | Unistd.O_CREAT | Unistd.O_TRUNC, out var errno, mode: 0b110_000_000)
            ?? throw new LinuxException($"open {path}", errno);
        var log = new AppendLog(file);
        try
        {
            log.Grow(FirstCapacity);
        }
        catch
        {
            log.Dispose();
            throw;
        }
        return log;
    }

    /// <summary>The whole text of a log, without the zeros a killed writer leaves behind its last byte; empty when there is none.</summary>
    public static byte[] ReadAll(string path)
    {
        if (!File.Exists(path))
        {
            return [];
        }
        var bytes = File.ReadAllBytes(path);
        var end = Array.IndexOf(bytes, (byte)0);
        return end < 0 ? bytes : bytes[..end];
    }

    /// <summary>Appends <paramref name="bytes"/>.</summary>
    /// <exception cref="LinuxException">The file system is full; nothing was appended.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        ObjectDisposedException.ThrowIf(_map == null, this);
        if (Length + bytes.Length >= _capacity)
        {
            Grow((_capacity * 2) + bytes.Length);
        }
        bytes.CopyTo(new Span<byte>(_map + Length, bytes.Length));
        Length += bytes.Length;
    }

    public void Dispose()
    {
        Unmap();
        if (!_file.IsClosed)
        {
            _ = Unistd.ftruncate(_file, Length);
            _file.Dispose();
        }
    }

    private void Grow(long capacity)
    {
        var error = Unistd.posix_fallocate(_file, 0, capacity);
        if (error != 0)
        {
            throw new LinuxException("posix_fallocate", error);
        }
        var map = SysMman.mmap(null, (nuint)capacity, SysMman.PROT_READ | SysMman.PROT_WRITE, SysMman.MAP_SHARED, _file, 0);
        if ((nint)map == -1)
        {
            throw LinuxException.Last("mmap");
        }
        Unmap();
        _map = (byte*)map;
        _capacity = capacity;
    }

    private void Unmap()
    {
        if (_map != null)
        {
            _ = SysMman.munmap(_map, (nuint)_capacity);
            _map = null;
        }
    }
}
