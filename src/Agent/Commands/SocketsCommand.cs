using System.CommandLine;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Reports;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent sockets</c>: every TCP socket of the node with its actual values. Changes nothing.</summary>
internal static class SocketsCommand
{
    private const TcpStates All = TcpStates.Connections | TcpStates.Listen | TcpStates.TimeWait;

    public static Command Create()
    {
        var policies = CommonOptions.Policies(required: false);
        var keepalive = CommonOptions.Keepalive("As with run: values of all other connections");
        var existing = CommonOptions.Existing();
        var side = CommonOptions.Side();
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var output = OutputOption.Create();
        var command = new Command("sockets", "Show every TCP socket with its keepalive values, timer, process and rule")
        {
            policies, keepalive, existing, side, netns, state, output,
        };
        var cluster = new ClusterArguments();
        cluster.AddForPodsTo(command);
        var scope = new ClusterScope();
        scope.AddWithAgentsTo(command, [policies, netns, state, .. cluster.All]);
        command.SetAction(async (result, stop) =>
        {
            if (scope.IsWanted(result.CommandResult))
            {
                return await scope.FindAgentsAsync(result, stop) is { } fleet
                    ? await new FleetCommand(fleet, result.GetValue(output) == OutputFormat.Json).SocketsAsync(ClusterScope.AsWritten(result, keepalive, existing, side), stop)
                    : ExitCodes.Failed;
            }
            var list = new SocketList();
            var directory = result.GetValue(state)!;
            var survey = new NodeSurvey
            {
                Policies = result.Values(policies),
                Keepalive = result.GetValue(keepalive),
                Existing = result.GetValue(existing),
                Side = result.GetValue(side),
                Namespaces = result.Values(netns),
                StateDirectory = directory,
                States = All,
                Cluster = cluster.Read(result, default),
            };
            return survey.Take(
                list,
                (_, pods) =>
                {
                    list.Agent = AgentWords.Ask(directory, stop);
                    return Write(list, result.GetValue(output), pods);
                },
                stop);
        });
        return command;
    }

    private static int Write(SocketList list, OutputFormat format, PodDirectory? pods)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        if (format == OutputFormat.Json)
        {
            list.WriteJson(output, pods);
        }
        else
        {
            list.WriteTable(output, pods);
        }
        return ExitCodes.Done;
    }
}
