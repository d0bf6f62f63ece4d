using System.Globalization;
using System.Text.Json;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints what came out of a scenario.</summary>
internal static class RunReport
{
    /// <summary>Why requests fail: names in JSON, and words.</summary>
    public static IReadOnlyList<(Cause Cause, string Name, string Words)> Causes { get; } =
    [
        (Cause.BalancerReset, "balancerReset", "503: reset by the balancer"),
        (Cause.BalancerClosed, "balancerClosed", "503: closed by the balancer just then"),
        (Cause.PeerReset, "peerReset", "503: reset by the endpoint"),
        (Cause.ConnectFailed, "connectFailed", "503: no connection"),
        (Cause.GaveUp, "gaveUp", "503: retransmitted without an answer"),
        (Cause.ProbesSwallowed, "probesSwallowed", "503: probes swallowed by the balancer"),
        (Cause.ProbesUnanswered, "probesUnanswered", "503: probes unanswered"),
        (Cause.Swallowed, "swallowed", "504: swallowed by the balancer"),
        (Cause.PeerSilent, "peerSilent", "504: the endpoint is silent"),
        (Cause.Lost, "lost", "504: lost by the network"),
        (Cause.Slow, "slow", "504: the server was still at work"),
    ];

    private static readonly string[] s_series = ["requests", "ok", "status503", "status504", "expiries", "probes"];

    public static void WriteJson(RunResult result, TextWriter output) => output.WriteLine(SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteString("scenario", result.Scenario.Name);
        WriteFigures(writer, result);
        writer.WriteStartObject("causes");
        foreach (var (cause, name, _) in Causes)
        {
            writer.WriteNumber(name, result.Totals.Of(cause));
        }
        writer.WriteEndObject();
        WriteSeries(writer, "noticeSeconds", result.Totals.Notices);
        WriteSeries(writer, "deathSeconds", result.Totals.Deaths);
        writer.WriteStartArray("closedForms");
        foreach (var row in result.ClosedForms())
        {
            writer.WriteStartObject();
            writer.WriteString("what", row.What);
            writer.WriteString("formula", row.Formula);
            writer.WriteNumber("expected", row.Expected);
            writer.WriteNumber("simulated", row.Simulated);
            writer.WriteNumber("standardError", row.StandardError);
            WriteNumber(writer, "errors", row.Errors);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartArray("connectionsByFailures");
        foreach (var (count, failures) in result.Totals.ByFailures.Select((count, failures) => (count, failures)).Where(entry => entry.count > 0))
        {
            writer.WriteStartObject();
            writer.WriteNumber("failures", failures);
            writer.WriteNumber("connections", count);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartObject("timeline");
        writer.WriteNumber("secondsEach", result.Scenario.Duration.TotalSeconds / VirtualTotals.Bins);
        for (var row = 0; row < s_series.Length; row++)
        {
            writer.WriteStartArray(s_series[row]);
            foreach (var value in result.Totals.Timeline[row])
            {
                writer.WriteNumberValue(value);
            }
            writer.WriteEndArray();
        }
        writer.WriteEndObject();
    }));

    /// <summary>The figures that also a grid of scenarios shows.</summary>
    public static void WriteFigures(Utf8JsonWriter writer, RunResult result)
    {
        foreach (var (name, value) in Figures(result))
        {
            writer.WriteNumber(name, value);
        }
        writer.WriteNumber("failureRate", result.FailureRate);
        writer.WriteNumber("probesPerConnectionHour", result.ProbesPerHour);
    }

    public static IEnumerable<(string Name, long Value)> Figures(RunResult result)
    {
        var totals = result.Totals;
        return
        [
            ("requests", totals.Requests), ("ok", totals.Ok), ("status503", totals.Status503), ("status504", totals.Status504), ("retried", totals.Retried),
            ("probes", result.Probes), ("clientProbes", totals.ClientProbes), ("serverProbes", totals.ServerProbes), ("replies", totals.Replies), ("probeBytes", result.Bytes),
            ("expiries", totals.Expiries), ("forgotten", totals.Forgotten), ("revived", totals.Revived),
            ("resetsToClient", totals.ResetsToClient), ("resetsToServer", totals.ResetsToServer), ("fins", totals.Fins),
            ("opened", totals.Opened), ("connectFailures", totals.ConnectFailures), ("endedIdle", totals.EndedIdle), ("keepaliveDeaths", totals.KeepaliveDeaths),
            ("retransmissions", totals.Retransmissions), ("removals", totals.Removals),
            ("expiredWaiting", totals.ExpiredWaiting), ("lostWaiting", totals.LostWaiting),
        ];
    }

