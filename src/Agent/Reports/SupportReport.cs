using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Agent.Support;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>support</c>.</summary>
/// <param name="features">The probes' answers.</param>
/// <param name="datapath">The datapath that <c>run</c> started with here; null for none.</param>
/// <param name="whyNot">Why it is not bpf, or none.</param>
internal sealed class SupportReport(IReadOnlyList<Feature> features, string? datapath, string? whyNot)
{
    /// <summary>The datapath that <c>auto</c> takes; null where none can work.</summary>
    public string? Auto => MissingForAll is null ? datapath : null;

    /// <summary>Why it is that one.</summary>
    public string Reason => datapath is not null && MissingForAll is { } missing ? Why(missing) : whyNot ?? "everything it needs is here";

    /// <summary>The first missing feature that both datapaths need.</summary>
    private Feature? MissingForAll =>
        features.FirstOrDefault(feature => feature.Answer != Answer.Yes && feature.Use == "both" && feature.Name != "whole node");

    public void WriteTable(TextWriter output)
    {
        var width = features.Max(feature => feature.Name.Length) + 2;
        output.WriteLine($"{"FEATURE".PadRight(width)}{"FOR",-9}{"ANSWER",-14}DETAIL");
        foreach (var feature in features)
        {
            output.WriteLine($"{feature.Name.PadRight(width)}{feature.Use,-9}{Word(feature.Answer),-14}{Detail(feature)}".TrimEnd());
        }
        output.WriteLine();
        output.WriteLine($"auto takes {Auto ?? "no datapath"}: {Reason}");
    }

    public void WriteJson(TextWriter output)
    {
        foreach (var feature in features)
        {
            output.WriteLine(JsonSerializer.Serialize(
                new FeatureJson(feature.Name, feature.Use, Word(feature.Answer), feature.Answer == Answer.No ? feature.Needs : null, feature.Detail),
                SupportJsonContext.Readable.FeatureJson));
        }
        output.WriteLine(JsonSerializer.Serialize(new ChoiceJson(Auto, Reason), SupportJsonContext.Readable.ChoiceJson));
    }

    private static string Why(Feature feature) => feature.Answer == Answer.No ? $"{feature.Name}: needs {feature.Needs}" : $"{feature.Name}: {feature.Detail}";

    private static string Detail(Feature feature) => feature.Answer switch
    {
        Answer.No => $"needs {feature.Needs}{(feature.Detail is null ? "" : $" ({feature.Detail})")}",
        _ => feature.Detail ?? "",
    };

    private static string Word(Answer answer) => answer switch
    {
        Answer.Yes => "yes",
        Answer.No => "no",
        _ => "inconclusive",
    };
}

/// <summary>One line of <c>support -o json</c>.</summary>
/// <param name="Feature">The feature.</param>
/// <param name="UsedBy">bpf, pidfd, both, or capture.</param>
/// <param name="Answer">yes, no or inconclusive.</param>
/// <param name="Needs">How to enable it, if the answer is no.</param>
/// <param name="Detail">The finding, or the reason.</param>
internal sealed record FeatureJson(string Feature, string UsedBy, string Answer, string? Needs, string? Detail);

/// <summary>The last line of <c>support -o json</c>.</summary>
/// <param name="Auto">The datapath that auto takes.</param>
/// <param name="Reason">Why.</param>
internal sealed record ChoiceJson(string? Auto, string Reason);

[JsonSerializable(typeof(FeatureJson))]
[JsonSerializable(typeof(ChoiceJson))]
internal sealed partial class SupportJsonContext : JsonSerializerContext
{
    public static SupportJsonContext Readable { get; } =
        new(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = AgentJson.Encoder });
}
