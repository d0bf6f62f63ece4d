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

/// <summary><c>keepalive-agent audit</c>: which quiet connections of the node a balancer would forget now. Changes nothing.</summary>
internal static class AuditCommand
{
    /// <summary>The idle timeout to hold against where no balancer is named: what AWS's load balancers and NAT gateways have.</summary>
    private const int DefaultIdleTimeout = 350;

    private static readonly TimeSpan DefaultQuiet = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        var balancer = CommonOptions.Balancers(several: false);
        var idleTimeout = CommonOptions.IdleTimeout();
        idleTimeout.Description = $"After how long a balancer forgets a connection; default that of --balancer, or {DefaultIdleTimeout}s";
        var quiet = new Option<TimeSpan?>("--idle")
        {
            Description = $"Only what was quiet for at least this long is at risk (default {DefaultQuiet.TotalSeconds}s)",
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
        var fail = new Option<bool>("--fail") { Description = "Exit with 1 when a connection is at risk" };
        var policies = CommonOptions.Policies(required: false);
        policies.Description = "Say also what these policies would change: files, or directories of *.yaml and *.yml files";
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var output = CommonOptions.Output();
        var command = new Command("audit", "Show the node's quiet connections that a balancer would forget, by process and destination")
        {
            balancer, idleTimeout, quiet, fail, policies, netns, state, output,
        };
        var cluster = new ClusterArguments();
        cluster.AddForPodsTo(command);
        command.AddRule(result =>
        {
            if (result.GetResult(balancer) is { Implicit: false } named && !named.Errors.Any() && result.GetResult(idleTimeout) is null or { Implicit: true }
                && result.GetValue(balancer) is [{ IdleTimeout: null } unset])
            {
                result.AddError($"{unset.Name} has no idle timeout until one is configured: say which with --idle-timeout");
            }
        });
        command.SetAction((result, stop) => Task.FromResult(Execute(
            new AuditYardstick(
                result.GetValue(balancer) is [{ } named] ? named : null,
                result.GetValue(idleTimeout) is { Ticks: > 0 } given ? (int)given.TotalSeconds : null,
                DefaultIdleTimeout,
                result.GetValue(quiet) ?? DefaultQuiet),
            result.Values(policies),
            result.Values(netns),
            result.GetValue(state)!,
            result.GetValue(fail),
            result.GetValue(output),
            cluster.Read(result, default),
            stop)));
        return command;
    }

    private static int Execute(
        AuditYardstick yardstick, string[] paths, string[] netns, string stateDirectory, bool fail, OutputFormat format,
        ClusterOptions? cluster, CancellationToken stop)
    {
        var policy = PolicySnapshot.Empty;
        if (paths.Length > 0)
        {
            var load = new PolicySource(paths, Side.Client, ExistingMode.Tighten, new HostResolver()).Load(stop);
            foreach (var diagnostic in load.Diagnostics.Where(static d => d.Severity != Severity.Note))
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
        using var datapath = new PidfdDatapath(TimeProvider.System, netns, directory.Inherited, state: null);
        var sockets = new AuditedSockets();
        PassSummary summary;
        try
        {
            summary = datapath.Pass(
                policy, new PassScope { Full = true, ReadAll = true, DryRun = true, States = TcpStates.Connections | TcpStates.Listen }, sockets);
        }
        catch (LinuxException e)
        {
            Console.Error.WriteLine($"keepalive-agent: {e.Message}");
            return ExitCodes.Failed;
        }
        using var pods = PodDirectory.Ask(cluster, trouble => Console.Error.WriteLine($"keepalive-agent: warning: {trouble}"), stop);
        var report = new AuditReport(yardstick, sockets, summary, withPolicies: paths.Length > 0, pods);
        using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        if (format == OutputFormat.Json)
        {
            report.WriteJson(output);
        }
        else
        {
            report.WriteTable(output);
        }
        return fail && report.AtRisk > 0 ? ExitCodes.InvalidInput : ExitCodes.Done;
    }
}
