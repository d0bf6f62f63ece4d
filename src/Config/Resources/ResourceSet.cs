using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>All the resources that were read, in document order.</summary>
/// <param name="All">Every resource of a known kind, those with errors included.</param>
public sealed record ResourceSet(ImmutableArray<Resource> All)
{
    /// <summary>No resources.</summary>
    public static ResourceSet Empty { get; } = new([]);

    /// <summary>The resources of one kind that have no errors, in document order.</summary>
    public IEnumerable<T> Valid<T>()
        where T : Resource => All.OfType<T>().Where(static resource => resource.IsValid);

    /// <summary>These resources, then those of the other set, as if they had been read from files in that order.</summary>
    public ResourceSet Concat(ResourceSet other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new ResourceSet(All.AddRange(other.All));
    }
}
