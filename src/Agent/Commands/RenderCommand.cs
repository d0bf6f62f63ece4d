using System.CommandLine;
using Keepalive.Config;
using Keepalive.Config.Rendering;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent render PATH…</c>: the Istio DestinationRules that correspond to ConnectionPolicies.</summary>
internal static class RenderCommand
{
    public static Command Create()
    {
        var paths = CommonOptions.PolicyPaths();
        var command = new Command("render", "Convert ConnectionPolicies to Istio DestinationRules, as YAML") { paths };
        var cluster = new ClusterScope(paths);
        cluster.AddTo(command);
        paths.Arity = ArgumentArity.ZeroOrMore;
        command.AddRule(result =>
        {
            if (!cluster.IsWanted(result) && result.GetResult(paths) is null or { Tokens.Count: 0 })
            {
                result.AddError("give policy files, or --cluster to read a cluster");
            }
        });
        command.SetAction(async (result, stop) =>
        {
            var input = await ClusterInput.LoadAsync(cluster, result, result.GetValue(paths) ?? [], Side.Client, stop);
            // The objects of a cluster are independent of each other; files are one unit.
            var isValid = input.Report();
            if (!isValid && !cluster.IsWanted(result.CommandResult))
            {
                return ExitCodes.InvalidInput;
            }
            var (text, leftOut) = DestinationRuleText.Write(input.Compiled);
            foreach (var line in leftOut)
            {
                Complaint.Say($"left out: {line}");
            }
            var rules = input.Read.Resources.All.OfType<DestinationRule>().ToList();
            if (text.Length == 0)
            {
                Complaint.Say(rules.Count == 0 ? "no DestinationRule corresponds to these policies"
                    : "these policies are DestinationRules already, which Istio's proxies apply as they are; ConnectionPolicies are converted");
            }
            foreach (var rule in rules.Where(rule => !rule.IsWildcard && text.Contains($"\n  host: {rule.FullHost}\n", StringComparison.Ordinal)))
            {
                Complaint.Say($"{rule.RuleName} is for the same host as one of these: merge the two, because Istio uses one DestinationRule for a host");
            }
            await result.InvocationConfiguration.Output.WriteAsync(text.AsMemory(), stop);
            return isValid ? ExitCodes.Done : ExitCodes.InvalidInput;
        });
        return command;
    }
}
