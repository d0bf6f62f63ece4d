using System.Buffers;
using System.Globalization;
using System.Text;

namespace Keepalive.Linux.Files;

/// <summary>A file with a checksum, which is always replaced as a whole. Its first line is <c>FORMAT CHECKSUM LENGTH</c>, and the content
/// follows.</summary>
public static class SealedFile
{
    private const int MaxOfFirstLine = 256;

    /// <summary>Returns the content; null and <paramref name="problem"/> if there is none that can be used.</summary>
    /// <param name="path">The file.</param>
    /// <param name="format">The name and version of its format.</param>
    /// <param name="most">The largest size of the content.</param>
    /// <param name="problem">Why an existing file cannot be used; null if there is no file, or it can be used.</param>
    public static ReadOnlyMemory<byte>? Read(string path, string format, int most, out string? problem)
    {
        problem = null;
        byte[] file;
        try
        {
            if (OwnFile.Read(path, MaxOfFirstLine + most) is not { } found)
            {
                return null;
            }
            file = found;
        }
        catch (IOException e)
        {
            problem = e is UntrustedFileException ? e.Message : $"{path} cannot be read: {e.Message}";
            return null;
        }
        var end = file.AsSpan(0, Math.Min(file.Length, MaxOfFirstLine)).IndexOf((byte)'\n');
        var first = end < 0 ? "" : Encoding.UTF8.GetString(file, 0, end);
        if (!first.StartsWith(format + " ", StringComparison.Ordinal))
        {
            problem = first.StartsWith(NameOf(format) + " ", StringComparison.Ordinal) ? $"{path} is of another version of this program" : $"{path} is damaged: its first line is not '{format} …'";
            return null;
        }
        var content = file.AsMemory(end + 1);
        if (first != FirstLine(format, new ReadOnlySequence<byte>(content)))
        {
            problem = $"{path} is damaged: its checksum does not match";
            return null;
        }
        return content;
    }

    /// <summary>Replaces the file.</summary>
    /// <exception cref="LinuxException">It cannot be written; the file is as it was.</exception>
    public static void Write(string path, string format, in ReadOnlySequence<byte> content) =>
        OwnFile.Replace(path, Encoding.UTF8.GetBytes(FirstLine(format, in content) + "\n"), in content);

    /// <inheritdoc cref="Write(string, string, in ReadOnlySequence{byte})"/>
    public static void Write(string path, string format, ReadOnlySpan<byte> content) => Write(path, format, new ReadOnlySequence<byte>(content.ToArray()));

    private static string NameOf(string format) => format[..format.LastIndexOf(' ')];

    private static string FirstLine(string format, in ReadOnlySequence<byte> content) =>
        string.Create(CultureInfo.InvariantCulture, $"{format} {Crc32C.Add(0, in content):x8} {content.Length}");
}
