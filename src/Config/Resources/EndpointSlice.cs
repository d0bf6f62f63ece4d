using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An EndpointSlice (discovery.k8s.io/v1): some of the addresses behind a <see cref="Service"/>.</summary>
/// <remarks>Endpoints that are not ready count too: connections that were made while they were are still up.</remarks>
public sealed record EndpointSlice : Resource
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "EndpointSlice";

    /// <summary>The label that names the Service, in the same namespace.</summary>
    public const string ServiceLabel = "kubernetes.io/service-name";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>The kind of the object that it was read from: a slice itself, or an <see cref="Endpoints"/>.</summary>
    public string ReadAs { get; init; } = KindName;

    /// <summary>The addresses of all its endpoints.</summary>
    public ImmutableArray<Positioned<string>> Addresses { get; init; } = [];

    /// <summary>Its TCP ports, by the names the Service's ports have; empty is any.</summary>
    public ImmutableArray<NamedPort> Ports { get; init; } = [];
}

/// <summary>A port and its name.</summary>
/// <param name="Name">The name, <c>""</c> for the only port of a service that has no name.</param>
/// <param name="Number">The number, 1..65535; null is any.</param>
public readonly record struct NamedPort(string Name, int? Number);
