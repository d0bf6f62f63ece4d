using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>Which of the standard descriptors were handed to this process.</summary>
/// <remarks>Where one is closed when a program starts, the next descriptor gets its number: a pipe or a file of the runtime's own, which must
/// neither be read nor written. It opens all of them with close-on-exec, which nothing that came through exec can have.</remarks>
public static class StandardStreams
{
    public static bool HasInput { get; private set; } = true;

    public static bool HasOutput { get; private set; } = true;

    /// <summary>Finds out which there are, has /dev/null in place of the others, and standard error take what it can: that a complaint finds no reader, or no room, is no
    /// reason to end with another exit status. To be called before anything else: the runtime's first use of a console or a signal opens a pipe, and a word
    /// written to that is a signal.</summary>
    public static void Begin()
    {
        (HasInput, HasOutput) = (Take(Unistd.STDIN_FILENO), Take(Unistd.STDOUT_FILENO));
        var hasError = Take(Unistd.STDERR_FILENO);
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        if (!HasOutput)
        {
            Console.SetOut(TextWriter.Null);
        }
        Console.SetError(hasError ? new Complaints(Console.Error) : TextWriter.Null);
    }

    /// <summary>Whether a descriptor came through exec. One that is free is /dev/null from now on; the runtime's own stays.</summary>
    private static unsafe bool Take(int fd)
    {
        var flags = Unistd.fcntl(fd, Unistd.F_GETFD, 0);
        if (flags < 0)
        {
            // The lowest that is free.
            fixed (byte* path = "/dev/null\0"u8)
            {
                var opened = Unistd.open(path, Unistd.O_RDWR, 0);
                if (opened >= 0 && opened != fd)
                {
                    _ = Unistd.close(opened);
                }
            }
        }
        return flags >= 0 && (flags & Unistd.FD_CLOEXEC) == 0;
    }

    /// <summary>Passes on what can be passed on.</summary>
    private sealed class Complaints(TextWriter inner) : TextWriter
    {
        public override Encoding Encoding => inner.Encoding;

        public override void Write(char value) => Try(() => inner.Write(value));

        public override void Write(string? value) => Try(() => inner.Write(value));

        public override void Write(ReadOnlySpan<char> buffer) => Write(buffer.ToString());

        public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

        public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

        public override void Flush() => Try(inner.Flush);

        private static void Try(Action write)
        {
            try
            {
                write();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException or InvalidOperationException)
            {
                // A full disk, a terminal that has gone, a descriptor that is not for writing.
            }
        }
    }
}
