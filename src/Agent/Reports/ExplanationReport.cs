using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Keepalive.Config;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>explain</c>.</summary>
/// <param name="policy">The rules.</param>
/// <param name="destinations">The known destinations, at least those that a policy selects and that have no address.</param>
/// <param name="remote">The remote end of the connection.</param>
/// <param name="local">The local end; null if it is not given.</param>
internal sealed class ExplanationReport(CompiledPolicy policy, ImmutableArray<DestinationSummary> destinations, Endpoint remote, Endpoint? local)
{
    private readonly Explanation _explanation = Explanation.Of(policy, local ?? Endpoint.From(IPAddress.IPv6Any, 0), remote);

    /// <summary>The agent's <c>--existing</c>, for rules that have none; null if it is unknown.</summary>
    public ExistingMode? AgentsExisting { get; init; }

    /// <summary>The longest list of rules to write.</summary>
    public int MaxRules { get; init; } = int.MaxValue;

    public string ToText()
    {
        var text = new StringBuilder();
        if (_explanation.Winner is { } winner)
        {
            Write(text, winner);
        }
        else
        {
            text.Append(CultureInfo.InvariantCulture, $"{remote}: no rule; its sockets are not changed\n");
        }

        if (local is { } own && policy.Side == Side.Client)
        {
            Line(text, "from", $"{own.ToIPEndPoint().Address}: not used: without --side both policies select by the remote end");
        }

        WriteList(text, "lost", [.. _explanation.Losers.Take(MaxRules).Select(lost => (lost.Rule, lost.Reason))]);
        WriteList(text, "for another port of that address", [.. _explanation.OtherPorts.Take(MaxRules).Select(static rule => (rule, ""))]);
        if (_explanation.Winner is null && _explanation.OtherPorts.IsEmpty)
        {
            WriteNone(text);
        }

        return text.ToString();
    }

    public string ToJson()
    {
        var text = new StringBuilder();
        AgentJson.Lines.Append(text, WriteJson);
        return text.ToString();
    }

    /// <summary>Writes the properties of the JSON object.</summary>
    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("to", remote.ToString());
        if (_explanation.Winner is { } winner)
        {
            writer.WriteStartObject("rule");
            WriteRule(writer, winner);
            var schedule = ScheduleOf(winner);
            if (winner.Settings.Time is null)
            {
                writer.WriteString("dependsOn", "net.ipv4.tcp_keepalive_time");
            }

            writer.WriteNumber("firstProbe", schedule.Probe(1).TotalSeconds);
            writer.WriteNumber("firstProbeLatest", schedule.LatestProbe(1).TotalSeconds);
            writer.WriteNumber("detection", schedule.Death.TotalSeconds);
            writer.WriteNumber("detectionLatest", schedule.LatestDeath.TotalSeconds);
            writer.WriteString("existing", (winner.Existing ?? AgentsExisting)?.ToString().ToLowerInvariant());
            writer.WriteString("userTimeout", winner.UserTimeout.ToString());
            writer.WriteNumber("coveringUserTimeoutMs", UserTimeout.Covering(winner.Settings));
            writer.WriteEndObject();
        }
        else
        {
            writer.WriteNull("rule");
        }

