using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The addresses of connections to a Kubernetes Service on the wire: its own, or those of its endpoints.</summary>
/// <remarks>If a client connects to the cluster IP, its socket has the cluster IP as the far end, even if kube-proxy translates it. If a
/// client connects to endpoints, as proxies do, its socket has the pod's address and port.</remarks>
internal sealed class ServiceAddresses(SliceIndex slices, MeshAddresses mesh)
{
    /// <summary>The beginning of the origin of a Service's own addresses.</summary>
    public const string Kind = "Service ";

    /// <summary>Adds its own addresses and those of its endpoints.</summary>
    /// <param name="found">Receives the addresses.</param>
    /// <param name="service">The Service.</param>
    /// <param name="ports">The ports of it to add; null among them means any port.</param>
    public void Add(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        var origin = Kind + service.QualifiedName;
        var numbers = new PortNumbers(stackalloc ushort[PortNumbers.Usual]);
        numbers.Add(ports);
        foreach (var address in service.Addresses)
        {
            found.Add(address.Value, numbers.All, origin);
        }

        foreach (var host in service.Hosts)
        {
            found.Add(found.Resolve(host.Value), numbers.All, origin);
        }

        AddEndpoints(found, service, ports);
    }

    /// <summary>Adds the addresses of its endpoints.</summary>
    public void AddEndpoints(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        var key = (service.Metadata.Namespace, service.Metadata.Name.Value);
        found.Ask(key);
        Span<ushort> room = stackalloc ushort[PortNumbers.Usual];
        foreach (var slice in slices.Of(key))
        {
            if (slice.Metadata.Cluster is { } cluster && service.Metadata.Cluster is { } other && cluster != other)
            {
                continue;
            }

            var numbers = new PortNumbers(room);
            foreach (var port in ports)
            {
                AddPorts(ref numbers, slice, port);
            }

            var origin = $"{slice.ReadAs} {slice.QualifiedName}";
            foreach (var prefix in slice.Packed)
            {
                if (!found.Add(prefix, numbers.All, origin))
                {
                    break;
                }
            }

            foreach (var address in slice.Addresses)
            {
                if (!found.Add(address.Value, numbers.All, origin))
                {
                    break;
                }
            }
        }

        mesh.Add(found, service, ports);
    }

    private static void AddPorts(ref PortNumbers numbers, EndpointSlice slice, DestinationPort? port)
    {
        if (port is null || slice.Ports.IsEmpty)
        {
            numbers.Add((ushort)0);
            return;
        }

        foreach (var candidate in slice.Ports)
        {
            if (candidate.Name == (port.Name?.Value ?? ""))
            {
                numbers.Add((ushort)(candidate.Number ?? 0));
            }
        }
    }
}
