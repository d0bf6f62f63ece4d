using System.Globalization;
using System.Text;
using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>Writes diagnostics as workflow commands of GitHub Actions.</summary>
/// <remarks>
/// Escaped as in actions/toolkit (packages/core/src/command.ts). The file is text of a pull request: no line that is not a command of ours may
/// begin with it.
/// </remarks>
internal static class GitHubText
{
    public static void Append(StringBuilder text, Diagnostic diagnostic)
    {
        text.Append("::").Append(diagnostic.Severity switch { Severity.Error => "error", Severity.Warning => "warning", _ => "notice" }).Append(' ');
        if (SourceFile.IsFile(diagnostic.Position))
        {
            text.Append("file=").Append(EscapeProperty(SourceFile.RelativePath(diagnostic.Position.File)))
                .Append(CultureInfo.InvariantCulture, $",line={diagnostic.Position.Line},col={diagnostic.Position.Column},");
        }

        var message = diagnostic.Fix is null ? diagnostic.Message : $"{diagnostic.Message}; {diagnostic.Fix}";
        text.Append("title=").Append(EscapeProperty(diagnostic.Code)).Append("::").Append(EscapeData(TerminalText.Escape(message))).Append('\n');
    }

    internal static string EscapeData(string text) => text.Replace("%", "%25", StringComparison.Ordinal)
        .Replace("\r", "%0D", StringComparison.Ordinal).Replace("\n", "%0A", StringComparison.Ordinal);

    internal static string EscapeProperty(string text) => EscapeData(text)
        .Replace(":", "%3A", StringComparison.Ordinal).Replace(",", "%2C", StringComparison.Ordinal);
}
