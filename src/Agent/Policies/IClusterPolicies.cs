using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>The policies and destinations of the cluster's API at one moment.</summary>
/// <param name="Resources">The objects, in the same form as those of files.</param>
/// <param name="Diagnostics">The problems of single objects.</param>
/// <param name="Refused">The number of objects whose current version has errors.</param>
/// <param name="IsComplete">Whether all wanted objects are known. An unknown object may be the reason why a socket was set.</param>
internal sealed record ClusterView(ResourceSet Resources, IReadOnlyList<Diagnostic> Diagnostics, int Refused, bool IsComplete)
{
    /// <summary>Returns the objects of files, and those of the cluster that are not in files.</summary>
    public ResourceSet Below(ResourceSet files)
    {
        var known = files.All.Select(resource => (resource.Kind, resource.QualifiedName)).ToHashSet();
        return known.Count == 0
            ? Resources
            : files.Concat(new ResourceSet([.. Resources.All.Where(resource => !known.Contains((resource.Kind, resource.QualifiedName)))]));
    }
}

/// <summary>A cluster with policies and destinations, kept up to date in the background.</summary>
internal interface IClusterPolicies
{
    /// <summary>A number that changes whenever policies or destinations may have changed.</summary>
    long Version { get; }

    /// <summary>A number that changes whenever endpoints of Services may have changed. They change far more often.</summary>
    long EndpointsVersion { get; }

    /// <summary>Whether all wanted objects are known.</summary>
    bool IsComplete { get; }

    /// <summary>Waits until all wanted objects and the node's pods are known. It does not wait for kinds that the server refuses.</summary>
    /// <param name="until">The timestamp at which the wait ends at the latest.</param>
    /// <param name="stop">Ends the waiting.</param>
    void WaitUntilKnown(long until, CancellationToken stop);

    /// <summary>Returns the current objects.</summary>
    ClusterView View();

    /// <summary>Sets the Services whose endpoints are needed.</summary>
    void WantSlices(IReadOnlySet<(string Namespace, string Name)> services);

    /// <summary>Reports the problems of objects in the cluster, for their owners.</summary>
    void Report(IEnumerable<Diagnostic> diagnostics);

    /// <summary>Reports policy files with errors, for the owner of the agent.</summary>
    void Report(IReadOnlyList<BrokenFile> files);
}
