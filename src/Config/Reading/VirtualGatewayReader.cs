using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of a VirtualGateway: which ports it listens on, and on which workloads.</summary>
internal static class VirtualGatewayReader
{
    public static VirtualGateway Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var workloads = ImmutableArray.CreateBuilder<ObjectSelector>();
        foreach (var workload in spec.Objects("workloads"))
        {
            if (workload.Object("selector") is { } selector)
            {
                workloads.Add(SelectorReader.Read(selector));
            }

            workload.CloseOpen();
        }

        var ports = ImmutableArray.CreateBuilder<DestinationPort>();
        foreach (var listener in spec.Objects("listeners"))
        {
            if (listener.Object("port") is { } port)
            {
                var number = port.Integer("number", 1, 65535);
                var name = port.String("name");
                port.CloseOpen();
                if (number is { } value)
                {
                    ports.Add(new DestinationPort(value, name, null, null, port.Position));
                }
            }

            listener.CloseOpen();
        }

        spec.CloseOpen();
        return new VirtualGateway { Metadata = metadata, Workloads = workloads.DrainToImmutable(), Ports = ports.DrainToImmutable() };
    }
}
