using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>What the cluster's API says about policies and destinations, kept up to date in the background.</summary>
/// <param name="Resources">As files have them.</param>
/// <param name="Diagnostics">What there is to say about each object by itself.</param>
/// <param name="Refused">Objects with errors in what they say now.</param>
/// <param name="IsComplete">Whether everything that is wanted is known: what is not may be what a socket was set by.</param>
internal sealed record ClusterView(ResourceSet Resources, IReadOnlyList<Diagnostic> Diagnostics, int Refused, bool IsComplete)
{
    /// <summary>Those of files, and of the cluster's own what files do not have.</summary>
    public ResourceSet Below(ResourceSet files)
    {
        var known = files.All.Select(resource => (resource.Kind, resource.QualifiedName)).ToHashSet();
        return known.Count == 0
            ? Resources
            : files.Concat(new ResourceSet([.. Resources.All.Where(resource => !known.Contains((resource.Kind, resource.QualifiedName)))]));
    }
}

/// <summary>A cluster that policies and destinations come from.</summary>
internal interface IClusterPolicies
{
    /// <summary>Differs when what it says of policies and destinations may.</summary>
    long Version { get; }

    /// <summary>Differs when endpoints of Services may, which change far more often.</summary>
    long EndpointsVersion { get; }

    /// <summary>Whether everything that is wanted is known.</summary>
    bool IsComplete { get; }

    /// <summary>Waits until everything that is wanted is known, and the node's pods are; not for what the server has refused.</summary>
    /// <param name="until">The timestamp to wait for at the latest.</param>
    /// <param name="stop">Ends the waiting.</param>
    void WaitUntilKnown(long until, CancellationToken stop);

    /// <summary>What it says now.</summary>
    ClusterView View();

    /// <summary>Which Services' endpoints are wanted.</summary>
    void WantSlices(IReadOnlySet<(string Namespace, string Name)> services);

    /// <summary>Tells the cluster's people what there is to say about their objects.</summary>
    void Report(IEnumerable<Diagnostic> diagnostics);
}
