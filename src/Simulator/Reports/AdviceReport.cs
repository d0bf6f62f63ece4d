using System.Globalization;
using Keepalive.Simulator.Advice;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints advice: a policy whose comments say why.</summary>
internal static class AdviceReport
{
    public static void WriteYaml(AdviceRequest request, Advice.Advice advice, RunResult with, RunResult without, TextWriter output)
    {
        var settings = advice.Settings;
        Comment($"{request.Preset?.Product ?? "A balancer"}: forgets a connection after {Words.Duration(request.Rule.IdleTimeout)}, then {request.Rule.Behaviour.ExpiryName}.");
        Comment($"time {settings.Time}s: {advice.Limit}, with timers as late as Linux at HZ={request.Hz} has them.");
        Comment(string.Create(CultureInfo.InvariantCulture, $"Forgotten all the same: {advice.Forgotten:0.###e+0} of the waits at {100 * request.Loss:0.###} % loss (wanted: {request.Target:0.###e+0}); a healthy connection given up: {advice.GivenUp:0.###e+0}."));
        Comment(string.Create(CultureInfo.InvariantCulture, $"A dead peer is known {Words.Duration(advice.Detection)} after it was last heard, at the latest. {advice.ProbesPerHour:0.#} probes an hour each idle connection."));
        Comment($"Simulated, {Words.Count(request.Connections, "connection")} for {Words.Duration(with.Scenario.Duration)}: {with.Totals.Expiries} forgotten in {with.Probes} probes, {with.Failed} of {with.Totals.Requests} requests failed.");
        Comment(string.Create(CultureInfo.InvariantCulture, $"Without keepalive: {without.Failed} of {without.Totals.Requests} ({100 * without.FailureRate:0.#} %)."));
        if (request.Preset is { Unverified: not Config.Balancers.BalancerFacts.None })
        {
            Comment("Not all of what is assumed of this balancer is confirmed by a source (see keepalive-sim balancers): measure it.");
        }
        output.Write(PolicyText.Write(Name(request), settings, request.Address));

        void Comment(string text) => output.WriteLine($"# {text}");
    }

    public static void WriteJson(AdviceRequest request, Advice.Advice advice, RunResult with, RunResult without, TextWriter output) => output.WriteLine(JsonLine.Of(writer =>
    {
        writer.WriteBoolean("possible", true);
        writer.WriteNumber("time", advice.Settings.Time!.Value);
        writer.WriteNumber("interval", advice.Settings.Interval!.Value);
        writer.WriteNumber("probes", advice.Settings.Probes!.Value);
        writer.WriteNumber("probesInTime", advice.ProbesInTime);
        writer.WriteString("limit", advice.Limit);
        writer.WriteNumber("forgottenRate", advice.Forgotten);
        writer.WriteNumber("givenUpRate", advice.GivenUp);
        writer.WriteNumber("probesPerConnectionHour", advice.ProbesPerHour);
        writer.WriteNumber("detectionSeconds", advice.Detection.TotalSeconds);
        writer.WriteStartObject("simulated");
        RunReport.WriteFigures(writer, with);
        writer.WriteEndObject();
        writer.WriteStartObject("withoutKeepalive");
        RunReport.WriteFigures(writer, without);
        writer.WriteEndObject();
        writer.WriteString("policy", PolicyText.Write(Name(request), advice.Settings, request.Address));
    }));

    public static void WriteRefusalJson(string reason, TextWriter output) => output.WriteLine(JsonLine.Of(writer =>
    {
        writer.WriteBoolean("possible", false);
        writer.WriteString("reason", reason);
    }));

    private static string Name(AdviceRequest request) => request.Preset?.Name ?? "balancer";
}