    public static void WriteTable(RunResult result, TextWriter output)
    {
        var (scenario, totals) = (result.Scenario, result.Totals);
        var behaviour = scenario.Rule.Behaviour;
        Line("scenario", scenario.Name);
        Line("balancer", $"{scenario.Preset?.Name ?? "of its own"}: idle timeout {Words.Duration(scenario.Rule.IdleTimeout)}, then {behaviour.ExpiryName}, refreshed by {behaviour.RefreshName}"
            + (behaviour.DropsProbes ? "; probes are not answered" : ""));
        Line("keepalive", $"client {scenario.Keepalive?.ToString() ?? "off"}; server {scenario.ServerKeepalive?.ToString() ?? "off"}");
        if (scenario.ServiceTime is { } service)
        {
            Line("service time", $"{service}; request timeout {Words.Duration(scenario.RequestTimeout)}");
        }
        Line("size", $"{Words.Count(scenario.Connections, "connection")} for {Words.Duration(scenario.Duration)}");
        output.WriteLine();
        Line("requests", $"{totals.Requests}");
        Line("  ok", $"{totals.Ok}");
        Line("  503", $"{totals.Status503}{Part(totals.Status503, totals.Requests)}");
        Line("  504", $"{totals.Status504}{Part(totals.Status504, totals.Requests)}");
        foreach (var (cause, _, words) in Causes.Where(entry => totals.Of(entry.Cause) > 0))
        {
            Line($"  {words}", $"{totals.Of(cause)}");
        }
        if (scenario.ServiceTime is not null)
        {
            Line("responses lost while waiting", $"{totals.LostWaiting}{Part(totals.LostWaiting, totals.Requests)}");
        }
        Line("probes", Text($"{result.Probes}, {result.ProbesPerHour:0.##} an hour each connection; {result.Bytes / 1e6:0.##} MB with their answers"));
        Line("expiries", $"{totals.Expiries}{(scenario.ServiceTime is null ? "" : $"; {totals.ExpiredWaiting} while waiting for a response")}");
        Line("connections made", $"{totals.Opened}; {totals.EndedIdle} ended idle, {totals.KeepaliveDeaths} by unanswered probes");
        if (totals.Notices.Count > 0)
        {
            Line("a dead endpoint noticed after", Text($"p50 {RunResult.Percentile(totals.Notices, 0.5):0.0} s, p99 {RunResult.Percentile(totals.Notices, 0.99):0.0} s, max {RunResult.Percentile(totals.Notices, 1):0.0} s"));
        }
        var worst = Array.FindLastIndex(totals.ByFailures, count => count > 0);
        Line("connections without a failure", $"{totals.ByFailures[0]} of {totals.ByFailures.Sum()}; the most: {worst}{(worst == VirtualTotals.MaxFailures ? " or more" : "")}");
        Line("failed over time", Sparkline(totals));
        foreach (var row in result.ClosedForms())
        {
            output.WriteLine();
            Line($"closed form, {row.What}", Text($"{row.Formula} = {row.Expected:0.######}; simulated {row.Simulated:0.######}"));
            Line("  apart", row.StandardError > 0 ? Text($"{row.Errors:+0.00;−0.00} standard errors of {row.StandardError:0.0000000}") : Text($"{row.Simulated - row.Expected:0.######}"));
        }

        void Line(string name, string value) => output.WriteLine($"{name,-38} {value}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Part(long part, long whole) => whole == 0 ? "" : $"  {Words.Percent((double)part / whole, 4)}";

    /// <summary>The failed part of the requests of each time, nine levels high.</summary>
    private static string Sparkline(VirtualTotals totals)
    {
        const string levels = "·▁▂▃▄▅▆▇█";
        var rates = totals.Timeline[VirtualTotals.RequestRow].Select((requests, bin) => requests == 0 ? 0 : (double)(totals.Timeline[VirtualTotals.Status503Row][bin] + totals.Timeline[VirtualTotals.Status504Row][bin]) / requests).ToList();
        var most = rates.Max();
        return string.Concat(rates.Select(rate => rate == 0 ? levels[0] : levels[1 + (int)Math.Min(7, rate / most * 7.99)])) + $"  the most: {Words.Percent(most, 2)}";
    }

    private static void WriteSeries(Utf8JsonWriter writer, string name, List<long> sorted)
    {
        writer.WriteStartObject(name);
        writer.WriteNumber("count", sorted.Count);
        WriteNumber(writer, "p50", RunResult.Percentile(sorted, 0.5));
        WriteNumber(writer, "p99", RunResult.Percentile(sorted, 0.99));
        WriteNumber(writer, "max", RunResult.Percentile(sorted, 1));
        writer.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteNull(name);
        }
    }
}
