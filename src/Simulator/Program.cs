using System.CommandLine;
using Keepalive.Linux.Files;
using Keepalive.Simulator.Commands;
using Keepalive.Simulator.Lab;

StandardStreams.Begin();
var root = new RootCommand("Shows what TCP keepalive does to connections behind idle load balancers.")
{
    BalancersCommand.Create(),
    DemoCommand.Create(),
    LabCommand.Create(),
    LabCommand.CreateInside(),
    RunScenarioCommand.Create(),
    SweepCommand.Create(),
    MergeCommand.Create(),
    AdviseCommand.Create(),
    DiscoverCommand.Create(),
};
foreach (var hidden in DemoCommand.CreateHidden())
{
    root.Subcommands.Add(hidden);
}
return CommandLineProgram.Run(
    root,
    SimulatorHelp.Pages,
    args,
    static _ => StandardStreams.HasOutput ? null : ("standard output is closed", ExitCodes.Failed),
    static e => e is LabException ? ExitCodes.Failed : null);
