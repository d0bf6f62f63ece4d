using Keepalive.Config.Resources;
using Keepalive.Config.Validation;

namespace Keepalive.Config.Reading;

/// <summary>A kind of object this product reads: how it is called, read and validated.</summary>
/// <param name="Name">The value of <c>kind</c>.</param>
/// <param name="ApiVersion">The value of <c>apiVersion</c> that goes with it.</param>
/// <param name="Annotation">The annotation of <see cref="AgentAnnotations"/> that it can have.</param>
/// <param name="Read">Reads the object from its <c>spec</c>.</param>
/// <param name="Validate">Reports what is wrong with its values.</param>
internal sealed record ResourceKind(
    string Name, string ApiVersion, string Annotation,
    Func<ObjectMetadata, ObjectReader, Resource> Read, Action<Resource, ResourceReport> Validate)
{
    /// <summary>All of them. A new kind is a record, a reader, a validator, and a line here.</summary>
    public static IReadOnlyList<ResourceKind> All { get; } =
    [
        Of(ConnectionPolicy.KindName, "resilience.policy.gloo.solo.io/v2", AgentAnnotations.Existing,
            ConnectionPolicyReader.Read, ConnectionPolicyValidator.Validate),
        Of(VirtualDestination.KindName, "networking.gloo.solo.io/v2", AgentAnnotations.Addresses,
            VirtualDestinationReader.Read, VirtualDestinationValidator.Validate),
        Of(ExternalService.KindName, "networking.gloo.solo.io/v2", AgentAnnotations.Addresses,
            ExternalServiceReader.Read, ExternalServiceValidator.Validate),
    ];

    /// <summary>The kind of this name, or null.</summary>
    public static ResourceKind? Find(string name) => All.FirstOrDefault(kind => kind.Name == name);

    /// <summary>The API group of an apiVersion: what stands before the slash.</summary>
    public static string GroupOf(string apiVersion) => apiVersion.Contains('/') ? apiVersion[..apiVersion.IndexOf('/')] : "";

    private static ResourceKind Of<T>(
        string name, string apiVersion, string annotation,
        Func<ObjectMetadata, ObjectReader, T> read, Action<T, ResourceReport> validate)
        where T : Resource =>
        new(name, apiVersion, annotation, read, (resource, report) => validate((T)resource, report));
}
