using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads Gateways and routes of the Gateway API, as far as they say which connections there are.</summary>
internal static class GatewayReader
{
    public static Gateway Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var ports = ImmutableArray.CreateBuilder<DestinationPort>();
        foreach (var listener in spec.Objects("listeners"))
        {
            var number = listener.Integer("port", 1, 65535);
            var name = listener.String("name");
            var protocol = listener.String("protocol");
            listener.CloseOpen();
            if (number is { } value && protocol is not { Value: "UDP" })
            {
                ports.Add(new DestinationPort(value, name, protocol, null, listener.Position));
            }
        }

        spec.CloseOpen();
        return new Gateway { Metadata = metadata, Ports = ports.DrainToImmutable() };
    }

    public static GatewayRoute ReadRoute(string kind, ObjectMetadata metadata, ObjectReader spec)
    {
        ImmutableArray<ProxyTarget> parents = [.. spec.Objects("parentRefs").Select(reader => ReadTarget(reader, metadata, Gateway.KindName))];
        var backends = ImmutableArray.CreateBuilder<RouteBackend>();
        var names = ImmutableArray.CreateBuilder<string>();
        foreach (var rule in spec.Objects("rules"))
        {
            var name = rule.String("name")?.Value;
            backends.AddRange(rule.Objects("backendRefs").Select(reader => new RouteBackend(name, ReadTarget(reader, metadata, Service.KindName))));
            rule.CloseOpen();
            if (name is not null)
            {
                names.Add(name);
            }
        }

        spec.CloseOpen();
        return new GatewayRoute { Of = kind, Metadata = metadata, Parents = parents, Backends = backends.DrainToImmutable(), RuleNames = names.DrainToImmutable() };
    }

    /// <summary>A reference to an object by group, kind and name.</summary>
    public static ProxyTarget ReadTarget(ObjectReader reader, ObjectMetadata metadata, string defaultKind)
    {
        var kind = reader.String("kind")?.Value ?? defaultKind;
        var name = reader.String("name")?.Value;
        var ns = reader.String("namespace")?.Value ?? metadata.Namespace;
        var section = reader.String("sectionName")?.Value;
        var port = reader.Integer("port", 1, 65535)?.Value;
        reader.CloseOpen();
        return new ProxyTarget(kind, ns, name ?? "", [], section, port);
    }
}
