using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads <c>metadata</c>, where unknown keys are the API server's business and pass.</summary>
internal static class MetadataReader
{
    // Written by the mesh on copies in its management cluster, and on what it generates.
    private const string ClusterAnnotation = "cluster.solo.io/cluster";
    private const string ClusterLabel = "context.mesh.gloo.solo.io/cluster";
    private const string WorkspaceLabel = "context.mesh.gloo.solo.io/workspace";

    /// <summary>The metadata, or null when the object has no usable name.</summary>
    public static ObjectMetadata? Read(ObjectReader root)
    {
        if (!root.Require("metadata") || root.Object("metadata") is not { } reader
            || !reader.Require("name", closes: false) || reader.String("name") is not { } name)
        {
            return null;
        }

        var ns = reader.String("namespace");
        root.Report.Subject = $"{root.Report.Subject} {Quoting.Shorten(ns?.Value ?? "default")}/{Quoting.Shorten(name.Value)}";
        var labels = reader.StringMap("labels").ToImmutableDictionary(static pair => pair.Key, static pair => pair.Value.Value);
        var annotations = reader.StringMap("annotations", AgentAnnotations.UserTimeout).ToImmutableDictionary();
        return new ObjectMetadata
        {
            Name = name,
            Namespace = ns?.Value ?? "default",
            NamespacePosition = ns?.Position ?? name.Position,
            Labels = labels,
            Annotations = annotations,
            Cluster = NonEmpty(annotations.GetValueOrDefault(ClusterAnnotation).Value) ?? NonEmpty(labels.GetValueOrDefault(ClusterLabel)),
            Workspace = NonEmpty(labels.GetValueOrDefault(WorkspaceLabel)),
            CreationTimestamp = ReadTimestamp(reader),
        };
    }

    /// <summary>The metadata; that of an object with this name where none is written.</summary>
    public static ObjectMetadata? ReadOr(ObjectReader root, string ns, string name)
    {
        if (root.Object("metadata") is { } metadata && metadata.Value("name") is not null)
        {
            return Read(root);
        }

        root.Skip("metadata");
        root.Report.Subject = $"{root.Report.Subject} {ns}/{name}";
        return new ObjectMetadata { Name = new(name, root.KeyPosition("kind")), Namespace = ns, NamespacePosition = root.KeyPosition("kind") };
    }

    private static string? NonEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static DateTimeOffset? ReadTimestamp(ObjectReader reader)
    {
        if (reader.String("creationTimestamp") is not { } text)
        {
            return null;
        }

        if (DateTimeOffset.TryParseExact(text.Value, ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"],
            CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var timestamp))
        {
            return timestamp;
        }

        reader.Report.Report(DiagnosticCatalog.BadValue, text.Position, reader.PathOf("creationTimestamp"),
            $"is not a time: {Quoting.Quote(text.Value)}", "write it as 2024-05-01T12:00:00Z, or leave it out");
        return null;
    }
}
