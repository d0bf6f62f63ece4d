using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Help;

namespace Keepalive.CommandLine;

/// <summary>What the value of an option or an argument may be, for a shell that completes it.</summary>
/// <param name="Words">Known values.</param>
/// <param name="Files">Whether it may be a file.</param>
/// <param name="Directories">Whether it is a directory.</param>
internal sealed record Value(IReadOnlyList<string> Words, bool Files, bool Directories)
{
    private static readonly string[] s_files = ["FILE", "FILES", "PATH", "POLICY", "SCENARIO"];

    /// <summary>The value by its name in the help, such as <c>NAME[=TIMEOUT]|FILE</c>, and the words that are known of it.</summary>
    public static Value Of(string name, IEnumerable<CompletionItem> items)
    {
        string[] parts = [.. name.Split('|', '[', ']', '=', '.')];
        return new Value([.. items.Select(static item => item.Label).Distinct()], parts.Any(s_files.Contains), parts.Contains("DIR"));
    }
}

/// <summary>One option of a command.</summary>
/// <param name="Names">The long name first.</param>
/// <param name="Description">One line.</param>
/// <param name="Value">Null for an option that takes none.</param>
/// <param name="Repeats">Whether it may be given more than once.</param>
internal sealed record CompletedOption(IReadOnlyList<string> Names, string Description, Value? Value, bool Repeats);

/// <summary>One command as shells complete it.</summary>
internal sealed record CompletedCommand(string Name, string Description, IReadOnlyList<CompletedOption> Options, Value? Argument)
{
    /// <summary>The commands that the help lists, in its order.</summary>
    public static IReadOnlyList<CompletedCommand> AllOf(RootCommand root) => [.. root.Subcommands.Where(static command => !command.Hidden).Select(Of)];

    private static CompletedCommand Of(Command command) => new(
        command.Name,
        command.Description ?? "",
        [.. command.Options.Where(static option => !option.Hidden && option is not HelpOption).Select(Of), new CompletedOption(["--help"], "Show the help of this command", null, false)],
        command.Arguments is [{ } argument, ..] ? Value.Of(argument.Name, argument.GetCompletions(CompletionContext.Empty)) : null);

    private static CompletedOption Of(Option option) => new(
        [option.Name, .. option.Aliases],
        option.Description ?? "",
        option.HelpName is { } name ? Value.Of(name, option.GetCompletions(CompletionContext.Empty)) : null,
        option.Arity.MaximumNumberOfValues > 1);
}
