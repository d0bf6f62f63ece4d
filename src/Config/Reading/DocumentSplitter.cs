namespace Keepalive.Config.Reading;

/// <summary>A run of lines that holds one YAML document.</summary>
/// <param name="Start">Index of its first character.</param>
/// <param name="Length">Characters.</param>
/// <param name="FirstLine">The number of its first line, from 1.</param>
/// <param name="FirstColumn">The column of its first character, from 1.</param>
internal readonly record struct DocumentText(int Start, int Length, int FirstLine, int FirstColumn = 1);

/// <summary>Cuts a stream at its <c>---</c> and <c>...</c> lines, so that a syntax error in one document does not hide the next.</summary>
/// <remarks>Sound because YAML allows neither mark at the start of a line inside any scalar.</remarks>
internal static class DocumentSplitter
{
    /// <summary>The documents that have content, in order. Comments, directives and marks alone are none.</summary>
    public static IEnumerable<DocumentText> Split(string text) => SplitJson(text) ?? SplitYaml(text);

    /// <summary>JSON objects one after the other, one a line or not, as <c>kubectl get -o json</c> for several kinds or <c>jq -c</c> prints them.</summary>
    /// <returns>Null if the text is anything else, or a single object.</returns>
    private static List<DocumentText>? SplitJson(string text)
    {
        var objects = new List<DocumentText>();
        var (line, lineStart, depth, start) = (1, 0, 0, default(DocumentText));
        for (var i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '\n' or '\r':
                    i += text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n' ? 1 : 0;
                    (line, lineStart) = (line + 1, i + 1);
                    break;
                case '{' when depth == 0 && !StartsWithKey(text.AsSpan(i + 1)):
                    return null;
                case '{' or '[' when depth > 0 || text[i] == '{':
                    start = depth++ > 0 ? start : new DocumentText(i, 0, line, i - lineStart + 1);
                    break;
                case '}' or ']' when depth > 0:
                    if (--depth == 0)
                    {
                        objects.Add(start with { Length = i + 1 - start.Start });
                    }

                    break;
                case '"' when depth > 0:
                    i = EndOfString(text, i);
                    break;
                case ' ' or '\t':
                    break;
                default:
                    if (depth == 0)
                    {
                        return null;
                    }

                    break;
            }
        }

        return depth == 0 && objects.Count > 1 ? objects : null;
    }

    /// <summary>Whether this is JSON: a key in YAML needs no quotes.</summary>
    private static bool StartsWithKey(ReadOnlySpan<char> rest) => rest.TrimStart(" \t\r\n") is ['"' or '}', ..];

    /// <summary>The index of the quote that ends a JSON string, which has no line break.</summary>
    private static int EndOfString(string text, int quote)
    {
        var i = quote + 1;
        while (i < text.Length && text[i] is not ('"' or '\n' or '\r'))
        {
            i += text[i] == '\\' ? 2 : 1;
        }

        return i < text.Length && text[i] == '"' ? i : Math.Min(i, text.Length) - 1;
    }

    private static IEnumerable<DocumentText> SplitYaml(string text)
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
