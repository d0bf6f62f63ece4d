using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The mesh-wide keepalive: which of several configurations counts, and where it is the rule.</summary>
internal static class MeshPolicies
{
    /// <summary>The configuration in force, or null.</summary>
    /// <remarks>
    /// A node has clients of several revisions of the mesh, which sockets do not show. The ConfigMap of the default revision comes first, then
    /// those of other revisions, then the input of installers. One with other values is reported.
    /// </remarks>
    public static RankedPolicy? Choose(ResourceSet resources, DiagnosticBag diagnostics)
    {
        var ranked = resources.Valid<MeshConfig>().Where(static config => config.TcpKeepalive is not null)
            .OrderBy(static config => !config.IsConfigMap).ThenBy(static config => config.Metadata.Name.Value != MeshConfig.ConfigMapName)
            .Select(static config => new RankedPolicy(config)).ToList();
        foreach (var other in ranked.Skip(1).Where(other => other.Settings != ranked[0].Settings))
        {
            diagnostics.Report(DiagnosticCatalog.PolicyLost, other.Policy.Position,
                $"{other.Subject}: {ranked[0].Name} has other values and is used instead: which revision a client is of does not show on its connections",
                "use the same values in both");
        }

        return ranked.FirstOrDefault();
    }

    /// <summary>Where a destination has ports without a rule, these are the mesh's.</summary>
    /// <param name="mesh">The configuration.</param>
    /// <param name="destinations">The destinations.</param>
    /// <param name="builder">Knows which ports have a rule.</param>
    /// <param name="addresses">Finds the addresses.</param>
    /// <param name="taken">The prefixes and ports that have a rule already, or must not have one.</param>
    /// <param name="isExhausted">Whether the work has become too much.</param>
    public static MeshRules Apply(RankedPolicy mesh, IEnumerable<Destination> destinations, RuleSetBuilder builder, DestinationAddresses addresses,
        IEnumerable<CompiledRule> taken, Func<bool> isExhausted)
    {
        var known = taken.Select(static rule => new WireAddress(rule.Prefix, rule.Port)).ToHashSet();
        var rules = ImmutableArray.CreateBuilder<CompiledRule>();
        var (count, ports) = (0, 0);
        foreach (var destination in destinations)
        {
            var free = builder.FreePorts(destination);
            if (free.Count == 0)
            {
                continue;
            }

            count++;
            ports += free.Count;
            foreach (var (address, origin) in addresses.Find(destination, free))
            {
                if (known.Add(address))
                {
                    rules.Add(ToRule(mesh, destination, address, origin));
                }
            }

            if (isExhausted())
            {
                return new MeshRules([], 0, 0, IsTooMany: true);
            }
        }

        return new MeshRules(rules.DrainToImmutable(), count, ports, IsTooMany: false);
    }

    private static CompiledRule ToRule(RankedPolicy mesh, Destination destination, WireAddress address, string origin) => new()
    {
        Policy = mesh.Name,
        Destination = destination.QualifiedName,
        Settings = mesh.Settings!.Value,
        Existing = mesh.Existing,
        UserTimeout = mesh.UserTimeout,
        Prefix = address.Prefix,
        Port = address.Port,
        Position = mesh.Policy.Position,
        Origin = origin,
    };
}

/// <summary>The rules of the mesh-wide keepalive.</summary>
/// <param name="Rules">The rules.</param>
/// <param name="Destinations">Destinations with ports that no other policy sets.</param>
/// <param name="Ports">These ports.</param>
/// <param name="IsTooMany">Whether there would be too many rules; then there are none.</param>
internal sealed record MeshRules(ImmutableArray<CompiledRule> Rules, int Destinations, int Ports, bool IsTooMany)
{
    public static MeshRules None { get; } = new([], 0, 0, IsTooMany: false);
}
