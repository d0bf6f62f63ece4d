using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of a ConnectionPolicy.</summary>
internal static class ConnectionPolicyReader
{
    public static ConnectionPolicy Read(ObjectMetadata metadata, ObjectReader spec)
    {
        var destinations = ImmutableArray.CreateRange(spec.Objects("applyToDestinations").Select(ReadDestination));
        TcpConfig? tcp = null;
        HttpConfig? http = null;
        if (spec.Object("config") is { } config)
        {
            tcp = config.Object("tcp") is { } tcpReader ? ReadTcp(tcpReader) : null;
            http = config.Object("http") is { } httpReader ? ReadHttp(httpReader) : null;
            config.Close();
        }

        spec.Close();
        return new ConnectionPolicy { Metadata = metadata, ApplyToDestinations = destinations, Tcp = tcp, Http = http };
    }

    private static DestinationReference ReadDestination(ObjectReader reader)
    {
        var kind = reader.Word("kind", DestinationKind.Service,
            ("SERVICE", DestinationKind.Service),
            ("VIRTUAL_DESTINATION", DestinationKind.VirtualDestination),
            ("EXTERNAL_SERVICE", DestinationKind.ExternalService));
        var selector = reader.Object("selector") is { } selectorReader ? SelectorReader.Read(selectorReader) : ObjectSelector.Everything;
        var port = SelectorReader.ReadPort(reader, "port");
        reader.Close();
        return new DestinationReference(kind, selector, port, reader.Position);
    }

    private static TcpConfig ReadTcp(ObjectReader reader)
    {
        var tcp = new TcpConfig
        {
            MaxConnections = reader.Integer("maxConnections", 0, int.MaxValue),
            ConnectTimeout = reader.Duration("connectTimeout"),
            MaxConnectionDuration = reader.Duration("maxConnectionDuration"),
            TcpKeepalive = KeepaliveReader.Read(reader, "tcpKeepalive"),
        };
        reader.Close();
        return tcp;
    }

    private static HttpConfig ReadHttp(ObjectReader reader)
    {
        var http = new HttpConfig
        {
            IdleTimeout = reader.Duration("idleTimeout"),
            MaxPendingRequests = reader.Integer("maxPendingRequests", 0, int.MaxValue),
            MaxRequests = reader.Integer("maxRequests", 0, int.MaxValue),
            MaxRequestsPerConnection = reader.Integer("maxRequestsPerConnection", 0, 1 << 29),
            MaxRetries = reader.Integer("maxRetries", 0, int.MaxValue),
        };
        reader.Close();
        return http;
    }
}
