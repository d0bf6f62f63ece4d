using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A kind of object as the API names it.</summary>
/// <param name="Kind">The value of <c>kind</c>.</param>
/// <param name="Group">The API group; empty for the core group.</param>
/// <param name="Versions">The versions to request, the preferred one first. The first that the server has is used.</param>
/// <param name="Plural">The name of its objects in paths.</param>
internal sealed record WatchedKind(string Kind, string Group, ImmutableArray<string> Versions, string Plural)
{
    private const string GlooPolicies = "resilience.policy.gloo.solo.io";
    private const string GlooNetworking = "networking.gloo.solo.io";
    private const string Istio = "networking.istio.io";
    private const string EnvoyGateway = "gateway.envoyproxy.io";
    private const string GatewayApi = "gateway.networking.k8s.io";

    private static readonly ImmutableArray<string> s_istioVersions = ["v1", "v1beta1", "v1alpha3"];

    public static WatchedKind ConnectionPolicies { get; } = new(ConnectionPolicy.KindName, GlooPolicies, ["v2"], "connectionpolicies");

    public static WatchedKind ListenerConnectionPolicies { get; } =
        new(ListenerConnectionPolicy.KindName, GlooPolicies, ["v2"], "listenerconnectionpolicies");

    public static WatchedKind VirtualDestinations { get; } = new(VirtualDestination.KindName, GlooNetworking, ["v2"], "virtualdestinations");

    public static WatchedKind ExternalServices { get; } = new(ExternalService.KindName, GlooNetworking, ["v2"], "externalservices");

    public static WatchedKind ExternalEndpoints { get; } = new(ExternalEndpoint.KindName, GlooNetworking, ["v2"], "externalendpoints");

    public static WatchedKind VirtualGateways { get; } = new(VirtualGateway.KindName, GlooNetworking, ["v2"], "virtualgateways");

    public static WatchedKind DestinationRules { get; } = new(DestinationRule.KindName, Istio, s_istioVersions, "destinationrules");

    public static WatchedKind ServiceEntries { get; } = new(ServiceEntry.KindName, Istio, s_istioVersions, "serviceentries");

    public static WatchedKind WorkloadEntries { get; } = new(WorkloadEntry.KindName, Istio, s_istioVersions, "workloadentries");

    public static WatchedKind Services { get; } = new(Service.KindName, "", ["v1"], "services");

    public static WatchedKind EndpointSlices { get; } = new(EndpointSlice.KindName, "discovery.k8s.io", ["v1", "v1beta1"], "endpointslices");

    /// <summary>The ConfigMaps with the mesh-wide settings of Istio; no others are requested.</summary>
    public static WatchedKind MeshConfigs { get; } = new("ConfigMap", "", ["v1"], "configmaps");

    public static WatchedKind BackendTrafficPolicies { get; } = new(ProxyPolicy.BackendTrafficPolicy, EnvoyGateway, ["v1alpha1"], "backendtrafficpolicies");

    public static WatchedKind ClientTrafficPolicies { get; } = new(ProxyPolicy.ClientTrafficPolicy, EnvoyGateway, ["v1alpha1"], "clienttrafficpolicies");

    public static WatchedKind BackendConfigPolicies { get; } =
        new(ProxyPolicy.BackendConfigPolicy, "gateway.kgateway.dev", ["v1alpha1"], "backendconfigpolicies");

    public static WatchedKind Upstreams { get; } = new(ProxyPolicy.Upstream, "gloo.solo.io", ["v1"], "upstreams");

    public static WatchedKind Gateways { get; } = new(Gateway.KindName, GatewayApi, ["v1", "v1beta1"], "gateways");

    public static WatchedKind HttpRoutes { get; } = new("HTTPRoute", GatewayApi, ["v1", "v1beta1"], "httproutes");

    public static WatchedKind GrpcRoutes { get; } = new("GRPCRoute", GatewayApi, ["v1", "v1alpha2"], "grpcroutes");

    public static WatchedKind TlsRoutes { get; } = new("TLSRoute", GatewayApi, ["v1", "v1alpha3", "v1alpha2"], "tlsroutes");

    public static WatchedKind TcpRoutes { get; } = new("TCPRoute", GatewayApi, ["v1", "v1alpha2"], "tcproutes");

    public static WatchedKind Namespaces { get; } = new("Namespace", "", ["v1"], "namespaces") { MetadataOnly = true };

    public static WatchedKind Pods { get; } = new("Pod", "", ["v1"], "pods");

    public static WatchedKind CustomResourceDefinitions { get; } =
        new("CustomResourceDefinition", "apiextensions.k8s.io", ["v1"], "customresourcedefinitions") { MetadataOnly = true };

    /// <summary>Whether only the metadata of objects is requested.</summary>
    public bool MetadataOnly { get; private init; }

    /// <summary>Whether the kind comes from a custom resource definition. It may be missing, and be added later.</summary>
    public bool IsCustom => Group.EndsWith(".solo.io", StringComparison.Ordinal) || Group is Istio or EnvoyGateway or GatewayApi or "gateway.kgateway.dev";

    /// <summary>The name of its custom resource definition.</summary>
    public string DefinitionName => $"{Plural}.{Group}";

    /// <summary>Returns the value of <c>apiVersion</c> in a version.</summary>
    public string ApiVersion(string version) => Group.Length == 0 ? version : $"{Group}/{version}";

    /// <summary>Returns the path of all its objects in a version.</summary>
    public string Path(string version) => Group.Length == 0 ? $"api/{version}/{Plural}" : $"apis/{Group}/{version}/{Plural}";

    public override string ToString() => Group.Length == 0 ? Plural : $"{Plural}.{Group}";
}
