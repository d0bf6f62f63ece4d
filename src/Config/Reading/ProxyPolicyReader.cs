using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the keepalive of resources that configure a proxy. Their other fields are their controllers' business.</summary>
internal static class ProxyPolicyReader
{
    private static readonly KeepaliveNames s_envoyGateway = new("probes", "idleTime", "interval");
    private static readonly KeepaliveNames s_kgateway = new("keepAliveProbes", "keepAliveTime", "keepAliveInterval");
    private static readonly KeepaliveNames s_gloo = new("keepaliveProbes", "keepaliveTime", "keepaliveInterval");

    /// <summary>Envoy Gateway's BackendTrafficPolicy and ClientTrafficPolicy.</summary>
    public static ProxyPolicy ReadEnvoyGateway(string kind, ObjectMetadata metadata, ObjectReader spec) =>
        ReadAttached(kind, metadata, spec, s_envoyGateway);

    /// <summary>kgateway's BackendConfigPolicy.</summary>
    public static ProxyPolicy ReadKgateway(ObjectMetadata metadata, ObjectReader spec) =>
        ReadAttached(ProxyPolicy.BackendConfigPolicy, metadata, spec, s_kgateway);

    /// <summary>Gloo Edge's Upstream.</summary>
    public static ProxyPolicy ReadUpstream(ObjectMetadata metadata, ObjectReader spec)
    {
        MisplacedKeepalive.Report(spec, "tcpKeepalive", static path => path == "spec.connectionConfig", static _ => "spec.connectionConfig");
        TcpKeepalive? keepalive = null;
        if (spec.Object("connectionConfig") is { } connection)
        {
            keepalive = KeepaliveReader.Read(connection, "tcpKeepalive", s_gloo);
            connection.CloseOpen();
        }

        var targets = ImmutableArray.CreateBuilder<ProxyTarget>();
        if (spec.Object("kube") is { } kube)
        {
            var (name, ns) = (kube.String("serviceName"), kube.String("serviceNamespace"));
            var port = kube.Integer("servicePort", 1, 65535);
            kube.CloseOpen();
            targets.Add(new ProxyTarget(Service.KindName, ns?.Value ?? metadata.Namespace, name?.Value ?? "", [], null, port?.Value));
        }

        var hosts = ImmutableArray.CreateBuilder<(Positioned<string>, long)>();
        if (spec.Object("static") is { } fixedHosts)
        {
            foreach (var host in fixedHosts.Objects("hosts"))
            {
                if (host.String("addr") is { } address && host.Integer("port", 1, 65535) is { } port)
                {
                    hosts.Add((address, port.Value));
                }

                host.CloseOpen();
            }

            fixedHosts.CloseOpen();
        }

        spec.CloseOpen();
        return new ProxyPolicy
        {
            Of = ProxyPolicy.Upstream,
            Metadata = metadata,
            Keepalives = keepalive is null ? [] : [("spec.connectionConfig.tcpKeepalive", RoundUp(keepalive))],
            Targets = targets.DrainToImmutable(),
            StaticHosts = hosts.DrainToImmutable(),
        };
    }

    /// <summary>Istio's EnvoyFilter: <c>socket_options</c> and <c>tcp_keepalive</c> anywhere in a patch.</summary>
    public static ProxyPolicy ReadEnvoyFilter(ObjectMetadata metadata, ObjectReader spec)
    {
        var keepalive = new EnvoyKeepalive(spec.Report);
        foreach (var entry in spec.Objects("configPatches"))
        {
            var isCluster = entry.String("applyTo") is { Value: "CLUSTER" };
            if (entry.Object("patch") is { } patch)
            {
                if (patch.Value("value") is { } value)
                {
                    keepalive.Find(value, patch.PathOf("value"), isCluster);
                }

                patch.Skip("value");
                patch.CloseOpen();
            }

            entry.CloseOpen();
        }

        spec.CloseOpen();
        return new ProxyPolicy { Of = ProxyPolicy.EnvoyFilter, Metadata = metadata, Keepalives = keepalive.Found };
    }

    private static ProxyPolicy ReadAttached(string kind, ObjectMetadata metadata, ObjectReader spec, KeepaliveNames names)
    {
        var targets = ImmutableArray.CreateBuilder<ProxyTarget>();
        if (spec.Object("targetRef") is { } single)
        {
            targets.Add(GatewayReader.ReadTarget(single, metadata, Service.KindName));
        }

        targets.AddRange(spec.Objects("targetRefs").Select(reader => GatewayReader.ReadTarget(reader, metadata, Service.KindName)));
        foreach (var reader in spec.Objects("targetSelectors"))
        {
            var of = reader.String("kind")?.Value ?? Service.KindName;
            var labels = SelectorReader.ReadLabels(reader, "matchLabels");
            reader.CloseOpen();
            targets.Add(new ProxyTarget(of, metadata.Namespace, null, labels, null, null));
        }

        MisplacedKeepalive.Report(spec, "tcpKeepalive", static path => path == "spec", static _ => "spec");
        var keepalive = KeepaliveReader.Read(spec, "tcpKeepalive", names);
        if (keepalive is not null && EnvoyKeepalive.SwitchesOff(keepalive, "spec.tcpKeepalive", spec.Report))
        {
            keepalive = null;
        }

        spec.CloseOpen();
        return new ProxyPolicy
        {
            Of = kind,
            Metadata = metadata,
            Keepalives = keepalive is null ? [] : [("spec.tcpKeepalive", keepalive)],
            Targets = targets.DrainToImmutable(),
        };
    }

    /// <summary>Gloo Edge rounds up to whole seconds, where the other controllers truncate.</summary>
    private static TcpKeepalive RoundUp(TcpKeepalive keepalive) => keepalive with { Time = RoundUp(keepalive.Time), Interval = RoundUp(keepalive.Interval) };

    private static Positioned<string>? RoundUp(Positioned<string>? duration) =>
        duration is { } text && GoDuration.TryParse(text.Value, out var nanoseconds) && nanoseconds >= GoDuration.Millisecond && nanoseconds % GoDuration.Second != 0
            ? text with { Value = string.Create(CultureInfo.InvariantCulture, $"{(nanoseconds / GoDuration.Second) + 1}s") }
            : duration;
}
