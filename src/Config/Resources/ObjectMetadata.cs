using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>The part of <c>metadata</c> that policies look at.</summary>
public sealed record ObjectMetadata
{
    /// <summary>The name; unique within kind and namespace.</summary>
    public required Positioned<string> Name { get; init; }

    /// <summary>The namespace, <c>default</c> when none is written, as kubectl has it.</summary>
    public required string Namespace { get; init; }

    /// <summary>Where the namespace is written; the name when it is not.</summary>
    public SourcePosition NamespacePosition { get; init; }

    /// <summary>Labels, which selectors match.</summary>
    public ImmutableDictionary<string, string> Labels { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Annotations.</summary>
    public ImmutableDictionary<string, Positioned<string>> Annotations { get; init; } =
        ImmutableDictionary<string, Positioned<string>>.Empty;

    /// <summary>The cluster the object says it is from, or null: a copy in a management cluster does, and what a mesh generates.</summary>
    public string? Cluster { get; init; }

    /// <summary>The workspace the object says it belongs to, or null: what a mesh generates does.</summary>
    public string? Workspace { get; init; }

    /// <summary>When the API server created the object; null for one that only exists in a file.</summary>
    public DateTimeOffset? CreationTimestamp { get; init; }

    /// <summary>Whether all but the annotations is the same.</summary>
    internal bool HasSameIdentity(ObjectMetadata other) =>
        Name == other.Name && Namespace == other.Namespace && NamespacePosition == other.NamespacePosition && Cluster == other.Cluster && Workspace == other.Workspace
        && CreationTimestamp == other.CreationTimestamp && Labels.Count == other.Labels.Count
        && Labels.All(label => other.Labels.TryGetValue(label.Key, out var value) && value == label.Value);
}
