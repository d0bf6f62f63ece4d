using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>All the resources that were read, in document order.</summary>
/// <param name="All">Every resource of a known kind, those with errors included.</param>
public sealed record ResourceSet(ImmutableArray<Resource> All)
{
    private volatile Dictionary<Type, List<Resource>>? _byType;

    /// <summary>No resources.</summary>
    public static ResourceSet Empty { get; } = new([]);

    /// <summary>The resources of one kind that have no errors, in document order.</summary>
    public IEnumerable<T> Valid<T>()
        where T : Resource => Of<T>().Where(static resource => resource.IsValid);

    /// <summary>The resources of one kind, those with errors included, in document order.</summary>
    internal IEnumerable<T> Of<T>()
        where T : Resource =>
        typeof(T).IsAbstract ? All.OfType<T>() : ByType.TryGetValue(typeof(T), out var found) ? found.Cast<T>() : [];

    /// <summary>These resources, then those of the other set, as if they had been read from files in that order.</summary>
    public ResourceSet Concat(ResourceSet other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new ResourceSet(All.AddRange(other.All));
    }

    /// <summary>Whether both have the same objects in the same order.</summary>
    public bool Equals(ResourceSet? other) => other is not null && All == other.All;

    /// <inheritdoc/>
    public override int GetHashCode() => All.GetHashCode();

    private Dictionary<Type, List<Resource>> ByType
    {
        get
        {
            if (_byType is { } known)
            {
                return known;
            }

            var types = new Dictionary<Type, List<Resource>>();
            foreach (var resource in All)
            {
                if (!types.TryGetValue(resource.GetType(), out var same))
                {
                    types.Add(resource.GetType(), same = []);
                }

                same.Add(resource);
            }

            return _byType = types;
        }
    }
}
