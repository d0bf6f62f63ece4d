using System.Collections.Immutable;
using Keepalive.Config.Resources;
using Keepalive.Config.Validation;

namespace Keepalive.Config.Reading;

/// <summary>A kind of object this product reads: how it is called, read and validated.</summary>
/// <param name="Name">The value of <c>kind</c>.</param>
/// <param name="ApiVersions">The values of <c>apiVersion</c> that go with it, the one to write first.</param>
internal sealed record ResourceKind(string Name, ImmutableArray<string> ApiVersions)
{
    private const string PoliciesGroup = "resilience.policy.gloo.solo.io";
    private const string NetworkingGroup = "networking.gloo.solo.io";
    private const string Policies = $"{PoliciesGroup}/v2";
    private const string Networking = $"{NetworkingGroup}/v2";

    private static readonly ImmutableArray<string> s_istio =
        ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];

    private static readonly ImmutableArray<string> s_ofPolicies = [AgentAnnotations.Existing, AgentAnnotations.UserTimeout];

    /// <summary>The annotations of <see cref="AgentAnnotations"/> that it can have.</summary>
    public ImmutableArray<string> Annotations { get; private init; } = [];

    /// <summary>Reads the object: its metadata, the object itself, and its <c>spec</c>, which is the object where it has none.</summary>
    public required Func<ObjectMetadata, ObjectReader, ObjectReader, Resource> Read { get; init; }

    /// <summary>Reports what is wrong with its values.</summary>
    public required Action<Resource, ResourceReport> Validate { get; init; }

    /// <summary>Whether its fields are under <c>spec</c>.</summary>
    public bool HasSpec { get; private init; } = true;

    /// <summary>
    /// Whether it is written by people: then one object twice is an error. Dumps of clusters may come from two of them.
    /// </summary>
    public bool IsUnique { get; private init; } = true;

    /// <summary>The name and namespace of an object without metadata, where its tools do not ask for them; null if they are required.</summary>
    public (string Namespace, string Name)? Unnamed { get; private init; }

    /// <summary>Whether editors get a schema for it.</summary>
    public bool HasSchema { get; private init; } = true;

    /// <summary>Whether an object is of use; others of the kind are skipped.</summary>
    public Func<MappingNode, bool> IsOfUse { get; private init; } = static _ => true;

    /// <summary>All of them. A new kind is a record, a reader, a validator, and an entry here.</summary>
    public static IReadOnlyList<ResourceKind> All { get; } =
    [
        Of(ConnectionPolicy.KindName, [Policies], ConnectionPolicyReader.Read, ConnectionPolicyValidator.Validate)
            with { Annotations = [.. s_ofPolicies, AgentAnnotations.From] },
        Of(ListenerConnectionPolicy.KindName, [Policies], ListenerConnectionPolicyReader.Read, ListenerConnectionPolicyValidator.Validate)
            with { Annotations = s_ofPolicies },
        Of(VirtualDestination.KindName, [Networking], VirtualDestinationReader.Read, VirtualDestinationValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(ExternalService.KindName, [Networking], ExternalServiceReader.Read, ExternalServiceValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(ExternalEndpoint.KindName, [Networking], ExternalEndpointReader.Read, WorkloadValidator.Validate),
        Of(VirtualGateway.KindName, [Networking], VirtualGatewayReader.Read, DestinationValidator.ValidateAnnotation)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(DestinationRule.KindName, s_istio, DestinationRuleReader.Read, DestinationRuleValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses, AgentAnnotations.Existing, AgentAnnotations.UserTimeout] },
        Of(ServiceEntry.KindName, s_istio, ServiceEntryReader.Read, WorkloadValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses], IsUnique = false },
        Of(WorkloadEntry.KindName, s_istio, WorkloadReader.ReadEntry, WorkloadValidator.Validate) with { IsUnique = false },
        Proxy(ProxyPolicy.BackendTrafficPolicy, "gateway.envoyproxy.io/v1alpha1",
            static (metadata, spec) => ProxyPolicyReader.ReadEnvoyGateway(ProxyPolicy.BackendTrafficPolicy, metadata, spec)),
        Proxy(ProxyPolicy.ClientTrafficPolicy, "gateway.envoyproxy.io/v1alpha1",
            static (metadata, spec) => ProxyPolicyReader.ReadEnvoyGateway(ProxyPolicy.ClientTrafficPolicy, metadata, spec)),
        Proxy(ProxyPolicy.BackendConfigPolicy, "gateway.kgateway.dev/v1alpha1", ProxyPolicyReader.ReadKgateway),
        Proxy(ProxyPolicy.Upstream, "gloo.solo.io/v1", ProxyPolicyReader.ReadUpstream),
        // The agent never enforces one, so that an annotation has no effect.
        Proxy(ProxyPolicy.EnvoyFilter, "networking.istio.io/v1alpha3", ProxyPolicyReader.ReadEnvoyFilter) with { Annotations = [] },
        Of<Gateway>(Gateway.KindName, ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"], GatewayReader.Read,
            DestinationValidator.ValidateAnnotation) with { Annotations = [AgentAnnotations.Addresses], IsUnique = false, HasSchema = false },
        .. GatewayRoute.Kinds.Select(static kind => Of<GatewayRoute>(kind,
            [
                "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1", "gateway.networking.k8s.io/v1alpha3",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            (metadata, spec) => GatewayReader.ReadRoute(kind, metadata, spec), static (_, _) => { }) with { IsUnique = false, HasSchema = false }),
        new("ConfigMap", ["v1"])
        {
            Read = static (metadata, root, _) => MeshConfigReader.ReadConfigMap(metadata, root),
            Validate = static (resource, report) => MeshConfigValidator.Validate((MeshConfig)resource, report),
            Annotations = s_ofPolicies,
            HasSpec = false,
            IsUnique = false,
            IsOfUse = MeshConfigReader.IsMesh,
            HasSchema = false,
        },
        Of<MeshConfig>("IstioOperator", ["install.istio.io/v1alpha1"], MeshConfigReader.ReadOperator, MeshConfigValidator.Validate)
            with { Annotations = s_ofPolicies, IsUnique = false, Unnamed = (MeshConfig.DefaultNamespace, "istio-operator") },
        .. MeshConfigReader.SailKinds.Select(static kind => Of<MeshConfig>(kind, ["sailoperator.io/v1", "sailoperator.io/v1alpha1"],
            (metadata, spec) => MeshConfigReader.ReadSail(kind, metadata, spec), MeshConfigValidator.Validate)
            with { Annotations = s_ofPolicies, IsUnique = false, HasSchema = false }),
        new(Service.KindName, ["v1"])
        {
            Read = ServiceReader.Read,
            Validate = static (resource, report) => DestinationValidator.ValidateAnnotation((Service)resource, report),
            Annotations = [AgentAnnotations.Addresses],
            IsUnique = false,
        },
        new(EndpointSlice.KindName, ["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"])
        {
            Read = static (metadata, root, _) => EndpointSliceReader.Read(metadata, root),
            Validate = static (resource, report) => WorkloadValidator.Validate((EndpointSlice)resource, report),
            HasSpec = false,
            IsUnique = false,
        },
        new(Endpoints.KindName, ["v1"])
        {
            Read = static (metadata, root, _) => EndpointsReader.Read(metadata, root),
            Validate = static (resource, report) => WorkloadValidator.Validate((Endpoints)resource, report),
            HasSpec = false,
            IsUnique = false,
        },
    ];

    /// <summary>The kind of this name in a group, else one of this name in another group, or null.</summary>
    public static ResourceKind? Find(string name, string apiVersion)
    {
        var named = All.Where(kind => kind.Name == name);
        return named.FirstOrDefault(kind => GroupOf(kind.ApiVersions[0]) == GroupOf(apiVersion)) ?? named.FirstOrDefault();
    }

    /// <summary>The API group of an apiVersion: what stands before the slash.</summary>
    public static string GroupOf(string apiVersion) => apiVersion.Contains('/') ? apiVersion[..apiVersion.IndexOf('/')] : "";

    /// <summary>
    /// Whether an object of this name in that group is another thing altogether, as Knative's Service is: then it is not ours to judge.
    /// </summary>
    /// <remarks>A group of kinds that are read here has no other kind of this name, and one that differs by a letter or two is a slip.</remarks>
    public bool IsAnother(string apiVersion)
    {
        var group = GroupOf(apiVersion);
        return group != GroupOf(ApiVersions[0]) && group.Length > 0 && group is not (PoliciesGroup or NetworkingGroup)
            && DidYouMean.Find(group, [GroupOf(ApiVersions[0])]) is null;
    }

    private static ResourceKind Proxy(string name, string apiVersion, Func<ObjectMetadata, ObjectReader, ProxyPolicy> read) =>
        Of(name, [apiVersion], read, ProxyPolicyValidator.Validate) with { Annotations = s_ofPolicies, HasSchema = false };

    private static ResourceKind Of<T>(
        string name, ImmutableArray<string> apiVersions, Func<ObjectMetadata, ObjectReader, T> read, Action<T, ResourceReport> validate)
        where T : Resource =>
        new(name, apiVersions)
        {
            Read = (metadata, _, spec) => read(metadata, spec),
            Validate = (resource, report) => validate((T)resource, report),
        };
}
