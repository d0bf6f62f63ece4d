using System.CommandLine;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Support;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent support</c>: what this kernel and these privileges allow, what is missing, and which datapath follows.</summary>
internal static class SupportCommand
{
    public static Command Create()
    {
        var cgroup = CommonOptions.Cgroup();
        var output = CommonOptions.Output();
        var command = new Command("support", "Show what this kernel and these privileges allow, and which datapath auto takes")
        {
            cgroup, output,
        };
        command.SetAction(result => Execute(result.GetValue(cgroup), result.GetValue(output)));
        return command;
    }

    private static int Execute(string? cgroup, OutputFormat format)
    {
        var features = FeatureProbes.Run(cgroup);
        var report = new SupportReport(features, BpfRequirements.WhyNotByDefault());
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
