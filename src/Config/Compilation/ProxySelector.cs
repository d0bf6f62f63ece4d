using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the destinations of the objects that a proxy's policy is attached to.</summary>
internal sealed class ProxySelector(ResourceSet resources)
{
    private readonly Lazy<ILookup<string, Service>> _services = new(() => resources.Valid<Service>().ToLookup(static service => service.Metadata.Namespace));
    private readonly List<Gateway> _gateways = [.. resources.Valid<Gateway>()];
    private readonly List<GatewayRoute> _routes = [.. resources.Valid<GatewayRoute>()];

    /// <summary>What a policy selects; nothing if its targets are unknown here.</summary>
    public IReadOnlyList<Selection> Select(RankedPolicy policy, ProxyPolicy proxy)
    {
        if (policy.Settings is null)
        {
            return [];
        }

        var ports = new Dictionary<Destination, List<DestinationPort?>>(ReferenceEqualityComparer.Instance);
        foreach (var target in proxy.Targets)
        {
            Add(ports, target, proxy.IsAccepted);
        }

        foreach (var (address, port) in proxy.StaticHosts)
        {
            var host = Of(proxy, address, port);
            ports.Add(host, [host.Ports[0]]);
        }

        return [.. ports.Select(pair => new Selection(policy, pair.Key, [.. pair.Value], policy.Settings))];
    }

    /// <summary>The sections that targets name and that their objects in the input do not have, as sentences.</summary>
    public IEnumerable<(string Message, string Fix)> MissingSections(ProxyPolicy proxy)
    {
        foreach (var target in proxy.Targets.Where(static target => target.Section is not null))
        {
            var (what, sections) = target.Kind switch
            {
                Gateway.KindName => ("listener", Of(_gateways, target).SelectMany(static gateway => gateway.Ports).Select(static port => port.Name?.Value)),
                Service.KindName => ("port", Of(_services.Value[target.Namespace], target).SelectMany(static service => service.Ports).Select(static port => port.Name?.Value)),
                _ => ("rule", Of(_routes, target).SelectMany(static route => route.RuleNames)),
            };
            var isKnown = target.Kind switch
            {
                Gateway.KindName => Of(_gateways, target).Any(),
                Service.KindName => Of(_services.Value[target.Namespace], target).Any(),
                _ => Of(_routes, target).Any(),
            };
            List<string> known = [.. sections.OfType<string>().Distinct()];
            if (isKnown && !known.Contains(target.Section!))
            {
                yield return ($"{target} has no {what} with the name {Quoting.Quote(target.Section!)}, so that its sectionName selects nothing",
                    known.Count == 0 ? $"no {what} there has a name: add one, or leave sectionName out" : $"write {(known.Count == 1 ? "" : "one of ")}{string.Join(", ", known.Take(10).Select(Quoting.Shorten))}");
            }
        }
    }

    private static IEnumerable<T> Of<T>(IEnumerable<T> all, ProxyTarget target)
        where T : Resource => all.Where(one => target.Matches(one.Kind, one.Metadata));

    private void Add(Dictionary<Destination, List<DestinationPort?>> ports, ProxyTarget target, bool isAccepted)
    {
        if (isAccepted)
        {
            foreach (var gateway in _gateways.Where(gateway => target.Matches(gateway.Kind, gateway.Metadata)))
            {
                Add(ports, gateway, port => target.Section is null || port.Name?.Value == target.Section);
            }

            return;
        }

        foreach (var service in _services.Value[target.Namespace].Where(service => target.Matches(service.Kind, service.Metadata)))
        {
            Add(ports, service, port => (target.Port is null || port.Number.Value == target.Port)
                && (target.Section is null || port.Name?.Value == target.Section));
        }

        // A route's policy is for the Services behind it, that of a Gateway for those behind all of its routes.
        foreach (var route in _routes.Where(route => target.Matches(route.Kind, route.Metadata) || (target.Kind == Gateway.KindName && IsOf(route, target))))
        {
            // The section of a route is one of its rules; that of a Gateway, a listener.
            var rule = target.Kind == Gateway.KindName ? null : target.Section;
            foreach (var backend in route.Backends.Where(backend => rule is null || backend.Rule == rule))
            {
                Add(ports, backend.Target, isAccepted: false);
            }
        }
    }

    private bool IsOf(GatewayRoute route, ProxyTarget target) => route.Parents.Any(parent => parent.Kind == Gateway.KindName
        && parent.Namespace == target.Namespace && (parent.Name == target.Name
            || _gateways.Exists(gateway => target.Matches(gateway.Kind, gateway.Metadata) && gateway.Metadata.Name.Value == parent.Name))
        && (target.Section is null || parent.Section is null || parent.Section == target.Section));

    private static void Add(Dictionary<Destination, List<DestinationPort?>> ports, Destination destination, Func<DestinationPort, bool> isWanted)
    {
        var all = ports.TryGetValue(destination, out var known) ? known : [];
        if (destination.IsAnyPort)
        {
            all = [null];
        }

        foreach (var port in destination.Ports)
        {
            if (isWanted(port) && !all.Exists(one => ReferenceEquals(one, port)))
            {
                all.Add(port);
            }
        }

        if (all.Count > 0)
        {
            ports[destination] = all;
        }
    }

    /// <summary>An address or host that is written into an Upstream, as a destination.</summary>
    private static ExternalService Of(ProxyPolicy proxy, Positioned<string> address, long port)
    {
        var isAddress = IpPrefix.TryParse(address.Value, out _, out _);
        return new ExternalService
        {
            // The agent's annotations are those of the policy.
            Metadata = proxy.Metadata with { Annotations = ImmutableDictionary<string, Positioned<string>>.Empty },
            Addresses = isAddress ? [address] : [],
            Hosts = isAddress ? [] : [address],
            Ports = [new DestinationPort(new(port, address.Position), null, null, null, address.Position)],
        };
    }
}
