using System.CommandLine;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent audit</c>: connections of the node that a balancer drops in their next pause. Changes
/// nothing.</summary>
internal static class AuditCommand
{
    public static Command Create()
    {
        var balancer = CommonOptions.Balancers(several: false);
        balancer.IdleTimeout.Description = "Idle timeout on the path (default: the balancer's, or as this machine's cloud has it)";
        var quiet = new Option<TimeSpan?>("--idle")
        {
            Description = "Count only connections that are quiet for at least this long (default 0s, all)",
            HelpName = "DURATION",
            CustomParser = static result =>
            {
                if (GoDuration.TryParse(result.Tokens.Count == 1 ? result.Tokens[0].Value : "", out var nanoseconds) && nanoseconds >= 0)
                {
                    return TimeSpan.FromMicroseconds(nanoseconds / 1000);
                }
                result.AddError("--idle takes a duration like 30s, or 0s");
                return null;
            },
        };
        var fail = new Option<bool>("--fail") { Description = "Exit 1 if a connection is at risk, 4 if not every namespace could be examined" };
        var policies = CommonOptions.Policies(required: false);
        policies.Description = "Also show what these policies would change: files or directories";
        var keepalive = CommonOptions.Keepalive("Also show what run with these values would change, like 240s/20s/4");
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var output = OutputOption.Create();
        var command = new Command("audit", "Show connections that a balancer would drop, by process and destination")
        {
            quiet, fail, policies, keepalive, netns, state, output,
        };
        var cluster = new ClusterArguments();
        cluster.AddForPodsTo(command);
        balancer.AddTo(command);
        var scope = new ClusterScope();
        scope.AddWithAgentsTo(command, [policies, netns, state, .. cluster.All]);
        command.AddRule(result =>
        {
            if (scope.IsWanted(result) && result.GetResult(balancer.Balancer)?.Tokens.FirstOrDefault(static token => BalancerFile.IsPath(token.Value)) is { } file)
            {
                result.AddError($"--balancer {file.Value} is a file of this machine, and --cluster asks the nodes: write --balancer NAME=TIMEOUT");
            }
        });
        command.AddRule(result =>
        {
            if (balancer.Get(result).Named is [{ IdleTimeout: null, Preset: { WhyNoTimeout: { } why, Name: var name } }])
            {
                result.AddError($"{name} {why}: write --balancer {name}=TIMEOUT, or --idle-timeout TIMEOUT");
            }
        });
        command.SetAction(async (result, stop) =>
        {
            if (scope.IsWanted(result.CommandResult))
            {
                return await scope.FindAgentsAsync(result, stop) is { } fleet
                    ? await new FleetCommand(fleet, result.GetValue(output) == OutputFormat.Json).AuditAsync(
                        ClusterScope.AsWritten(result, balancer.Balancer, balancer.IdleTimeout, quiet, keepalive), result.GetValue(fail), stop)
                    : ExitCodes.Failed;
            }
            var given = balancer.Get(result.CommandResult);
            var named = given.Named.FirstOrDefault();
            var yardstick = new AuditYardstick(
                named.Preset,
                (named.IdleTimeout ?? given.IdleTimeout)?.TotalSeconds,
                result.GetValue(quiet) ?? TimeSpan.Zero,
                Machine.Recognize());
            var sockets = new AuditedSockets();
            var survey = new NodeSurvey
            {
                Policies = result.Values(policies),
                Keepalive = result.GetValue(keepalive),
                Namespaces = result.Values(netns),
                StateDirectory = result.GetValue(state)!,
                States = TcpStates.Connections | TcpStates.Listen,
                Cluster = cluster.Read(result, default),
            };
            return survey.Take(
                sockets,
                (summary, pods) => Write(
                    new AuditReport(yardstick, sockets, summary, withPolicies: survey.HasPolicy, pods, AgentWords.Ask(survey.StateDirectory, stop)) { Policies = survey.Policies },
                    result.GetValue(fail),
                    summary.Gaps.Any(),
                    result.GetValue(output)),
                stop);
        });
        return command;
    }

    private static int Write(AuditReport report, bool fail, bool hasGaps, OutputFormat format)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        if (format == OutputFormat.Json)
        {
            report.WriteJson(output);
        }
        else
        {
            report.WriteTable(output);
        }
        // If not every namespace was examined, an audit without connections at risk proves nothing.
        return (fail, report.AtRisk > 0, hasGaps) switch
        {
            (true, true, _) => ExitCodes.InvalidInput,
            (true, false, true) => ExitCodes.Failed,
            _ => ExitCodes.Done,
        };
    }
}
