using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Writes the JSON Schemas of the resources that are read, for editors.</summary>
/// <remarks>They are made by having the readers read nothing and noting what they ask for: what a schema allows is what is read.</remarks>
public static class SchemaText
{
    // The grammar of GoDuration, without its range; negative durations are refused.
    private const string DurationPattern = @"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^\+?0$";

    private static readonly JsonWriterOptions s_options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Every schema under its file name, such as <c>connectionpolicy.json</c>.</summary>
    public static IReadOnlyDictionary<string, string> All() =>
        ResourceKind.All.Where(static kind => kind.HasSchema).ToDictionary(static kind => $"{kind.Name.ToLowerInvariant()}.json", static kind => Write(kind));

    private static string Write(ResourceKind kind)
    {
        var root = new SchemaNode(SchemaType.Object);
        var position = new SourcePosition("", 1, 1);
        var reader = new ObjectReader(new MappingNode(position), "", new ResourceReport(new DiagnosticBag(), kind.Name), root);
        var metadata = new ObjectMetadata { Name = new Positioned<string>("", position), Namespace = "default" };
        if (kind.HasSpec)
        {
            reader.Require("spec");
        }

        kind.Read(metadata, reader, kind.HasSpec ? reader.Object("spec")! : reader);
        reader.Skip("status");
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, s_options))
        {
            writer.WriteStartObject();
            writer.WriteString("$schema", "https://json-schema.org/draft/2020-12/schema");
            writer.WriteString("title", $"{kind.Name} ({kind.ApiVersions[0]})");
            writer.WriteString("type", "object");
            writer.WriteStartArray("required");
            foreach (var key in (kind.Unnamed is null ? root.Required.Prepend("metadata") : root.Required).Prepend("kind").Prepend("apiVersion"))
            {
                writer.WriteStringValue(key);
            }

            writer.WriteEndArray();
            writer.WriteStartObject("properties");
            WriteWords(writer, "apiVersion", kind.ApiVersions);
            WriteWords(writer, "kind", [kind.Name]);
            WriteMetadata(writer, kind);
            foreach (var (key, node) in root.Properties)
            {
                writer.WritePropertyName(key);
                Write(writer, node);
            }

            writer.WriteEndObject();
            writer.WriteBoolean("additionalProperties", root.IsOpen || !kind.HasSpec);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length) + "\n";
    }

    private static void WriteWords(Utf8JsonWriter writer, string key, IEnumerable<string> words)
    {
        writer.WriteStartObject(key);
        WriteEnum(writer, words);
        writer.WriteEndObject();
    }

    private static void WriteEnum(Utf8JsonWriter writer, IEnumerable<string> words)
    {
        writer.WriteStartArray("enum");
        foreach (var word in words)
        {
            writer.WriteStringValue(word);
        }

        writer.WriteEndArray();
    }

    /// <summary>Metadata is Kubernetes' own: what matters here are the name and the agent's annotations.</summary>
    private static void WriteMetadata(Utf8JsonWriter writer, ResourceKind kind)
    {
        writer.WriteStartObject("metadata");
        writer.WriteString("type", "object");
        writer.WriteStartArray("required");
        writer.WriteStringValue("name");
        writer.WriteEndArray();
        writer.WriteStartObject("properties");
        foreach (var key in (ReadOnlySpan<string>)["name", "namespace", "creationTimestamp"])
        {
            writer.WriteStartObject(key);
            writer.WriteString("type", "string");
            writer.WriteEndObject();
        }

        WriteStringMap(writer, "labels", []);
        WriteStringMap(writer, "annotations", kind.Annotations);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteStringMap(Utf8JsonWriter writer, string key, IEnumerable<string> known)
    {
        writer.WriteStartObject(key);
        writer.WriteString("type", "object");
        writer.WriteStartObject("properties");
        foreach (var annotation in known)
        {
            writer.WriteStartObject(annotation);
            if (annotation == AgentAnnotations.Existing)
            {
                WriteEnum(writer, ["tighten", "keep", "replace"]);
            }
            else
            {
                writer.WriteString("type", "string");
            }

            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteStartObject("additionalProperties");
        writer.WriteString("type", "string");
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, SchemaNode node)
    {
        writer.WriteStartObject();
        switch (node.Type)
        {
            case SchemaType.Object:
                WriteObject(writer, node);
                break;
            case SchemaType.Array:
                writer.WriteString("type", "array");
                writer.WritePropertyName("items");
                Write(writer, node.Items ?? new SchemaNode(SchemaType.Any));
                break;
            case SchemaType.String when node.Words.Count > 0:
                WriteEnum(writer, node.Words);
                break;
            case SchemaType.String:
                writer.WriteString("type", "string");
                break;
            case SchemaType.Duration:
                writer.WriteString("type", "string");
                writer.WriteString("pattern", DurationPattern);
                break;
            case SchemaType.Integer:
                WriteInteger(writer, node);
                break;
            case SchemaType.StringMap or SchemaType.IntegerMap:
                writer.WriteString("type", "object");
                writer.WritePropertyName("additionalProperties");
                writer.WriteStartObject();
                if (node.Type == SchemaType.IntegerMap)
                {
                    WriteInteger(writer, node);
                }
                else
                {
                    writer.WriteString("type", "string");
                }

                writer.WriteEndObject();
                break;
            case SchemaType.IntegerOrString:
                writer.WriteStartArray("type");
                writer.WriteStringValue("integer");
                writer.WriteStringValue("string");
                writer.WriteEndArray();
                break;
            case SchemaType.Any:
            default:
                break;
        }

        writer.WriteEndObject();
    }

    private static void WriteObject(Utf8JsonWriter writer, SchemaNode node)
    {
        writer.WriteString("type", "object");
        if (node.Required.Count > 0)
        {
            writer.WriteStartArray("required");
            foreach (var key in node.Required)
            {
                writer.WriteStringValue(key);
            }

            writer.WriteEndArray();
        }

        writer.WriteStartObject("properties");
        foreach (var (key, child) in node.Properties)
        {
            writer.WritePropertyName(key);
            Write(writer, child);
        }

        writer.WriteEndObject();
        writer.WriteBoolean("additionalProperties", node.IsOpen);
    }

    private static void WriteInteger(Utf8JsonWriter writer, SchemaNode node)
    {
        writer.WriteString("type", "integer");
        if (node.Range is { } range)
        {
            writer.WriteNumber("minimum", range.Min);
            writer.WriteNumber("maximum", range.Max);
        }
    }
}
