using System.CommandLine;
using System.CommandLine.Parsing;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Commands;

/// <summary>Standard streams that a command needs, and that were closed when the program started.</summary>
internal static class StreamProblems
{
    /// <summary>Returns the first problem with its exit code; null if there is none.</summary>
    public static (string Problem, int ExitCode)? Find(ParseResult parsed)
    {
        var given = parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(static argument => argument.Tokens);
        if (!StandardStreams.HasInput && given.Any(static token => token.Value == "-"))
        {
            return ("standard input is closed: there is nothing to read for -", ExitCodes.InvalidInput);
        }
        // The service prints nothing there. A missing reader of the log is no reason to stop keeping connections alive.
        var isService = parsed.CommandResult.Command.Name == RunCommand.Name && !parsed.GetValue<bool>(RunCommand.Once);
        return !StandardStreams.HasOutput && !isService ? ("standard output is closed", ExitCodes.Failed) : null;
    }
}
