namespace Keepalive.Config.Reading;

/// <summary>A run of lines that holds one YAML document.</summary>
/// <param name="Start">Index of its first character.</param>
/// <param name="Length">Characters.</param>
/// <param name="FirstLine">The number of its first line, from 1.</param>
internal readonly record struct DocumentText(int Start, int Length, int FirstLine);

/// <summary>Cuts a stream at its <c>---</c> and <c>...</c> lines, so that a syntax error in one document does not hide the next.</summary>
/// <remarks>Sound because YAML allows neither mark at the start of a line inside any scalar.</remarks>
internal static class DocumentSplitter
{
    /// <summary>The documents that have content, in order. Comments, directives and marks alone are none.</summary>
    public static IEnumerable<DocumentText> Split(string text)
    {
        var start = 0;
        var startLine = 1;
        var hasMark = false;
        var hasContent = false;
        var lineNumber = 0;
        for (int lineStart = 0, next; lineStart < text.Length; lineStart = next)
        {
            next = NextLine(text, lineStart);
            lineNumber++;
            var line = text.AsSpan(lineStart, next - lineStart);
            var startsDocument = IsMark(line, "---");
            if (startsDocument || IsMark(line, "..."))
            {
                var documentEnds = hasContent || hasMark || !startsDocument;
                if (hasContent)
                {
                    yield return new DocumentText(start, lineStart - start, startLine);
                    line = text.AsSpan(lineStart, next - lineStart);
                }

                if (documentEnds)
                {
                    start = startsDocument ? lineStart : next;
                    startLine = startsDocument ? lineNumber : lineNumber + 1;
                }

                hasMark = startsDocument;
                hasContent = startsDocument && !IsBlankOrComment(line[3..]);
            }
            else
            {
                hasContent |= !IsBlankOrComment(line) && (hasMark || line[0] != '%');
            }
        }

        if (hasContent)
        {
            yield return new DocumentText(start, text.Length - start, startLine);
        }
    }

    private static int NextLine(string text, int lineStart)
    {
        var end = text.AsSpan(lineStart).IndexOfAny('\n', '\r');
        if (end < 0)
        {
            return text.Length;
        }

        end += lineStart;
        return text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
    }

    private static bool IsMark(ReadOnlySpan<char> line, string mark) =>
        line.StartsWith(mark) && (line.Length == 3 || line[3] is ' ' or '\t' or '\n' or '\r');

    private static bool IsBlankOrComment(ReadOnlySpan<char> line) => line.TrimStart(" \t\r\n") is [] or ['#', ..];
}
