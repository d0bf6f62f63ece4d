using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The EndpointSlices of each Service, in document order.</summary>
internal sealed class SliceIndex
{
    private readonly List<EndpointSlice> _slices = [];
    private readonly List<int> _next = [];
    private readonly Dictionary<(string Namespace, string Service), (int First, int Last)> _services = [];
    private ResourceSet _latest;

    public SliceIndex(ResourceSet resources)
    {
        _latest = resources;
        AddAll(SlicesOf(resources));
    }

    /// <summary>The slices of a Service.</summary>
    public IEnumerable<EndpointSlice> Of((string Namespace, string Service) service)
    {
        for (var i = _services.TryGetValue(service, out var found) ? found.First : -1; i >= 0; i = _next[i])
        {
            yield return _slices[i];
        }
    }

    /// <summary>Takes the slices of another set from now on.</summary>
    /// <returns>The Services that have other slices, and maybe some that have the same.</returns>
    public HashSet<(string Namespace, string Service)> Renew(ResourceSet resources)
    {
        if (TryReplace(resources) is { } replaced)
        {
            _latest = resources;
            return replaced;
        }

        var slices = SlicesOf(resources);
        var changed = Differences(SlicesOf(_latest), slices);
        _latest = resources;
        if (changed.Count == 0)
        {
            return changed;
        }

        // Slices that are no more stay in the lists until there are as many of them as of others.
        if (_slices.Count > (2 * slices.Count) + 1 || changed.Count > slices.Count / 4)
        {
            _slices.Clear();
            _next.Clear();
            _services.Clear();
            AddAll(slices);
            return changed;
        }

        foreach (var service in changed)
        {
            _services.Remove(service);
        }

        foreach (var slice in slices)
        {
            if (changed.Contains(KeyOf(slice)))
            {
                Add(KeyOf(slice), slice);
            }
        }

        return changed;
    }

    /// <summary>The Services of the slices that are in one list only. Where both lists have the same slices of a Service, they have them in the same
    /// order.</summary>
    private static HashSet<(string Namespace, string Service)> Differences(List<EndpointSlice> before, List<EndpointSlice> after)
    {
        var different = new HashSet<(string, string)>();
        var (i, j) = (0, 0);
        while (i < before.Count || j < after.Count)
        {
            if (i < before.Count && j < after.Count && ReferenceEquals(before[i], after[j]))
            {
                (i, j) = (i + 1, j + 1);
                continue;
            }

            // One was added, or removed, or put in the place of another. Any other case takes more Services than have changed.
            var isAdded = i == before.Count || (j + 1 < after.Count && ReferenceEquals(before[i], after[j + 1]));
            var isRemoved = !isAdded && (j == after.Count || (i + 1 < before.Count && ReferenceEquals(before[i + 1], after[j])));
            if (!isRemoved)
            {
                different.Add(KeyOf(after[j++]));
            }

            if (!isAdded)
            {
                different.Add(KeyOf(before[i++]));
            }
        }

        return different;
    }

    private static List<EndpointSlice> SlicesOf(ResourceSet resources) =>
    [
        .. resources.Valid<EndpointSlice>().Concat(resources.Valid<Endpoints>().SelectMany(static endpoints => endpoints.Slices))
            .Where(static slice => slice.Service is not null),
    ];

    private static (string Namespace, string Service) KeyOf(EndpointSlice slice) => (slice.Metadata.Namespace, slice.Service!);

    /// <summary>Puts slices in the place of others of the same Services, if nothing else has changed of what is here: by far the most changes are this.</summary>
    /// <returns>The Services; null if more has changed.</returns>
    private HashSet<(string Namespace, string Service)>? TryReplace(ResourceSet resources)
    {
        const int most = 64;
        var before = _latest.All.AsSpan();
        var after = resources.All.AsSpan();
        if (before.Length != after.Length)
        {
            return HaveSame(before, after) ? [] : null;
        }

        var places = new List<(int Place, EndpointSlice By)>();
        for (var i = 0; i < before.Length; i++)
        {
            if (ReferenceEquals(before[i], after[i]) || (!IsOfSlices(before[i]) && !IsOfSlices(after[i])))
            {
                continue;
            }

            if (places.Count == most || before[i] is not EndpointSlice { IsValid: true, Service: not null } one || after[i] is not EndpointSlice { IsValid: true, Service: not null } by
                || KeyOf(one) != KeyOf(by) || PlaceOf(one) is not (var place and >= 0))
            {
                return null;
            }

            places.Add((place, by));
        }

        var changed = new HashSet<(string, string)>();
        foreach (var (place, by) in places)
        {
            _slices[place] = by;
            changed.Add(KeyOf(by));
        }

        return changed;
    }

    /// <summary>Whether both have the same slices in the same order: all else may differ.</summary>
    private static bool HaveSame(ReadOnlySpan<Resource> before, ReadOnlySpan<Resource> after)
    {
        for (var (i, j) = (0, 0); ; i++, j++)
        {
            while (i < before.Length && !IsOfSlices(before[i]))
            {
                i++;
            }

            while (j < after.Length && !IsOfSlices(after[j]))
            {
                j++;
            }

            if (i == before.Length || j == after.Length)
            {
                return i == before.Length && j == after.Length;
            }

            if (!ReferenceEquals(before[i], after[j]))
            {
                return false;
            }
        }
    }

    /// <summary>Whether an object only tells the endpoints of a Service.</summary>
    public static bool IsOfSlices(Resource resource) => resource is EndpointSlice or Endpoints;

    /// <summary>The place of a slice; negative if it is there twice.</summary>
    private int PlaceOf(EndpointSlice slice)
    {
        var place = -1;
        for (var i = _services[KeyOf(slice)].First; i >= 0; i = _next[i])
        {
            if (ReferenceEquals(_slices[i], slice))
            {
                if (place >= 0)
                {
                    return -1;
                }

                place = i;
            }
        }

        return place;
    }

    private void AddAll(List<EndpointSlice> slices)
    {
        _services.EnsureCapacity(slices.Count);
        _slices.EnsureCapacity(slices.Count);
        _next.EnsureCapacity(slices.Count);
        foreach (var slice in slices)
        {
            Add(KeyOf(slice), slice);
        }
    }

    private void Add((string, string) service, EndpointSlice slice)
    {
        var i = _slices.Count;
        _slices.Add(slice);
        _next.Add(-1);
        if (_services.TryGetValue(service, out var known))
        {
            _next[known.Last] = i;
            _services[service] = (known.First, i);
        }
        else
        {
            _services.Add(service, (i, i));
        }
    }
}
