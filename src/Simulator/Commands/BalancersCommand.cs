using System.CommandLine;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim balancers</c>: the balancers known by name, and where that is known from.</summary>
internal static class BalancersCommand
{
    public static Command Create()
    {
        var output = OutputOption.Create();
        var command = new Command("balancers", "List balancers: idle timeout, behaviour at expiry, and the source")
        {
            output,
        };
        command.SetAction(result => Execute(result.GetValue(output), result.InvocationConfiguration.Output));
        return command;
    }

    private static int Execute(OutputFormat format, TextWriter output)
    {
        if (format == OutputFormat.Json)
        {
            BalancerList.WriteJson(BalancerPresets.All, output);
        }
        else
        {
            BalancerList.WriteTable(BalancerPresets.All, output);
        }
        return ExitCodes.Done;
    }
}
