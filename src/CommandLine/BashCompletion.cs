using System.Globalization;
using System.Text;

namespace Keepalive.CommandLine;

/// <summary>A completion script for bash. It needs no other file and starts no program.</summary>
internal static class BashCompletion
{
    public static string Write(string program, IReadOnlyList<CompletedCommand> commands)
    {
        var function = "_" + program.Replace('-', '_');
        var names = commands.Select(static command => command.Name).ToList();
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $$"""
            # bash completion for {{program}}

            {{function}}() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= word
                # bash splits words at "=": --option=value is three of them.
                if [[ $current == = ]]; then
                    current=
                elif [[ $previous == = ]] && ((COMP_CWORD > 1)); then
                    previous=${COMP_WORDS[COMP_CWORD - 2]}
                fi
                for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                    case $word in
                        {{string.Join('|', names)}}) command=$word; break ;;
                    esac
                done
                COMPREPLY=()
                case "$command $previous" in

            """);
        foreach (var command in commands)
        {
            foreach (var option in command.Options.Where(static option => option.Value is not null))
            {
                text.Append(CultureInfo.InvariantCulture, $"        {string.Join('|', option.Names.Select(name => $"'{command.Name} {name}'"))})\n{Candidates(option.Value!, "            ")}            return ;;\n");
            }
        }
        text.Append("""
                esac
                case $command in

            """);
        text.Append(CultureInfo.InvariantCulture, $"        '') mapfile -t COMPREPLY < <(compgen -W '{string.Join(' ', names)} --help --version' -- \"$current\") ;;\n");
        foreach (var command in commands)
        {
            text.Append(CultureInfo.InvariantCulture, $"        {command.Name})\n            if [[ $current == -* ]]; then\n");
            text.Append(CultureInfo.InvariantCulture, $"                mapfile -t COMPREPLY < <(compgen -W '{string.Join(' ', command.Options.SelectMany(static option => option.Names))}' -- \"$current\")\n");
            if (command.Argument is { } argument && Candidates(argument, "                ") is { Length: > 0 } candidates)
            {
                text.Append("            else\n").Append(candidates);
            }
            text.Append("            fi ;;\n");
        }
        return text.Append(CultureInfo.InvariantCulture, $"    esac\n}}\ncomplete -F {function} {program}\n").ToString();
    }

    private static string Candidates(Value value, string indent)
    {
        var how = (value.Words.Count > 0 ? $" -W '{string.Join(' ', value.Words)}'" : "") + (value.Files ? " -f" : value.Directories ? " -d" : "");
        if (how.Length == 0)
        {
            return "";
        }
        // A directory gets its slash, and a space in a name its backslash.
        var names = value.Files || value.Directories ? $"{indent}compopt -o filenames 2>/dev/null\n" : "";
        return $"{names}{indent}mapfile -t COMPREPLY < <(compgen{how} -- \"$current\")\n";
    }
}
