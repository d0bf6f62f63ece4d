using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds out what connections to a destination look like on the wire.</summary>
/// <remarks>
/// An ExternalService's own ports are what is on the wire (or their targets). A VirtualDestination's are only if its host itself is
/// dialled: between clusters the far end is a gateway's balancer on a port of its own, which what the mesh generated knows, or the
/// annotation.
/// </remarks>
internal sealed class DestinationAddresses
{
    private readonly ObjectIndex<ExternalService> _externalServices;
    private readonly ObjectIndex<Service> _services;
    private readonly ObjectIndex<ExternalEndpoint> _endpoints;
    private readonly ServiceAddresses _ofServices;
    private readonly MeshAddresses _ofMesh;
    private readonly FoundAddresses _found;

    public DestinationAddresses(ResourceSet resources, HostAddresses hosts, CompilationBudget budget)
        : this(resources, new SliceIndex(resources), hosts, budget)
    {
    }

    public DestinationAddresses(ResourceSet resources, SliceIndex slices, HostAddresses hosts, CompilationBudget budget)
    {
        _found = new FoundAddresses(hosts, budget);
        _externalServices = new(resources.Valid<ExternalService>(), budget);
        _services = new(resources.Valid<Service>(), budget);
        _endpoints = new(resources.Valid<ExternalEndpoint>(), budget);
        _ofMesh = new(resources, budget);
        _ofServices = new(slices, _ofMesh);
    }

    /// <summary>Takes other answers from now on; all objects but the slices stay the same.</summary>
    public void Renew(HostAddresses hosts) => _found.Renew(hosts);

    /// <summary>Takes another version of a destination.</summary>
    /// <param name="one">The earlier version.</param>
    /// <param name="by">The later one.</param>
    /// <param name="isSameKey">Whether a selector that matches one matches both.</param>
    public void Replace(Destination one, Destination by, bool isSameKey)
    {
        if (one is Service service)
        {
            _services.Replace(service, (Service)by, isSameKey);
        }
        else if (one is ExternalService external)
        {
            _externalServices.Replace(external, (ExternalService)by, isSameKey);
        }
    }

    /// <summary>Takes a destination away.</summary>
    public void Remove(Destination one)
    {
        if (one is Service service)
        {
            _services.Remove(service);
        }
        else if (one is ExternalService external)
        {
            _externalServices.Remove(external);
        }
    }

    /// <summary>Takes a destination more.</summary>
    /// <param name="one">The destination.</param>
    /// <param name="next">The valid one of the same kind that follows it in document order; null if it is the last.</param>
    public void Add(Destination one, Destination? next)
    {
        if (one is Service service)
        {
            _services.Add(service, (Service?)next);
        }
        else if (one is ExternalService external)
        {
            _externalServices.Add(external, (ExternalService?)next);
        }
    }

    /// <summary>The addresses behind some of a destination's ports, each with the object that tells it, and the host names and Services that
    /// were asked for. It is valid until the next call.</summary>
    /// <param name="destination">The destination.</param>
    /// <param name="ports">The ports; null among them is any.</param>
    public FoundAddresses Find(Destination destination, IReadOnlyCollection<DestinationPort?> ports)
    {
        var found = _found;
        found.Begin();
        AddAnnotated(found, destination, ports);
        switch (destination)
        {
            case Service service:
                _ofServices.Add(found, service, ports);
                break;
            case ExternalService service:
                Add(found, service, ports, "");
                break;
            case VirtualDestination virtualDestination:
                Add(found, virtualDestination, [.. ports.OfType<DestinationPort>()]);
                break;
            case ServiceEntry entry:
                _ofMesh.Add(found, entry, ports);
                break;
            case VirtualGateway gateway:
                AddListeners(found, ServicesBefore(gateway), ports);
                break;
            case Gateway gateway:
                AddListeners(found, _services.All.Where(gateway.IsServedBy), ports);
                break;
            default:
                AddHosts(found, destination, ports);
                break;
        }

        return found;
    }

    /// <summary>The Services a VirtualDestination selects.</summary>
    public IEnumerable<Service> ServicesOf(VirtualDestination destination) => _services.SelectAny(destination.Services);

    /// <summary>The ExternalServices a VirtualDestination selects.</summary>
    public IEnumerable<ExternalService> ExternalServicesOf(VirtualDestination destination) =>
        _externalServices.SelectAny(destination.ExternalServices);

    /// <summary>The ExternalEndpoints an ExternalService selects: none without a selector.</summary>
    public IEnumerable<ExternalEndpoint> EndpointsOf(ExternalService service) =>
        service.Selector.IsEmpty ? [] : _endpoints.Select(new ObjectSelector { Labels = service.Selector });

    /// <summary>The Services whose pods are all workloads of a gateway: those that ask for at least the labels it asks for.</summary>
    public IEnumerable<Service> ServicesBefore(VirtualGateway gateway) => _services.All.Where(service => !service.Selector.IsEmpty
        && gateway.Workloads.Any(workload => workload.Labels.All(label => service.Selector.Contains(label)) && workload.MatchesPlace(service.Metadata)));

