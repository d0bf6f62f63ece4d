using System.Globalization;
using System.Text;

namespace Keepalive.CommandLine;

/// <summary>A completion script for fish.</summary>
internal static class FishCompletion
{
    public static string Write(string program, IReadOnlyList<CompletedCommand> commands)
    {
        var text = new StringBuilder($"# fish completion for {program}\n\ncomplete -c {program} -f\n");
        var any = string.Join(' ', commands.Select(static command => command.Name));
        var none = $"-n {Quote($"not __fish_seen_subcommand_from {any}")}";
        foreach (var command in commands)
        {
            text.Append(CultureInfo.InvariantCulture, $"complete -c {program} {none} -a {command.Name} -d {Quote(command.Description)}\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"complete -c {program} {none} -l help -d 'Show the help'\ncomplete -c {program} {none} -l version -d 'Show the version'\n");
        foreach (var command in commands)
        {
            var here = $"complete -c {program} -n {Quote($"__fish_seen_subcommand_from {command.Name}")}";
            foreach (var option in command.Options)
            {
                text.Append(here);
                foreach (var name in option.Names)
                {
                    text.Append(name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]}" : $" -s {name[1..]}");
                }
                text.Append(CultureInfo.InvariantCulture, $"{(option.Value is null ? "" : (option.Value.Files ? " -r" : " -x") + Candidates(option.Value))} -d {Quote(option.Description)}\n");
            }
            if (command.Argument is { } argument && Candidates(argument) is { Length: > 0 } candidates)
            {
                text.Append(CultureInfo.InvariantCulture, $"{here}{candidates}\n");
            }
        }
        return text.ToString();
    }

    private static string Candidates(Value value) =>
        (value.Files ? " -F" : "")
        + (value.Directories ? " -a '(__fish_complete_directories)'" : value.Words.Count > 0 ? $" -a {Quote(string.Join(' ', value.Words))}" : "");

    private static string Quote(string text) => $"'{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal)}'";
}
