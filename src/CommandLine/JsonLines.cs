using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Keepalive.CommandLine;

/// <summary>Writes JSON objects, each as one line.</summary>
/// <param name="encoder">Decides which characters are escaped.</param>
public sealed class JsonLines(JavaScriptEncoder encoder)
{
    private readonly JsonWriterOptions _options = new() { Encoder = encoder };

    /// <summary>An object as one line, without the line's end.</summary>
    /// <param name="write">Writes the properties.</param>
    public string Of(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, _options))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Appends an object as one line.</summary>
    public void Append(StringBuilder text, Action<Utf8JsonWriter> write) => text.Append(Of(write)).Append('\n');
}
