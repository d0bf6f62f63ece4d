using System.CommandLine;
using System.CommandLine.Completions;

namespace Keepalive.CommandLine;

/// <summary>Options that take one of a few words.</summary>
public static class WordOption
{
    /// <summary>Restricts an option to words, each standing for a value. Without it the value is the type's default.</summary>
    public static Option<T> Limit<T>(Option<T> option, params (string Word, T Value)[] words)
    {
        option.Arity = ArgumentArity.ExactlyOne;
        option.HelpName = string.Join('|', words.Select(w => w.Word));
        // The library's own are the names of the type's values.
        option.CompletionSources.Clear();
        option.CompletionSources.Add(_ => words.Select(w => new CompletionItem(w.Word)));
        option.CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            foreach (var (word, value) in words)
            {
                if (word == text)
                {
                    return value;
                }
            }
            result.AddError($"{option.Name} takes {option.HelpName}, not '{text}'");
            return default!;
        };
        return option;
    }
}
