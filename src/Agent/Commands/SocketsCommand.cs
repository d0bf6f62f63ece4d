using System.CommandLine;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Destinations;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Running;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent sockets</c>: every TCP socket of the node with the values it really has. Changes nothing.</summary>
internal static class SocketsCommand
{
    private const TcpStates All = TcpStates.Connections | TcpStates.Listen | TcpStates.TimeWait;

    public static Command Create()
    {
        var policies = CommonOptions.Policies(required: false);
        var existing = CommonOptions.Existing();
        var side = CommonOptions.Side();
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var output = CommonOptions.Output();
        var command = new Command("sockets", "Show every TCP socket on the node with its keepalive values, timer, owner and rule")
        {
            policies, existing, side, netns, state, output,
        };
        var cluster = new ClusterArguments();
        cluster.AddForPodsTo(command);
        command.SetAction((result, stop) => Task.FromResult(Execute(
            result.Values(policies),
            result.GetValue(existing),
            result.GetValue(side),
            result.Values(netns),
            result.GetValue(state)!,
            result.GetValue(output),
            cluster.Read(result, default),
            stop)));
        return command;
    }

    private static int Execute(
        string[] paths, ExistingMode existing, Side side, string[] netns, string stateDirectory, OutputFormat format,
        ClusterOptions? cluster, CancellationToken stop)
    {
        var policy = PolicySnapshot.Empty;
        if (paths.Length > 0)
        {
            var load = new PolicySource(paths, side, existing, new HostResolver()).Load(stop);
            foreach (var diagnostic in load.Diagnostics.Where(d => d.Severity != Severity.Note))
            {
                Console.Error.WriteLine(diagnostic);
            }
            if (load.Snapshot is null)
            {
                return ExitCodes.InvalidInput;
            }
            policy = load.Snapshot;
        }
        if (!Privileges.Check(Console.Error))
        {
            return ExitCodes.NotPermitted;
        }
        if (!Privileges.CheckNamespaces(netns, Console.Error))
        {
            return ExitCodes.Usage;
        }
        using var directory = RunDirectory.Read(stateDirectory);
        directory.Warnings.ForEach(warning => Console.Error.WriteLine($"keepalive-agent: warning: {warning}"));
        using var datapath = new PidfdDatapath(TimeProvider.System, netns, directory.Inherited, state: null);
        using var pods = PodDirectory.Ask(cluster, trouble => Console.Error.WriteLine($"keepalive-agent: warning: {trouble}"), stop);
        var list = new SocketList(pods);
        try
        {
            datapath.Pass(policy, new PassScope { Full = true, ReadAll = true, DryRun = true, States = All }, list);
        }
        catch (LinuxException e)
        {
            Console.Error.WriteLine($"keepalive-agent: {e.Message}");
            return ExitCodes.Failed;
        }
        using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        if (format == OutputFormat.Json)
        {
            list.WriteJson(output);
        }
        else
        {
            list.WriteTable(output);
        }
        return ExitCodes.Done;
    }
}
