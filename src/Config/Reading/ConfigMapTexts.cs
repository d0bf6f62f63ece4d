using System.Text.RegularExpressions;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Finds the policies and destinations in the data of a ConfigMap, as the agent's own has them.</summary>
/// <remarks>
/// A ConfigMap can hold anything, also manifests for others and templates. So a text counts by what it says of itself, in lines that are not
/// indented: the objects in a template of templates are not looked at. Syntax errors do not hide it.
/// </remarks>
internal static partial class ConfigMapTexts
{
    public const string KindName = "ConfigMap";

    /// <summary>Kinds of Kubernetes itself, of which a ConfigMap for others has some, too.</summary>
    private static readonly string[] s_common = [KindName, Service.KindName, Endpoints.KindName, EndpointSlice.KindName];

    private static readonly HashSet<string> s_kinds = [.. ResourceKind.All.Select(static kind => kind.Name).Except(s_common)];

    /// <summary>The groups in which every kind is about a mesh or its policies.</summary>
    private static readonly HashSet<string> s_groups =
    [
        .. ResourceKind.All.Where(static kind => s_kinds.Contains(kind.Name)).Select(static kind => ResourceKind.GroupOf(kind.ApiVersions[0])),
    ];

    /// <summary>The texts in its data, if one of them has a policy or a destination of a policy; else none.</summary>
    public static List<(string Text, EmbeddedText Place)> Find(MappingNode configMap)
    {
        if (!configMap.TryFind("data", out var data) || data.Value is not MappingNode entries)
        {
            return [];
        }

        List<(ScalarNode Key, ScalarNode Text)> texts =
        [
            .. entries.Entries.Where(static entry => entry.Value is ScalarNode { Type: ScalarType.String })
                .Select(static entry => (entry.Key, (ScalarNode)entry.Value)),
        ];
        return !texts.Exists(static entry => Has(entry.Text.Value, IsOurs))
            ? []
            :
            [
                .. texts.Where(static entry => Has(entry.Text.Value, static (key, value) => IsOurs(key, value) || IsCommon(key, value)))
                    .Select(entry => (entry.Text.Value, new EmbeddedText(entry.Text.Position, entry.Text.BlockIndentation, $"{NameOf(configMap)}, {entry.Key.Value}"))),
            ];
    }

    private static bool IsOurs(string key, string value) => key == "kind"
        ? s_kinds.Contains(value) || (value.EndsWith("List", StringComparison.Ordinal) && s_kinds.Contains(value[..^4]))
        : s_groups.Contains(ResourceKind.GroupOf(value));

    private static bool IsCommon(string key, string value) => key == "kind" && s_common.Contains(value);

    /// <summary>Whether an object in a text says of itself what is wanted.</summary>
    private static bool Has(string text, Func<string, string, bool> wanted)
    {
        // The objects of a list and those of JSON are indented.
        var says = text.AsSpan().TrimStart().StartsWith("{") || ListKind().IsMatch(text) ? Says() : SaysAtTop();
        return says.Matches(text).Any(match => wanted(match.Groups[1].Value, match.Groups[2].Value));
    }

    [GeneratedRegex("""^["']?(kind|apiVersion)["']?[ \t]*:[ \t]*["']?([\w./-]+)""", RegexOptions.Multiline)]
    private static partial Regex SaysAtTop();

    [GeneratedRegex("""\b(kind|apiVersion)["']?\s*:\s*["']?([\w./-]+)""")]
    private static partial Regex Says();

    [GeneratedRegex("""^["']?kind["']?[ \t]*:[ \t]*["']?\w*List\b""", RegexOptions.Multiline)]
    private static partial Regex ListKind();

    private static string NameOf(MappingNode configMap)
    {
        if (!configMap.TryFind("metadata", out var entry) || entry.Value is not MappingNode metadata)
        {
            return KindName;
        }

        var name = metadata.TryFind("name", out var named) && named.Value is ScalarNode text ? text.Value : "";
        return metadata.TryFind("namespace", out var ns) && ns.Value is ScalarNode { Value.Length: > 0 } space ? $"{KindName} {space.Value}/{name}" : $"{KindName} {name}";
    }
}