        writer.WriteStartArray("lost");
        foreach (var (rule, reason) in _explanation.Losers.Take(MaxRules))
        {
            writer.WriteStartObject();
            WriteRule(writer, rule);
            writer.WriteString("reason", reason);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("otherPorts");
        foreach (var rule in _explanation.OtherPorts.Take(MaxRules))
        {
            writer.WriteStartObject();
            WriteRule(writer, rule);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private void Write(StringBuilder text, CompiledRule winner)
    {
        var (schedule, isSet) = (ScheduleOf(winner), winner.UserTimeout.Mode == UserTimeoutMode.Set);
        var kind = destinations.FirstOrDefault(destination => destination.Destination == winner.Destination
            && destination.Policies.Contains(winner.Policy))?.Kind;
        text.Append(CultureInfo.InvariantCulture, $"{remote}: policy {winner.Policy} ({winner.Position})\n");
        Line(text, "destination", $"{(kind is null ? "" : kind + " ")}{winner.Destination}, at {Where(winner)} by {Origin(winner.Origin)}");
        Line(text, "sets", $"keepalive on{Values(winner.Settings)}");
        if (winner.From.Length > 0)
        {
            Line(text, "only from", winner.From);
        }

        if (winner.Inherited.Length > 0)
        {
            Line(text, "inherits", winner.Inherited);
        }

        if (winner.Settings.Time is null)
        {
            Line(text, "first probe", $"depends on net.ipv4.tcp_keepalive_time of the socket's network namespace (Linux's default: {schedule.Time}s), "
                + "unless its application set a time");
            Line(text, "dead peer", isSet ? $"noticed when a probe is due, one is unanswered, and the user timeout of {winner.UserTimeout} has passed since its last packet"
                : $"noticed {Spans.Whole(schedule.Death - schedule.Probe(1))} after the first probe: {Counted.Of(schedule.Probes, "probe")} unanswered");
        }
        else
        {
            Line(text, "first probe", $"{Spans.Whole(schedule.Probe(1))} after the last received packet; at the latest "
                + $"{Spans.Whole(schedule.LatestProbe(1))}, as "
                + (schedule.Interval > schedule.Time ? "the interval is longer than the time" : "kernel timers may fire late"));
            Line(text, "dead peer", $"noticed {Spans.Whole(schedule.Death)} after its last packet, at the latest "
                + $"{Spans.Whole(schedule.LatestDeath)}: " + (isSet ? $"the user timeout is {winner.UserTimeout}" : $"{Counted.Of(schedule.Probes, "probe")} unanswered"));
        }

        Line(text, "existing", Existing(winner.Existing, AgentsExisting));
        Line(text, "user timeout", Timeout(winner));
    }

    private void WriteNone(StringBuilder text)
    {
        foreach (var destination in destinations.Where(static destination => destination.Addresses == 0 && destination.Policies.Length > 0))
        {
            text.Append(CultureInfo.InvariantCulture, $"  {destination.Kind} {destination.Destination} is selected by ")
                .Append(CultureInfo.InvariantCulture, $"{destination.Policies[0]}, but has no address\n");
        }
    }

    private static void WriteList(StringBuilder text, string title, ImmutableArray<(CompiledRule Rule, string Reason)> rules)
    {
        if (rules.IsEmpty)
        {
            return;
        }

        text.Append(title).Append(":\n");
        foreach (var (rule, reason) in rules)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {rule.Policy} for {Where(rule)} ({rule.Destination}), {rule.Settings}")
                .Append(reason.Length == 0 ? "" : $": {reason}").Append('\n');
        }
    }

    private static void WriteRule(Utf8JsonWriter writer, CompiledRule rule)
    {
        writer.WriteString("policy", rule.Policy);
        writer.WriteString("position", rule.Position.ToString());
        writer.WriteString("destination", rule.Destination);
        writer.WriteString("origin", rule.Origin);
        if (rule.Inherited.Length > 0)
        {
            writer.WriteString("inherits", rule.Inherited);
        }

        if (rule.From.Length > 0)
        {
            writer.WriteString("from", rule.From);
        }

        writer.WriteString("addresses", rule.Prefix.ToString());
        if (rule.Port != 0)
        {
            writer.WriteNumber("port", rule.Port);
        }

        AgentJson.WriteSettings(writer, rule.Settings);
    }

    private static KeepaliveSchedule ScheduleOf(CompiledRule rule) => new(rule.Settings.Or(KeepaliveSettings.LinuxDefaults),
        userTimeout: rule.UserTimeout is { Mode: UserTimeoutMode.Set, Milliseconds: var timeout } ? timeout : 0);

    private static string Where(CompiledRule rule) => rule.Port == 0 ? $"{rule.Prefix}, any port"
        : rule.Prefix.IsIPv4 ? $"{rule.Prefix}:{rule.Port}" : $"[{rule.Prefix}]:{rule.Port}";

    private static string Origin(string origin) => origin == "annotation" ? "its annotation" : origin == "spec.addresses" ? "its spec.addresses" : origin;

    private static void Line(StringBuilder text, string what, string value) => text.Append("  ").Append(what.PadRight(14)).Append(value).Append('\n');

    private static string Values(KeepaliveSettings settings)
    {
        var defaults = KeepaliveSettings.LinuxDefaults;
        return $", time {Value(settings.Time, defaults.Time, "s")}, interval {Value(settings.Interval, defaults.Interval, "s")}, "
            + $"probes {Value(settings.Probes, defaults.Probes, "")}";
    }

    private static string Value(int? value, int? otherwise, string unit) =>
        value is { } set ? $"{set}{unit}" : $"the socket's own ({otherwise}{unit} unless set otherwise)";

    private static string Existing(ExistingMode? mode, ExistingMode? agents) => "if the application enabled keepalive itself: " + (mode, agents) switch
    {
        ({ } own, _) => $"{Treatment(own)}, by the policy",
        (null, { } own) => $"{Treatment(own)}, by --existing of the agent",
        _ => "by --existing of the agent; default: replaced only by a shorter time",
    };

    private static string Treatment(ExistingMode mode) => mode switch
    {
        ExistingMode.Keep => "kept",
        ExistingMode.Replace => "replaced",
        _ => "replaced only by a shorter time",
    };

    private static string Timeout(CompiledRule rule)
    {
        var covering = UserTimeout.Format(UserTimeout.Covering(rule.Settings));
        var tooShort = $"an application's TCP_USER_TIMEOUT of less than {covering} ends the connection after fewer lost probes: ";
        return rule.UserTimeout.Mode switch
        {
            UserTimeoutMode.Raise => tooShort + $"raised to {covering}, by the policy"
                + (UserTimeout.ProlongsRetransmission(UserTimeout.Covering(rule.Settings)) ? "; data in flight waits as long" : ""),
            UserTimeoutMode.Skip => tooShort + "the policy skips such sockets",
            UserTimeoutMode.Set => $"set to {rule.UserTimeout}, by the policy"
                + (UserTimeout.IsShort(rule.UserTimeout.Milliseconds, rule.Settings) ? $"; that ends the connection after fewer lost probes: less than {covering}"
                    : rule.UserTimeout.Milliseconds > UserTimeout.Covering(rule.Settings) ? $"; that ends the connection later than its probes would: {covering}" : ""),
            _ => tooShort + "reported only",
        };
    }
}
