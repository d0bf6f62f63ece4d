using System.CommandLine;
using System.Net;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Running;
using Keepalive.Agent.Serving;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent run</c>.</summary>
internal static class RunCommand
{
    public const string Name = "run";

    /// <summary>The option for a single pass, which prints its changes.</summary>
    public const string Once = "--once";

    private const int DefaultPort = 9464;

    public static Command Create()
    {
        var policies = CommonOptions.Policies(required: false);
        var keepalive = CommonOptions.Keepalive("Time, interval, probes of all other connections, like 240s/20s/4");
        var cluster = new ClusterArguments();
        var own = PodAnnotations();
        var listen = Listen();
        var local = ListenLocal();
        var checks = AgentChecks();
        var interval = DurationOption.Create(
            "--interval", "Time between two passes (default 5s)", least: TimeSpan.FromMilliseconds(100), most: TimeSpan.FromHours(1));
        var datapath = WordOption.Limit(
            new Option<DatapathKind>("--datapath") { Description = "How sockets are set (default auto: bpf if available)" },
            ("auto", DatapathKind.Auto),
            ("bpf", DatapathKind.Bpf),
            ("pidfd", DatapathKind.Pidfd));
        var cgroup = CommonOptions.Cgroup();
        var existing = CommonOptions.Existing();
        var side = CommonOptions.Side();
        var dryRun = new Option<bool>("--dry-run") { Description = "Print the changes without making them" };
        var once = new Option<bool>(Once) { Description = "One pass, then exit; 4 if a selected socket could not be set" };
        var restore = new Option<bool>("--restore-on-exit") { Description = "Restore the applications' own values when stopping" };
        var capture = WordOption.Limit(
            new Option<string?>("--capture") { Description = "Capture probes and replies to verify liveness (default on)" }, ("on", "on"), ("off", "off"));
        var netns = CommonOptions.Namespaces();
        var state = CommonOptions.StateDirectory();
        var data = new Option<string?>("--data-dir")
        {
            Description = $"Last good policies, or none (default {CommonOptions.DefaultDataDirectory})",
            HelpName = "DIR",
        };
        var log = WordOption.Limit(
            new Option<OutputFormat>("--log-format") { Description = "Format of the log on standard error (default text)" },
            ("text", OutputFormat.Table),
            ("json", OutputFormat.Json));
        var level = WordOption.Limit(
            new Option<LogLevel?>("--log-level") { Description = "Lowest level logged (default information; debug: all changes)" },
            ("debug", LogLevel.Debug),
            ("information", LogLevel.Information),
            ("warning", LogLevel.Warning),
            ("error", LogLevel.Error));
        var command = new Command(Name, "Set keepalive on the node's sockets by policy, and keep it set")
        {
            policies, keepalive, listen, local, checks, interval, datapath, cgroup, existing, side, dryRun, once, restore, capture, netns, state, data, log, level,
        };
        cluster.AddTo(command);
        command.Options.Add(own);
        command.AddRule(result =>
        {
            if (result.GetResult(policies) is null && result.GetResult(keepalive) is null && !cluster.HasApi(result))
            {
                result.AddError("Option '--policies' or '--keepalive' is required outside a cluster.");
            }
            if (result.GetResult(own) is not null && !cluster.HasPods(result))
            {
                result.AddError($"{own.Name} needs the pods of the cluster's API, and the node's name: give --node-name or the variable NODE_NAME");
            }
            foreach (var (option, what) in ((Option, string)[])[(log, "log"), (level, "log"), (local, "pages"), (checks, "agent checks"), (data, "policies")])
            {
                if (result.GetValue(once) && result.GetResult(option) is { Implicit: false })
                {
                    result.AddError($"{option.Name} is for the service's {what}; it has no effect with --once");
                }
            }
            // The other values of --datapath check the cgroup at the start, and report the problem.
            if (result.GetValue(datapath) == DatapathKind.Pidfd && result.GetValue(cgroup) is { Length: > 0 } given
                && BpfRequirements.WrongCgroup(given) is { } wrong)
            {
                result.AddError($"--cgroup: {wrong}");
            }
        });
        command.SetAction(result => AgentRun.Execute(Read(result)));
        return command;

        RunOptions Read(ParseResult result)
        {
            var (isOnce, isDryRun) = (result.GetValue(once), result.GetValue(dryRun));
            var (paths, namespaces) = (result.Values(policies), result.Values(netns));
            bool? captures = result.GetValue(capture) is { } word ? word == "on" : null;
            return new RunOptions
            {
                Start = new StartOptions
                {
                    Once = isOnce,
                    NeedsCluster = isOnce && paths.Length == 0 && result.GetValue(keepalive) is null,
                    NeedsCapture = !isOnce && captures == true,
                    Namespaces = namespaces,
                },
                Log = new LogOptions(result.GetValue(log) == OutputFormat.Json, result.GetValue(level) ?? LogLevel.Information),
                Policies = new PolicyOptions
                {
                    Paths = paths,
                    Side = result.GetValue(side),
                    Existing = result.GetValue(existing),
                    Keepalive = result.GetValue(keepalive),
                    KnowsPods = cluster.HasPods(result.CommandResult),
                    AllowsOwn = result.GetValue(own) is not null,
                },
                Cluster = cluster.Read(result, result.GetValue(side)) is { } read ? read with { LeastOfPods = result.GetValue(own) } : null,
                State = new StateOptions
                {
                    Directory = result.GetValue(state)!,
                    DataDirectory = isOnce ? null : DataDirectory(result.GetValue(data), result.GetValue(state)!),
                    ReadOnly = isOnce && isDryRun,
                    RecordsChanges = !isDryRun,
                },
                Datapath = new DatapathRequest(result.GetValue(datapath), result.GetValue(cgroup), namespaces, Attach: !isOnce && !isDryRun),
                Capture = new CaptureOptions(captures),
                Passes = new PassOptions
                {
                    Interval = result.GetValue(interval) is { Ticks: > 0 } time ? time : TimeSpan.FromSeconds(5),
                    DryRun = isDryRun,
                    RestoreOnExit = result.GetValue(restore),
                },
                Addresses = new ListenAddresses
                {
                    Listen = result.GetValue(listen) is { } given ? given.EndPoint : ListenAddress.Every(DefaultPort),
                    ListenLocal = result.GetValue(local),
                    AgentChecks = result.GetValue(checks) ?? [],
                },
            };
        }
    }

