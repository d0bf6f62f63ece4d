using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>sockets</c>: collects records, then writes them as a table or as one JSON object a line.</summary>
internal sealed class SocketList : ISocketSink
{
    private readonly List<SocketRecord> _records = [];
    private readonly Dictionary<int, string> _commands = [];

    /// <summary>The running agent's word about its sockets, for those that the given policies do not select; null if no agent runs.</summary>
    public IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? Agent { get; set; }

    public void BeginNamespace(ulong inode)
    {
    }

    public void Socket(in SocketRecord record) => _records.Add(record);

    public void EndNamespace(ulong inode)
    {
    }

    public void NamespaceGone(ulong inode)
    {
    }

    /// <param name="output">Where to.</param>
    /// <param name="pods">Tells which pod a socket belongs to; null where there is no cluster.</param>
    public void WriteJson(TextWriter output, PodDirectory? pods)
    {
        foreach (ref readonly var r in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_records))
        {
            var actual = r.Actual;
            var word = WordAbout(in r);
            var workload = pods?.Find(in r);
            var line = new SocketJson(
                r.Namespace,
                r.Cookie,
                r.Local.ToString(),
                r.Remote.ToString(),
                r.State.Name(),
                actual?.Enabled,
                actual?.Time,
                actual?.Interval,
                actual?.Probes,
                r.ActualUserTimeout > 0 ? r.ActualUserTimeout : null,
                LostProbes(in r),
                TimerName(r.Timer),
                TimerName(r.Timer) is null ? null : r.TimerExpires,
                r.Unanswered,
                r.Idle,
                r.Pid == 0 ? null : r.Pid,
                Command(r.Pid),
                r.Rule?.Policy ?? word?.Policy,
                r.Rule?.Destination ?? word?.Destination,
                IsManaged(in r) || word is { Managed: true } || (word is null && IsLeftByAgent(in r)),
                r.Outcome is SocketOutcome.Unreachable or SocketOutcome.Failed or SocketOutcome.Kept ? r.Reason : word?.Reason,
                workload?.Namespace,
                workload?.Pod,
                workload?.Container,
                Outcome(in r, word) is { } outcome ? JsonNamingPolicy.CamelCase.ConvertName(outcome.ToString()) : null,
                r.Rule is not null ? "files" : word is not null ? "agent" : null);
            output.WriteLine(JsonSerializer.Serialize(line, SocketJsonContext.Readable.SocketJson));
        }
    }

    /// <param name="output">Where to.</param>
    /// <param name="pods">Tells which pod a socket belongs to; null where there is no cluster.</param>
    public void WriteTable(TextWriter output, PodDirectory? pods)
    {
        string[] heads = ["NETNS", "STATE", "LOCAL", "REMOTE", "KEEPALIVE", "TIMER", "UNANSWERED", "USER-TIMEOUT", "PROCESS", "POLICY", "DESTINATION", .. pods is null ? [] : (string[])["POD"]];
        var rows = new List<string[]> { heads };
        foreach (ref readonly var r in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_records))
        {
            rows.Add(
            [
                r.Namespace.ToString(CultureInfo.InvariantCulture),
                r.State.Name(),
                r.Local.ToString(),
                r.State == TcpState.Listen ? "-" : r.Remote.ToString(),
                Keepalive(in r),
                Timer(in r),
                r.Unanswered > 0 ? r.Unanswered.ToString(CultureInfo.InvariantCulture) : "-",
                Timeout(in r),
                r.Pid == 0 ? "-" : $"{r.Pid}/{Command(r.Pid)}",
                Policy(in r, WordAbout(in r)),
                r.Rule?.Destination ?? WordAbout(in r)?.Destination ?? "-",
                .. pods is null ? [] : (string[])[pods.Find(in r)?.ToString() ?? "-"],
            ]);
        }
        TextTable.Write(output, rows);
    }

    private static bool IsManaged(in SocketRecord record) => record is { Rule: not null, Outcome: SocketOutcome.Managed or SocketOutcome.Deferred };

    private static SocketOutcome? Outcome(in SocketRecord record, AgentsWord? word) => record.Rule is not null ? record.Outcome : word?.Outcome;

    private AgentsWord? WordAbout(in SocketRecord record) =>
        record.Rule is null && Agent is not null && Agent.TryGetValue((record.Namespace, record.Cookie), out var word) ? word : null;

    /// <summary>Whether an agent has set it, as the state file says. No policy is known for it here.</summary>
    private static bool IsLeftByAgent(in SocketRecord record) => record is { Rule: null, Outcome: SocketOutcome.WouldRestore };

    private static string Policy(in SocketRecord record, AgentsWord? word) => (record.Rule, word) switch
    {
        ({ } rule, _) => rule.Policy + (IsManaged(in record) ? "" : $" ({Standing(record.Outcome, record.Reason, record.State)})"),
        (null, { } told) => Policy(told, record.State),
        _ => IsLeftByAgent(in record) ? "(set by an agent)" : "-",
    };

    /// <summary>The policy by the running agent's word, with what came of it.</summary>
    public static string Policy(AgentsWord word, TcpState state) => word switch
    {
        { Managed: true } => word.Policy,
        { Outcome: { } outcome } => $"{word.Policy} ({Standing(outcome, word.Reason, state)})",
        _ => $"{word.Policy} (not set)",
    };

    /// <summary>What came of a rule, in a few words.</summary>
    public static string Standing(SocketOutcome outcome, string? reason, TcpState state) => outcome switch
    {
        SocketOutcome.WouldApply => "not set yet",
        SocketOutcome.Kept when reason == FailureReasons.UserTimeout => "skipped: user timeout",
        SocketOutcome.Kept => "application's own kept",
        SocketOutcome.Application => "changed by application",
        SocketOutcome.Pending when state is TcpState.SynSent or TcpState.SynReceived or TcpState.NewSynReceived => "connecting",
        SocketOutcome.Pending when state is not (TcpState.Established or TcpState.CloseWait) => "closing",
        SocketOutcome.Pending => "pending",
        SocketOutcome.Unreachable or SocketOutcome.Failed => $"cannot be set: {reason}",
        _ => outcome.ToString(),
    };

    private static string Keepalive(in SocketRecord record) => record.Actual switch
    {
        { Enabled: true } on => $"{on.Time}s/{on.Interval}s/{on.Probes}",
        { Enabled: false } => "off",
        null => "?",
    };

    /// <summary>The user timeout, and the lost probes after which it ends the socket if they are fewer than its own.</summary>
    private static string Timeout(in SocketRecord record) =>
        record.ActualUserTimeout == 0 ? "-"
        : Spans.Short(record.ActualUserTimeout) + (LostProbes(in record) is { } lost ? $" ({lost} of {record.Actual!.Value.Probes} probes)" : "");

    private static int? LostProbes(in SocketRecord record) =>
        record.HasShortActualUserTimeout && record.Actual is { } on ? UserTimeout.LostProbes(record.ActualUserTimeout, on.Time, on.Interval, on.Probes) : null;

    private static string Timer(in SocketRecord record) =>
        (TimerName(record.Timer), record.TimerExpires) switch
        {
            (null, _) => "-",
            ({ } name, { } left) => $"{name} {Spans.Short(left)}",
            ({ } name, null) => name,
        };

    private static string? TimerName(TcpTimer timer) => timer switch
    {
        TcpTimer.None or TcpTimer.Unknown => null,
        TcpTimer.Retransmit => "retransmit",
        TcpTimer.Keepalive => "keepalive",
        TcpTimer.TimeWait => "timewait",
        TcpTimer.ZeroWindowProbe => "persist",
        _ => "unknown",
    };

    private string? Command(int pid)
    {
        if (pid == 0)
        {
            return null;
        }
        if (!_commands.TryGetValue(pid, out var command))
        {
            _commands.Add(pid, command = ProcessName.Of(pid));
        }
        return command;
    }
}

/// <summary>One line of <c>sockets -o json</c>. Times in seconds, <c>…Ms</c> in milliseconds; null where not known or not set.</summary>
internal sealed record SocketJson(
    ulong Netns,
    ulong Cookie,
    string Local,
    string Remote,
    string State,
    bool? Keepalive,
    int? Time,
    int? Interval,
    int? Probes,
    int? UserTimeoutMs,
    int? EndsAfterProbes,
    string? Timer,
    uint? ExpiresMs,
    int Unanswered,
    uint? IdleMs,
    int? Pid,
    string? Command,
    string? Policy,
    string? Destination,
    bool Managed,
    string? Reason,
    string? Namespace,
    string? Pod,
    string? Container,
    string? Outcome,
    string? PolicyFrom);

[JsonSerializable(typeof(SocketJson))]
internal sealed partial class SocketJsonContext : JsonSerializerContext
{
    public static SocketJsonContext Readable { get; } =
        new(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = AgentJson.Encoder });
}
