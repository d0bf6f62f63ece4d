using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The parts of the API's objects that the agent reads without the readers for policies.</summary>
internal static class ApiJson
{
    /// <summary>The maximum depth of an object. The parts that are not read may be nested deeply.</summary>
    public const int Depth = 512;

    public static JsonReaderOptions Reading { get; } = new() { MaxDepth = Depth };

    /// <summary>Returns the string at the reader's position; null for a JSON null.</summary>
    /// <exception cref="JsonException">The string is not UTF-8.</exception>
    public static string? Text(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException e)
        {
            throw new JsonException("a text is not UTF-8", e);
        }
    }

    /// <summary>Returns the metadata of an object; null if it has none.</summary>
    /// <exception cref="JsonException">The text is not an object.</exception>
    public static ApiMetadata? HeadOf(in ReadOnlySequence<byte> json)
    {
        var text = new Utf8JsonReader(json, Reading);
        text.Read();
        if (text.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("not an object");
        }
        // The readers go through the rest, which may be long.
        while (text.Read() && text.TokenType == JsonTokenType.PropertyName)
        {
            var isMetadata = text.ValueTextEquals("metadata"u8);
            text.Read();
            if (isMetadata)
            {
                return JsonSerializer.Deserialize(ref text, ApiJsonContext.Default.ApiMetadata);
            }
            text.Skip();
        }
        return null;
    }

    /// <exception cref="JsonException">The object has no name.</exception>
    public static ApiMetadata Named(ApiMetadata? head) => head is { Name.Length: > 0 } ? head : throw new JsonException("an object without a name");

    /// <summary>Returns the Status in a text; null if there is none.</summary>
    public static ApiStatus? StatusOf(ReadOnlySpan<byte> text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, ApiJsonContext.Default.ApiStatus);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

internal sealed record ApiStatus(string? Status, string? Reason, string? Message, int? Code);

internal sealed record ListMetadata(string? ResourceVersion, string? Continue);

/// <summary>The metadata that every object has. Of some kinds, the agent reads nothing else.</summary>
internal sealed record ApiMetadata
{
    public string? Name { get; init; }

    public string? Namespace { get; init; }

    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }

    public Dictionary<string, string>? Labels { get; init; }

    public Dictionary<string, string>? Annotations { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = ApiJson.Depth)]
[JsonSerializable(typeof(ApiStatus))]
[JsonSerializable(typeof(ListMetadata))]
[JsonSerializable(typeof(ApiMetadata))]
internal sealed partial class ApiJsonContext : JsonSerializerContext;
