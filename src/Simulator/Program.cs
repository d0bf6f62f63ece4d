using System.CommandLine;
using System.Text;
using Keepalive.Simulator;
using Keepalive.Simulator.Commands;

Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
var root = new RootCommand("Shows what TCP keepalive does to connections behind idle load balancers.")
{
    BalancersCommand.Create(),
    DemoCommand.Create(),
    DemoCommand.CreateInside(),
    LabCommands.CreateClient(),
    LabCommands.CreateServer(),
};
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors)
    {
        Console.Error.WriteLine($"keepalive-sim: {error.Message}");
    }
    var command = parsed.CommandResult.Command;
    Console.Error.WriteLine($"See 'keepalive-sim {(command is RootCommand ? "" : command.Name + " ")}--help'.");
    return ExitCodes.Usage;
}
return parsed.Invoke();
