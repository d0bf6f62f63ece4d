using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of an Istio ServiceEntry.</summary>
internal static class ServiceEntryReader
{
    public static ServiceEntry Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var entry = new ServiceEntry
        {
            Metadata = metadata,
            Hosts = spec.Strings("hosts"),
            Addresses = spec.Strings("addresses"),
            Ports = ReadPorts(spec),
            Endpoints = ReadEndpoints(spec),
            WorkloadSelector = ReadWorkloadSelector(spec),
        };
        // With addresses and resolution NONE, which is the default, proxies connect to these addresses and ask no DNS.
        var dials = entry.Addresses.IsEmpty;
        entry = entry with
        {
            DialsHosts = spec.Word("resolution", dials, ("NONE", dials), ("STATIC", false), ("DNS", true), ("DNS_ROUND_ROBIN", true), ("DYNAMIC_DNS", true)),
        };
        spec.Skip("location", "exportTo", "subjectAltNames");
        spec.CloseOpen();
        return entry;
    }

    private static ImmutableArray<DestinationPort> ReadPorts(ObjectReader spec)
    {
        var ports = ImmutableArray.CreateBuilder<DestinationPort>();
        foreach (var reader in spec.Objects("ports"))
        {
            var number = reader.RequiredInteger("number", 1, 65535);
            var name = reader.String("name");
            var protocol = reader.String("protocol");
            var target = reader.Integer("targetPort", 1, 65535);
            reader.CloseOpen();
            if (number is { } value && protocol is not { Value: "UDP" })
            {
                ports.Add(new DestinationPort(
                    value, name, protocol, target is { } to ? new PortSelector(to.Value, null, to.Position) : null, reader.Position));
            }
        }

        return ports.DrainToImmutable();
    }

    private static ImmutableArray<MeshWorkload> ReadEndpoints(ObjectReader spec) => [.. spec.Objects("endpoints").Select(WorkloadReader.Read)];

    private static ImmutableArray<KeyValuePair<string, string>> ReadWorkloadSelector(ObjectReader spec)
    {
        if (spec.Object("workloadSelector") is not { } reader)
        {
            return [];
        }

        var labels = SelectorReader.ReadLabels(reader, "labels");
        reader.CloseOpen();
        return labels;
    }
}
