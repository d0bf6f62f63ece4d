using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>audit</c>: connections grouped by process and destination, those at risk first.</summary>
internal sealed class AuditReport
{
    private readonly AuditYardstick _yardstick;
    private readonly PassSummary _summary;
    private readonly bool _withPolicies;
    private readonly bool _withAgent;
    private readonly bool _withPods;
    private readonly int _local;
    private readonly List<Group> _groups;
    private readonly Dictionary<int, string> _commands = [];

    /// <param name="yardstick">The criteria.</param>
    /// <param name="sockets">The connections.</param>
    /// <param name="summary">The pass that found them.</param>
    /// <param name="withPolicies">Whether the command line has policies, whose effect is shown.</param>
    /// <param name="pods">Finds pods; null without a cluster.</param>
    /// <param name="agent">The running agent's word about the sockets of its policies; null if no agent answered.</param>
    public AuditReport(
        AuditYardstick yardstick, AuditedSockets sockets, PassSummary summary, bool withPolicies, PodDirectory? pods = null,
        IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? agent = null)
    {
        _withPods = pods is not null;
        _withAgent = agent is not null;
        (_yardstick, _summary, _withPolicies, _local) = (yardstick, summary, withPolicies, sockets.Local);
        // One end that probes is enough, and both may be here.
        var kept = sockets.Connections.Where(record => yardstick.Judge(in record) == AuditFinding.Kept)
            .Select(static record => (record.Remote, record.Local)).ToHashSet();
        var groups = new Dictionary<GroupKey, Group>();
        foreach (var record in sockets.Connections)
        {
            var accepted = sockets.IsAccepted(in record);
            var finding = yardstick.Judge(in record);
            if (finding is (AuditFinding.NoKeepalive or AuditFinding.TooLate) && kept.Contains((record.Local, record.Remote)))
            {
                finding = AuditFinding.KeptByPeer;
            }
            var key = new GroupKey(
                record.Namespace,
                Command(record.Pid),
                accepted,
                accepted ? record.Local : record.Remote,
                record.Actual,
                finding,
                record.HasShortActualUserTimeout || record.Actual is { Enabled: false } ? record.ActualUserTimeout : 0,
                Selected(in record, finding, agent),
                record.Rule?.Policy ?? (agent?.TryGetValue((record.Namespace, record.Cookie), out var word) == true ? SocketList.Policy(word, record.State) : null),
                pods?.Find(in record));
            ref var group = ref CollectionsMarshal.GetValueRefOrAddDefault(groups, key, out _);
            (group ??= new Group(key)).Add(in record, yardstick.IsQuiet(in record));
        }
        _groups =
        [
            .. groups.Values.OrderByDescending(static group => group.AtRisk).ThenByDescending(static group => group.Connections)
                .ThenBy(static group => group.Key.Command, StringComparer.Ordinal).ThenBy(static group => group.Key.End.ToString(), StringComparer.Ordinal),
        ];
    }

    /// <summary>The policy files that were compared with the connections.</summary>
    public IReadOnlyList<string> Policies { get; init; } = [];

    /// <summary>Connections that are not kept, and quiet if the criteria say so.</summary>
    public int AtRisk => _groups.Sum(static group => group.AtRisk);

    private int Unknown => _groups.Where(static group => group.Key.Finding == AuditFinding.Unknown && group.Pids.Count == 0).Sum(static group => group.Connections);

    private int WouldSet => _groups.Sum(static group => group.WouldSet);

