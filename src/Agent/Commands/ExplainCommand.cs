using System.CommandLine;
using System.Net;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent explain PATH… --to ADDR:PORT</c>: the rule that applies to a connection, and why the others do
/// not.</summary>
internal static class ExplainCommand
{
    public static Command Create()
    {
        var paths = CommonOptions.PolicyPaths();
        paths.Arity = ArgumentArity.ZeroOrMore;
        var keepalive = CommonOptions.Keepalive("As with run: values of all other connections");
        var to = EndpointOption("--to", "Remote end of the connection, ADDR:PORT or [IPV6]:PORT", portRequired: true);
        to.Required = true;
        var from = EndpointOption("--from", "Local end, ADDR or ADDR:PORT; used with --side both only", portRequired: false);
        var pod = PodOption();
        var side = CommonOptions.Side();
        var output = OutputOption.Create();
        var command = new Command("explain", "Show which rule applies to a connection, and why the others do not")
        {
            paths, to, from, pod, side, keepalive, output,
        };
        command.AddRule(result =>
        {
            if (result.GetResult(paths) is null or { Tokens.Count: 0 } && result.GetResult(keepalive) is null)
            {
                result.AddError("give policy files, --keepalive, or both");
            }
        });
        command.SetAction(async (result, stop) =>
        {
            var input = await PolicyInput.LoadAsync(result.GetValue(paths) ?? [], result.GetValue(side), stop, result.GetValue(keepalive));
            if (!input.Report())
            {
                return ExitCodes.InvalidInput;
            }
            var (remote, local) = (result.GetValue(to)!.Value, result.GetValue(from));
            var policy = result.GetValue(pod) is { } workload ? input.Compiled.Policy.For(workload) : input.Compiled.Policy;
            var report = new ExplanationReport(
                input.Compiled, Explanation.Of(policy, local ?? Endpoint.From(IPAddress.IPv6Any, 0), remote), remote, local);
            var text = result.GetValue(output) == OutputFormat.Json ? report.ToJson() : report.ToText();
            await result.InvocationConfiguration.Output.WriteAsync(text.AsMemory(), stop);
            return ExitCodes.Done;
        });
        return command;
    }

    private static Option<ClientWorkload?> PodOption() => new("--pod")
    {
        Description = "The connecting pod, for policies with keepalive-agent/from: namespace=shop,app=web",
        HelpName = "KEY=VALUE",
        CustomParser = static result =>
        {
            var pairs = (result.Tokens.Count == 1 ? result.Tokens[0].Value : "").Split(',').Select(static pair => pair.Split('=', 2, StringSplitOptions.TrimEntries)).ToList();
            if (pairs.TrueForAll(static pair => pair is [{ Length: > 0 }, _]) && pairs.Find(static pair => pair[0] == WorkloadSelector.NamespaceKey) is [_, { Length: > 0 } ns])
            {
                return new ClientWorkload(ns, pairs.Where(static pair => pair[0] != WorkloadSelector.NamespaceKey).Select(static pair => KeyValuePair.Create(pair[0], pair[1])));
            }
            result.AddError($"--pod takes the pod's namespace and labels like namespace=shop,app=web, not '{(result.Tokens.Count == 1 ? result.Tokens[0].Value : "")}'");
            return null;
        },
    };

    private static Option<Endpoint?> EndpointOption(string name, string description, bool portRequired) => new(name)
    {
        Description = description,
        HelpName = portRequired ? "ADDR:PORT" : "ADDR[:PORT]",
        CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (Endpoint.TryParse(text, portRequired, out var endpoint))
            {
                return endpoint;
            }
            result.AddError($"{name} takes an address and a port like 203.0.113.10:15443 or [2001:db8::1]:443, not '{text}'");
            return null;
        },
    };
}
