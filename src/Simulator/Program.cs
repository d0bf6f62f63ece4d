using System.CommandLine;
using Keepalive.Linux.Files;
using Keepalive.Simulator;
using Keepalive.Simulator.Commands;
using Keepalive.Simulator.Lab;

StandardStreams.Begin();
var root = new RootCommand("Shows what TCP keepalive does to connections behind idle load balancers.")
{
    BalancersCommand.Create(),
    DemoCommand.Create(),
    LabCommand.Create(),
    LabCommand.CreateInside(),
    RunCommand.Create(),
    SweepCommand.Create(),
    AdviseCommand.Create(),
};
foreach (var hidden in DemoCommand.CreateHidden())
{
    root.Subcommands.Add(hidden);
}
BuildInformation.UseForVersion(root);
// A command for the lab may well begin with an @.
var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
var problems = GivenValues.Problems(parsed);
if (problems.Count > 0)
{
    foreach (var problem in problems)
    {
        Complaint.Say(ExitCodes.Usage, problem);
    }
    var command = parsed.CommandResult.Command;
    Console.Error.WriteLine($"See 'keepalive-sim {(command is RootCommand ? "" : command.Name + " ")}--help'.");
    return ExitCodes.Usage;
}
if (!StandardStreams.HasOutput)
{
    return Complaint.Say(ExitCodes.Failed, "standard output is closed: there is nothing to write to");
}
try
{
    // Without a timeout the library handles no signals: its handler ends the program with an exception when a signal comes as a command begins or ends.
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or LabException)
{
    // Standard output that cannot be written to, no room for temporary files, no descriptor left: what happened is in the message.
    return Complaint.Say(ExitCodes.Failed, e.Message);
}
