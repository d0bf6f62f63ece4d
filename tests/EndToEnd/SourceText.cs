using System.Text;
using System.Text.RegularExpressions;

namespace Keepalive.EndToEnd;

/// <summary>C# source as far as a rule about words in it needs to understand it.</summary>
internal static partial class SourceText
{
    /// <summary>The words of native access and unsafe code that stand in a source text, outside comments and strings.</summary>
    public static IReadOnlyList<string> NativeAccess(string source) =>
        [.. NativeWords().Matches(CodeOnly(source)).Select(match => match.Value)];

    /// <summary>The source with comments and the contents of strings and character literals blanked out; lines stay where they are.</summary>
    /// <remarks>Code in the holes of interpolated strings is blanked out with them.</remarks>
    public static string CodeOnly(string source)
    {
        var code = new StringBuilder(source.Length);
        int at = 0;
        while (at < source.Length)
        {
            int end = EndOfText(source, at);
            if (end == at)
            {
                code.Append(source[at++]);
                continue;
            }

            foreach (char c in source.AsSpan(at, end - at))
            {
                code.Append(c == '\n' ? '\n' : ' ');
            }

            at = end;
        }

        return code.ToString();
    }

    // Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
    private static int EndOfText(string source, int at)
    {
        var rest = source.AsSpan(at);
        if (rest.StartsWith("//", StringComparison.Ordinal))
        {
            return After(source, "\n", at);
        }

        if (rest.StartsWith("/*", StringComparison.Ordinal))
        {
            return After(source, "*/", at + 2);
        }

        if (rest[0] == '\'')
        {
            return AfterEscaped(source, at + 1, '\'');
        }

        var opening = OpeningQuote().Match(source, at);
        if (!opening.Success || opening.Index != at)
        {
            return at;
        }

        int body = at + opening.Length;
        string quotes = opening.Groups["quotes"].Value;
        if (quotes.Length >= 3)
        {
            return After(source, quotes, body);
        }

        if (quotes.Length == 2) // an empty string
        {
            return body;
        }

        return opening.Value.Contains('@', StringComparison.Ordinal) ? AfterVerbatim(source, body) : AfterEscaped(source, body, '"');
    }

    private static int After(string source, string end, int from)
    {
        int found = source.IndexOf(end, from, StringComparison.Ordinal);
        return found < 0 ? source.Length : found + end.Length;
    }

    private static int AfterEscaped(string source, int at, char quote)
    {
        while (at < source.Length && source[at] != quote)
        {
            at += source[at] == '\\' ? 2 : 1;
        }

        return Math.Min(at + 1, source.Length);
    }

    private static int AfterVerbatim(string source, int at)
    {
        for (; at < source.Length; at++)
        {
            if (source[at] != '"')
            {
                continue;
            }

            if (at + 1 >= source.Length || source[at + 1] != '"')
            {
                return at + 1;
            }

            at++; // a doubled quote stands for one
        }

        return source.Length;
    }

    // A verbatim string may begin with doubled quotes (@"""a""b"), a raw one has no @: the two are told apart by it.
    [GeneratedRegex("""(?:\$*@\$*(?<quotes>")|\$*(?<quotes>"{3,}|""|"))""")]
    private static partial Regex OpeningQuote();

    [GeneratedRegex(
        @"\b(?:DllImport|LibraryImport|UnmanagedCallersOnly|UnmanagedFunctionPointer)(?:Attribute)?\b|\b(?:unsafe|extern)\b" +
        @"|\bfixed\s*\(|\bdelegate\s*\*|\b(?:Marshal|Unsafe|NativeLibrary|NativeMemory)\s*\.|\bGCHandle\b")]
    private static partial Regex NativeWords();
}
