using Keepalive.Testbed;
using Xunit;
using YamlDotNet.RepresentationModel;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>One object of a manifest, and its file.</summary>
internal sealed record Manifest(string Path, YamlMappingNode Root)
{
    public string Kind => Root.Text("kind") ?? "";

    public string Name => Root.At("metadata")?.Text("name") ?? "";

    public override string ToString() => $"{Kind} {Name} ({Path})";
}

/// <summary>The files below deploy/. Each test reads them again.</summary>
internal static class Manifests
{
    public static string Directory { get; } = Path.Combine(Repository.Root, "deploy", "daemonset");

    public static string Base { get; } = Path.Combine(Directory, "base");

    public static string IstioOnly { get; } = Path.Combine(Directory, "components", "istio-only");

    public static string Monitoring { get; } = Path.Combine(Directory, "components", "prometheus-operator");

    /// <summary>Every object in every YAML file below deploy/daemonset, except policies and tests of alerts, which are no
    /// manifests.</summary>
    public static List<Manifest> All() =>
        [.. System.IO.Directory.EnumerateFiles(Directory, "*.yaml", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/policies/", StringComparison.Ordinal) && !path.EndsWith(".test.yaml", StringComparison.Ordinal))
            // The roles there are in place of others, or beside them.
            .Where(path => Path.GetDirectoryName(path) != IstioOnly || Path.GetFileName(path) == "kustomization.yaml")
            .Order(StringComparer.Ordinal)
            .SelectMany(Read)];

    public static IEnumerable<Manifest> Read(string path)
    {
        var stream = new YamlStream();
        using (var reader = new StreamReader(path))
        {
            stream.Load(reader);
        }
        return stream.Documents.Select(document => new Manifest(Path.GetRelativePath(Repository.Root, path), (YamlMappingNode)document.RootNode));
    }

    public static Manifest Single(string kind) => All().Single(manifest => manifest.Kind == kind);

    public static YamlMappingNode DaemonSet() => Single("DaemonSet").Root;

    /// <summary>The agent's container.</summary>
    public static YamlMappingNode Container() =>
        Assert.IsType<YamlMappingNode>(Assert.Single(DaemonSet().At("spec", "template", "spec", "containers")!.Items()));

    /// <summary>The node at a path of keys; null if it is missing.</summary>
    public static YamlNode? At(this YamlNode node, params string[] keys)
    {
        foreach (var key in keys)
        {
            if (node is not YamlMappingNode mapping || !mapping.Children.TryGetValue(new YamlScalarNode(key), out var next))
            {
                return null;
            }
            node = next;
        }
        return node;
    }

    public static string? Text(this YamlNode node, params string[] keys) => (node.At(keys) as YamlScalarNode)?.Value;

    /// <summary>The items of a sequence; empty if it is missing.</summary>
    public static List<YamlNode> Items(this YamlNode? node) => node is YamlSequenceNode sequence ? [.. sequence.Children] : [];

    public static List<string> Texts(this YamlNode? node) => [.. node.Items().Select(item => ((YamlScalarNode)item).Value!)];

    public static Dictionary<string, string> Pairs(this YamlNode? node) => node is YamlMappingNode mapping
        ? mapping.Children.ToDictionary(pair => ((YamlScalarNode)pair.Key).Value!, pair => ((YamlScalarNode)pair.Value).Value!)
        : [];

    /// <summary>The mapping of a sequence with this name.</summary>
    public static YamlNode Named(this YamlNode? sequence, string name) => sequence.Items().Single(item => item.Text("name") == name);
}