    public void WriteTable(TextWriter output)
    {
        if (_groups.Count > 0)
        {
            List<string> heads = ["AT RISK", "CONNECTIONS", "QUIET FOR", "PROCESS", "DESTINATION", "KEEPALIVE", "FINDING"];
            if (_withPolicies || _withAgent)
            {
                heads.Add("POLICY");
            }
            if (_withPods)
            {
                heads.Add("POD");
            }
            var rows = new List<string[]> { heads.ToArray() };
            rows.AddRange(_groups.Select(Row));
            TextTable.Write(output, rows);
        }
        var connections = _groups.Sum(static group => group.Connections);
        output.Write($"{Counted.Of(connections, "connection")} in {Counted.Of(_summary.Namespaces, "network namespace")}");
        output.Write(_local > 0 ? $", and {_local} within their namespace" : "");
        output.WriteLine($": {AtRisk} at risk{Against()}{(_withPolicies ? $"; the policies would set {WouldSet}" : "")}");
        if (connections == 0)
        {
            output.WriteLine("No connection was judged, so this says nothing about connections that are opened later: repeat it while the application has its connections.");
        }
        if (Unknown is > 0 and var unknown)
        {
            output.WriteLine($"Not judged: {Counted.Of(unknown, "connection")} whose values are unknown, because no process that holds "
                + $"{(unknown == 1 ? "it" : "one of them")} is visible here. Run this in the PID namespace of the host (Docker: --pid=host), as root.");
        }
        if (_yardstick.Why is { } why)
        {
            output.WriteLine($"Compared with {_yardstick.IdleTimeout}s because {why}. --balancer or --idle-timeout compares with another.");
        }
        if (_yardstick.Balancer is { Refresh: Refresh.PayloadOnly } proxy && AtRisk > 0)
        {
            output.WriteLine($"{proxy.Name} counts payload only, so TCP keepalive "
                + (proxy.DropsProbes ? "cannot help, and it stops answering probes, so that keepalive ends healthy connections: " : "cannot help: ")
                + BalancerCheck.InsteadOfKeepalive(_yardstick.IdleTimeout, proxy));
        }
        if (Protection is { } command)
        {
            var reached = Reached.Sum(static group => group.AtRisk);
            output.WriteLine($"To protect {(AtRisk == 1 ? "it" : reached == AtRisk ? "them" : $"{reached} of them")}: {command}{CutShortByProtection()}");
        }
        if (_yardstick.Advise() is { } advised)
        {
            foreach (var (fault, atRisk) in AtFault)
            {
                output.WriteLine($"{TerminalText.Mask(fault.Policy)} selects {(AtRisk == 1 ? "it" : $"{atRisk} of them")}, and run --keepalive comes after every policy. Instead, {fault.WayOut(advised)}");
            }
        }
        else if (AtRisk > 0 && _yardstick.Balancer?.Refresh != Refresh.PayloadOnly)
        {
            output.WriteLine($"TCP keepalive cannot protect {(AtRisk == 1 ? "it" : "them")}: its values are whole seconds, and no three probes are sent within "
                + $"{_yardstick.IdleTimeout}s. Instead, {BalancerCheck.InsteadOfKeepalive(_yardstick.IdleTimeout, _yardstick.Balancer)}");
        }
    }

    /// <summary>Connections at risk that the command of <see cref="Protection"/> reaches: no policy with too long values selects them.</summary>
    private IEnumerable<Group> Reached => _groups.Where(static group => group.AtRisk > 0 && group.Key.Selected is null);

    /// <summary>Policies with connections at risk that <c>--keepalive</c> does not reach, each with the way out.</summary>
    private IEnumerable<(PolicyAtFault Fault, int AtRisk)> AtFault => _groups.Where(static group => group is { AtRisk: > 0, Key.Selected: not null })
        .GroupBy(static group => group.Key.Selected!.Value).Select(static one => (one.Key, one.Sum(static group => group.AtRisk)))
        .OrderBy(static one => one.Key.Way).ThenBy(static one => one.Key.Policy, StringComparer.Ordinal);

    /// <summary>The command that protects the connections at risk; null if there are none that it reaches, or if keepalive cannot help.</summary>
    private string? Protection
    {
        get
        {
            if (!Reached.Any() || _yardstick.Advise() is not { } values)
            {
                return null;
            }
            // Values of an application are replaced only by a shorter time, unless all are.
            var mustReplace = Reached.Any(group => group.Key is { Finding: AuditFinding.TooLate, Options: { } own } && own.Time <= values.Time);
            return "keepalive-agent run" + string.Concat(Policies.Select((path, index) => (index == 0 ? " --policies " : " ") + ShellWord.Quote(path)))
                + $" --keepalive {KeepaliveText.Format(values)}" + (mustReplace ? " --existing replace" : "");
        }
    }

