using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of an ExternalEndpoint.</summary>
internal static class ExternalEndpointReader
{
    public static ExternalEndpoint Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var address = spec.Require("address") ? spec.String("address") : null;
        var ports = ImmutableArray.CreateBuilder<NamedPort>();
        foreach (var port in spec.Objects("ports"))
        {
            var name = port.String("name")?.Value ?? "";
            var number = port.RequiredInteger("number", 1, 65535);
            port.Close();
            ports.Add(new NamedPort(name, (int?)number?.Value));
        }

        spec.Skip("locality");
        spec.Close();
        return new ExternalEndpoint { Metadata = metadata, Address = address, Ports = ports.DrainToImmutable() };
    }
}
