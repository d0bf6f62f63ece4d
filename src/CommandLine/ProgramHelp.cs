using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Keepalive.CommandLine;

/// <summary>The help of a program and its commands.</summary>
/// <param name="firstSteps">Commands to try first, each with what it shows.</param>
/// <param name="pages">By the command's name; the program's own page has an empty one.</param>
public sealed class ProgramHelp(IReadOnlyList<(string Command, string Shows)> firstSteps, IReadOnlyDictionary<string, HelpPage> pages)
{
    /// <summary>Makes <c>--help</c> print these pages.</summary>
    public void UseFor(RootCommand root) => root.Options.OfType<HelpOption>().Single().Action = new PrintHelp(this);

    /// <summary>The help of one command.</summary>
    public string Of(Command command) => HelpText.Write(command, PageOf(command));

    /// <summary>The parts of one command's help.</summary>
    internal IEnumerable<HelpSection> SectionsOf(Command command) => HelpText.Sections(command, PageOf(command));

    /// <summary>Lines for a person who has given no command.</summary>
    public IEnumerable<string> FirstSteps()
    {
        var width = firstSteps.Max(static step => BuildInformation.AsWritten(step.Command).Length);
        yield return $"{BuildInformation.Program}: no command. Try one of these first:";
        foreach (var (command, shows) in firstSteps)
        {
            yield return $"  {BuildInformation.AsWritten(command).PadRight(width)}  {shows}";
        }
    }

    private HelpPage PageOf(Command command) => command.Name == CompletionCommand.Name ? CompletionCommand.Page : pages[command is RootCommand ? "" : command.Name];

    private sealed class PrintHelp(ProgramHelp help) : SynchronousCommandLineAction
    {
        public override bool Terminating => true;

        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.Write(help.Of(parseResult.CommandResult.Command));
            return ExitCodes.Done;
        }
    }
}
