using System.CommandLine;
using System.Net;
using Keepalive.Agent.Running;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent run</c>.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var policies = CommonOptions.Policies(required: true);
        var listen = Listen();
        var interval = CommonOptions.Duration(
            "--interval", "Time between two passes (default 5s)", least: TimeSpan.FromMilliseconds(100), most: TimeSpan.FromHours(1));
        var datapath = CommonOptions.Words(
            new Option<DatapathKind>("--datapath") { Description = "How sockets are reached (default auto: bpf where it can be had)" },
            ("auto", DatapathKind.Auto),
            ("bpf", DatapathKind.Bpf),
            ("pidfd", DatapathKind.Pidfd));
        var cgroup = CommonOptions.Cgroup();
        var existing = CommonOptions.Existing();
        var side = CommonOptions.Side();
        var dryRun = new Option<bool>("--dry-run") { Description = "Say what would be done and change nothing" };
        var once = new Option<bool>("--once") { Description = "One pass, then exit; 4 when a selected socket could not be set" };
        var restore = new Option<bool>("--restore-on-exit") { Description = "Give every socket its application's values back when stopping" };
        var capture = CommonOptions.Words(
            new Option<string?>("--capture") { Description = "Capture probes and replies to verify liveness (default on)" }, ("on", "on"), ("off", "off"));
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var log = CommonOptions.Words(
            new Option<OutputFormat>("--log-format") { Description = "Form of the log on standard error (default text)" },
            ("text", OutputFormat.Table),
            ("json", OutputFormat.Json));
        var command = new Command("run", "Set keepalive on the node's sockets by policy, and keep it set")
        {
            policies, listen, interval, datapath, cgroup, existing, side, dryRun, once, restore, capture, netns, state, log,
        };
        command.AddRule(result =>
        {
            if (result.GetValue(once) && result.GetResult(log) is { Implicit: false })
            {
                result.AddError("--log-format is for the service's log; --once prints lines of its own");
            }
        });
        command.SetAction(result => AgentRun.Execute(new RunOptions
        {
            Policies = result.Values(policies),
            Listen = result.GetValue(listen) is { } given ? given.EndPoint : new IPEndPoint(IPAddress.Any, 9464),
            Interval = result.GetValue(interval) is { Ticks: > 0 } time ? time : TimeSpan.FromSeconds(5),
            Datapath = result.GetValue(datapath),
            Cgroup = result.GetValue(cgroup),
            Existing = result.GetValue(existing),
            Side = result.GetValue(side),
            DryRun = result.GetValue(dryRun),
            Once = result.GetValue(once),
            RestoreOnExit = result.GetValue(restore),
            Capture = result.GetValue(capture) is { } word ? word == "on" : null,
            Namespaces = result.Values(netns),
            StateDirectory = result.GetValue(state)!,
            JsonLog = result.GetValue(log) == OutputFormat.Json,
        }));
        return command;
    }

    private static Option<ListenAddress?> Listen() => new("--listen")
    {
        Description = "Address of /metrics, or none (default 0.0.0.0:9464)",
        HelpName = "ADDR:PORT",
        CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (text == "none")
            {
                return new ListenAddress(null);
            }
            if (text.Contains(':', StringComparison.Ordinal) && IPEndPoint.TryParse(text, out var address))
            {
                return new ListenAddress(address);
            }
            result.AddError($"--listen takes ADDR:PORT like 127.0.0.1:9464, or none, not '{text}'");
            return null;
        },
    };

    private sealed record ListenAddress(IPEndPoint? EndPoint);
}
