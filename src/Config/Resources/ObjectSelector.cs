using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>Selects objects by their own metadata: everything that is written must hold, what is not written holds for all.</summary>
public sealed record ObjectSelector
{
    /// <summary>Selects every object.</summary>
    public static ObjectSelector Everything { get; } = new();

    /// <summary>Labels the object must have with these values.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Labels { get; init; } = [];

    /// <summary>The object's name.</summary>
    public Positioned<string>? Name { get; init; }

    /// <summary>The object's namespace.</summary>
    public Positioned<string>? Namespace { get; init; }

    /// <summary>The cluster it lives in; an object that does not say is taken to match.</summary>
    public Positioned<string>? Cluster { get; init; }

    /// <summary>The workspace it belongs to; an object that does not say is taken to match.</summary>
    public Positioned<string>? Workspace { get; init; }

    /// <summary>Where the selector starts.</summary>
    public SourcePosition Position { get; init; }

    /// <summary>Whether an object with this metadata is selected.</summary>
    public bool Matches(ObjectMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return MatchesPlace(metadata) && (Name is not { } name || name.Value == metadata.Name.Value) && MatchesLabels(metadata);
    }

    /// <summary>Whether it is in a namespace, cluster and workspace that are selected.</summary>
    internal bool MatchesPlace(ObjectMetadata metadata) =>
        (Namespace is not { } ns || ns.Value == metadata.Namespace)
        && (Cluster is not { } cluster || metadata.Cluster is null || metadata.Cluster == cluster.Value)
        && (Workspace is not { } workspace || metadata.Workspace is null || metadata.Workspace == workspace.Value);

    /// <summary>Whether it has all the labels.</summary>
    internal bool MatchesLabels(ObjectMetadata metadata)
    {
        foreach (var (key, value) in Labels)
        {
            if (!metadata.Labels.TryGetValue(key, out var actual) || actual != value)
            {
                return false;
            }
        }

        return true;
    }
}
