using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>check</c>: problems, then the effect of each policy.</summary>
internal sealed class CheckReport(
    PolicyInput input, ImmutableArray<Diagnostic> diagnostics, ImmutableArray<(string Policy, BalancerVerdict Verdict)> verdicts, int connections,
    CloudMachine? machine = null)
{
    public bool HasErrors => diagnostics.Any(static diagnostic => diagnostic.Severity == Severity.Error);

    public string ToText()
    {
        var text = new StringBuilder();
        foreach (var diagnostic in diagnostics)
        {
            text.Append(diagnostic).Append('\n');
        }

        foreach (var policy in input.Compiled.Policies)
        {
            text.Append(TerminalText.Mask(policy.Policy)).Append(": ").Append(Effect(policy)).Append('\n');
            foreach (var (_, verdict) in verdicts.Where(pair => pair.Policy == policy.Policy))
            {
                var patches = string.Join(", ", policy.PatchesWith(verdict.Settings));
                text.Append(patches.Length > 0 ? $"  {patches}: " : "  ").Append(policy.Settings.Length > 1 ? $"{verdict.Settings}, " : "")
                    .Append("through ").Append(Describe(verdict)).Append('\n');
            }
        }

        if (machine is { Balancer: { } device } && !verdicts.IsEmpty)
        {
            text.Append(CultureInfo.InvariantCulture, $"Compared with {device.Name} because this is {machine.Name}: {machine.Why}. --balancer compares with another.\n");
        }

        if (DataInFlight() is { } uncovered)
        {
            text.Append(uncovered).Append('\n');
        }

        foreach (var policy in input.Read.Resources.All.OfType<Policy>().Where(static policy => !policy.IsValid))
        {
            text.Append(TerminalText.Mask(policy.RuleName)).Append(": not enforced, because it has errors\n");
        }

        return text.Append(Summary()).ToString();
    }

    public string ToSarif() => SarifText.Write(diagnostics);

    /// <summary>Workflow commands of GitHub, and the counts.</summary>
    public string ToGitHub()
    {
        var text = new StringBuilder();
        foreach (var diagnostic in diagnostics)
        {
            GitHubText.Append(text, diagnostic);
        }

        return text.Append(Summary()).ToString();
    }

    private string Summary()
    {
        var counts = Enum.GetValues<Severity>().OrderDescending()
            .Select(severity => (Severity: severity, Number: diagnostics.Count(diagnostic => diagnostic.Severity == severity)))
            .Where(static count => count.Number > 0)
            .Select(static count => Counted.Of(count.Number, count.Severity.ToString().ToLowerInvariant())).ToList();
        return $"{Counted.Of(input.Read.Files, "file")}, {Counted.Of(input.Read.Resources.All.Length, "resource")}: "
            + $"{(counts.Count == 0 ? "no problems" : string.Join(", ", counts))}\n";
    }

    public string ToJson()
    {
        var text = new StringBuilder();
        foreach (var diagnostic in diagnostics)
        {
            AgentJson.Lines.Append(text, writer =>
            {
                writer.WriteString("file", diagnostic.Position.File);
                writer.WriteNumber("line", diagnostic.Position.Line);
                writer.WriteNumber("column", diagnostic.Position.Column);
                writer.WriteString("severity", diagnostic.Severity.ToString().ToLowerInvariant());
                writer.WriteString("code", diagnostic.Code);
                writer.WriteString("message", diagnostic.Message);
                writer.WriteString("fix", diagnostic.Fix);
            });
        }

        AgentJson.Lines.Append(text, writer =>
        {
            writer.WriteString("kind", "summary");
            writer.WriteNumber("files", input.Read.Files);
            writer.WriteNumber("resources", input.Read.Resources.All.Length);
            writer.WriteNumber("errors", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Error));
            writer.WriteNumber("warnings", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Warning));
            writer.WriteNumber("notes", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Note));
            if (machine is not null)
            {
                writer.WriteString("machine", machine.Name);
                writer.WriteString("why", machine.Why);
                writer.WriteString("source", machine.Source);
            }

            writer.WriteStartArray("policies");
            foreach (var policy in input.Compiled.Policies)
            {
                Write(writer, policy);
            }

            writer.WriteEndArray();
        });
        return text.ToString();
    }

    private static string Effect(PolicySummary policy) => policy.IsJudgedOnly
        ? $"judged, not enforced, {Describe(policy)}"
        : $"{Counted.Of(policy.Destinations, "destination")}, {Counted.Of(policy.Ports, "port")}, "
            + (policy.Settings.IsEmpty ? "sets nothing" : $"{Counted.Of(policy.Addresses, "address", "addresses")}, {Describe(policy)}");

    /// <summary>The values; which ports have them, if not all have the same.</summary>
    private static string Describe(PolicySummary policy) => policy.PortGroups.Length < 2
        ? string.Join("; ", policy.Settings)
        : string.Join("; ", policy.PortGroups.OrderByDescending(static group => group.Settings is not null)
            .Select(static group => $"{group.Settings?.ToString() ?? "nothing"} on {Ports(group)}"));

    private static string Ports(PortGroup group)
    {
        const int most = 10;
        var numbers = group.Ports.OfType<long>().Take(most + 1).ToList();
        var text = (numbers.Count == 1 ? "port " : "ports ") + string.Join(", ", numbers.Take(most)) + (numbers.Count > most ? ", …" : "");
        return !group.Ports.Contains(null) ? text : numbers.Count == 0 ? "other ports" : $"{text} and others";
    }

    /// <summary>Says that keepalive does not cover data in flight, and which annotation does, if it would not make that wait longer; null if
    /// the policies have it, or set nothing.</summary>
    private string? DataInFlight()
    {
        const int mostNamed = 3;
        var policies = input.Compiled.Policies
            .Where(static policy => !policy.Settings.IsEmpty && !policy.IsJudgedOnly && policy.UserTimeout.Mode != UserTimeoutMode.Set)
            .Select(static policy => (policy.Policy, Timeout: policy.Settings.Max(UserTimeout.Covering)))
            .ToLookup(static policy => UserTimeout.ProlongsRetransmission(policy.Timeout));
        var (covered, longer) = (policies[false].ToList(), policies[true].ToList());
        if (covered.Count + longer.Count == 0)
        {
            return null;
        }

        var text = "keepalive does not cover data in flight: the kernel sends it again for some 15 minutes (tcp_retries2) before it ends the connection; ";
        if (covered.Count > 0)
        {
            text += $"the annotation {AgentAnnotations.UserTimeout}"
                + (longer.Count == 0 && covered.Select(static policy => policy.Timeout).Distinct().Count() == 1
                    ? $": {UserTimeout.Format(covered[0].Timeout)}" : $" ({Named(covered)})")
                + " ends it as soon as a quiet one" + (longer.Count > 0 ? "; " : "");
        }

        return longer.Count == 0 ? text
            : text + $"a user timeout as long as the probes take ({Named(longer)}) makes it wait longer: for an earlier end, shorten time + interval × probes";

        static string Named(List<(string Policy, int Timeout)> policies) =>
            string.Join(", ", policies.Take(mostNamed).Select(static policy => $"{UserTimeout.Format(policy.Timeout)} on {TerminalText.Mask(policy.Policy)}"))
            + (policies.Count > mostNamed ? ", and so on: time + interval × probes" : "");
    }

    private string Describe(BalancerVerdict verdict)
    {
        var timeout = verdict.IdleTimeout is { } seconds ? $", idle timeout {seconds}s"
            : verdict.Balancer.IsVerified(BalancerFacts.IdleTimeout) ? ", no idle timeout by default" : ", idle timeout not known";
        var (standing, schedule) = (verdict.Standing, verdict.Schedule);
        if (standing == BalancerStanding.Depends)
        {
            return $"{verdict.Balancer.Name}{timeout}: depends on net.ipv4.tcp_keepalive_time of the network namespace: "
                + (verdict.LostProbes > 0 ? $"kept with Linux's default, {schedule.Time}s"
                    : (verdict.KeptUpTo is { } most ? $"kept up to {most}s" : "never kept") + $" (Linux's default: {schedule.Time}s)");
        }

        if (standing == BalancerStanding.ProbesUnanswered && verdict.ClosesBeforeProbes)
        {
            return $"{verdict.Balancer.Name}{timeout}: not kept, closed at {verdict.IdleTimeout}s, before the first probe";
        }

        var answer = standing switch
        {
            BalancerStanding.Kept => $"kept, also when {Counted.Of(verdict.LostProbes, "probe")} in a row {(verdict.LostProbes == 1 ? "is" : "are")} lost{Unless(verdict)}",
            BalancerStanding.NoMargin => $"kept as long as no probe is lost{Unless(verdict)}",
            BalancerStanding.Forgotten => "forgotten",
            BalancerStanding.PayloadNeeded => "not kept, because probes do not count",
            BalancerStanding.ProbesUnanswered => "not kept, because probes do not count and later ones are not answered",
            _ => $"unknown: write --balancer {verdict.Balancer.Name}=TIMEOUT",
        };
        if (standing is BalancerStanding.Kept or BalancerStanding.NoMargin && Assumed(verdict.Settings) is { Length: > 0 } assumed)
        {
            answer += $" (with Linux's default {assumed}; the network namespace may have another)";
        }

        var end = standing == BalancerStanding.ProbesUnanswered ? "a healthy connection ends" : "a dead peer is noticed";
        return string.Create(CultureInfo.InvariantCulture, $"{verdict.Balancer.Name}{timeout}: {answer}; {end} {Spans.Whole(schedule.Death)} to "
            + $"{Spans.Whole(schedule.LatestDeath)} after its last packet; {verdict.ProbesPerHour * connections:N0} probes an hour for {connections:N0} quiet "
            + $"connection{(connections == 1 ? "" : "s")}");
    }

    /// <summary>The condition of a good verdict that no source confirms.</summary>
    private static string Unless(BalancerVerdict verdict) => verdict.Unconfirmed switch
    {
        BalancerFacts.None => "",
        BalancerFacts.IdleTimeout => " (if that is its idle timeout: not confirmed by a source, measure it)",
        BalancerFacts.Refresh => " (if probes count: not confirmed by a source, measure it)",
        _ => " (if probes count and that is its idle timeout: not confirmed by a source, measure it)",
    };

    /// <summary>The values that the policy leaves to the network namespace.</summary>
    private static string Assumed(KeepaliveSettings settings)
    {
        var defaults = KeepaliveSettings.LinuxDefaults;
        string[] assumed =
        [
            .. settings.Interval is null ? [$"interval, {defaults.Interval}s"] : (string[])[],
            .. settings.Probes is null ? [$"number of probes, {defaults.Probes}"] : (string[])[],
        ];
        return string.Join(", and ", assumed);
    }

    private void Write(Utf8JsonWriter writer, PolicySummary policy)
    {
        writer.WriteStartObject();
        writer.WriteString("policy", policy.Policy);
        writer.WriteString("kind", policy.Source.Kind);
        writer.WriteNumber("destinations", policy.Destinations);
        writer.WriteNumber("ports", policy.Ports);
        writer.WriteNumber("addresses", policy.Addresses);
        writer.WriteNumber("rules", policy.Rules);
        writer.WriteBoolean("keepalive", !policy.Settings.IsEmpty);
        AgentJson.WriteSettings(writer, policy.Settings.IsEmpty ? default : policy.Settings[0]);
        writer.WriteString("userTimeout", policy.UserTimeout.ToString());
        if (!policy.Settings.IsEmpty)
        {
            writer.WriteNumber("coveringUserTimeoutMs", policy.Settings.Max(UserTimeout.Covering));
        }

        if (!verdicts.IsEmpty)
        {
            writer.WriteStartArray("balancers");
            foreach (var (_, verdict) in verdicts.Where(pair => pair.Policy == policy.Policy))
            {
                Write(writer, verdict);
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    private void Write(Utf8JsonWriter writer, BalancerVerdict verdict)
    {
        writer.WriteStartObject();
        writer.WriteString("balancer", verdict.Balancer == BalancerPresets.Unnamed ? null : verdict.Balancer.Name);
        if (verdict.IdleTimeout is { } timeout)
        {
            writer.WriteNumber("idleTimeout", timeout);
        }

        writer.WriteString("standing", JsonNamingPolicy.CamelCase.ConvertName(verdict.Standing.ToString()));
        writer.WriteBoolean("confirmed", verdict.Unconfirmed == BalancerFacts.None);
        if (verdict.Standing == BalancerStanding.Depends)
        {
            if (verdict.KeptUpTo is { } most)
            {
                writer.WriteNumber("keptUpTo", most);
            }

            writer.WriteEndObject();
            return;
        }

        writer.WriteNumber("lostProbes", verdict.LostProbes);
        writer.WriteNumber("firstProbe", verdict.Schedule.Probe(1).TotalSeconds);
        writer.WriteNumber("firstProbeLatest", verdict.Schedule.LatestProbe(1).TotalSeconds);
        writer.WriteNumber("detection", verdict.Schedule.Death.TotalSeconds);
        writer.WriteNumber("detectionLatest", verdict.Schedule.LatestDeath.TotalSeconds);
        writer.WriteNumber("connections", connections);
        writer.WriteNumber("probesPerHour", Math.Round(verdict.ProbesPerHour * connections, 1));
        writer.WriteEndObject();
    }
}
