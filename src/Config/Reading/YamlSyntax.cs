namespace Keepalive.Config.Reading;

/// <summary>Says in the words of someone who writes YAML what the parser says in the words of someone who parses it.</summary>
internal static class YamlSyntax
{
    private static readonly (string Part, string Message, string? Fix)[] s_explanations =
    [
        ("found invalid mapping", "a \"key: value\" is not possible here",
            "put it on a line of its own with the right indentation, or quote the value if the colon belongs to it"),
        ("could not find expected ':'", "this line has no \"key: value\"", "add the colon and the space behind the key"),
        ("did not find expected key", "a key is expected here", "check that the line is indented like its neighbours"),
        ("did not find expected '-' indicator", "a list entry is expected here", "start it with \"- \", indented like its neighbours"),
        ("unexpected end of stream", "a quoted string is not closed before the document ends", "add the closing quote"),
        ("unexpected document indicator", "a quoted string is not closed before the document ends", "add the closing quote"),
        ("did not find expected ',' or '}'", "a { is not closed", "add a comma between entries, or the closing }"),
        ("did not find expected ',' or ']'", "a [ is not closed", "add a comma between entries, or the closing ]"),
        ("cannot start any token", "a value cannot start with this character", "quote the value"),
        ("unknown escape character", "a double-quoted string holds an unknown \\ escape",
            "write \\\\ for a backslash, or use single quotes"),
        ("more than one anchor", "a value has more than one &anchor", "remove one"),
        ("expected node content", "a value is expected here", null),
        ("expected <document", "the document should have ended before this", "start another one with ---"),
        ("could not find document end marker", "a directive stands where a document is expected", "put it before the --- line"),
        ("incompatible YAML", "the %YAML directive asks for a version that is not 1.x", "remove the directive"),
        ("undefined tag handle", "a tag uses a handle that is not defined", "remove the tag"),
        ("comment", "a comment is not possible here", "put a space before the #, or move the comment to a line of its own"),
        ("tab", "a tab is not possible here", "use spaces"),
    ];

    /// <summary>A message and a fix for the parser's message.</summary>
    public static (string Message, string? Fix) Explain(string parserMessage)
    {
        foreach (var (part, message, fix) in s_explanations)
        {
            if (parserMessage.Contains(part, StringComparison.Ordinal))
            {
                return (message, fix);
            }
        }

        return parserMessage.Length == 0
            ? ("the YAML is not well-formed here", "look for a bracket or a quote that is not closed")
            : (Quoting.Shorten(char.ToLowerInvariant(parserMessage[0]) + parserMessage[1..].TrimEnd('.')), null);
    }
}
