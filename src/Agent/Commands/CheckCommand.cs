using System.CommandLine;
using System.Globalization;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Support;
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
        var connections = new Option<int>("--connections")
        {
            Description = "Number of connections for which the cost is computed",
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
        var output = WordOption.Limit(
            new Option<CheckFormat>("--output", "-o") { Description = "table (default), json: one object per line, sarif or github: for pull requests" },
            ("table", CheckFormat.Table),
            ("json", CheckFormat.Json),
            ("sarif", CheckFormat.Sarif),
            ("github", CheckFormat.GitHub));
        var command = new Command("check", "Report every problem of policy files; exit 1 if any is an error")
        {
            paths, connections, output,
        };
        balancers.AddTo(command);
        var cluster = new ClusterScope(paths);
        cluster.AddTo(command);
        paths.Arity = ArgumentArity.ZeroOrMore;
        command.AddRule(result =>
        {
            if (!cluster.IsWanted(result))
            {
                if (result.GetResult(paths) is null or { Tokens.Count: 0 })
                {
                    result.AddError("give policy files, or --cluster to read a cluster");
                }
            }
            else if (result.GetValue(output) is CheckFormat.Sarif or CheckFormat.GitHub)
            {
                result.AddError("-o sarif and -o github mark lines of files, and --cluster reads objects");
            }
        });
        command.SetAction((result, stop) => RunAsync(
            ClusterInput.LoadAsync(cluster, result, result.GetValue(paths) ?? [], Side.Client, stop),
            OnPath(balancers.Get(result.CommandResult)),
            result.GetValue(connections),
            result.GetValue(output),
            result.InvocationConfiguration.Output,
            stop));
        return command;
    }

    private static BalancerOnPath[] OnPath(GivenBalancers given) => given.IdleTimeout is { } timeout
        ? [new(BalancerPresets.Unnamed, timeout.TotalSeconds)]
        : [.. given.Named.Select(static balancer => new BalancerOnPath(balancer.Preset, balancer.IdleTimeout?.TotalSeconds))];

    private static async Task<int> RunAsync(Task<PolicyInput> loading, BalancerOnPath[] balancers, int connections, CheckFormat format,
        TextWriter output, CancellationToken cancellationToken)
    {
        var input = await loading;
        var (remarks, verdicts) = BalancerCheck.Check(input.Compiled, balancers);
        // This is a remark, never an error: the policies may be for other machines.
        var machine = balancers.Length == 0 ? Machine.Recognize() : null;
        verdicts = machine?.Balancer is { } own ? BalancerCheck.Check(input.Compiled, [new BalancerOnPath(own)]).Verdicts : verdicts;
        var report = new CheckReport(input, [.. input.Diagnostics.Concat(remarks).OrderBy(static diagnostic => diagnostic.Position)], verdicts, connections, machine);
        var text = format switch
        {
            CheckFormat.Json => report.ToJson(),
            CheckFormat.Sarif => report.ToSarif(),
            CheckFormat.GitHub => report.ToGitHub(),
            _ => report.ToText(),
        };
        await output.WriteAsync(text.AsMemory(), cancellationToken);
        return report.HasErrors ? ExitCodes.InvalidInput : ExitCodes.Done;
    }
}
