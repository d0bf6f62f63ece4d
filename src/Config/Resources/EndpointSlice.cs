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

    /// <summary>The addresses of all its endpoints as written; those that <see cref="Packed"/> does not have.</summary>
    public ImmutableArray<Positioned<string>> Addresses { get; init; } = [];

    /// <summary>The addresses that <see cref="Compact"/> has packed; they come before the others.</summary>
    public PackedAddresses Packed { get; init; }

    /// <summary>The name of its Service, in the same namespace; null if it has none.</summary>
    public string? Service { get; init; }

    /// <summary>Its TCP ports, by the names the Service's ports have; empty is any.</summary>
    public ImmutableArray<NamedPort> Ports { get; init; } = [];

    /// <summary>The same with the addresses packed, and without labels, annotations and positions: a cluster has more slices than objects of
    /// any other kind.</summary>
    public EndpointSlice Compact()
    {
        if (Packed.Count > 0)
        {
            return this;
        }

        var packed = new List<IpPrefix>(Addresses.Length);
        foreach (var address in Addresses)
        {
            if (!IpPrefix.TryParse(address.Value, out var prefix, out _) || prefix.Length != (prefix.IsIPv4 ? 32 : 128))
            {
                break;   // the others stay in their order
            }

            packed.Add(prefix);
        }

        return this with
        {
            Packed = new PackedAddresses(packed),
            Addresses = Addresses.Length == packed.Count ? [] : Addresses[packed.Count..],
            Metadata = new ObjectMetadata
            {
                Name = new(Metadata.Name.Value, default),
                Namespace = Metadata.Namespace,
                Cluster = Metadata.Cluster,
            },
        };
    }
}

/// <summary>A port and its name.</summary>
/// <param name="Name">The name, <c>""</c> for the only port of a service that has no name.</param>
/// <param name="Number">The number, 1..65535; null is any.</param>
public readonly record struct NamedPort(string Name, int? Number);
