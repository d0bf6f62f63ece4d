using System.CommandLine;
using System.Globalization;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Config.Balancers;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent check PATH…</c>: the problems of policy files, and their effect on this host.</summary>
internal static class CheckCommand
{
    private const int DefaultConnections = 1000;

    internal static Command Create()
    {
        var paths = CommonOptions.PolicyPaths();
        var balancers = CommonOptions.Balancers(several: true);
        var idleTimeout = CommonOptions.IdleTimeout();
        var connections = new Option<int>("--connections")
        {
            Description = "Number of connections for which --balancer computes the cost",
            HelpName = "N",
            DefaultValueFactory = _ => DefaultConnections,
            CustomParser = static result =>
            {
                if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
                {
                    return count;
                }
                result.AddError($"--connections takes a number from 1 to {int.MaxValue}, not '{string.Concat(result.Tokens.Select(static t => t.Value))}'");
                return 0;
            },
        };
        var output = OutputOption.Create();
        var command = new Command("check", "Report every problem of policy files; exit 1 if any is an error")
        {
            paths, balancers, idleTimeout, connections, output,
        };
        command.AddRule(result =>
        {
            if (result.GetResult(idleTimeout) is { Implicit: false } && result.GetResult(balancers) is null or { Implicit: true })
            {
                result.AddError("--idle-timeout needs --balancer");
            }
        });
        command.SetAction((result, stop) => RunAsync(
            result.GetValue(paths) ?? [],
            result.GetValue(balancers) ?? [],
            result.GetValue(idleTimeout) is { Ticks: > 0 } given ? (int)given.TotalSeconds : null,
            result.GetValue(connections),
            result.GetValue(output) == OutputFormat.Json,
            result.InvocationConfiguration.Output,
            stop));
        return command;
    }

    private static async Task<int> RunAsync(string[] paths, BalancerPreset[] balancers, int? idleTimeout, int connections, bool json,
        TextWriter output, CancellationToken cancellationToken)
    {
        var input = await PolicyInput.LoadAsync(paths, Side.Client, cancellationToken);
        var (remarks, verdicts) = BalancerCheck.Check(input.Compiled, balancers, idleTimeout);
        var report = new CheckReport(input, [.. input.Diagnostics.Concat(remarks).OrderBy(static diagnostic => diagnostic.Position)], verdicts, connections);
        await output.WriteAsync((json ? report.ToJson() : report.ToText()).AsMemory(), cancellationToken);
        return report.HasErrors ? ExitCodes.InvalidInput : ExitCodes.Done;
    }
}