    /// <summary>Connections at risk whose user timeout ends them before the probes of <see cref="Protection"/> are spent.</summary>
    private int ProtectionCutsShort => Protection is not null && _yardstick.Advise() is { } values
        ? Reached.Where(group => UserTimeout.IsShort(group.Key.UserTimeout, values)).Sum(static group => group.AtRisk) : 0;

    /// <summary>The policy that selects a connection at risk and does not protect it; null if there is none, and <c>--keepalive</c> reaches it.</summary>
    private PolicyAtFault? Selected(in SocketRecord record, AuditFinding finding, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? agent)
    {
        if (finding is not (AuditFinding.NoKeepalive or AuditFinding.TooLate))
        {
            return null;
        }
        if (record.Rule is { IsFallback: false } rule)
        {
            var own = record.Actual ?? new KeepaliveOptions(false, 7200, 75, 9);
            var values = rule.Settings.Or(new KeepaliveSettings(own.Time, own.Interval, own.Probes));
            return _yardstick.Judge(new KeepaliveOptions(true, values.Time!.Value, values.Interval!.Value, values.Probes!.Value), record.Timer) != AuditFinding.Kept
                ? new PolicyAtFault(rule.Policy, PolicyAtFault.To.Shorten)
                : record.Outcome == SocketOutcome.Kept && rule.Existing is not null ? new PolicyAtFault(rule.Policy, PolicyAtFault.To.Replace) : null;
        }
        // With policies on the command line the agent that they are for is another one.
        if (_withPolicies || agent is null || !agent.TryGetValue((record.Namespace, record.Cookie), out var word) || word.Policy == CompiledPolicy.FallbackName)
        {
            return null;
        }
        return word switch
        {
            { Managed: true } => new PolicyAtFault(word.Policy, PolicyAtFault.To.Shorten),
            { Outcome: SocketOutcome.WouldApply } => new PolicyAtFault(word.Policy, PolicyAtFault.To.Apply),
            { Outcome: SocketOutcome.Kept, Reason: null } => new PolicyAtFault(word.Policy, PolicyAtFault.To.Replace),
            _ => null,
        };
    }

    /// <summary>The harm of the keepalive that protects, in words; empty if there is none.</summary>
    private string CutShortByProtection()
    {
        if (ProtectionCutsShort is not (> 0 and var count) || _yardstick.Advise() is not { } values)
        {
            return "";
        }
        var shortest = Reached.Where(group => UserTimeout.IsShort(group.Key.UserTimeout, values)).Min(static group => group.Key.UserTimeout);
        var lost = UserTimeout.LostProbes(shortest, values.Time!.Value, values.Interval!.Value, values.Probes!.Value);
        return $"\nWith it, {Counted.Of(lost, "lost probe")} {(lost == 1 ? "ends" : "end")} {(Reached.Sum(static group => group.AtRisk) == 1 ? "it" : $"{count} of them")}, because of a user timeout of {UserTimeout.Format(shortest)}"
            + $"{(count == 1 ? "" : " or more")}. A policy with the annotation {AgentAnnotations.UserTimeout}: raise, or an application's user timeout of "
            + $"{UserTimeout.Format(UserTimeout.Covering(values))}, prevents that.";
    }

