using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>Writes diagnostics as a log in the format SARIF 2.1.0 (OASIS).</summary>
internal static class SarifText
{
    private const string Schema = "https://json.schemastore.org/sarif-2.1.0.json";
    private const string StandardInput = "standard-input.yaml";

    public static string Write(IReadOnlyList<Diagnostic> diagnostics)
    {
        var codes = diagnostics.Select(static diagnostic => diagnostic.Code).Distinct().Order(StringComparer.Ordinal).ToList();
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = AgentJson.Encoder, Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("$schema", Schema);
            writer.WriteString("version", "2.1.0");
            writer.WriteStartArray("runs");
            writer.WriteStartObject();
            WriteTool(writer, codes);
            writer.WriteString("columnKind", "utf16CodeUnits");
            writer.WriteStartArray("results");
            foreach (var diagnostic in diagnostics)
            {
                WriteResult(writer, diagnostic, codes.IndexOf(diagnostic.Code));
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static void WriteTool(Utf8JsonWriter writer, List<string> codes)
    {
        writer.WriteStartObject("tool");
        writer.WriteStartObject("driver");
        writer.WriteString("name", "keepalive-agent");
        writer.WriteString("version", BuildInformation.Version);
        writer.WriteStartArray("rules");
        foreach (var kind in codes.Select(static code => DiagnosticCatalog.All.First(kind => kind.Code == code)))
        {
            writer.WriteStartObject();
            writer.WriteString("id", kind.Code);
            WriteText(writer, "shortDescription", kind.Title);
            writer.WriteStartObject("defaultConfiguration");
            writer.WriteString("level", Level(kind.Severity));
            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteResult(Utf8JsonWriter writer, Diagnostic diagnostic, int rule)
    {
        writer.WriteStartObject();
        writer.WriteString("ruleId", diagnostic.Code);
        writer.WriteNumber("ruleIndex", rule);
        writer.WriteString("level", Level(diagnostic.Severity));
        WriteText(writer, "message", diagnostic.Fix is null ? diagnostic.Message : $"{diagnostic.Message}; {diagnostic.Fix}");
        // GitHub refuses a whole log in which one result has no location, so standard input has the name of a file.
        var isFile = SourceFile.IsFile(diagnostic.Position);
        writer.WriteStartArray("locations");
        writer.WriteStartObject();
        writer.WriteStartObject("physicalLocation");
        writer.WriteStartObject("artifactLocation");
        writer.WriteString("uri", isFile ? SourceFile.Uri(diagnostic.Position.File) : StandardInput);
        writer.WriteEndObject();
        writer.WriteStartObject("region");
        writer.WriteNumber("startLine", Math.Max(1, diagnostic.Position.Line));
        writer.WriteNumber("startColumn", Math.Max(1, diagnostic.Position.Column));
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter writer, string name, string text)
    {
        writer.WriteStartObject(name);
        writer.WriteString("text", text);
        writer.WriteEndObject();
    }

    private static string Level(Severity severity) => severity switch { Severity.Error => "error", Severity.Warning => "warning", _ => "note" };
}
