using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of an ExternalService.</summary>
internal static class ExternalServiceReader
{
    public static ExternalService Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var service = new ExternalService
        {
            Metadata = metadata,
            Hosts = spec.Strings("hosts"),
            Addresses = spec.Strings("addresses"),
            Selector = SelectorReader.ReadLabels(spec, "selector"),
            Ports = SelectorReader.ReadPorts(spec, "clientsideTls", "egressGatewayRoutes"),
        };
        spec.Skip("subjectAltNames");
        spec.Close();
        return service;
    }
}
