using System.CommandLine;
using System.CommandLine.Help;
using System.Globalization;
using System.Text;

namespace Keepalive.CommandLine;

/// <summary>Options, arguments or commands under one heading, each with its text.</summary>
internal sealed record HelpSection(string Heading, IReadOnlyList<(string Name, string Text)> Entries);

/// <summary>A command's help as text: one screen of 100 columns.</summary>
internal static class HelpText
{
    private const int Columns = 100;

    /// <summary>Names longer than this have their text below them.</summary>
    private const int WidestName = 34;

    public static string Write(Command command, HelpPage page)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{command.Description}\n\nUsage: {Usage(command)}\n\n");
        List<HelpSection> sections = [.. Sections(command, page)];
        var width = sections.SelectMany(static section => section.Entries).Select(static entry => entry.Name.Length).Where(static length => length <= WidestName).Max();
        foreach (var (heading, entries) in sections)
        {
            text.Append(CultureInfo.InvariantCulture, $"{heading}:\n");
            foreach (var (name, description) in entries)
            {
                WriteEntry(text, name, description, width);
            }
        }
        return text.Append(CultureInfo.InvariantCulture, $"\nExample:\n  {BuildInformation.AsWritten(page.Example)}\n").ToString();
    }

    public static IEnumerable<HelpSection> Sections(Command command, HelpPage page)
    {
        var visible = command.Options.Where(static option => !option.Hidden).ToDictionary(static option => option.Name);
        if (command.Arguments.Count > 0)
        {
            yield return new("Arguments", [.. command.Arguments.Select(static argument => (argument.Name, argument.Description ?? ""))]);
        }
        if (command.Subcommands.Any(static sub => !sub.Hidden))
        {
            yield return new("Commands", [.. command.Subcommands.Where(static sub => !sub.Hidden).Select(static sub => (sub.Name, sub.Description ?? ""))]);
        }
        foreach (var (heading, names) in page.Groups)
        {
            yield return new(heading, [.. names.Select(name => visible.Remove(name, out var option) ? (Name(option), Text(option)) : throw new ArgumentException($"{command.Name} has no option {name}"))]);
        }
        var rest = visible.Values.Where(static option => option is not HelpOption).ToList();
        if (rest.Count > 0)
        {
            yield return new("Options", [.. rest.Select(static option => (Name(option), Text(option)))]);
        }
    }

    private static string Usage(Command command)
    {
        var text = new StringBuilder(BuildInformation.Program);
        text.Append(command is RootCommand ? " COMMAND" : " " + command.Name);
        foreach (var argument in command.Arguments)
        {
            var name = argument.Name + (argument.Arity.MaximumNumberOfValues > 1 ? "..." : "");
            text.Append(argument.Arity.MinimumNumberOfValues == 0 ? $" [{name}]" : $" {name}");
        }
        foreach (var option in command.Options.Where(static option => option.Required))
        {
            text.Append(CultureInfo.InvariantCulture, $" {option.Name} {option.HelpName}");
        }
        return text.Append(" [options]").ToString();
    }

    private static string Name(Option option)
    {
        var names = string.Join(", ", option.Aliases.Append(option.Name).OrderBy(static name => name.Length));
        return option.HelpName is { } value ? $"{names} {value}" : names;
    }

    /// <summary>The description, with the default where it does not say it.</summary>
    private static string Text(Option option)
    {
        var text = option.Description ?? "";
        return option.HasDefaultValue && option.HelpName is not null && !text.Contains("default", StringComparison.Ordinal) && option.GetDefaultValue() is { } value and not Array
            ? $"{text} (default {value})"
            : text;
    }

    private static void WriteEntry(StringBuilder text, string name, string description, int width)
    {
        text.Append("  ").Append(name.PadRight(width));
        if (name.Length > width)
        {
            text.Append('\n').Append(' ', width + 2);
        }
        var column = width + 2;
        foreach (var word in description.Split(' '))
        {
            if (column + 1 + word.Length > Columns)
            {
                text.Append('\n').Append(' ', width + 4);
                column = width + 4;
            }
            else
            {
                // Two columns between a name and its text, one between words.
                var gap = column == width + 2 ? 2 : 1;
                text.Append(' ', gap);
                column += gap;
            }
            text.Append(word);
            column += word.Length;
        }
        text.Append('\n');
    }
}
