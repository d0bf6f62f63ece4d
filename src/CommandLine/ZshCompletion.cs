using System.Globalization;
using System.Text;

namespace Keepalive.CommandLine;

/// <summary>A completion script for zsh: a file of <c>fpath</c>, or to be read after <c>compinit</c>.</summary>
internal static class ZshCompletion
{
    public static string Write(string program, IReadOnlyList<CompletedCommand> commands)
    {
        var function = "_" + program;
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $$"""
            #compdef {{program}}

            {{function}}() {
                local curcontext=$curcontext state line
                local -a commands
                commands=(

            """);
        foreach (var command in commands)
        {
            text.Append(CultureInfo.InvariantCulture, $"        {Quote($"{command.Name}:{command.Description}")}\n");
        }
        text.Append("""
                )
                _arguments -C '(- *)--help[Show the help]' '(- *)--version[Show the version]' '1:command:->command' '*::argument:->arguments' && return
                case $state in
                    command) _describe command commands ;;
                    arguments)
                        case $words[1] in

            """);
        foreach (var command in commands)
        {
            text.Append(CultureInfo.InvariantCulture, $"                {command.Name}) _arguments -s");
            foreach (var specification in command.Options.SelectMany(Specifications))
            {
                text.Append(CultureInfo.InvariantCulture, $" \\\n                    {Quote(specification)}");
            }
            if (command.Argument is { } argument && Action(argument) is { Length: > 0 } action)
            {
                text.Append(CultureInfo.InvariantCulture, $" \\\n                    {Quote("*:argument:" + action)}");
            }
            text.Append(" ;;\n");
        }
        text.Append(CultureInfo.InvariantCulture, $$"""
                        esac ;;
                esac
            }

            if [[ $funcstack[1] == {{function}} ]]; then
                {{function}} "$@"
            else
                compdef {{function}} {{program}}
            fi

            """);
        return text.ToString();
    }

    private static IEnumerable<string> Specifications(CompletedOption option)
    {
        foreach (var name in option.Names)
        {
            var once = option.Repeats ? "*" : $"({string.Join(' ', option.Names)})";
            var described = option.Description.Replace("[", "\\[", StringComparison.Ordinal).Replace("]", "\\]", StringComparison.Ordinal);
            yield return option.Value is null
                ? $"{once}{name}[{described}]"
                : $"{once}{name}{(name.StartsWith("--", StringComparison.Ordinal) ? "=" : "")}[{described}]:value:{Action(option.Value)}";
        }
    }

    private static string Action(Value value)
    {
        var words = value.Words.Count > 0 ? $"({string.Join(' ', value.Words)})" : "";
        var files = value.Files ? "_files" : value.Directories ? "_files -/" : "";
        return words.Length > 0 && files.Length > 0 ? $"{{_alternative \"words:value:{words}\" \"files:file:{files}\"}}" : words + files;
    }

    private static string Quote(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
