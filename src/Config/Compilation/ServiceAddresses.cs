using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The addresses of connections to a Kubernetes Service on the wire: its own, or those of its endpoints.</summary>
/// <remarks>If a client connects to the cluster IP, its socket has the cluster IP as the far end, even if kube-proxy translates it. If a
/// client connects to endpoints, as proxies do, its socket has the pod's address and port.</remarks>
internal sealed class ServiceAddresses(SliceIndex slices, MeshAddresses mesh)
{
    /// <summary>The beginning of the origin of a Service's own addresses.</summary>
    public const string Kind = "Service ";

    private SliceIndex _slices = slices;

    /// <summary>Takes other slices from now on.</summary>
    public void Renew(SliceIndex slices) => _slices = slices;

    /// <summary>Adds its own addresses and those of its endpoints.</summary>
    /// <param name="found">Receives the addresses.</param>
    /// <param name="service">The Service.</param>
    /// <param name="ports">The ports of it to add; null among them means any port.</param>
    public void Add(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        var origin = Kind + service.QualifiedName;
        Span<ushort> numbers = stackalloc ushort[Math.Min(ports.Count, MaxOnStack)];
        numbers = Distinct(ports.Select(static port => (ushort)(port?.Number.Value ?? 0)), numbers);
        foreach (var address in service.Addresses)
        {
            if (IpPrefix.TryParse(address.Value, out var prefix, out _))
            {
                found.Add(prefix, numbers, origin);
            }
            else
            {
                found.Add(found.PrefixesOf(address.Value), numbers, origin);
            }
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
        var key = (service.Metadata.Namespace, service.Metadata.Name.Value);
        found.Ask(key);
        Span<ushort> room = stackalloc ushort[MaxOnStack];
        foreach (var slice in _slices.Of(key))
        {
            if (slice.Metadata.Cluster is { } cluster && service.Metadata.Cluster is { } other && cluster != other)
            {
                continue;
            }

            var numbers = Distinct(ports.SelectMany(port => PortsOf(slice, port)), room);
            var origin = $"{slice.ReadAs} {slice.QualifiedName}";
            foreach (var prefix in slice.Packed)
            {
                if (!found.Add(prefix, numbers, origin))
                {
                    break;
                }
            }

            found.Add(slice.Addresses.SelectMany(address => found.PrefixesOf(address.Value)), numbers, origin);
        }

        mesh.Add(found, service, ports);
    }

    private const int MaxOnStack = 64;

    /// <summary>Each number once, in some room if they fit.</summary>
    private static Span<ushort> Distinct(IEnumerable<ushort> numbers, Span<ushort> room)
    {
        var count = 0;
        foreach (var number in numbers)
        {
            if (room[..count].Contains(number))
            {
                continue;
            }

            if (count == room.Length)
            {
                return numbers.Distinct().ToArray();
            }

            room[count++] = number;
        }

        return room[..count];
    }

    private static IEnumerable<ushort> PortsOf(EndpointSlice slice, DestinationPort? port) =>
        port is null || slice.Ports.IsEmpty
            ? [0]
            : slice.Ports.Where(candidate => candidate.Name == (port.Name?.Value ?? "")).Select(static candidate => (ushort)(candidate.Number ?? 0));
}
