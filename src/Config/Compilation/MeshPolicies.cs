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
    public static RankedPolicy? Choose(ResourceSet resources, DiagnosticBag diagnostics, Func<Policy, RankedPolicy?, RankedPolicy> make)
    {
        var ranked = resources.Valid<MeshConfig>().Where(static config => config.TcpKeepalive is not null)
            .OrderBy(static config => !config.IsConfigMap).ThenBy(static config => config.Metadata.Name.Value != MeshConfig.ConfigMapName)
            .Select(config => make(config, null)).ToList();
        foreach (var other in ranked.Skip(1).Where(other => other.Settings != ranked[0].Settings))
        {
            diagnostics.Report(DiagnosticCatalog.PolicyLost, other.Policy.Position,
                $"{other.Subject}: {ranked[0].Name} has other values and is used instead: which revision a client is of does not show on its connections",
                "use the same values in both");
        }

        return ranked.FirstOrDefault();
    }
}
