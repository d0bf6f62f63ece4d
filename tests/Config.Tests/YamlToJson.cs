using System.Text.Json;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Keepalive.Config.Tests;

/// <summary>YAML read by a reader other than the product's.</summary>
internal static class YamlToJson
{
    public static IReadOnlyList<JsonElement> Read(string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        return [.. stream.Documents.Select(document => JsonDocument.Parse(Write(document.RootNode)).RootElement)];
    }

    private static string Write(YamlNode node)
    {
        switch (node)
        {
            case YamlMappingNode map:
                return "{" + string.Join(",", map.Children.Select(pair =>
                    $"{JsonSerializer.Serialize(((YamlScalarNode)pair.Key).Value)}:{Write(pair.Value)}")) + "}";
            case YamlSequenceNode list:
                return "[" + string.Join(",", list.Children.Select(Write)) + "]";
            case YamlScalarNode { Style: ScalarStyle.Plain, Value: var plain }:
                return plain switch
                {
                    "" or "~" or "null" => "null",
                    "true" or "false" => plain,
                    _ when long.TryParse(plain, out var number) => number.ToString(),
                    _ => JsonSerializer.Serialize(plain),
                };
            case YamlScalarNode scalar:
                return JsonSerializer.Serialize(scalar.Value);
            default:
                throw new NotSupportedException(node.ToString());
        }
    }
}
