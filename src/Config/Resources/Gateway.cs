using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>A Gateway (gateway.networking.k8s.io): listeners of a proxy that its controller runs.</summary>
public sealed record Gateway : Destination
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "Gateway";

    /// <summary>The label with the name of the Gateway on the Service of its proxy, in the namespace of the Gateway.</summary>
    internal const string NameLabel = "gateway.networking.k8s.io/gateway-name";

    /// <summary>Envoy Gateway's labels on the Service of a proxy, which is in its own namespace.</summary>
    internal const string OwnerLabel = "gateway.envoyproxy.io/owning-gateway-name";

    /// <inheritdoc cref="OwnerLabel"/>
    internal const string OwnerNamespaceLabel = "gateway.envoyproxy.io/owning-gateway-namespace";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.Gateway;

    /// <inheritdoc/>
    public override bool IsAnyPort => false;

    /// <summary>Whether a Service is the one of its proxy.</summary>
    internal bool IsServedBy(Service service)
    {
        var labels = service.Metadata.Labels;
        var (name, ns) = (Metadata.Name.Value, Metadata.Namespace);
        return (labels.GetValueOrDefault(OwnerLabel) == name && labels.GetValueOrDefault(OwnerNamespaceLabel) == ns)
            || (labels.GetValueOrDefault(NameLabel) == name && service.Metadata.Namespace == ns);
    }
}

/// <summary>A route of the Gateway API: which Services the proxies of which Gateways connect to.</summary>
public sealed record GatewayRoute : Resource
{
    /// <summary>The kinds of routes with TCP connections.</summary>
    internal static ImmutableArray<string> Kinds { get; } = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"];

    private string _kind = "";

    /// <summary>Its kind.</summary>
    public required string Of
    {
        get => _kind;
        init => _kind = value;
    }

    /// <inheritdoc/>
    public override string Kind => _kind;

    /// <summary>The Gateways it is attached to.</summary>
    public ImmutableArray<ProxyTarget> Parents { get; init; } = [];

    /// <summary>The Services behind its rules.</summary>
    public ImmutableArray<RouteBackend> Backends { get; init; } = [];

    /// <summary>The names of its rules.</summary>
    public ImmutableArray<string> RuleNames { get; init; } = [];
}

/// <summary>A backend of a route.</summary>
/// <param name="Rule">The name of the rule that it belongs to; null if that has none.</param>
/// <param name="Target">The backend.</param>
public sealed record RouteBackend(string? Rule, ProxyTarget Target);
