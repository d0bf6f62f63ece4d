using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Running;
using Keepalive.Agent.Serving;
using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent explain</c>: the rule that applies to a connection and why the others do not, with <c>--to</c>; and why a
/// live socket has its values, with <c>--socket</c>.</summary>
internal static class ExplainCommand
{
    public static Command Create()
    {
        var paths = CommonOptions.PolicyPaths();
        paths.Arity = ArgumentArity.ZeroOrMore;
        paths.Description = "Policy files, directories, or -; without any, the running agent's policies";
        var keepalive = CommonOptions.Keepalive("As with run: values of all other connections");
        var to = ToOption();
        var from = FromOption();
        var pod = PodOption();
        var socket = SocketOption();
        var side = CommonOptions.Side();
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var output = OutputOption.Create();
        var command = new Command("explain", "Show which rule applies to a connection, and why the others do not")
        {
            paths, to, from, pod, socket, side, keepalive, netns, state, output,
        };
        var cluster = new ClusterArguments();
        cluster.AddForPodsTo(command);
        var scope = new ClusterScope(paths);
        scope.AddWithAgentsTo(command, [netns, state, .. cluster.All]);
        command.AddRule(result =>
        {
            var hasSocket = Given(result, socket);
            if (hasSocket == Given(result, to))
            {
                result.AddError("give one of --to ADDR:PORT and --socket COOKIE|ADDR:PORT");
                return;
            }
            if (Given(result, pod) && (result.GetResult(paths) is null or { Tokens.Count: 0 } || hasSocket))
            {
                result.AddError("--pod needs policy files and --to; the running agent knows the pods of its node");
            }
            if (hasSocket && Given(result, from))
            {
                result.AddError("--from belongs to --to; --socket finds both ends itself");
            }
            if (hasSocket && scope.IsWanted(result) && result.GetResult(paths) is { Tokens.Count: > 0 })
            {
                result.AddError("with --cluster, --socket asks the agents for their policies; policy files are on this machine");
            }
        });
        command.SetAction(async (result, stop) =>
        {
            var format = result.GetValue(output);
            var files = result.GetValue(paths) ?? [];
            var values = result.GetValue(keepalive);
            var ofCluster = scope.IsWanted(result.CommandResult);
            if (ofCluster && result.GetValue(socket) is { } everywhere)
            {
                return await scope.FindAgentsAsync(result, stop) is { } fleet
                    ? await new FleetCommand(fleet, format == OutputFormat.Json).ExplainAsync(everywhere, ClusterScope.AsWritten(result, keepalive, side), stop)
                    : ExitCodes.Failed;
            }
            var hasPolicies = ofCluster || files.Length > 0 || values is not null;
            var input = hasPolicies ? await ClusterInput.LoadAsync(scope, result, files, result.GetValue(side), stop, values) : null;
            // The objects of a cluster are independent of each other; files are one unit.
            if (input?.Report() == false && !ofCluster)
            {
                return ExitCodes.InvalidInput;
            }
            if (result.GetValue(socket) is { } wanted)
            {
                return new SocketSearch
                {
                    Wanted = wanted,
                    Input = input,
                    Policies = files,
                    Keepalive = values,
                    Side = result.GetValue(side),
                    Namespaces = result.Values(netns),
                    StateDirectory = result.GetValue(state)!,
                    Cluster = cluster.Read(result, default),
                    Output = result.InvocationConfiguration.Output,
                }.Explain(format, stop);
            }
            var (given, local) = (result.GetValue(to)!, result.GetValue(from));
            var ends = await given.ResolveAsync(stop);
            if (ends.Count == 0)
            {
                return Complaint.Say(ExitCodes.InvalidInput, $"{TerminalText.Mask(given.Host)} has no address by the resolver of this machine");
            }
            foreach (var remote in ends)
            {
                var text = input is null
                    ? AskAgent(result.GetValue(state)!, remote, local, format, stop)
                    : Explain(input, result.GetValue(pod), remote, local, format);
                if (text is null)
                {
                    return ExitCodes.Failed;
                }
                await result.InvocationConfiguration.Output.WriteAsync(text.AsMemory(), stop);
            }
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

    private static string Explain(PolicyInput input, ClientWorkload? pod, Endpoint remote, Endpoint? local, OutputFormat format)
    {
        var report = new ExplanationReport(pod is null ? input.Compiled.Policy : input.Compiled.Policy.For(pod), input.Compiled.Destinations, remote, local);
        return format == OutputFormat.Json ? report.ToJson() : report.ToText();
    }

    /// <summary>Returns the running agent's explanation; null if there is none, which is reported.</summary>
    private static string? AskAgent(string stateDirectory, Endpoint remote, Endpoint? local, OutputFormat format, CancellationToken stop)
    {
        // Another user could have put a socket into a directory that is not root's.
        try
        {
            RunDirectory.Read(stateDirectory).Dispose();
        }
        catch (IOException e)
        {
            Complaint.Say(e.Message);
            return null;
        }
        var reply = AgentClient.Explain(stateDirectory, remote.ToString(), local is { } end ? Endpoint.From(end.ToIPEndPoint()).ToString() : null, socket: null, stop);
        if (reply.Value is not { } answer)
        {
            Complaint.Say($"{reply.Problem ?? $"no agent is running here (there is no {AgentServer.SocketName} in {stateDirectory})"}; give policy files, --keepalive, or both");
            return null;
        }
        Complaint.Say($"note: policies in force in the running agent: {answer.Policies}{(answer.Complete ? "" : "; not all objects of the cluster are known yet")}");
        return format == OutputFormat.Json
            ? JsonSerializer.Serialize(answer with { Text = null, Connection = null }, ExplanationJsonContext.Readable.AgentsExplanation) + "\n"
            : string.Join('\n', (answer.Text ?? "").Split('\n').Select(TerminalText.Mask));
    }

    private static bool Given(CommandResult result, Option option) => result.GetResult(option) is { Implicit: false };

    private static Option<WantedSocket?> SocketOption() => new("--socket")
    {
        Description = "A live socket: its cookie, as 'sockets -o json' and 'ss -e' show it, or one of its ends",
        HelpName = "COOKIE|ADDR:PORT",
        CustomParser = static result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (WantedSocket.TryParse(text, out var wanted))
            {
                return wanted;
            }
            result.AddError($"--socket takes a cookie like 4711 or sk:1267, or an end like 203.0.113.10:15443, not '{text}'");
            return null;
        },
    };

    private static Option<RemoteEnd?> ToOption() => new("--to")
    {
        Description = "Remote end of the connection, ADDR:PORT, [IPV6]:PORT or HOST:PORT",
        HelpName = "ADDR:PORT|HOST:PORT",
        CustomParser = static result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (RemoteEnd.TryParse(text) is { } end)
            {
                return end;
            }
            result.AddError($"--to takes an address or a host name, and a port, like 203.0.113.10:15443, [2001:db8::1]:443 or db.example.com:5432, not '{text}'");
            return null;
        },
    };

    private static Option<Endpoint?> FromOption() => new("--from")
    {
        Description = "Local end, ADDR or ADDR:PORT; used with --side both only",
        HelpName = "ADDR[:PORT]",
        CustomParser = static result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (Endpoint.TryParse(text, portRequired: false, out var endpoint))
            {
                return endpoint;
            }
            result.AddError($"--from takes an address with or without a port, like 203.0.113.10 or [2001:db8::1]:443, not '{text}'");
            return null;
        },
    };
}
