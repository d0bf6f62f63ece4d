using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Keepalive.Config;
using Keepalive.Linux.Text;

namespace Keepalive.Agent.Reports;

/// <summary>One JSON object on one line.</summary>
internal static class JsonLine
{
    /// <summary>For what people read too: quotes and letters as they are, what is unsafe on a terminal escaped. Not for embedding in HTML.</summary>
    public static JavaScriptEncoder Encoder { get; } = new ReadableJsonEncoder(TerminalText.IsUnsafe);

    private static readonly JsonWriterOptions Options = new() { Encoder = Encoder };

    public static void Append(StringBuilder text, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Options))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        text.Append(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length)).Append('\n');
    }

    /// <summary>The values that are set, each under its name.</summary>
    public static void WriteSettings(Utf8JsonWriter writer, KeepaliveSettings settings)
    {
        foreach (var (name, value) in new[] { ("time", settings.Time), ("interval", settings.Interval), ("probes", settings.Probes) })
        {
            if (value is { } number)
            {
                writer.WriteNumber(name, number);
            }
        }
    }
}
