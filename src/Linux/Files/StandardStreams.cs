using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>Which of the standard descriptors were handed to this process.</summary>
/// <remarks>Where one is closed when a program starts, the runtime's next descriptor gets its number: a pipe or a file of its own, which must
/// neither be read nor written. It opens all of them with close-on-exec, which nothing that came through exec can have.</remarks>
public static class StandardStreams
{
    public static bool HasInput => IsInherited(Unistd.STDIN_FILENO);

    public static bool HasOutput => IsInherited(Unistd.STDOUT_FILENO);

    private static bool IsInherited(int fd) => Unistd.fcntl(fd, Unistd.F_GETFD, 0) is >= 0 and var flags && (flags & Unistd.FD_CLOEXEC) == 0;
}
