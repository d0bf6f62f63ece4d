using System.Globalization;
using System.Text;

namespace Keepalive.Agent.Policies;

/// <summary>The last good content of a policy file, as it is kept on disk.</summary>
/// <param name="Path">The file's path.</param>
/// <param name="At">When this content was loaded first.</param>
/// <param name="Text">The content.</param>
internal sealed record KeptFile(string Path, DateTimeOffset At, ReadOnlyMemory<byte> Text)
{
    /// <summary>The name and version of the format: lines <c>file SECONDS LENGTH PATH</c>, each followed by the content and a line end. In
    /// paths, <c>\</c> and line ends are escaped.</summary>
    public const string Format = "keepalive-agent-policies 1";

    private const string Word = "file";

    public static byte[] Write(IEnumerable<KeptFile> files)
    {
        var all = new MemoryStream();
        foreach (var file in files)
        {
            all.Write(Encoding.UTF8.GetBytes(string.Create(
                CultureInfo.InvariantCulture, $"{Word} {file.At.ToUnixTimeSeconds()} {file.Text.Length} {Escape(file.Path)}\n")));
            all.Write(file.Text.Span);
            all.WriteByte((byte)'\n');
        }
        return all.ToArray();
    }

    /// <summary>Returns the files of a content; null if it is not in this format.</summary>
    public static List<KeptFile>? Read(ReadOnlyMemory<byte> content)
    {
        var files = new List<KeptFile>();
        while (content.Length > 0)
        {
            var end = content.Span.IndexOf((byte)'\n');
            if (end < 0 || Encoding.UTF8.GetString(content.Span[..end]).Split(' ', 4) is not [Word, var seconds, var size, var path]
                || !long.TryParse(seconds, NumberStyles.None, CultureInfo.InvariantCulture, out var at) || at > DateTimeOffset.MaxValue.ToUnixTimeSeconds()
                || !int.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length >= content.Length - end - 1)
            {
                return null;
            }
            files.Add(new KeptFile(Unescape(path), DateTimeOffset.FromUnixTimeSeconds(at), content.Slice(end + 1, length)));
            content = content[(end + 1 + length + 1)..];
        }
        return files;
    }

    public bool IsSameAs(KeptFile other) => Path == other.Path && At.ToUnixTimeSeconds() == other.At.ToUnixTimeSeconds() && Text.Span.SequenceEqual(other.Text.Span);

    private static string Escape(string path) => path.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Unescape(string path)
    {
        var text = new StringBuilder();
        for (var i = 0; i < path.Length; i++)
        {
            var isEscape = path[i] == '\\' && i + 1 < path.Length;
            text.Append(!isEscape ? path[i] : path[++i] == 'n' ? '\n' : path[i]);
        }
        return text.ToString();
    }
}
