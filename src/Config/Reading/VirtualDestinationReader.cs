using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of a VirtualDestination.</summary>
internal static class VirtualDestinationReader
{
    public static VirtualDestination Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var destination = new VirtualDestination
        {
            Metadata = metadata,
            Hosts = spec.Strings("hosts"),
            Services = SelectorReader.ReadList(spec, "services"),
            ExternalServices = SelectorReader.ReadList(spec, "externalServices"),
            ExternalWorkloads = SelectorReader.ReadList(spec, "externalWorkloads"),
            Ports = SelectorReader.ReadPorts(spec),
        };
        if (spec.Object("clientMode") is { } clientMode)
        {
            clientMode.Skip("auto", "sniRouting", "tlsTermination");
            clientMode.Close();
        }

        spec.Close();
        return destination;
    }
}
