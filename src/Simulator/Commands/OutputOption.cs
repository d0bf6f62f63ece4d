using System.CommandLine;

namespace Keepalive.Simulator.Commands;

/// <summary>How a command prints.</summary>
internal enum OutputFormat
{
    /// <summary>For people: a table, or lines of text.</summary>
    Table,

    /// <summary>One JSON object per line.</summary>
    Json,
}

/// <summary>The option that commands with a table share.</summary>
internal static class OutputOption
{
    private static readonly string[] Words = ["table", "json"];

    public static Option<OutputFormat> Create()
    {
        var option = new Option<OutputFormat>("--output", "-o")
        {
            Description = "table (the default), or json: one object per line",
            HelpName = string.Join('|', Words),
            Arity = ArgumentArity.ExactlyOne,
            CustomParser = result =>
            {
                var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                var index = Array.IndexOf(Words, text);
                if (index < 0)
                {
                    result.AddError($"--output takes {string.Join('|', Words)}, not '{text}'");
                }
                return (OutputFormat)index;
            },
        };
        option.CompletionSources.Add(Words);
        return option;
    }
}
