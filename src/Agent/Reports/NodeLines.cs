using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Keepalive.Agent.Reports;

/// <summary>JSON lines that the agent of another node printed.</summary>
internal static class NodeLines
{
    /// <summary>Reads a line; false if it is not such an object.</summary>
    public static bool TryRead<T>(string line, JsonTypeInfo<T> type, [NotNullWhen(true)] out T? value)
        where T : class
    {
        try
        {
            value = JsonSerializer.Deserialize(line, type);
            return value is not null;
        }
        catch (JsonException)
        {
            value = null;
            return false;
        }
    }

    /// <summary>Returns a line with the node in front of its properties, escaped as this program does it. Null if it is not an object.</summary>
    public static string? WithNode(string node, string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return document.RootElement.ValueKind != JsonValueKind.Object ? null : AgentJson.Lines.Of(writer =>
            {
                writer.WriteString("node", node);
                foreach (var property in document.RootElement.EnumerateObject().Where(static one => one.Name != "node"))
                {
                    property.WriteTo(writer);
                }
            });
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;   // half of a surrogate pair in a string is an InvalidOperationException
        }
    }
}
