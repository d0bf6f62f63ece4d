using System.CommandLine;

namespace Keepalive.CommandLine;

/// <summary>A program from its command line to its exit code.</summary>
public static class CommandLineProgram
{
    /// <summary>Runs the command that was asked for.</summary>
    /// <param name="root">All commands.</param>
    /// <param name="help">Its help.</param>
    /// <param name="args">The command line.</param>
    /// <param name="obstacle">Returns the reason that a valid command cannot run here, and its exit code; null if it can.</param>
    /// <param name="exitCode">Returns the exit code for an exception whose message is for the user; null for others.</param>
    public static int Run(RootCommand root, ProgramHelp help, string[] args, Func<ParseResult, (string Problem, int ExitCode)?> obstacle, Func<Exception, int?> exitCode)
    {
        if (!BuildInformation.IsKubectlPlugin)
        {
            root.Subcommands.Add(CompletionCommand.Create(root));
            root.Subcommands.Add(ManualCommand.Create(root, help));
        }
        BuildInformation.UseForVersion(root);
        help.UseFor(root);
        // A path, or a command for the lab, may begin with an @.
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var problems = GivenValues.Problems(parsed);
        if (problems.Count > 0)
        {
            foreach (var line in args.Length == 0 ? help.FirstSteps() : [])
            {
                Console.Error.WriteLine(line);
            }
            foreach (var problem in args.Length == 0 ? [] : problems)
            {
                Complaint.Say(ExitCodes.Usage, problem);
            }
            var command = parsed.CommandResult.Command;
            Console.Error.WriteLine($"See '{BuildInformation.Program} {(command is RootCommand ? "" : command.Name + " ")}--help'.");
            return ExitCodes.Usage;
        }
        if (obstacle(parsed) is { } found)
        {
            return Complaint.Say(found.ExitCode, found.Problem);
        }
        try
        {
            // Without a timeout the library handles no signals: its handler ends the program with an exception when a signal comes as a command begins or ends.
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (Code(Cause(e)) is not null)
        {
            var code = Code(Cause(e))!.Value;
            return code == ExitCodes.Abandoned ? code : Complaint.Say(code, Cause(e).Message);
        }

        // A part of the library may be used for the first time when no descriptor is left.
        static Exception Cause(Exception e) => e is TypeInitializationException { InnerException: { } inner } ? Cause(inner) : e;

        // Standard output that cannot be written to, a full disk, no descriptor left.
        int? Code(Exception e) => exitCode(e) ?? (e is IOException or UnauthorizedAccessException ? ExitCodes.Failed : null);
    }
}