    public void WriteJson(TextWriter output)
    {
        var text = new StringBuilder();
        foreach (var group in _groups)
        {
            AgentJson.Lines.Append(text, writer => Write(writer, group));
        }
        AgentJson.Lines.Append(text, writer =>
        {
            writer.WriteString("kind", "summary");
            writer.WriteNumber("namespaces", _summary.Namespaces);
            writer.WriteNumber("connections", _groups.Sum(static group => group.Connections));
            writer.WriteNumber("local", _local);
            writer.WriteNumber("atRisk", AtRisk);
            writer.WriteNumber("idleTimeout", _yardstick.IdleTimeout);
            writer.WriteString("balancer", _yardstick.Balancer?.Name);
            writer.WriteString("machine", _yardstick.Machine?.Name);
            writer.WriteString("why", _yardstick.Why);
            writer.WriteString("source", _yardstick.Why is null ? null : _yardstick.Machine?.Source);
            writer.WriteString("protect", Protection);
            writer.WriteNumber("protectCutsShort", ProtectionCutsShort);
            writer.WriteStartArray("changePolicies");
            if (_yardstick.Advise() is not null)
            {
                foreach (var policy in AtFault.Select(static one => one.Fault.Policy).Distinct())
                {
                    writer.WriteStringValue(policy);
                }
            }
            writer.WriteEndArray();
            writer.WriteString("policyFrom", _withPolicies ? "files" : _withAgent ? "agent" : null);
            if (_withPolicies)
            {
                writer.WriteNumber("wouldSet", WouldSet);
            }
        });
        output.Write(text);
    }

    private string Against() =>
        $" of being forgotten {(_yardstick.Balancer is { } balancer ? $"by {balancer.Name} " : "by a device on the path ")}after {_yardstick.IdleTimeout}s";

    private string[] Row(Group group)
    {
        var key = group.Key;
        List<string> row =
        [
            group.AtRisk > 0 ? group.AtRisk.ToString(CultureInfo.InvariantCulture) : "-",
            group.Connections.ToString(CultureInfo.InvariantCulture),
            group.LongestIdle is { } idle ? Spans.Short(idle) : "?",
            group.Pids.Count switch { 0 => "-", 1 => $"{group.Pids.First()}/{key.Command}", var many => $"{key.Command} ({many} processes)" },
            key.IsAccepted ? $"accepted on {key.End}" : key.End.ToString(),
            key.Options switch { { Enabled: true } on => $"{on.Time}s/{on.Interval}s/{on.Probes}", null => "?", _ => "off" },
            Describe(key.Finding) + Timeout(key),
        ];
        if (_withPolicies || _withAgent)
        {
            row.Add(key.Policy is null ? "-" : group.WouldSet == 0 ? key.Policy
                : $"{key.Policy} would set {group.WouldSet}" + (group.WouldCutShort > 0 ? $" (user timeout too short: {group.WouldCutShort})" : ""));
        }
        if (_withPods)
        {
            row.Add(key.Workload?.ToString() ?? "-");
        }
        return [.. row];
    }

    /// <summary>A finding in words.</summary>
    public static string Describe(AuditFinding finding) => finding switch
    {
        AuditFinding.Kept => "kept",
        AuditFinding.KeptByPeer => "kept by the other end",
        AuditFinding.TooLate => "probed too late",
        AuditFinding.NoKeepalive => "no keepalive",
        AuditFinding.PayloadNeeded => "only payload counts",
        _ => "values unknown",
    };

    private static string Timeout(GroupKey key) => key is { UserTimeout: > 0, Options: { Enabled: true } on }
        ? $", but ends after {UserTimeout.LostProbes(key.UserTimeout, on.Time, on.Interval, on.Probes)} of {Counted.Of(on.Probes, "lost probe")}: "
            + $"user timeout {UserTimeout.Format(key.UserTimeout)}"
        : key.UserTimeout > 0 ? $", user timeout {UserTimeout.Format(key.UserTimeout)}" : "";

