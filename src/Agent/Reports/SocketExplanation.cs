using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The source of the rule in an explanation.</summary>
internal enum RuleSource
{
    /// <summary>No policy is known.</summary>
    None,

    /// <summary>The running agent.</summary>
    Agent,

    /// <summary>Files that the command line names.</summary>
    Files,
}

/// <summary>The output of <c>explain --socket</c> for one socket: its rule, why it has each of its values, and whether its other end
/// answers.</summary>
/// <param name="record">The socket, as the command found it.</param>
/// <param name="memory">The agent's note about it in the state file; null if there is none.</param>
/// <param name="workload">Its pod; null if it is unknown.</param>
/// <param name="source">Where <paramref name="rules"/> come from.</param>
/// <param name="rules">The rules; null if no policy is known.</param>
/// <param name="problem">Why no running agent answered; null if one did, or was not asked.</param>
/// <param name="now">The time.</param>
internal sealed class SocketExplanation(
    SocketRecord record, SocketMemory? memory, Workload? workload, RuleSource source, AgentsExplanation? rules, string? problem, DateTimeOffset now)
{
    private const int MaxListed = 5;

    /// <summary>Whether it was accepted, as a socket that listens on its local end shows.</summary>
    public bool IsAccepted { get; init; }

    private bool IsListening => record.State == TcpState.Listen;

    private string Command => record.Pid == 0 ? "" : ProcessName.Of(record.Pid);

    private AgentsConnection? Known => rules?.Connection;

    /// <summary>The latest of three clocks: the agent asks the kernel rarely, a capture sees only probes' answers, and this command may have read
    /// the kernel's clock just now.</summary>
    private DateTimeOffset? LastHeard =>
        new[] { record.Idle is { } idle ? now - TimeSpan.FromMilliseconds(idle) : (DateTimeOffset?)null, Known?.LastHeard, Known?.LastReply }.Max();

    public void WriteText(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"{record.Local} → {record.Remote}\n");
        Line(text, "socket", $"cookie {record.Cookie} in network namespace {record.Namespace}, {record.State.Name()}");
        Line(text, "process", record.Pid == 0 ? "none was found" : $"{record.Pid}/{Command}");
        if (workload is { } pod)
        {
            Line(text, "pod", pod.ToString());
        }
        if (!IsListening)
        {
            Line(text, "path", record.IsLocal ? "stays in this network namespace, like that of an application to its sidecar: no balancer can drop it"
                : "leaves this network namespace");
        }
        if (rules?.Rule is { } rule)
        {
            Line(text, "policy", $"{rule.Policy} ({rule.Position}), {(source == RuleSource.Agent ? "in force in the running agent" : "in the files")}");
            Line(text, "destination", $"{rule.Destination}, at {rule.Addresses}{(rule.Port is { } port ? $" port {port}" : ", any port")}"
                + (string.IsNullOrEmpty(rule.Origin) ? "" : $" by {rule.Origin}"));
        }
        Line(text, "result", Result());
        foreach (var (name, value, why) in Values())
        {
            Line(text, name, $"{value}: {why}");
        }
        Line(text, "user timeout", UserTimeoutText());
        if (IsListening)
        {
            return;
        }
        Line(text, "timer", Timer());
        if (Known is { } known)
        {
            Line(text, "last probe", known.LastProbe is { } probe
                ? Ago(probe) + (known.LastReply is { } reply && reply >= probe ? $", answered {Spans.Short(Math.Max(0, (long)(reply - probe).TotalMilliseconds))} later" : "")
                : "none since the agent knows the connection");
        }
        if (LastHeard is { } heard)
        {
            Line(text, "last heard", Ago(heard));
        }
        else if (Known is not null)
        {
            Line(text, "last heard", "unknown");
        }
        Line(text, "other end", Liveness());
        foreach (var lost in rules?.Lost?.Take(MaxListed) ?? [])
        {
            Line(text, "lost", $"{lost.Policy} for {lost.Addresses}{(lost.Port is { } other ? $" port {other}" : "")}{(string.IsNullOrEmpty(lost.Reason) ? "" : $": {lost.Reason}")}");
        }
        if (rules is { Rule: null } && !IsAccepted)
        {
            foreach (var other in rules.OtherPorts?.Take(MaxListed) ?? [])
            {
                Line(text, "other port", $"{other.Policy} selects port {other.Port} of that address ({other.Destination})");
            }
            foreach (var empty in rules.WithoutAddress?.Take(MaxListed) ?? [])
            {
                Line(text, "no address", $"{empty.Kind} {empty.Destination} is selected by {empty.Policy}, but has no address");
            }
        }
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteNumber("netns", record.Namespace);
        writer.WriteNumber("cookie", record.Cookie);
        writer.WriteString("local", record.Local.ToString());
        writer.WriteString("remote", record.Remote.ToString());
        writer.WriteString("state", record.State.Name());
        if (record.Pid != 0)
        {
            writer.WriteNumber("pid", record.Pid);
            writer.WriteString("command", Command);
        }
        if (workload is { } pod)
        {
            writer.WriteString("namespace", pod.Namespace);
            writer.WriteString("pod", pod.Pod);
            writer.WriteString("container", pod.Container);
        }
        if (!IsListening)
        {
            writer.WriteBoolean("leavesNamespace", !record.IsLocal);
            writer.WriteBoolean("accepted", IsAccepted);
        }
        writer.WriteString("source", rules is null ? null : source.ToString().ToLowerInvariant());
        writer.WriteString("result", Result());
        writer.WriteString("outcome", Known?.Outcome ?? (source == RuleSource.Files ? JsonNamingPolicy.CamelCase.ConvertName(record.Outcome.ToString()) : null));
        WriteOptions(writer, "actual", record.Actual, record.ActualUserTimeout);
        WriteOptions(writer, "before", Before(), memory?.UserTimeout?.Found);
        writer.WriteStartObject("why");
        foreach (var (name, _, why) in Values())
        {
            writer.WriteString(name, why);
        }
        writer.WriteString("userTimeout", UserTimeoutText());
        writer.WriteEndObject();
        writer.WriteNumber("unanswered", record.Unanswered);
        if (record.Idle is { } idle)
        {
            writer.WriteNumber("idleMs", idle);
        }
        if (record is { TimerExpires: { } left, Timer: not (TcpTimer.None or TcpTimer.Unknown) })
        {
            writer.WriteString("timer", TimerName(record.Timer));
            writer.WriteNumber("expiresMs", left);
        }
        writer.WritePropertyName("rule");
        JsonSerializer.Serialize(writer, rules?.Rule!, ExplanationJsonContext.Readable.ExplainedRule);
        writer.WritePropertyName("lost");
        JsonSerializer.Serialize(writer, rules?.Lost ?? [], ExplanationJsonContext.Readable.IReadOnlyListExplainedRule);
        writer.WritePropertyName("otherPorts");
        JsonSerializer.Serialize(writer, rules?.OtherPorts ?? [], ExplanationJsonContext.Readable.IReadOnlyListExplainedRule);
        writer.WritePropertyName("connection");
        JsonSerializer.Serialize(writer, Known!, ExplanationJsonContext.Readable.AgentsConnection);
        if (problem is not null)
        {
            writer.WriteString("agentProblem", problem);
        }
    }

    private KeepaliveOptions? Before() => memory is { Holder: not SocketHolder.Application } known ? known.Found : null;

    /// <summary>What came of the rule: one sentence.</summary>
    private string Result() => (rules, Known) switch
    {
        _ when IsListening => "it listens and has no connection; policies set connections, and those that it accepts begin with the values below",
        (null, _) => memory is { Holder: SocketHolder.Agent } ? $"set by an agent, as its state file says; the policy is unknown: {problem}"
            : $"no policy is known: {problem}",
        ({ Exempt: { } exempt }, _) => $"not set: {exempt}",
        ({ Rule: null, Complete: false }, _) => "no policy selects it by what the agent knows; it does not know all objects of the cluster yet",
        ({ Rule: null }, _) => memory is { Holder: SocketHolder.Agent } ? "no policy selects it any more; the next pass restores its values"
            : "no policy selects it; it is not changed"
                + (IsAccepted ? $". This end accepted the connection, on port {record.Local.Port}: without --side both, policies select by the remote end" : ""),
        (_, { Outcome: { } outcome } known) => Outcome(outcome, known.Reason),
        (_, { } known) => $"selected; {known.Reason ?? "its outcome is unknown"}",
        _ when source == RuleSource.Files => Outcome(JsonNamingPolicy.CamelCase.ConvertName(record.Outcome.ToString()), record.Reason),
        _ when record.State is not (TcpState.Established or TcpState.CloseWait) => $"not set: it is not connected ({record.State.Name()})",
        _ => "not set yet: the agent's next pass examines it",
    };

    private string Outcome(string outcome, string? reason) => outcome switch
    {
        "managed" => "the policy's values are in force",
        "deferred" => "the policy's values are in force; a change waits until its probes are answered",
        "wouldApply" => source == RuleSource.Files ? "not set: these policies would set it" : "not set: the agent runs with --dry-run and would set it",
        "kept" => "not set: " + WhyKept(reason),
        "application" => "not set any more: the application changed the values after the agent's first look",
        "pending" => reason is null ? "not set yet: it is connecting or closing, or its process is still searched for" : $"not set yet: {FailureReasons.Text(reason)}",
        "unreachable" or "failed" => $"cannot be set: {FailureReasons.Text(reason)}",
        _ => TerminalText.Mask(outcome),
    };

    private string WhyKept(string? reason) => reason is not null ? FailureReasons.Text(reason)
        : rules?.Rule is { Existing: { } mode } rule
            ? $"the application enabled keepalive itself, and existing is {mode}"
                + (mode == "tighten" && rule.Time is { } time && Before() is { } own ? $": the policy's time of {time}s is not shorter than {own.Time}s" : "")
        : "the application enabled keepalive itself";

    private IEnumerable<(string Name, string Value, string Why)> Values()
    {
        if (record.Actual is not { } actual)
        {
            yield break;
        }
        var (found, set, rule) = (memory?.Found, memory?.Set, rules?.Rule);
        yield return ("keepalive", OnOff(actual.Enabled), Why(OnOff(actual.Enabled), OnOff(found?.Enabled), OnOff(set?.Enabled), rule is not null, "keepalive"));
        yield return Value("time", "s", actual.Time, found?.Time, set?.Time, rule?.Time);
        yield return Value("interval", "s", actual.Interval, found?.Interval, set?.Interval, rule?.Interval);
        yield return Value("probes", "", actual.Probes, found?.Probes, set?.Probes, rule?.Probes);
    }

    private (string Name, string Value, string Why) Value(string name, string unit, int actual, int? found, int? set, int? wanted)
    {
        return (name, Text(actual), Why(Text(actual), Text(found), Text(set), wanted is not null, name));

        string Text(int? value) => value is { } number ? number.ToString(CultureInfo.InvariantCulture) + unit : "unknown";
    }

    private string Why(string actual, string found, string set, bool isInRule, string name) => memory?.Holder switch
    {
        SocketHolder.Agent when actual != set => $"changed by the application after the agent had set {set}; before {found}",
        SocketHolder.Agent when found != set => $"set by the agent, before {found}",
        SocketHolder.Agent => isInRule ? "as the policy says; the socket had it before" : $"the socket's own; the policy has no {name}",
        SocketHolder.Kept => "the application's own, kept",
        SocketHolder.Application => "the application's own: it changed its values after the agent's first look",
        _ when Known?.Outcome == "managed" => isInRule ? "set by the agent when the connection was made" : $"the socket's own; the policy has no {name}",
        _ => "the socket's own; no agent has set it",
    };

    private string UserTimeoutText()
    {
        var actual = record.ActualUserTimeout;
        var value = actual == 0 ? "none" : UserTimeout.Format(actual);
        var by = memory?.UserTimeout switch
        {
            { IsApplications: true } => ", the application's own: it changed it after the agent's first look",
            { } known when known.Set != known.Found => $", set by the agent; before {(known.Found == 0 ? "none" : UserTimeout.Format(known.Found))}",
            _ => actual == 0 ? "" : ", the application's own",
        };
        return value + by + (record is { HasShortActualUserTimeout: true, Actual: { } on }
            ? $"; it ends the connection after {UserTimeout.LostProbes(actual, on.Time, on.Interval, on.Probes)} of {Counted.Of(on.Probes, "lost probe")}" : "");
    }

    private string Timer() => (TimerName(record.Timer), record.TimerExpires) switch
    {
        (null, _) => "none runs",
        ({ } name, { } left) => $"{name} in {Spans.Short(left)}",
        ({ } name, null) => name,
    };

    private string Liveness()
    {
        var unanswered = Math.Max(record.Unanswered, Known?.Unanswered ?? 0);
        var pool = Known?.InPool switch { true => "; its endpoint is in the pool", false => "; its endpoint is out of the pool", null => "" };
        var behind = Known?.Backend is { } backend ? $"; the backend is {backend}" : "";
        return (Known?.Liveness, unanswered) switch
        {
            ("dead", _) => $"dead ({Known!.Cause})" + pool + behind,
            (_, > 0) => Counted.Of(unanswered, "probe") + " unanswered"
                + (Known?.EndsAfter is { } most ? $"; it ends after {most}" : "") + (Known?.SilentSince is { } since ? $", silent since {Ago(since)}" : "") + pool + behind,
            ("alive", _) => "alive: the last probe was answered" + pool + behind,
            ("idle", _) => "no probe was necessary yet" + pool + behind,
            _ => record.Actual is { Enabled: true } ? "all probes were answered, or none was necessary yet" : "unknown: nothing probes it",
        };
    }

    private string Ago(DateTimeOffset time) => $"{Spans.Short(Math.Max(0, (long)(now - time).TotalMilliseconds))} ago";

    private static string OnOff(bool? enabled) => enabled switch { true => "on", false => "off", null => "unknown" };

    private static string? TimerName(TcpTimer timer) => timer switch
    {
        TcpTimer.None or TcpTimer.Unknown => null,
        TcpTimer.Retransmit => "retransmit",
        TcpTimer.Keepalive => "keepalive",
        TcpTimer.TimeWait => "timewait",
        TcpTimer.ZeroWindowProbe => "persist",
        _ => "unknown",
    };

    private static void WriteOptions(Utf8JsonWriter writer, string name, KeepaliveOptions? options, int? userTimeout)
    {
        if (options is not { } known)
        {
            writer.WriteNull(name);
            return;
        }
        writer.WriteStartObject(name);
        writer.WriteBoolean("keepalive", known.Enabled);
        writer.WriteNumber("time", known.Time);
        writer.WriteNumber("interval", known.Interval);
        writer.WriteNumber("probes", known.Probes);
        if (userTimeout is { } timeout)
        {
            writer.WriteNumber("userTimeoutMs", timeout);
        }
        writer.WriteEndObject();
    }

    /// <summary>Policies and processes choose their names: nothing of them moves the terminal's cursor.</summary>
    private static void Line(StringBuilder text, string what, string value) => text.Append("  ").Append(what.PadRight(14)).Append(TerminalText.Mask(value)).Append('\n');
}