    /// <summary>The endpoints of the Services before a gateway, where these have its listeners' ports.</summary>
    private void AddListeners(FoundAddresses found, IEnumerable<Service> services, IReadOnlyCollection<DestinationPort?> ports)
    {
        foreach (var service in services)
        {
            _ofServices.AddEndpoints(found, service, [.. service.Ports.Where(port => ports.Any(wanted => wanted?.Number.Value == port.Number.Value))]);
        }
    }

    private static void AddAnnotated(FoundAddresses found, Destination destination, IReadOnlyCollection<DestinationPort?> ports)
    {
        foreach (var entry in AddressList.Split(destination.Metadata.Annotations.GetValueOrDefault(AgentAnnotations.Addresses).Value ?? ""))
        {
            if (!AddressList.TryParseEntry(entry, out var prefix, out var port, out _))
            {
                continue;
            }

            if (port == 0 && destination is (VirtualGateway or Gateway))
            {
                // Without a port every connection from these addresses would count, not only those they accept.
                found.Add([prefix], [.. ports.Select(static listener => (ushort)(listener?.Number.Value ?? 0))], "annotation");
            }
            else
            {
                found.Add(prefix, port, "annotation");
            }
        }
    }

    private void Add(FoundAddresses found, VirtualDestination destination, IReadOnlyCollection<DestinationPort> ports)
    {
        AddHosts(found, destination, ports);
        _ofMesh.AddGenerated(found, destination, ports);
        foreach (var behind in ExternalServicesOf(destination))
        {
            Add(found, behind, behind.IsAnyPort ? [null] : PortsBehind(behind, ports), $" of ExternalService {behind.QualifiedName}");
        }

        foreach (var behind in ServicesOf(destination))
        {
            _ofServices.Add(found, behind, behind.IsAnyPort ? [null] : PortsBehind(behind, ports));
        }
    }

    private void Add(FoundAddresses found, ExternalService service, IReadOnlyCollection<DestinationPort?> ports, string origin)
    {
        var wire = new PortNumbers(stackalloc ushort[PortNumbers.Usual]);
        foreach (var port in ports)
        {
            wire.Add(WirePort(port));
        }

        var numbers = wire.All;
        var ofAddresses = origin.Length == 0 || service.Addresses.IsEmpty ? "spec.addresses" : $"addresses{origin}";
        foreach (var address in service.Addresses)
        {
            if (IpPrefix.TryParse(address.Value, out var prefix, out _))
            {
                found.Add(prefix, numbers, ofAddresses);
            }
        }

        foreach (var host in service.Hosts)
        {
            found.Add(found.Resolve(host.Value), numbers, $"host {Quoting.Shorten(host.Value)}{origin}");
        }

        foreach (var endpoint in EndpointsOf(service))
        {
            if (endpoint.Address is { } address)
            {
                found.Add(found.PrefixesOf(address.Value), [.. ports.Select(port => PortAt(endpoint, port)).Distinct()],
                    $"ExternalEndpoint {endpoint.QualifiedName}");
            }
        }
    }

    private static void AddHosts(FoundAddresses found, Destination destination, IReadOnlyCollection<DestinationPort?> ports)
    {
        var numbers = new PortNumbers(stackalloc ushort[PortNumbers.Usual]);
        numbers.Add(ports);
        foreach (var host in destination.Hosts)
        {
            found.Add(found.Resolve(host.Value), numbers.All, $"host {Quoting.Shorten(host.Value)}");
        }
    }

    /// <summary>The ports of a destination that a VirtualDestination's ports lead to; all of them when none is named.</summary>
    private static List<DestinationPort?> PortsBehind(Destination behind, IReadOnlyCollection<DestinationPort> ports)
    {
        var named = new List<DestinationPort?>(behind.Ports.Length);
        foreach (var candidate in behind.Ports)
        {
            foreach (var port in ports)
            {
                if (port.Target?.Matches(candidate.Number.Value, candidate.Name?.Value) ?? port.Number.Value == candidate.Number.Value)
                {
                    named.Add(candidate);
                    break;
                }
            }
        }

        return named.Count > 0 ? named : [.. behind.Ports];
    }

    private static ushort WirePort(DestinationPort? port) => (ushort)(port?.Target?.Number ?? port?.Number.Value ?? 0);

    /// <summary>The port of an endpoint: the one the service's target or name names, else what the service itself says.</summary>
    private static ushort PortAt(ExternalEndpoint endpoint, DestinationPort? port)
    {
        if (port is not null)
        {
            var name = port.Target?.Name ?? port.Name?.Value ?? "";
            foreach (var candidate in endpoint.Ports)
            {
                if (candidate.Name == name && candidate.Number is { } number && port.Target?.Number is null)
                {
                    return (ushort)number;
                }
            }
        }

        return WirePort(port);
    }
}
