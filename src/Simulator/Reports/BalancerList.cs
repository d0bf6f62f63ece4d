using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Reports;

/// <summary>The output of <c>balancers</c>: a table, with notes and sources below it, or one JSON object a line.</summary>
internal static class BalancerList
{
    private const char Mark = '*';
    private const char Unanswered = '!';

    public static void WriteTable(IReadOnlyCollection<BalancerPreset> presets, TextWriter output)
    {
        List<string[]> rows = [["NAME", "IDLE TIMEOUT", "RANGE", "AT EXPIRY", "REFRESHED BY"]];
        rows.AddRange(presets.Select(preset => (string[])
        [
            preset.Name,
            Marked(preset, BalancerFacts.IdleTimeout, preset.IdleTimeout is { } timeout ? Seconds(timeout) : preset.IsVerified(BalancerFacts.IdleTimeout) ? "none" : "unknown"),
            Range(preset),
            Marked(preset, BalancerFacts.Expiry, preset.Behaviour.ExpiryName),
            Marked(preset, BalancerFacts.Refresh, preset.Behaviour.RefreshName) + (preset.DropsProbes ? Unanswered : ""),
        ]));
        TextTable.Write(output, rows);
        output.WriteLine();
        output.WriteLine($"{Mark} not confirmed by a source: the most likely value; measure it before you rely on it.");
        output.WriteLine($"{Unanswered} keepalive probes get no answer after some time: keepalive ends healthy connections.");
        output.WriteLine();
        foreach (var (name, of, product, source) in BalancerPresets.Aliases)
        {
            output.WriteLine($"{name} is another name of {of}: {product}");
            output.WriteLine($"  {source}");
        }
        output.WriteLine();
        foreach (var preset in presets)
        {
            output.WriteLine($"{preset.Name}: {preset.Product}");
            foreach (var line in preset.Sources.Prepend(preset.Notes).Where(line => line.Length > 0))
            {
                output.WriteLine($"  {line}");
            }
        }
    }

    public static void WriteJson(IReadOnlyCollection<BalancerPreset> presets, TextWriter output)
    {
        foreach (var preset in presets)
        {
            var line = new BalancerJson(
                preset.Name,
                preset.Product,
                preset.IdleTimeout,
                preset.MinIdleTimeout,
                preset.MaxIdleTimeout,
                preset.IsConfigurable,
                preset.Behaviour.ExpiryName,
                preset.Behaviour.RefreshName,
                !preset.DropsProbes,
                new VerifiedJson(
                    preset.IsVerified(BalancerFacts.IdleTimeout),
                    preset.IsVerified(BalancerFacts.Expiry),
                    preset.IsVerified(BalancerFacts.Refresh)),
                [.. preset.Sources],
                preset.Notes,
                [.. BalancerPresets.Aliases.Where(alias => alias.Of == preset.Name).Select(alias => alias.Name)]);
            output.WriteLine(JsonSerializer.Serialize(line, BalancerJsonContext.Readable.BalancerJson));
        }
    }

    private static string Range(BalancerPreset preset) => preset switch
    {
        { IsConfigurable: false } => "fixed",
        { MinIdleTimeout: { } min, MaxIdleTimeout: { } max } => $"{Seconds(min)}..{Seconds(max)}",
        { MinIdleTimeout: { } min } => $"from {Seconds(min)}",
        { MaxIdleTimeout: { } max } => $"up to {Seconds(max)}",
        _ => "configurable",
    };

    private static string Seconds(int seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds}s");

    private static string Marked(BalancerPreset preset, BalancerFacts fact, string text) => preset.IsVerified(fact) ? text : text + Mark;
}

/// <summary>A line of <c>balancers -o json</c>. Times are seconds; null: no default, or no such limit known.</summary>
internal sealed record BalancerJson(
    string Name,
    string Product,
    int? IdleTimeout,
    int? MinIdleTimeout,
    int? MaxIdleTimeout,
    bool Configurable,
    string Expiry,
    string Refresh,
    bool AnswersProbes,
    VerifiedJson Verified,
    string[] Sources,
    string Notes,
    string[] Aliases);

/// <summary>Which facts a source confirms.</summary>
internal sealed record VerifiedJson(bool IdleTimeout, bool Expiry, bool Refresh);

[JsonSerializable(typeof(BalancerJson))]
internal sealed partial class BalancerJsonContext : JsonSerializerContext
{
    public static BalancerJsonContext Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = SimulatorJson.Encoder,
    });
}
