using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds out what connections to a destination look like on the wire.</summary>
/// <remarks>
/// An ExternalService's own ports are what is on the wire (or their targets). A VirtualDestination's are only if its host itself is
/// dialled: between clusters the far end is a gateway's balancer on a port of its own, which only the annotation knows.
/// </remarks>
internal sealed class DestinationAddresses(ResourceSet resources, CompilerOptions options, CompilationBudget budget)
{
    private readonly List<ExternalService> externalServices = [.. resources.Valid<ExternalService>()];

    /// <summary>The addresses behind some of a destination's ports.</summary>
    /// <param name="destination">The destination.</param>
    /// <param name="ports">The ports; ignored when the destination has none, which is any port.</param>
    public IReadOnlyCollection<WireAddress> Find(Destination destination, IReadOnlyCollection<DestinationPort> ports)
    {
        var found = new HashSet<WireAddress>();
        foreach (var entry in AddressList.Split(destination.Metadata.Annotations.GetValueOrDefault(AgentAnnotations.Addresses).Value ?? ""))
        {
            if (AddressList.TryParseEntry(entry, out var prefix, out var port, out _))
            {
                found.Add(new WireAddress(prefix, port));
            }
        }

        if (destination is ExternalService service)
        {
            Add(found, PrefixesOf(service), service.Ports.IsEmpty ? [0] : ports.Select(WirePort));
        }
        else if (destination is VirtualDestination virtualDestination)
        {
            Add(found, Resolve(destination), ports.Select(static port => (ushort)port.Number.Value));
            foreach (var behind in ExternalServicesOf(virtualDestination))
            {
                Add(found, PrefixesOf(behind), behind.Ports.IsEmpty ? [0] : PortsBehind(behind, ports).Select(WirePort));
            }
        }

        return found;
    }

    private void Add(HashSet<WireAddress> found, IEnumerable<IpPrefix> prefixes, IEnumerable<ushort> ports)
    {
        var portList = ports.Distinct().ToList();
        foreach (var prefix in prefixes)
        {
            budget.AddRules(portList.Count);
            if (budget.IsExhausted)
            {
                return;
            }

            foreach (var port in portList)
            {
                found.Add(new WireAddress(prefix, port));
            }
        }
    }

    private IEnumerable<ExternalService> ExternalServicesOf(VirtualDestination destination)
    {
        if (destination.ExternalServices.IsEmpty)
        {
            yield break;
        }

        foreach (var service in externalServices)
        {
            foreach (var selector in destination.ExternalServices)
            {
                budget.AddComparison();
                if (selector.Matches(service.Metadata))
                {
                    yield return service;
                    break;
                }
            }

            if (budget.IsExhausted)
            {
                yield break;
            }
        }
    }

    /// <summary>The ports of an ExternalService that a VirtualDestination's ports lead to; all of them when none is named.</summary>
    private static IEnumerable<DestinationPort> PortsBehind(ExternalService service, IReadOnlyCollection<DestinationPort> ports)
    {
        var named = service.Ports.Where(behind => ports.Any(port =>
            port.Target?.Matches(behind.Number.Value, behind.Name?.Value) ?? port.Number.Value == behind.Number.Value)).ToList();
        return named.Count > 0 ? named : service.Ports;
    }

    private IEnumerable<IpPrefix> PrefixesOf(ExternalService service)
    {
        foreach (var address in service.Addresses)
        {
            if (IpPrefix.TryParse(address.Value, out var prefix, out _))
            {
                yield return prefix;
            }
        }

        foreach (var prefix in Resolve(service))
        {
            yield return prefix;
        }
    }

    private IEnumerable<IpPrefix> Resolve(Destination destination) =>
        destination.Hosts.SelectMany(host => HostNames.Resolve(options, host.Value)).Select(IpPrefix.From);

    private static ushort WirePort(DestinationPort port) => (ushort)(port.Target?.Number ?? port.Number.Value);
}
