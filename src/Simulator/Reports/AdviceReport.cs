using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Resources;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints advice: a policy whose comments say why.</summary>
internal static class AdviceReport
{
    public static void WriteYaml(AdviceRequest request, Advice.Advice advice, RunResult with, RunResult without, TextWriter output)
    {
        var settings = advice.Settings;
        Comment($"{request.Preset?.Product ?? "A balancer"}: forgets a connection after {Words.Duration(request.Rule.IdleTimeout)}, then {request.Rule.Behaviour.ExpiryName}{(request.IsExpiryAssumed ? " (assumed; the policy does not depend on it)" : "")}.");
        Comment($"time {settings.Time}s: {advice.Limit}, with timers as late as Linux may fire them at {(request.Hz is null ? "any of " : "")}HZ={string.Join(", ", request.AssumedHz)}{(request.Hz is null ? " (if you know it: --hz)" : "")}.");
        if (advice.Why is { } why)
        {
            Comment($"Why not later: {why}.");
        }
        if (Impossible(request) is { } refusal)
        {
            Comment($"Evaluated for an idle timeout of {Words.Duration(request.Rule.IdleTimeout)}, but {refusal}.");
        }
        Comment($"Forgotten nevertheless: {Words.Part(advice.Forgotten)} of the waits at {Words.Percent(request.Loss, 3)} loss (wanted: {Words.Part(request.Target)}); a healthy connection ended: {Words.Part(advice.GivenUp)}.");
        Comment(string.Create(CultureInfo.InvariantCulture, $"A dead peer is detected at most {Words.Duration(advice.Detection)} after its last packet. {advice.ProbesPerHour:0.#} probes an hour each idle connection."));
        if (advice.Haste is { } haste)
        {
            Comment(haste);
        }
        Comment($"Simulated at HZ={advice.WorstHz}, {Words.Count(with.Scenario.Connections, "connection")} for {Words.Duration(with.Scenario.Duration)}: {with.Totals.Expiries} forgotten in {Words.Count(with.Probes, "probe")}; {Failed(with)}.");
        Comment($"Without keepalive: {Failed(without)}.");
        var covering = UserTimeout.Covering(settings);
        Comment("Keepalive does not cover data in flight, which the kernel sends again for some 15 minutes (tcp_retries2): "
            + (UserTimeout.ProlongsRetransmission(covering)
                ? $"{AgentAnnotations.UserTimeout}: {UserTimeout.Format(covering)} on the policy, as long as the probes take, would make that longer."
                : $"{AgentAnnotations.UserTimeout}: {UserTimeout.Format(covering)} on the policy ends such a connection as soon as a quiet one."));
        if (request.ServiceTime is { } service)
        {
            Comment(request.OutlastsIdleTimeout
                ? $"A response after {Words.Duration(service)}: the client's kernel probes while it waits. Lost while waiting: {Lost(with)}; without keepalive {Lost(without)}. The request timeout has to be longer."
                : $"A response after {Words.Duration(service)} comes before the idle timeout has passed: only connections between two requests are forgotten.");
        }
        if (Unconfirmed(request) is { } facts)
        {
            Comment($"Not confirmed by a source: {facts}. Measure it before you rely on this.");
        }
        output.Write(AdvisedPolicy.Write(Name(request), settings, request.Address));
        foreach (var application in Applications(request, settings))
        {
            output.WriteLine();
            foreach (var line in ApplicationReport.Lines(application, settings, harms: false))
            {
                Comment(line);
            }
        }

        void Comment(string text) => output.WriteLine($"# {text}");
    }

