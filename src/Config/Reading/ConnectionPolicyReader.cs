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
        var kind = DestinationKind.Service;
        if (reader.String("kind") is { } text)
        {
            kind = text.Value switch
            {
                "SERVICE" => DestinationKind.Service,
                "VIRTUAL_DESTINATION" => DestinationKind.VirtualDestination,
                "EXTERNAL_SERVICE" => DestinationKind.ExternalService,
                _ => ReportKind(reader, text),
            };
        }

        var selector = reader.Object("selector") is { } selectorReader ? SelectorReader.Read(selectorReader) : ObjectSelector.Everything;
        var port = SelectorReader.ReadPort(reader, "port");
        reader.Close();
        return new DestinationReference(kind, selector, port, reader.Position);
    }

    private static DestinationKind ReportKind(ObjectReader reader, Positioned<string> text)
    {
        string[] kinds = ["SERVICE", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE"];
        var bare = text.Value.Replace("_", "", StringComparison.Ordinal);
        var meant = kinds.FirstOrDefault(kind => DidYouMean.Find(bare, [kind.Replace("_", "", StringComparison.Ordinal)]) is not null);
        reader.Report.Report(DiagnosticCatalog.BadValue, text.Position, reader.PathOf("kind"), $"cannot be {Quoting.Quote(text.Value)}",
            meant is null ? $"write one of {string.Join(", ", kinds)}" : $"did you mean {meant}?");
        return DestinationKind.Service;
    }

    private static TcpConfig ReadTcp(ObjectReader reader)
    {
        var tcp = new TcpConfig
        {
            MaxConnections = reader.Integer("maxConnections"),
            ConnectTimeout = reader.Duration("connectTimeout"),
            MaxConnectionDuration = reader.Duration("maxConnectionDuration"),
            TcpKeepalive = reader.Object("tcpKeepalive") is { } keepalive
                ? ReadKeepalive(keepalive, reader.KeyPosition("tcpKeepalive"))
                : null,
        };
        reader.Close();
        return tcp;
    }

    private static TcpKeepalive ReadKeepalive(ObjectReader reader, SourcePosition position)
    {
        var keepalive = new TcpKeepalive
        {
            Probes = reader.Integer("probes"),
            Time = reader.Duration("time"),
            Interval = reader.Duration("interval"),
            Position = position,
        };
        reader.Close();
        return keepalive;
    }

    private static HttpConfig ReadHttp(ObjectReader reader)
    {
        var http = new HttpConfig
        {
            IdleTimeout = reader.Duration("idleTimeout"),
            MaxPendingRequests = reader.Integer("maxPendingRequests"),
            MaxRequests = reader.Integer("maxRequests"),
            MaxRequestsPerConnection = reader.Integer("maxRequestsPerConnection"),
            MaxRetries = reader.Integer("maxRetries"),
        };
        reader.Close();
        return http;
    }
}
