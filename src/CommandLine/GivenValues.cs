using System.CommandLine;
using System.CommandLine.Parsing;

namespace Keepalive.CommandLine;

/// <summary>Mistakes that System.CommandLine accepts: it takes any word after an option for its value.</summary>
public static class GivenValues
{
    /// <summary>The problems of a command line: values that are options, else the errors of System.CommandLine, of which the
    /// half follows from those.</summary>
    public static IReadOnlyList<string> Problems(ParseResult parsed)
    {
        List<string> values = [.. NotMeant(parsed)];
        return values.Count > 0 ? values : [.. parsed.Errors.Select(static error => error.Message)];
    }

    /// <summary>A rule between several of a command's options and arguments. A missing value is reported anyway.</summary>
    public static void AddRule(this Command command, Action<CommandResult> rule) => command.Validators.Add(result =>
    {
        try
        {
            rule(result);
        }
        catch (InvalidOperationException)
        {
            // GetValue throws where a value is missing, given twice or cannot be converted: these are errors by themselves, found next.
        }
    });

    /// <summary>Every value that looks like an option, such as that of <c>--state-dir</c> in <c>run --state-dir --dry-run</c>, or is empty.</summary>
    private static IEnumerable<string> NotMeant(ParseResult parsed)
    {
        var known = Options(parsed.CommandResult);
        foreach (var option in parsed.CommandResult.Children.OfType<OptionResult>().Where(static option => !option.Implicit))
        {
            foreach (var (index, token) in option.Tokens.Index())
            {
                if (index > 0 && token.Value.StartsWith("--", StringComparison.Ordinal) && !known.Contains(token.Value))
                {
                    // The option has its value: the fault is not there.
                    yield return $"there is no option '{token.Value}'";
                }
                else if (known.Contains(token.Value))
                {
                    yield return $"{option.Option.Name} takes a value, and {token.Value} is an option";
                }
                else if (token.Value.StartsWith("--", StringComparison.Ordinal))
                {
                    yield return $"{option.Option.Name} takes a value, and '{token.Value}' looks like an option";
                }
                else if (token.Value.Length == 0)
                {
                    yield return $"{option.Option.Name} is empty";
                }
            }
        }
        if (parsed.Tokens.Any(static token => token.Type == TokenType.DoubleDash))
        {
            yield break;   // who writes that knows
        }
        foreach (var token in parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(static argument => argument.Tokens))
        {
            if (token.Value is ['-', _, ..])
            {
                yield return $"there is no option '{token.Value}' (a path that begins with a dash is written ./{token.Value})";
            }
        }
    }

    /// <summary>The names of all options that could be written where the command stands.</summary>
    private static HashSet<string> Options(CommandResult command)
    {
        var names = new HashSet<string>();
        for (SymbolResult? at = command; at is CommandResult result; at = at.Parent)
        {
            foreach (var option in result.Command.Options.Where(option => at == command || option.Recursive))
            {
                names.UnionWith(option.Aliases.Append(option.Name).Where(static name => name.StartsWith('-')));
            }
        }
        return names;
    }
}
