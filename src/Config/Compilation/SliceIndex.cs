using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The EndpointSlices of each Service, in document order.</summary>
internal sealed class SliceIndex
{
    private readonly List<EndpointSlice> _slices = [];
    private readonly List<int> _next = [];
    private readonly Dictionary<(string Namespace, string Service), (int First, int Last)> _services = [];

    public SliceIndex(ResourceSet resources)
    {
        foreach (var slice in resources.Valid<EndpointSlice>().Concat(resources.Valid<Endpoints>().SelectMany(static endpoints => endpoints.Slices)))
        {
            if (slice.Service is { } service)
            {
                Add((slice.Metadata.Namespace, service), slice);
            }
        }
    }

    /// <summary>The slices of a Service.</summary>
    public IEnumerable<EndpointSlice> Of((string Namespace, string Service) service)
    {
        for (var i = _services.TryGetValue(service, out var found) ? found.First : -1; i >= 0; i = _next[i])
        {
            yield return _slices[i];
        }
    }

    /// <summary>The Services that have other slices here than there.</summary>
    public HashSet<(string Namespace, string Service)> DifferencesTo(SliceIndex other)
    {
        var different = new HashSet<(string, string)>();
        foreach (var (service, (first, _)) in _services)
        {
            var (here, there) = (first, other._services.TryGetValue(service, out var found) ? found.First : -1);
            while (here >= 0 && there >= 0 && ReferenceEquals(_slices[here], other._slices[there]))
            {
                (here, there) = (_next[here], other._next[there]);
            }

            if (here >= 0 || there >= 0)
            {
                different.Add(service);
            }
        }

        different.UnionWith(other._services.Keys.Where(service => !_services.ContainsKey(service)));
        return different;
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
