using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the <c>spec</c> of an Istio DestinationRule: what has to do with TCP, and what else a policy would set.</summary>
internal static partial class DestinationRuleReader
{
    public static DestinationRule Read(ObjectMetadata metadata, ObjectReader spec)
    {
        MisplacedKeepalive.Report(spec, "tcpKeepalive", static path => Place().IsMatch(path), PlaceFor);
        var host = spec.Require("host") ? spec.String("host") : null;
        var hasPolicy = spec.Value("trafficPolicy") is not null;
        TcpConfig? tcp = null;
        var ports = ImmutableArray.CreateBuilder<PortLevelSettings>();
        if (spec.Object("trafficPolicy") is { } trafficPolicy)
        {
            tcp = ReadPool(trafficPolicy);
            foreach (var settings in trafficPolicy.Objects("portLevelSettings"))
            {
                ReadPortLevel(settings, ports);
            }

            trafficPolicy.Skip("loadBalancer", "outlierDetection", "tls", "tunnel", "proxyProtocol", "retryBudget");
            trafficPolicy.CloseOpen();
        }

        IgnoreElsewhere(spec);
        var exportTo = spec.Strings("exportTo");
        spec.CloseOpen();
        return new DestinationRule
        {
            Metadata = metadata,
            Host = host ?? new Positioned<string>("", spec.Position),
            Tcp = tcp,
            PortLevelSettings = ports.DrainToImmutable(),
            HasTrafficPolicy = hasPolicy,
            ExportTo = [.. exportTo.Select(static name => name.Value)],
            HasWorkloadSelector = spec.Value("workloadSelector") is not null,
        };
    }

    private static void ReadPortLevel(ObjectReader settings, ImmutableArray<PortLevelSettings>.Builder ports)
    {
        Positioned<long>? number = null;
        if (settings.Require("port") && settings.Object("port") is { } port)
        {
            number = port.RequiredInteger("number", 1, 65535);
            port.Close();
        }

        var tcp = ReadPool(settings);
        settings.Skip("loadBalancer", "outlierDetection", "tls");
        settings.CloseOpen();
        if (number is { } value)
        {
            ports.Add(new PortLevelSettings(value.Value, tcp, settings.Position));
        }
    }

    private static TcpConfig? ReadPool(ObjectReader parent)
    {
        if (parent.Object("connectionPool") is not { } pool)
        {
            return null;
        }

        TcpConfig? tcp = null;
        if (pool.Object("tcp") is { } reader)
        {
            tcp = new TcpConfig
            {
                MaxConnections = reader.Integer("maxConnections", 0, int.MaxValue),
                ConnectTimeout = reader.Duration("connectTimeout"),
                MaxConnectionDuration = reader.Duration("maxConnectionDuration"),
                TcpKeepalive = KeepaliveReader.Read(reader, "tcpKeepalive"),
            };
            if (reader.Duration("idleTimeout") is { } idle && tcp.TcpKeepalive is null)
            {
                reader.Report.Report(DiagnosticCatalog.NoKeepalive, idle.Position, reader.PathOf("idleTimeout"),
                    "ends idle connections in the proxy and probes nothing; there is no tcpKeepalive beside it", "add \"tcpKeepalive\" to keep them");
            }

            reader.Close();
        }

        pool.Skip("http");
        pool.Close();
        return tcp;
    }

    private static string PlaceFor(string path) =>
        (Holder().Match(path) is { Success: true } holder ? holder.Value : "spec.trafficPolicy") + ".connectionPool.tcp";

    [GeneratedRegex(@"^spec\.(subsets\[\d+\]\.)?trafficPolicy(\.portLevelSettings\[\d+\])?\.connectionPool\.tcp$")]
    private static partial Regex Place();

    /// <summary>The settings that a connectionPool is part of.</summary>
    [GeneratedRegex(@"^spec\.(subsets\[\d+\]\.)?trafficPolicy(\.portLevelSettings\[\d+\])?")]
    private static partial Regex Holder();

    /// <summary>Which connections are of a subset, or of a workload, does not show on a socket.</summary>
    private static void IgnoreElsewhere(ObjectReader spec)
    {
        foreach (var (key, why) in new[]
        {
            ("subsets", "is ignored: which connections go to a subset does not show on them"),
            ("workloadSelector", "is ignored: the rule is taken to hold for every client"),
        })
        {
            spec.Skip(key);
            if (spec.Value(key) is { } value)
            {
                spec.Report.Report(DiagnosticCatalog.NotEvaluated, value.Position, spec.PathOf(key), why);
            }
        }
    }
}
