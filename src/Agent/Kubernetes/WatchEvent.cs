using System.Buffers;
using System.Text.Json;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A line of a watch: the type of the event, and the object as JSON.</summary>
internal readonly record struct WatchEvent(string? Type, ReadOnlySequence<byte> Object)
{
    /// <exception cref="JsonException">The line is not JSON.</exception>
    public static WatchEvent Read(in ReadOnlySequence<byte> line)
    {
        string? type = null;
        ReadOnlySequence<byte> json = default;
        var reader = new Utf8JsonReader(line, ApiJson.Reading);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var (isType, isObject) = (reader.ValueTextEquals("type"u8), reader.ValueTextEquals("object"u8));
            reader.Read();
            if (isType)
            {
                type = ApiJson.Text(ref reader);
            }
            else
            {
                var start = reader.TokenStartIndex;
                reader.Skip();
                json = isObject ? line.Slice(start, reader.BytesConsumed - start) : json;
            }
        }
        return new WatchEvent(type, json);
    }
}
