using System.CommandLine;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Support;
using Keepalive.Agent.Top;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent top</c>: the node's connections, live. Changes nothing.</summary>
internal static class TopCommand
{
    public static Command Create()
    {
        var once = new Option<bool>("--once") { Description = "Print one frame with all rows and end; also in a pipe" };
        var every = DurationOption.Create("--every", "Time between two refreshes (default 1s)", TimeSpan.FromMilliseconds(500), TimeSpan.FromHours(1));
        var balancer = CommonOptions.Balancers(several: false);
        balancer.IdleTimeout.Description = "Survey: idle timeout on the path (default: the balancer's, or as this machine's cloud has it)";
        var netns = CommonOptions.Namespaces();
        netns.Description = "Survey: " + char.ToLowerInvariant(netns.Description![0]) + netns.Description[1..];
        var state = CommonOptions.StateDirectory();
        var output = OutputOption.Create();
        var command = new Command("top", "Show the connections of this node live: unprotected ones, probes, endpoints") { once, every, netns, state, output };
        balancer.AddTo(command);
        command.AddRule(result =>
        {
            if (balancer.Get(result).Named is [{ IdleTimeout: null, Preset: { WhyNoTimeout: { } why, Name: var name } }])
            {
                result.AddError($"{name} {why}: write --balancer {name}=TIMEOUT, or --idle-timeout TIMEOUT");
            }
        });
        command.SetAction((result, stop) =>
        {
            var given = balancer.Get(result.CommandResult);
            var named = given.Named.FirstOrDefault();
            var options = new TopOptions
            {
                StateDirectory = result.GetValue(state)!,
                Namespaces = result.Values(netns),
                Yardstick = new AuditYardstick(named.Preset, (named.IdleTimeout ?? given.IdleTimeout)?.TotalSeconds, TimeSpan.Zero, Machine.Recognize()),
                Every = result.GetValue(every) is { Ticks: > 0 } asked ? asked : TimeSpan.FromSeconds(1),
            };
            return Task.FromResult(Run(options, result.GetValue(once), result.GetValue(output), stop));
        });
        return command;
    }

    private static int Run(TopOptions options, bool once, OutputFormat format, CancellationToken stop)
    {
        if (!Privileges.CheckNamespaces(options.Namespaces, Console.Error))
        {
            return ExitCodes.Usage;
        }
        // A pipe gets what it can use: one frame.
        if (once || format == OutputFormat.Json || Console.IsOutputRedirected)
        {
            return TopOnce.Run(options, format, TimeProvider.System, stop);
        }
        return Environment.GetEnvironmentVariable("TERM") is null or "" or "dumb"
            ? Complaint.Say(ExitCodes.Usage, "this terminal cannot show a live view (TERM is unset or dumb): use --once")
            : new TopScreen(options, TimeProvider.System).Run();
    }
}