    /// <summary>An agent with a state directory of its own has a data directory of its own: two agents never write to the same one.</summary>
    private static string? DataDirectory(string? given, string state) => given switch
    {
        "none" => null,
        null => state == CommonOptions.DefaultStateDirectory ? CommonOptions.DefaultDataDirectory : Path.Combine(state, "data"),
        _ => given,
    };

    /// <summary>The least time and interval of pods' own values; null if pods may not choose any. Probes do not count.</summary>
    private static Option<KeepaliveSettings?> PodAnnotations() => new("--pod-annotations")
    {
        Description = "Pods may choose their own values: least time and interval",
        HelpName = "T/I",
        CustomParser = static result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (KeepaliveText.TryParse(text + "/1", out var least, out _))
            {
                return least;
            }
            result.AddError($"--pod-annotations takes TIME/INTERVAL of whole seconds like 30s/5s, not '{text}'");
            return null;
        },
    };

    private static Option<GivenAddress?> Listen() => new("--listen")
    {
        Description = "Address of /metrics and health, or none (default [::]:9464)",
        HelpName = "ADDR:PORT",
        // The last one counts: OPTIONS of the systemd unit come behind the unit's own.
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            foreach (var token in result.Tokens.Where(static token => token.Value != "none" && ListenAddress.Parse(token.Value) is null))
            {
                result.AddError($"--listen takes ADDR:PORT like 127.0.0.1:9464 or [::1]:9464, :PORT for every address, or none, not '{token.Value}'");
            }
            return result.Tokens is [.., { Value: var last }] ? new GivenAddress(last == "none" ? null : ListenAddress.Parse(last)) : null;
        },
    };

    private static Option<IPEndPoint?> ListenLocal() => new("--listen-local")
    {
        Description = "Loopback address that also serves /sockets and /destinations",
        HelpName = "ADDR:PORT",
        CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (ListenAddress.Parse(text) is { } address && IPAddress.IsLoopback(address.Address))
            {
                return address;
            }
            result.AddError($"--listen-local takes a loopback address and a port like 127.0.0.1:9465 or [::1]:9465, not '{text}': it serves the connections of every tenant");
            return null;
        },
    };

    private static Option<IPEndPoint[]?> AgentChecks() => new("--agent-check")
    {
        Description = "Address that answers HAProxy's agent-check; may be repeated",
        HelpName = "ADDR:PORT",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            var addresses = result.Tokens.Select(token => (token.Value, Address: ListenAddress.Parse(token.Value))).ToList();
            foreach (var (text, _) in addresses.Where(a => a.Address is null))
            {
                result.AddError($"--agent-check takes ADDR:PORT like 127.0.0.1:9777 or [::1]:9777, or :PORT for every address, not '{text}'");
            }
            return [.. addresses.Select(a => a.Address).OfType<IPEndPoint>()];
        },
    };

    /// <param name="EndPoint">Null for <c>none</c>.</param>
    private sealed record GivenAddress(IPEndPoint? EndPoint);
}
