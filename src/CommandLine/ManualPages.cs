using System.CommandLine;
using System.Globalization;
using System.Text;

namespace Keepalive.CommandLine;

/// <summary>Manual pages in roff: one of the program, and one of each command, which <c>man PROGRAM COMMAND</c> finds.</summary>
internal static class ManualPages
{
    /// <summary>Programs and commands of users.</summary>
    private const int Section = 1;

    private static readonly (string Code, string Meaning)[] s_exitCodes =
    [
        ("0", "Done."),
        ("1", "The input has errors; with some commands: what was looked for was found."),
        ("2", "The command line is wrong."),
        ("3", "A privilege, a kernel feature or a tool is missing. The message names it."),
        ("4", "It failed while running."),
    ];

    /// <summary>The file name and text of every page.</summary>
    public static IEnumerable<(string Name, string Text)> Write(RootCommand root, ProgramHelp help)
    {
        Command[] visible = [.. root.Subcommands.Where(static command => !command.Hidden)];
        foreach (var command in visible.Prepend(root))
        {
            var title = Title(command);
            var others = command is RootCommand ? visible.Select(Title) : [Title(root)];
            yield return ($"{title}.{Section}", Page(command, title, help.Of(command), help.SectionsOf(command), others));
        }
    }

    private static string Title(Command command) => command is RootCommand ? BuildInformation.Program : $"{BuildInformation.Program}-{command.Name}";

    private static string Page(Command command, string title, string help, IEnumerable<HelpSection> sections, IEnumerable<string> others)
    {
        var text = new StringBuilder();
        // No date: the same sources make the same page.
        text.Append(CultureInfo.InvariantCulture, $".TH {title.ToUpperInvariant()} {Section} \"\" \"{BuildInformation.Program} {BuildInformation.Version}\" \"Keepalive\"\n");
        text.Append(CultureInfo.InvariantCulture, $".SH NAME\n{Escape(title)} \\- {Escape(Lower(command.Description ?? ""))}\n");
        text.Append(CultureInfo.InvariantCulture, $".SH SYNOPSIS\n{Escape(Line(help, "Usage: "))}\n");
        text.Append(CultureInfo.InvariantCulture, $".SH DESCRIPTION\n{Escape(command.Description ?? "")}.\n");
        foreach (var section in sections)
        {
            text.Append(CultureInfo.InvariantCulture, $".SH {section.Heading.ToUpperInvariant()}\n");
            foreach (var (name, description) in section.Entries)
            {
                text.Append(CultureInfo.InvariantCulture, $".TP\n\\fB{Escape(name)}\\fR\n{Escape(description.Length > 0 ? description : name)}\n");
            }
        }
        text.Append(".SH EXIT STATUS\n");
        foreach (var (code, meaning) in s_exitCodes)
        {
            text.Append(CultureInfo.InvariantCulture, $".TP\n\\fB{code}\\fR\n{meaning}\n");
        }
        var example = help[(help.LastIndexOf("\nExample:\n", StringComparison.Ordinal) + "\nExample:\n".Length)..].TrimEnd('\n');
        text.Append(".SH EXAMPLE\n.nf\n").AppendJoin('\n', example.Split('\n').Select(Escape)).Append("\n.fi\n");
        return text.Append(".SH SEE ALSO\n").AppendJoin(",\n", others.Select(static other => $"\\fB{Escape(other)}\\fR({Section})")).Append('\n').ToString();
    }

    private static string Line(string help, string start) =>
        help.Split('\n').First(line => line.StartsWith(start, StringComparison.Ordinal))[start.Length..];

    /// <summary>A name's line in <c>whatis</c> begins small, unless the word is an abbreviation.</summary>
    private static string Lower(string text) => text.Length > 1 && char.IsLower(text[1]) ? char.ToLowerInvariant(text[0]) + text[1..] : text;

    /// <summary>Text as it is: no backslash, hyphen or dot of it means anything.</summary>
    private static string Escape(string text)
    {
        var escaped = text.Replace("\\", "\\(rs", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return escaped.StartsWith('.') || escaped.StartsWith('\'') ? "\\&" + escaped : escaped;
    }
}
