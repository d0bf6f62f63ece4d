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

            {{function}}_words_or_files() {
                _alternative "words:value:($*)" 'files:file:_files'
            }

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
            foreach (var specification in command.Options.SelectMany(option => Specifications(option, function)))
            {
                text.Append(CultureInfo.InvariantCulture, $" \\\n                    {Quote(specification)}");
            }
            if (command.Argument is { } argument && Action(argument, function) is { Length: > 0 } action)
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

    private static IEnumerable<string> Specifications(CompletedOption option, string function)
    {
        foreach (var name in option.Names)
        {
            var once = option.Repeats ? "*" : $"({string.Join(' ', option.Names)})";
            var described = option.Description.Replace("[", "\\[", StringComparison.Ordinal).Replace("]", "\\]", StringComparison.Ordinal);
            yield return option.Value is null
                ? $"{once}{name}[{described}]"
                : $"{once}{name}{(name.StartsWith("--", StringComparison.Ordinal) ? "=" : "")}[{described}]:value:{Action(option.Value, function)}";
        }
    }

    /// <summary>A colon would end it. The function after a space is called as it is written.</summary>
    private static string Action(Value value, string function)
    {
        var words = string.Join(' ', value.Words);
        return (value.Words.Count > 0, value.Files) switch
        {
            (true, true) => $" {function}_words_or_files {words}",
            (true, false) => $"({words})",
            (false, true) => "_files",
            (false, false) => value.Directories ? "_files -/" : "",
        };
    }

    private static string Quote(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
