using System.Collections.Immutable;
using Keepalive.Config.Resources;
using Keepalive.Config.Validation;

namespace Keepalive.Config.Reading;

/// <summary>A kind of object this product reads: how it is called, read and validated.</summary>
/// <param name="Name">The value of <c>kind</c>.</param>
/// <param name="ApiVersions">The values of <c>apiVersion</c> that go with it, the one to write first.</param>
internal sealed record ResourceKind(string Name, ImmutableArray<string> ApiVersions)
{
    private const string Policies = "resilience.policy.gloo.solo.io/v2";
    private const string Networking = "networking.gloo.solo.io/v2";

    private static readonly ImmutableArray<string> s_istio =
        ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];

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

    /// <summary>All of them. A new kind is a record, a reader, a validator, and an entry here.</summary>
    public static IReadOnlyList<ResourceKind> All { get; } =
    [
        Of(ConnectionPolicy.KindName, [Policies], ConnectionPolicyReader.Read, ConnectionPolicyValidator.Validate)
            with { Annotations = [AgentAnnotations.Existing] },
        Of(ListenerConnectionPolicy.KindName, [Policies], ListenerConnectionPolicyReader.Read, ListenerConnectionPolicyValidator.Validate)
            with { Annotations = [AgentAnnotations.Existing] },
        Of(VirtualDestination.KindName, [Networking], VirtualDestinationReader.Read, VirtualDestinationValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(ExternalService.KindName, [Networking], ExternalServiceReader.Read, ExternalServiceValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(ExternalEndpoint.KindName, [Networking], ExternalEndpointReader.Read, WorkloadValidator.Validate),
        Of(VirtualGateway.KindName, [Networking], VirtualGatewayReader.Read, DestinationValidator.ValidateAnnotation)
            with { Annotations = [AgentAnnotations.Addresses] },
        Of(DestinationRule.KindName, s_istio, DestinationRuleReader.Read, DestinationRuleValidator.Validate)
            with { Annotations = [AgentAnnotations.Addresses, AgentAnnotations.Existing] },
        Of(ServiceEntry.KindName, s_istio, ServiceEntryReader.Read, WorkloadValidator.Validate) with { IsUnique = false },
        Of(WorkloadEntry.KindName, s_istio, WorkloadReader.ReadEntry, WorkloadValidator.Validate) with { IsUnique = false },
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
    ];

    /// <summary>The kind of this name, or null.</summary>
    public static ResourceKind? Find(string name) => All.FirstOrDefault(kind => kind.Name == name);

    /// <summary>The API group of an apiVersion: what stands before the slash.</summary>
    public static string GroupOf(string apiVersion) => apiVersion.Contains('/') ? apiVersion[..apiVersion.IndexOf('/')] : "";

    /// <summary>
    /// Whether an object of this name in that group is another thing altogether, as Knative's Service is: then it is not ours to judge.
    /// </summary>
    public bool IsAnother(string apiVersion)
    {
        var group = GroupOf(apiVersion);
        return group != GroupOf(ApiVersions[0]) && group.Length > 0
            && !group.EndsWith("gloo.solo.io", StringComparison.Ordinal)
            && DidYouMean.Find(group, [GroupOf(ApiVersions[0])]) is null;
    }

    private static ResourceKind Of<T>(
        string name, ImmutableArray<string> apiVersions, Func<ObjectMetadata, ObjectReader, T> read, Action<T, ResourceReport> validate)
        where T : Resource =>
        new(name, apiVersions)
        {
            Read = (metadata, _, spec) => read(metadata, spec),
            Validate = (resource, report) => validate((T)resource, report),
        };
}
