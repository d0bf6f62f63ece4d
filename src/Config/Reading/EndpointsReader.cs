using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads an Endpoints object, whose subsets are beside <c>metadata</c>.</summary>
internal static class EndpointsReader
{
    public static Endpoints Read(ObjectMetadata metadata, ObjectReader root)
    {
        var slices = ImmutableArray.CreateBuilder<EndpointSlice>();
        foreach (var subset in root.Objects("subsets"))
        {
            var addresses = ImmutableArray.CreateBuilder<Positioned<string>>();
            foreach (var key in (ReadOnlySpan<string>)["addresses", "notReadyAddresses"])
            {
                ReadAddresses(subset, key, addresses);
            }

            var (ports, isTcp) = EndpointSliceReader.ReadPorts(subset);
            subset.CloseOpen();
            slices.Add(new EndpointSlice
            {
                Metadata = metadata,
                Service = metadata.Name.Value,
                ReadAs = Endpoints.KindName,
                Addresses = isTcp ? addresses.DrainToImmutable() : [],
                Ports = ports,
            });
        }

        return new Endpoints { Metadata = metadata, Slices = slices.DrainToImmutable() };
    }

    private static void ReadAddresses(ObjectReader subset, string key, ImmutableArray<Positioned<string>>.Builder addresses)
    {
        foreach (var address in subset.Objects(key))
        {
            if (address.String("ip") is { } ip)
            {
                addresses.Add(ip);
            }

            address.CloseOpen();
        }
    }
}
