using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Agent.Audit;
using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>audit --cluster</c>: the connections of all nodes, those at risk first.</summary>
internal sealed class FleetAudit
{
    /// <summary>Groups of a node that are kept: those at risk come first.</summary>
    private const int MaxOfANode = 20_000;

    private static readonly string[] s_heads =
        ["AT RISK", "NODE", "NAMESPACE", "POD", "CONNECTIONS", "QUIET FOR", "PROCESS", "DESTINATION", "KEEPALIVE", "FINDING", "POLICY"];

    private readonly List<(string Node, AuditLine Line)> _groups = [];
    private readonly List<string> _json = [];
    private readonly SortedSet<string> _yardsticks = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _changePolicies = new(StringComparer.Ordinal);
    private string? _protect;
    private long _connections;
    private long _local;
    private int _nodes;

    /// <summary>Quiet connections that are not kept.</summary>
    public long AtRisk { get; private set; }

    /// <summary>Groups that are counted and not listed, because their nodes have too many.</summary>
    public int Omitted { get; private set; }

    /// <summary>Takes what the agent of a node printed. Returns false if that is something else.</summary>
    public bool TryAdd(string node, IReadOnlyList<string> lines)
    {
        var (groups, json) = (new List<(string, AuditLine)>(), new List<string>(lines.Count));
        AuditLine? summary = null;
        var omitted = 0;
        foreach (var text in lines)
        {
            if (!NodeLines.TryRead(text, AuditJsonContext.Readable.AuditLine, out var line) || NodeLines.WithNode(node, text) is not { } written)
            {
                return false;
            }
            if (line.Kind == "summary")
            {
                summary = line;
            }
            else if (groups.Count < MaxOfANode)
            {
                groups.Add((node, line));
            }
            else
            {
                omitted++;
                continue;
            }
            json.Add(written);
        }
        if (summary is null)
        {
            return false;
        }
        Omitted += omitted;
        _groups.AddRange(groups);
        _json.AddRange(json);
        (_connections, _local, AtRisk, _nodes) = (_connections + summary.Connections, _local + (summary.LocalJson.ValueKind == JsonValueKind.Number && summary.LocalJson.TryGetInt64(out var local) ? local : 0), AtRisk + summary.AtRisk, _nodes + 1);
        _yardsticks.Add($"{(summary.Balancer is { } balancer ? $"by {balancer} " : "by a device on the path ")}after {summary.IdleTimeout}s");
        _protect ??= summary.AtRisk > 0 ? summary.Protect : null;
        _changePolicies.UnionWith(summary.ChangePolicies ?? []);
        return true;
    }

    public void WriteTable(TextWriter output, int failed)
    {
        if (_groups.Count > 0)
        {
            List<string[]> rows =
            [
                s_heads,
                .. _groups.OrderByDescending(static one => one.Line.AtRisk).ThenBy(static one => one.Node, StringComparer.Ordinal)
                    .ThenByDescending(static one => one.Line.Connections).Select(static one => Row(one.Node, one.Line)),
            ];
            TextTable.Write(output, rows);
        }
        output.Write(string.Create(CultureInfo.InvariantCulture, $"{_connections} connections on {Counted.Of(_nodes, "node")}"));
        output.Write(_local > 0 ? string.Create(CultureInfo.InvariantCulture, $", and {_local} within their namespace") : "");
        output.Write(string.Create(CultureInfo.InvariantCulture, $": {AtRisk} at risk"));
        output.Write(_yardsticks.Count > 0 ? $" of being forgotten {TerminalText.Mask(string.Join(", or ", _yardsticks))}" : "");
        output.WriteLine(failed > 0 ? $"; {Counted.Of(failed, "node")} could not be examined" : "");
        if (_protect is not null)
        {
            output.WriteLine($"To protect {(AtRisk == 1 ? "it" : "them")}, on each node: {TerminalText.Mask(_protect)}");
        }
        if (_changePolicies.Count > 0)
        {
            output.WriteLine($"{TerminalText.Mask(string.Join(", ", _changePolicies))} {(_changePolicies.Count == 1 ? "selects" : "select")} connections at risk without protecting them, "
                + "and run --keepalive comes after every policy: audit on a node says what to change.");
        }
    }

    public void WriteJson(TextWriter output, int failed)
    {
        _json.ForEach(output.WriteLine);
        output.WriteLine(AgentJson.Lines.Of(writer =>
        {
            writer.WriteString("kind", "total");
            writer.WriteNumber("nodes", _nodes);
            writer.WriteNumber("failedNodes", failed);
            writer.WriteNumber("connections", _connections);
            writer.WriteNumber("local", _local);
            writer.WriteNumber("atRisk", AtRisk);
        }));
    }

    private static string[] Row(string node, AuditLine line) =>
    [
        line.AtRisk > 0 ? line.AtRisk.ToString(CultureInfo.InvariantCulture) : "-",
        node,
        line.Namespace ?? "-",
        line.Pod is null ? "-" : line.Container is null ? line.Pod : $"{line.Pod}/{line.Container}",
        line.Connections.ToString(CultureInfo.InvariantCulture),
        line.LongestIdleMs is { } idle ? Spans.Short(idle) : "?",
        line.Pids switch { null or [] => "-", [var pid] => $"{pid}/{line.Command}", var many => $"{line.Command} ({many.Count} processes)" },
        line.Local is { } own && line.Direction == "accepted" ? $"accepted on {own}" : line.Remote ?? "?",
        line.Keepalive switch { true => $"{line.Time}s/{line.Interval}s/{line.Probes}", false => "off", null => "?" },
        (Enum.TryParse<AuditFinding>(line.Finding, ignoreCase: true, out var finding) ? AuditReport.Describe(finding) : line.Finding ?? "?")
            + (line.EndsAfterProbes is { } ends ? $", but ends after {ends} of {Counted.Of(line.Probes ?? 0, "lost probe")}" : ""),
        line.Policy is null ? "-" : line.WouldSet > 0 ? $"{line.Policy} would set {line.WouldSet}" : line.Policy,
    ];
}

/// <summary>A line of <c>audit -o json</c>: a group of connections, or the summary.</summary>
internal sealed record AuditLine
{
    public string? Kind { get; init; }

    public string? Command { get; init; }

    public IReadOnlyList<int>? Pids { get; init; }

    public string? Direction { get; init; }

    /// <summary>The own end of accepted connections.</summary>
    [JsonIgnore]
    public string? Local => LocalJson.ValueKind == JsonValueKind.String ? LocalJson.GetString() : null;

    /// <summary>In a group a text, in the summary a number.</summary>
    [JsonPropertyName("local")]
    public JsonElement LocalJson { get; init; }

    public string? Remote { get; init; }

    public bool? Keepalive { get; init; }

    public int? Time { get; init; }

    public int? Interval { get; init; }

    public int? Probes { get; init; }

    public string? Finding { get; init; }

    public int? EndsAfterProbes { get; init; }

    public long Connections { get; init; }

    public long AtRisk { get; init; }

    public long? LongestIdleMs { get; init; }

    public string? Policy { get; init; }

    public int WouldSet { get; init; }

    public string? Namespace { get; init; }

    public string? Pod { get; init; }

    public string? Container { get; init; }

    public int IdleTimeout { get; init; }

    public string? Balancer { get; init; }

    public string? Protect { get; init; }

    public IReadOnlyList<string>? ChangePolicies { get; init; }
}

[JsonSerializable(typeof(AuditLine))]
internal sealed partial class AuditJsonContext : JsonSerializerContext
{
    public static AuditJsonContext Readable { get; } = new(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.CamelCase });
}
