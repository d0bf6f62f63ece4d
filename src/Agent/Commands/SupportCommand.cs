using System.CommandLine;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Running;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent support</c>: the features of this kernel and these privileges, the missing ones, and the datapath that auto
/// uses.</summary>
internal static class SupportCommand
{
    public static Command Create()
    {
        var cgroup = CommonOptions.Cgroup();
        var state = CommonOptions.StateDirectory();
        var output = OutputOption.Create();
        var command = new Command("support", "Show what this kernel and these privileges allow, and what auto uses")
        {
            cgroup, state, output,
        };
        command.SetAction(result => Execute(result.GetValue(cgroup), result.GetValue(state)!, result.GetValue(output)));
        return command;
    }

    private static int Execute(string? cgroup, string stateDirectory, OutputFormat format)
    {
        var features = FeatureProbes.Run(cgroup, stateDirectory);
        var trial = DatapathTrial.Run(cgroup);
        var report = new SupportReport(features, trial.Datapath, trial.WhyNot);
        using var output = new StreamWriter(Console.OpenStandardOutput());
        if (format == OutputFormat.Json)
        {
            report.WriteJson(output);
        }
        else
        {
            report.WriteTable(output);
        }
        return ExitCodes.Done;
    }
}
