using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of a ListenerConnectionPolicy.</summary>
internal static class ListenerConnectionPolicyReader
{
    public static ListenerConnectionPolicy Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var listeners = ImmutableArray.CreateRange(spec.Objects("applyToListeners").Select(ReadListener));
        TcpKeepalive? keepalive = null;
        Positioned<long>? bufferLimit = null;
        if (spec.Object("config") is { } config)
        {
            bufferLimit = config.Integer("perConnectionBufferLimitBytes", 0, uint.MaxValue);
            keepalive = KeepaliveReader.Read(config, "tcpKeepalive");
            config.Close();
        }

        spec.Close();
        return new ListenerConnectionPolicy
        {
            Metadata = metadata,
            ApplyToListeners = listeners,
            TcpKeepalive = keepalive,
            PerConnectionBufferLimitBytes = bufferLimit,
        };
    }

    private static DestinationReference ReadListener(ObjectReader reader)
    {
        var selector = reader.Object("virtualGateway") is { } gateway ? SelectorReader.Read(gateway) : ObjectSelector.Everything;
        var port = SelectorReader.ReadPort(reader, "port");
        reader.Close();
        return new DestinationReference(DestinationKind.VirtualGateway, selector, port, reader.Position);
    }
}
