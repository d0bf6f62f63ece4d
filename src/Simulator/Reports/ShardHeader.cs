using System.Collections.Immutable;
using System.Text.Json;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>The first line of a shard's rows: which part of which grid they are, and of which version of the program.</summary>
internal sealed record ShardHeader(GridHead Grid, Shard Shard, string Version)
{
    public const string Mark = "keepaliveSweepShard";

    /// <summary>How the line begins.</summary>
    public const string Begin = $"{{\"{Mark}\":";

    public static ShardHeader Of(GridHead grid, Shard shard) => new(grid, shard, BuildInformation.Version);

    /// <summary>Reads what <see cref="ToJson"/> wrote; null for anything else.</summary>
    public static ShardHeader? Parse(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty(Mark, out var mark) || Shard.Parse(mark.GetString() ?? "") is not { } shard
                || root.GetProperty("scenario").GetString() is not { } scenario || root.GetProperty("fingerprint").GetString() is not { } fingerprint
                || root.GetProperty("version").GetString() is not { } version)
            {
                return null;
            }
            var parameters = root.GetProperty("set").EnumerateObject()
                .Select(field => new ParameterRange(field.Name, [.. field.Value.EnumerateArray().Select(value => value.GetString() ?? "")])).ToImmutableArray();
            var isGrid = !parameters.IsEmpty && GridHead.Size(parameters) <= ScenarioGrid.MaxAllPoints
                && parameters.All(parameter => !parameter.Values.IsEmpty && parameter.Values.Distinct().Count() == parameter.Values.Length);
            return isGrid ? new ShardHeader(new GridHead(scenario, fingerprint, parameters, root.GetProperty("waits").GetBoolean()), shard, version) : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }

    public string ToJson() => SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteString(Mark, Shard.ToString());
        writer.WriteString("version", Version);
        writer.WriteString("scenario", Grid.Scenario);
        writer.WriteString("fingerprint", Grid.Fingerprint);
        writer.WriteBoolean("waits", Grid.Waits);
        writer.WriteStartObject("set");
        foreach (var parameter in Grid.Parameters)
        {
            writer.WriteStartArray(parameter.Path);
            foreach (var value in parameter.Values)
            {
                writer.WriteStringValue(value);
            }
            writer.WriteEndArray();
        }
        writer.WriteEndObject();
    });

    /// <summary>How it differs from another shard of the same sweep; null where both can be merged.</summary>
    public string? Difference(ShardHeader other) =>
        Version != other.Version ? $"version {Version} of the program, not {other.Version}"
        : Grid.Fingerprint != other.Grid.Fingerprint ? $"another scenario, or a policy or trace that it names has changed (fingerprint {Grid.Fingerprint}, not {other.Grid.Fingerprint})"
        : !Grid.Parameters.Select(Text).SequenceEqual(other.Grid.Parameters.Select(Text)) ? "other values of --set"
        : Shard.Count != other.Shard.Count ? $"one of {Shard.Count} shards, not of {other.Shard.Count}"
        : null;

    private static string Text(ParameterRange parameter) => $"{parameter.Path}={string.Join(',', parameter.Values)}";
}
