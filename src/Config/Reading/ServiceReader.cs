using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads a Service: its <c>spec</c>, and where its load balancer is from its <c>status</c>.</summary>
internal static class ServiceReader
{
    public static Service Read(ObjectMetadata metadata, ObjectReader root, ObjectReader spec)
    {
        var addresses = ImmutableArray.CreateBuilder<Positioned<string>>();
        var hosts = ImmutableArray.CreateBuilder<Positioned<string>>();
        Add(spec.String("clusterIP"), addresses);
        foreach (var address in spec.Strings("clusterIPs").Concat(spec.Strings("externalIPs")))
        {
            Add(address, addresses);
        }

        if (spec.String("externalName") is { Value.Length: > 0 } externalName)
        {
            hosts.Add(externalName);
        }

        var ports = ReadPorts(spec, out var hasOtherProtocols);
        var selector = SelectorReader.ReadLabels(spec, "selector");
        spec.CloseOpen();
        ReadStatus(root, addresses, hosts);
        return new Service
        {
            Metadata = metadata,
            Addresses = addresses.DrainToImmutable(),
            Hosts = hosts.DrainToImmutable(),
            Ports = ports,
            HasOtherProtocols = hasOtherProtocols,
            Selector = selector,
        };
    }

    private static ImmutableArray<DestinationPort> ReadPorts(ObjectReader spec, out bool hasOtherProtocols)
    {
        hasOtherProtocols = false;
        var ports = ImmutableArray.CreateBuilder<DestinationPort>();
        foreach (var reader in spec.Objects("ports"))
        {
            var number = reader.RequiredInteger("port", 1, 65535);
            var name = reader.String("name");
            var protocol = reader.String("protocol");
            var target = ReadTarget(reader);
            reader.CloseOpen();
            if (protocol is { Value: not "TCP" })
            {
                hasOtherProtocols = true;
            }
            else if (number is { } value)
            {
                ports.Add(new DestinationPort(value, name, protocol, target, reader.Position));
            }
        }

        return ports.DrainToImmutable();
    }

    /// <summary>A number or a name, as pods have it.</summary>
    private static PortSelector? ReadTarget(ObjectReader port) => port.IntegerOrString("targetPort") switch
    {
        { Type: ScalarType.Integer } number when long.TryParse(number.Value, out var value) => new PortSelector(value, null, number.Position),
        { Type: ScalarType.String, Value.Length: > 0 } name => new PortSelector(null, name.Value, name.Position),
        _ => null,
    };

    private static void ReadStatus(
        ObjectReader root, ImmutableArray<Positioned<string>>.Builder addresses, ImmutableArray<Positioned<string>>.Builder hosts)
    {
        if (root.Object("status") is not { } status)
        {
            return;
        }

        if (status.Object("loadBalancer") is { } balancer)
        {
            foreach (var ingress in balancer.Objects("ingress"))
            {
                Add(ingress.String("ip"), addresses);
                if (ingress.String("hostname") is { Value.Length: > 0 } host)
                {
                    hosts.Add(host);
                }

                ingress.CloseOpen();
            }

            balancer.CloseOpen();
        }

        status.CloseOpen();
    }

    private static void Add(Positioned<string>? address, ImmutableArray<Positioned<string>>.Builder addresses)
    {
        // "None" is a headless service's cluster IP.
        if (address is { } text && IpPrefix.TryParse(text.Value, out _, out _) && !addresses.Any(known => known.Value == text.Value))
        {
            addresses.Add(text);
        }
    }
}