    public static void WriteJson(AdviceRequest request, Advice.Advice advice, RunResult with, RunResult without, TextWriter output) => output.WriteLine(SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteBoolean("possible", true);
        writer.WriteNumber("time", advice.Settings.Time!.Value);
        writer.WriteNumber("interval", advice.Settings.Interval!.Value);
        writer.WriteNumber("probes", advice.Settings.Probes!.Value);
        writer.WriteNumber("probesInTime", advice.ProbesInTime);
        writer.WriteString("limit", advice.Limit);
        writer.WriteString("why", advice.Why);
        writer.WriteNumber("timerStepSeconds", advice.Step.TotalSeconds);
        writer.WriteNumber("forgottenRate", advice.Forgotten);
        writer.WriteNumber("givenUpRate", advice.GivenUp);
        writer.WriteNumber("probesPerConnectionHour", advice.ProbesPerHour);
        writer.WriteNumber("detectionSeconds", advice.Detection.TotalSeconds);
        writer.WriteNumber("outlastsSeconds", (double)advice.Settings.Interval.Value * advice.Settings.Probes.Value);
        writer.WriteNumber("coveringUserTimeoutMs", UserTimeout.Covering(advice.Settings));
        writer.WriteString("warning", advice.Haste);
        if (request.ServiceTime is { } service)
        {
            writer.WriteNumber("serviceSeconds", service.TotalSeconds);
        }
        writer.WriteStartArray("assumedHz");
        foreach (var hz in request.AssumedHz)
        {
            writer.WriteNumberValue(hz);
        }
        writer.WriteEndArray();
        writer.WriteNumber("simulatedHz", advice.WorstHz);
        writer.WriteStartObject("simulated");
        RunReport.WriteFigures(writer, with);
        writer.WriteEndObject();
        writer.WriteStartObject("withoutKeepalive");
        RunReport.WriteFigures(writer, without);
        writer.WriteEndObject();
        writer.WriteString("policy", AdvisedPolicy.Write(Name(request), advice.Settings, request.Address));
        writer.WriteString("notConfirmed", Unconfirmed(request));
        if (request.Application is not null)
        {
            ApplicationReport.Write(writer, Applications(request, advice.Settings), advice.Settings, harms: false);
        }
    }));

    public static void WriteRefusalJson(AdviceRequest request, string reason, TextWriter output) => output.WriteLine(SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteBoolean("possible", false);
        writer.WriteString("reason", reason);
        if (request is { Application: { } name, Rule.Behaviour.Refresh: Refresh.PayloadOnly })
        {
            ApplicationReport.Write(writer, ApplicationReport.Instead(name, request), null, Harms(request));
        }
    }));

    /// <summary>The application's own way where only payload counts, line by line.</summary>
    public static IEnumerable<string> RefusalLines(AdviceRequest request) => request is { Application: { } name, Rule.Behaviour.Refresh: Refresh.PayloadOnly }
        ? ApplicationReport.Instead(name, request).SelectMany(application => ApplicationReport.Lines(application, null, Harms(request)))
        : [];

    private static IEnumerable<ApplicationAdvice> Applications(AdviceRequest request, KeepaliveSettings advised) =>
        request.Application is { } name ? ApplicationReport.For(name, request, advised) : [];

    private static bool Harms(AdviceRequest request) => request.Rule.Behaviour.DropsProbes;

    private static string? Impossible(AdviceRequest request) => request.Preset?.RefusalOf(request.Rule.IdleTimeout.TotalSeconds);

    /// <summary>The facts behind the advice that no source confirms; null if there are none.</summary>
    private static string? Unconfirmed(AdviceRequest request)
    {
        if (request.Preset is not { } preset)
        {
            return null;
        }
        List<string> facts = [];
        if (!preset.IsVerified(BalancerFacts.Refresh) && request.Rule.Behaviour.Refresh == preset.Refresh)
        {
            facts.Add("that keepalive probes count");
        }
        if (!preset.IsVerified(BalancerFacts.IdleTimeout) && request.Rule.IdleTimeout.TotalSeconds == preset.IdleTimeout)
        {
            facts.Add("the idle timeout");
        }
        if (!preset.IsVerified(BalancerFacts.Expiry) && request.Rule.Behaviour.Expiry == preset.Expiry)
        {
            facts.Add("what happens at expiry");
        }
        return facts.Count == 0 ? null : string.Join(", ", facts);
    }

    /// <summary>The failed requests, and how many of them no balancer has anything to do with.</summary>
    private static string Failed(RunResult result)
    {
        var byNetwork = result.Failed - result.FailedForgotten;
        return $"{result.Failed} of {Words.Count(result.Totals.Requests, "request")} failed ({Words.Percent(result.FailureRate)})"
            + (byNetwork == 0 ? "" : $", {(byNetwork == result.Failed ? "all" : byNetwork)} of them for packets that the network lost, not for a forgotten connection");
    }

    private static string Lost(RunResult result) => $"{result.Totals.LostWaiting} of {result.Totals.Requests}";

    private static string Name(AdviceRequest request) => request.Preset?.Name ?? "balancer";
}
