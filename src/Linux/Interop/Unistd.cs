using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>unistd.h, fcntl.h and sys/file.h: raw imports and constants.</summary>
internal static unsafe partial class Unistd
{
    internal const int STDIN_FILENO = 0;
    internal const int STDOUT_FILENO = 1;
    internal const int O_RDONLY = 0;
    internal const int O_WRONLY = 1;
    internal const int O_RDWR = 2;
    internal const int O_CREAT = 0x40;
    internal const int O_EXCL = 0x80;
    internal const int O_NONBLOCK = 0x800;
    internal const int O_CLOEXEC = 0x80000;
    internal const int O_PATH = 0x200000;
    // Of these flags the one that differs between architectures (asm/fcntl.h).
    internal static readonly int O_NOFOLLOW = RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64 ? 0x8000 : 0x20000;
    internal const int STDERR_FILENO = 2;
    internal const int F_GETFD = 1;
    internal const int FD_CLOEXEC = 1;
    internal const int SEEK_SET = 0;
    internal const int LOCK_EX = 2;
    internal const int LOCK_NB = 4;

    /// <summary>open(2): a descriptor, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int open(byte* pathname, int flags, uint mode);

    /// <summary>close(2): 0, or -1 with errno; the descriptor is gone either way (Linux), so EINTR is not retried.</summary>
    [LibraryImport("libc")]
    internal static partial int close(int fd);

    /// <summary>read(2): bytes read, 0 at the end, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint read(SafeHandle fd, void* buf, nuint count);

    /// <summary>write(2): bytes written, fewer than asked for where there was no room, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint write(SafeHandle fd, void* buf, nuint count);

    /// <summary>fcntl(2): what the command says, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fcntl(int fd, int cmd, nint arg);

    /// <summary>lseek(2): the new position, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial long lseek(SafeHandle fd, long offset, int whence);

    /// <summary>pread(2): bytes read, 0 at end of file, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint pread(SafeHandle fd, void* buf, nuint count, long offset);

    /// <summary>pwrite(2): bytes written, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint pwrite(SafeHandle fd, void* buf, nuint count, long offset);

    /// <summary>write(2): bytes written, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint write(int fd, void* buf, nuint count);

    /// <summary>readlink(2): bytes placed in the buffer (not terminated), or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint readlink(byte* pathname, byte* buf, nuint bufsiz);

    /// <summary>unlink(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int unlink(byte* pathname);

    /// <summary>geteuid(2); it cannot fail.</summary>
    [LibraryImport("libc")]
    internal static partial uint geteuid();

    /// <summary>flock(2): 0, or -1 with errno (EWOULDBLOCK when held and LOCK_NB was given).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int flock(SafeHandle fd, int operation);

    /// <summary>ftruncate(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ftruncate(SafeHandle fd, long length);

    /// <summary>fsync(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fsync(SafeHandle fd);
}
