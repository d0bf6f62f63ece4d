using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads an EndpointSlice, which has its fields beside <c>metadata</c>.</summary>
internal static class EndpointSliceReader
{
    public static EndpointSlice Read(ObjectMetadata metadata, ObjectReader root)
    {
        var addresses = ImmutableArray.CreateBuilder<Positioned<string>>();
        root.String("addressType");
        foreach (var endpoint in root.Objects("endpoints"))
        {
            addresses.AddRange(endpoint.Strings("addresses"));
            endpoint.CloseOpen();
        }

        var (ports, isTcp) = ReadPorts(root);
        return new EndpointSlice
        {
            Metadata = metadata,
            Service = metadata.Labels.GetValueOrDefault(EndpointSlice.ServiceLabel),
            Addresses = isTcp ? addresses.DrainToImmutable() : [],
            Ports = ports,
        };
    }

    /// <summary>The TCP ports, and whether there is a TCP endpoint: not if all ports are something else.</summary>
    public static (ImmutableArray<NamedPort> Ports, bool IsTcp) ReadPorts(ObjectReader reader)
    {
        var ports = ImmutableArray.CreateBuilder<NamedPort>();
        var any = false;
        foreach (var port in reader.Objects("ports"))
        {
            var name = port.String("name")?.Value ?? "";
            var number = port.Integer("port", 1, 65535);
            var isTcp = port.String("protocol") is null or { Value: "TCP" };
            port.CloseOpen();
            any = true;
            if (isTcp)
            {
                ports.Add(new NamedPort(name, (int?)number?.Value));
            }
        }

        return (ports.ToImmutable(), !any || ports.Count > 0);
    }
}
