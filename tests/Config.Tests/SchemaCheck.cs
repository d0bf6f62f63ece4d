using System.Text.Json;
using System.Text.RegularExpressions;

namespace Keepalive.Config.Tests;

/// <summary>The part of JSON Schema that the schemas use, implemented independently of their writer.</summary>
internal static class SchemaCheck
{
    public static IEnumerable<string> Problems(JsonElement schema, JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            // kubectl writes null for unset fields.
            yield break;
        }

        if (schema.TryGetProperty("type", out var type) && !Types(type).Any(name => Is(name, value)))
        {
            yield return $"{path}: type";
            yield break;
        }

        if (schema.TryGetProperty("enum", out var words) && words.EnumerateArray().All(word => word.GetString() != value.ToString()))
        {
            yield return $"{path}: enum";
        }

        if (schema.TryGetProperty("pattern", out var pattern) && !Regex.IsMatch(value.GetString()!, pattern.GetString()!))
        {
            yield return $"{path}: pattern";
        }

        if (schema.TryGetProperty("minimum", out var min) && (value.GetInt64() < min.GetInt64() || value.GetInt64() > schema.GetProperty("maximum").GetInt64()))
        {
            yield return $"{path}: range";
        }

        IEnumerable<string> inner = value.ValueKind switch
        {
            JsonValueKind.Object => OfObject(schema, value, path),
            JsonValueKind.Array when schema.TryGetProperty("items", out var items) =>
                value.EnumerateArray().SelectMany((item, i) => Problems(items, item, $"{path}/{i}")),
            _ => [],
        };
        foreach (var problem in inner)
        {
            yield return problem;
        }
    }

    private static IEnumerable<string> OfObject(JsonElement schema, JsonElement value, string path)
    {
        if (schema.TryGetProperty("required", out var required))
        {
            foreach (var key in required.EnumerateArray().Where(key => !value.TryGetProperty(key.GetString()!, out _)))
            {
                yield return $"{path}: {key.GetString()} is missing";
            }
        }

        var others = schema.TryGetProperty("additionalProperties", out var additional) ? additional : default;
        foreach (var property in value.EnumerateObject())
        {
            var at = $"{path}/{property.Name}";
            if (schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(property.Name, out var known))
            {
                foreach (var problem in Problems(known, property.Value, at))
                {
                    yield return problem;
                }
            }
            else if (others.ValueKind == JsonValueKind.False)
            {
                yield return $"{at}: unknown";
            }
            else if (others.ValueKind == JsonValueKind.Object)
            {
                foreach (var problem in Problems(others, property.Value, at))
                {
                    yield return problem;
                }
            }
        }
    }

    private static IEnumerable<string> Types(JsonElement type) =>
        type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().Select(one => one.GetString()!) : [type.GetString()!];

    private static bool Is(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
        _ => throw new NotSupportedException(type),
    };
}
