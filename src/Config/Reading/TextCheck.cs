using System.Buffers;
using System.Globalization;

namespace Keepalive.Config.Reading;

/// <summary>Refuses what is no text before the YAML parser sees it.</summary>
internal static class TextCheck
{
    /// <summary>Control characters and noncharacters, which YAML does not allow.</summary>
    private static readonly SearchValues<char> s_unprintable = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(static c => (char)c).Except(['\t', '\n', '\r']), '\u007f', '\ufffe', '\uffff']);

    /// <summary>Characters the parser counts as line breaks and editors do not.</summary>
    private static readonly SearchValues<char> s_otherLineBreaks = SearchValues.Create("\u0085\u2028\u2029");

    /// <summary>Whether the text can be parsed; reports the first thing that is in the way.</summary>
    public static bool Check(string text, string file, DiagnosticBag diagnostics) => Check(text, new SourcePosition(file, 1, 1), diagnostics);

    /// <inheritdoc cref="Check(string, string, DiagnosticBag)"/>
    public static bool Check(string text, SourcePosition start, DiagnosticBag diagnostics)
    {
        if (text.Length > InputLimits.FileBytes)
        {
            diagnostics.Report(DiagnosticCatalog.TooLarge, start,
                $"the text is larger than {InputLimits.FileBytes >> 20} MiB", "split it");
            return false;
        }

        var index = text.AsSpan().IndexOfAny(s_unprintable);
        if (index >= 0)
        {
            var code = ((int)text[index]).ToString("X4", CultureInfo.InvariantCulture);
            diagnostics.Report(DiagnosticCatalog.NotText, PositionOf(text.AsSpan(0, index), start),
                $"the file is not text: it holds the control character U+{code}", "give a YAML file");
            return false;
        }

        return true;
    }

    /// <summary>The text without byte order mark and with one idea of what a line is.</summary>
    public static string Normalize(string text)
    {
        text = text.StartsWith('\ufeff') ? text[1..] : text;
        // Files put together may each have brought one; it may stand before any document (YAML 1.2, section 5.2).
        text = text.Contains("\n\ufeff", StringComparison.Ordinal) ? text.Replace("\n\ufeff", "\n", StringComparison.Ordinal) : text;
        return text.AsSpan().ContainsAny(s_otherLineBreaks)
            ? text.Replace('\u0085', ' ').Replace('\u2028', ' ').Replace('\u2029', ' ')
            : text;
    }

    /// <summary>The position behind a piece of text.</summary>
    public static SourcePosition PositionOf(ReadOnlySpan<char> before, string file) => PositionOf(before, new SourcePosition(file, 1, 1));

    /// <inheritdoc cref="PositionOf(ReadOnlySpan{char}, string)"/>
    public static SourcePosition PositionOf(ReadOnlySpan<char> before, SourcePosition start)
    {
        var line = 1;
        for (int next; (next = before.IndexOfAny('\n', '\r')) >= 0; line++)
        {
            next += before[next..].StartsWith("\r\n") ? 2 : 1;
            before = before[next..];
        }

        return start.At(line, before.Length + 1);
    }
}
