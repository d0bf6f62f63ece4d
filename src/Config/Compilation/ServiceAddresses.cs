using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The addresses of connections to a Kubernetes Service on the wire: its own, or those of its endpoints.</summary>
/// <remarks>If a client connects to the cluster IP, its socket has the cluster IP as the far end, even if kube-proxy translates it. If a
/// client connects to endpoints, as proxies do, its socket has the pod's address and port.</remarks>
internal sealed class ServiceAddresses(ResourceSet resources, MeshAddresses mesh)
{
    /// <summary>The beginning of the origin of a Service's own addresses.</summary>
    public const string Kind = "Service ";

    private readonly ILookup<(string Namespace, string? Service), EndpointSlice> _slices = resources.Valid<EndpointSlice>()
        .Concat(resources.Valid<Endpoints>().SelectMany(static endpoints => endpoints.Slices))
        .ToLookup(static slice => (slice.Metadata.Namespace, slice.Metadata.Labels.GetValueOrDefault(EndpointSlice.ServiceLabel)));

    private readonly HashSet<(string Namespace, string Name)> _wanted = [];

    /// <summary>The Services whose EndpointSlices were asked for.</summary>
    public IReadOnlySet<(string Namespace, string Name)> Wanted => _wanted;

    /// <summary>Adds its own addresses and those of its endpoints.</summary>
    /// <param name="found">Receives the addresses.</param>
    /// <param name="service">The Service.</param>
    /// <param name="ports">The ports of it to add; null among them means any port.</param>
    public void Add(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        var origin = Kind + service.QualifiedName;
        ushort[] numbers = [.. ports.Select(static port => (ushort)(port?.Number.Value ?? 0)).Distinct()];
        foreach (var address in service.Addresses)
        {
            found.Add(found.PrefixesOf(address.Value), numbers, origin);
        }

        foreach (var host in service.Hosts)
        {
            found.Add(found.Resolve(host.Value), numbers, origin);
        }

        AddEndpoints(found, service, ports);
    }

    /// <summary>Adds the addresses of its endpoints.</summary>
    public void AddEndpoints(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        _wanted.Add((service.Metadata.Namespace, service.Metadata.Name.Value));
        foreach (var slice in _slices[(service.Metadata.Namespace, service.Metadata.Name.Value)])
        {
            if (slice.Metadata.Cluster is { } cluster && service.Metadata.Cluster is { } other && cluster != other)
            {
                continue;
            }

            ushort[] numbers = [.. ports.SelectMany(port => PortsOf(slice, port)).Distinct()];
            found.Add(slice.Addresses.SelectMany(address => found.PrefixesOf(address.Value)), numbers, $"{slice.ReadAs} {slice.QualifiedName}");
        }

        mesh.Add(found, service, ports);
    }

    private static IEnumerable<ushort> PortsOf(EndpointSlice slice, DestinationPort? port) =>
        port is null || slice.Ports.IsEmpty
            ? [0]
            : slice.Ports.Where(candidate => candidate.Name == (port.Name?.Value ?? "")).Select(static candidate => (ushort)(candidate.Number ?? 0));
}
