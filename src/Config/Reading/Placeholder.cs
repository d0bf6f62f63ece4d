using System.Buffers;
using System.Text.RegularExpressions;

namespace Keepalive.Config.Reading;

/// <summary>A place in a document that another tool fills: <c>{{ … }}</c> of Helm and its kind, or
/// <c>${NAME}</c>, <c>${NAME:-x}</c>, <c>$NAME</c>, <c>$(NAME)</c> and <c>@NAME@</c> of a substitution of variables.</summary>
/// <param name="Text">As written.</param>
/// <param name="Line">Its line in the file.</param>
/// <param name="Column">Its column.</param>
internal readonly partial record struct Placeholder(string Text, int Line, int Column)
{
    private const int MaxFound = 10_000;

    private static readonly SearchValues<char> s_name = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    /// <summary>Whether it belongs to a template, and not to a substitution of variables.</summary>
    public bool IsTemplate => Text.StartsWith("{{", StringComparison.Ordinal);

    /// <summary>The message for it, and the remedy.</summary>
    public (string Message, string Fix) Explain() => IsTemplate
        ? ($"this is a template: {Quoting.Shorten(Text)} is filled by Helm or a similar tool", "check its output: helm template CHART | keepalive-agent check -")
        : ($"{Quoting.Shorten(Text)} is a placeholder that another tool fills", HasDefault
            ? "substitute it first: flux envsubst < FILE | keepalive-agent check - (the envsubst of gettext knows no defaults)"
            : IsOfEnvsubst ? "substitute it first: envsubst < FILE | keepalive-agent check -"
            : $"substitute it first: sed 's/{Text}/VALUE/g' FILE | keepalive-agent check -");

    /// <summary>Whether it is more than a name, such as <c>${NAME:-60s}</c>.</summary>
    private bool HasDefault => Text.StartsWith("${", StringComparison.Ordinal) && Text.AsSpan(2, Text.Length - 3).ContainsAnyExcept(s_name);

    /// <summary>Whether envsubst replaces it. <c>$(NAME)</c> is Kubernetes' own in commands and variables of containers, and kpt's and make's;
    /// <c>@NAME@</c> is that of autoconf and CMake.</summary>
    private bool IsOfEnvsubst => Text[0] == '$' && Text[1] != '(';

    /// <summary>The placeholders of a document; none in comments.</summary>
    public static List<Placeholder> Find(string text, DocumentText document)
    {
        var found = new List<Placeholder>();
        var span = text.AsSpan(document.Start, document.Length);
        if (!span.Contains("{{", StringComparison.Ordinal) && !span.ContainsAny('$', '@'))
        {
            return found;
        }

        var number = document.FirstLine - 1;
        foreach (var line in span.EnumerateLines())
        {
            number++;
            if (line.TrimStart().StartsWith("#"))
            {
                continue;
            }

            foreach (var match in Pattern().EnumerateMatches(line))
            {
                found.Add(new Placeholder(line.Slice(match.Index, match.Length).ToString(), number, match.Index + 1));
                if (found.Count >= MaxFound)
                {
                    return found;
                }
            }
        }

        return found;
    }

    // A brace that is never closed ends the search with its line, so that the time is linear.
    [GeneratedRegex(@"\{\{[^{}]*\}\}|\$\{[A-Za-z_][^{}]*\}|\$[A-Za-z_][A-Za-z0-9_]*|\$\([A-Za-z_][A-Za-z0-9_]*\)|@[A-Z_][A-Z0-9_]*@", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
