using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the keepalive of Istio's mesh-wide settings, wherever these are written.</summary>
internal static class MeshConfigReader
{
    private const string ConfigMapKey = "mesh";

    /// <summary>The kinds of the Sail operator that carry them.</summary>
    public static ImmutableArray<string> SailKinds { get; } = ["Istio", "IstioRevision"];

    /// <summary>Whether a ConfigMap is one of Istio's with mesh-wide settings.</summary>
    public static bool IsMesh(MappingNode configMap) =>
        Find(configMap, "metadata", "name") is ScalarNode { Type: ScalarType.String } name
        && (name.Value == MeshConfig.ConfigMapName || name.Value.StartsWith(MeshConfig.ConfigMapName + "-", StringComparison.Ordinal))
        && Find(configMap, "data", ConfigMapKey) is ScalarNode { Type: ScalarType.String };

    /// <summary>Reads a ConfigMap: the settings are YAML in a string.</summary>
    public static MeshConfig ReadConfigMap(ObjectMetadata metadata, ObjectReader root)
    {
        root.Skip("binaryData", "immutable");
        TcpKeepalive? keepalive = null;
        // Its other keys are not looked at, nor is it closed: it has what its tools put there.
        if (root.Object("data") is { } data && data.Value(ConfigMapKey) is ScalarNode { Type: ScalarType.String } text
            && Parse(text, data.Report) is { } node)
        {
            var config = new ObjectReader(node, $"data.{ConfigMapKey}", data.Report);
            MisplacedKeepalive.Report(config, "tcpKeepalive", path => path == config.Path || IsPlace(path), _ => config.Path);
            keepalive = Read(config);
        }

        return new MeshConfig { Metadata = metadata, ReadFrom = "ConfigMap", TcpKeepalive = keepalive };
    }

    /// <summary>Reads the <c>spec</c> of an IstioOperator.</summary>
    public static MeshConfig ReadOperator(ObjectMetadata metadata, ObjectReader spec)
    {
        MisplacedKeepalive.Report(spec, "tcpKeepalive", IsPlace, static _ => "spec.meshConfig");
        TcpKeepalive? keepalive = null;
        if (spec.Object("meshConfig") is { } config)
        {
            keepalive = Read(config);
        }

        if (spec.Object("values") is { } values)
        {
            keepalive ??= values.Object("meshConfig") is { } passed ? Read(passed) : null;
            values.CloseOpen();
        }

        spec.CloseOpen();
        return new MeshConfig { Metadata = metadata, ReadFrom = "IstioOperator", TcpKeepalive = keepalive };
    }

    /// <summary>Reads the <c>spec</c> of an Istio or IstioRevision of the Sail operator, which has no namespace but that of the control
    /// plane.</summary>
    public static MeshConfig ReadSail(string kind, ObjectMetadata metadata, ObjectReader spec)
    {
        MisplacedKeepalive.Report(spec, "tcpKeepalive", IsPlace, static _ => "spec.values.meshConfig");
        var ns = spec.String("namespace");
        TcpKeepalive? keepalive = null;
        if (spec.Object("values") is { } values)
        {
            keepalive = values.Object("meshConfig") is { } config ? Read(config) : null;
            values.CloseOpen();
        }

        spec.CloseOpen();
        return new MeshConfig { Metadata = metadata with { Namespace = ns?.Value ?? MeshConfig.DefaultNamespace }, ReadFrom = kind, TcpKeepalive = keepalive };
    }

    /// <summary>Whether a keepalive belongs under a path; new versions also have one in <c>defaultTrafficPolicy</c>.</summary>
    private static bool IsPlace(string path) =>
        path.EndsWith("meshConfig", StringComparison.Ordinal) || path.EndsWith(".connectionPool.tcp", StringComparison.Ordinal);

    private static TcpKeepalive? Read(ObjectReader config)
    {
        var keepalive = KeepaliveReader.Read(config, "tcpKeepalive");
        config.CloseOpen();
        return keepalive;
    }

    /// <summary>Reads the YAML in a string. Its positions are those in the file if the string is written as a block.</summary>
    private static MappingNode? Parse(ScalarNode text, ResourceReport report)
    {
        var yaml = TextCheck.Normalize(text.Value);
        var start = new SourcePosition(new EmbeddedText(text.Position, text.Position.Within is null ? text.BlockIndentation : null), 1, 1);
        return new YamlTreeReader(start, yaml, new DocumentText(0, yaml.Length, 1), report.Diagnostics).Read(InputLimits.DocumentNodes) is [MappingNode mapping]
            ? mapping : null;
    }

    private static YamlNode? Find(MappingNode root, string outer, string inner) =>
        root.TryFind(outer, out var entry) && entry.Value is MappingNode mapping && mapping.TryFind(inner, out var found) ? found.Value : null;
}
