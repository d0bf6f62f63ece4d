using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>Regular files of root or this user that nobody else can write to. Links, pipes and devices in their place are refused.</summary>
public static class OwnFile
{
    private const uint Private = 0b110_000_000;

    /// <summary>The content of the file at <paramref name="path"/>; null when there is none.</summary>
    /// <param name="path">The file.</param>
    /// <param name="most">The largest size that is read.</param>
    /// <exception cref="UntrustedFileException">It is no such file.</exception>
    /// <exception cref="LinuxException">It cannot be opened or read, or is larger.</exception>
    public static byte[]? Read(string path, long most = long.MaxValue)
    {
        using var file = TryOpen(path, Unistd.O_RDONLY, out var errno);
        if (file is null)
        {
            return errno == Errno.ENOENT ? null : throw new LinuxException($"open {path}", errno);
        }
        var content = new MemoryStream();
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = file.Read(buffer, content.Length)) > 0)
        {
            content.Write(buffer, 0, read);
            if (content.Length > most)
            {
                throw new LinuxException($"read {path}", Errno.EFBIG);
            }
        }
        return read == 0 ? content.ToArray() : throw LinuxException.Last($"read {path}");
    }

    /// <summary>Writes a new file (mode 0600) in place of what is at <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">It cannot be created or written.</exception>
    public static void Write(string path, byte[] content)
    {
        using var log = AppendLog.Create(path);
        log.Append(content);
    }

    /// <summary>Replaces the file at <paramref name="path"/> (mode 0600) at once: after a failure, a crash or a power cut it has its content before, or
    /// this one. A link in its place is replaced, and not followed.</summary>
    /// <exception cref="LinuxException">It cannot be created or written; the file is as it was.</exception>
    /// <param name="path">The file.</param>
    /// <param name="content">Its content.</param>
    /// <param name="rest">More of its content.</param>
    internal static void Replace(string path, ReadOnlySpan<byte> content, in ReadOnlySequence<byte> rest)
    {
        var next = path + ".new";
        try
        {
            using (var log = AppendLog.Create(next))
            {
                log.Append(content);
                foreach (var part in rest)
                {
                    log.Append(part.Span);
                }
                log.Sync();
            }
            File.Move(next, path, overwrite: true);
        }
        catch
        {
            File.Delete(next);
            throw;
        }
        // The rename itself is on the disk once its directory is.
        using var directory = FileDescriptor.TryOpen(Path.GetDirectoryName(path)!, Unistd.O_RDONLY, out _);
        _ = directory is null ? 0 : Unistd.fsync(directory);
    }

    /// <summary>Opens the file, or with O_CREAT creates it (mode 0600); null and <paramref name="errno"/> when that fails.</summary>
    /// <exception cref="UntrustedFileException">It is no such file.</exception>
    internal static FileDescriptor? TryOpen(string path, int flags, out int errno)
    {
        // Without O_NONBLOCK a pipe would be waited for. A regular file does not know the difference.
        var file = FileDescriptor.TryOpen(path, flags | Unistd.O_NOFOLLOW, out errno, Private);
        if (errno == Errno.ELOOP)
        {
            throw new UntrustedFileException($"{path} is a symbolic link");
        }
        if (file is not null && Problem(file) is { } problem)
        {
            file.Dispose();
            throw new UntrustedFileException($"{path} {problem}");
        }
        return file;
    }

    /// <summary>Creates the file (mode 0600), without what was there before under its name.</summary>
    internal static unsafe FileDescriptor? TryCreate(string path, out int errno)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            if (Unistd.unlink(p) < 0 && Marshal.GetLastPInvokeError() is not Errno.ENOENT and var failed)
            {
                errno = failed;
                return null;
            }
        }
        return FileDescriptor.TryOpen(path, Unistd.O_RDWR | Unistd.O_CREAT | Unistd.O_EXCL | Unistd.O_NOFOLLOW, out errno, Private);
    }

    private static unsafe string? Problem(FileDescriptor file)
    {
        SysStat.statx_t status;
        byte none = 0;
        const uint mask = SysStat.STATX_TYPE | SysStat.STATX_MODE | SysStat.STATX_UID | SysStat.STATX_NLINK;
        if (SysStat.statx(file.Number, &none, SysStat.AT_EMPTY_PATH, mask, &status) < 0)
        {
            throw LinuxException.Last("statx");
        }
        return (status.stx_mode & SysStat.S_IFMT) != SysStat.S_IFREG ? "is not a regular file"
            : !OwnDirectory.IsOwn(status.stx_uid) ? $"belongs to another user (uid {status.stx_uid})"
            : (status.stx_mode & (SysStat.S_IWGRP | SysStat.S_IWOTH)) != 0 ? "is writable by others"
            : status.stx_nlink > 1 ? "has another name (a hard link)"
            : null;
    }
}