    private void Write(Utf8JsonWriter writer, Group group)
    {
        var key = group.Key;
        writer.WriteNumber("netns", key.Namespace);
        writer.WriteString("command", key.Command.Length == 0 ? null : key.Command);
        writer.WriteStartArray("pids");
        foreach (var pid in group.Pids)
        {
            writer.WriteNumberValue(pid);
        }
        writer.WriteEndArray();
        writer.WriteString("direction", key.IsAccepted ? "accepted" : "opened");
        writer.WriteString(key.IsAccepted ? "local" : "remote", key.End.ToString());
        if (key.Options is { } options)
        {
            writer.WriteBoolean("keepalive", options.Enabled);
            writer.WriteNumber("time", options.Time);
            writer.WriteNumber("interval", options.Interval);
            writer.WriteNumber("probes", options.Probes);
        }
        writer.WriteString("finding", JsonNamingPolicy.CamelCase.ConvertName(key.Finding.ToString()));
        if (key.UserTimeout > 0)
        {
            writer.WriteNumber("userTimeoutMs", key.UserTimeout);
        }
        if (key is { UserTimeout: > 0, Options: { Enabled: true } on })
        {
            writer.WriteNumber("endsAfterProbes", UserTimeout.LostProbes(key.UserTimeout, on.Time, on.Interval, on.Probes));
        }
        writer.WriteNumber("connections", group.Connections);
        writer.WriteNumber("atRisk", group.AtRisk);
        if (group.LongestIdle is { } idle)
        {
            writer.WriteNumber("longestIdleMs", idle);
        }
        if (_withPolicies || _withAgent)
        {
            writer.WriteString("policy", key.Policy);
        }
        if (_withPolicies)
        {
            writer.WriteNumber("wouldSet", group.WouldSet);
            writer.WriteNumber("wouldCutShort", group.WouldCutShort);
        }
        if (key.Workload is { } workload)
        {
            writer.WriteString("namespace", workload.Namespace);
            writer.WriteString("pod", workload.Pod);
            writer.WriteString("container", workload.Container);
        }
    }

    private string Command(int pid)
    {
        if (pid == 0)
        {
            return "";
        }
        if (!_commands.TryGetValue(pid, out var command))
        {
            _commands.Add(pid, command = ProcessName.Of(pid));
        }
        return command;
    }

    private readonly record struct GroupKey(
        ulong Namespace, string Command, bool IsAccepted, SocketEndpoint End, KeepaliveOptions? Options, AuditFinding Finding, int UserTimeout,
        PolicyAtFault? Selected, string? Policy, Workload? Workload);

    /// <summary>A policy that selects connections at risk without protecting them.</summary>
    private readonly record struct PolicyAtFault(string Policy, PolicyAtFault.To Way)
    {
        internal enum To
        {
            Shorten,
            Replace,
            Apply,
        }

        public string WayOut(KeepaliveSettings advised) => Way switch
        {
            To.Shorten => $"change the values of {TerminalText.Mask(Policy)}: {KeepaliveText.Format(advised)} protects.",
            To.Replace => $"let it replace the application's values, with the annotation {AgentAnnotations.Existing}: replace.",
            _ => "let the running agent apply it: it runs with --dry-run.",
        };
    }

    private sealed class Group(GroupKey key)
    {
        public GroupKey Key => key;

        public int Connections { get; private set; }

        public int AtRisk { get; private set; }

        public int WouldSet { get; private set; }

        /// <summary>Of these, connections whose user timeout would end them before the policy's probes are spent.</summary>
        public int WouldCutShort { get; private set; }

        public uint? LongestIdle { get; private set; }

        public SortedSet<int> Pids { get; } = [];

        public void Add(in SocketRecord record, bool isQuiet)
        {
            Connections++;
            AtRisk += isQuiet && key.Finding is not (AuditFinding.Kept or AuditFinding.KeptByPeer or AuditFinding.Unknown) ? 1 : 0;
            WouldSet += record.Outcome == SocketOutcome.WouldApply ? 1 : 0;
            WouldCutShort += record is { Outcome: SocketOutcome.WouldApply, HasShortUserTimeout: true } ? 1 : 0;
            LongestIdle = record.Idle is { } idle ? Math.Max(idle, LongestIdle ?? 0) : LongestIdle;
            if (record.Pid != 0)
            {
                Pids.Add(record.Pid);
            }
        }
    }
}
