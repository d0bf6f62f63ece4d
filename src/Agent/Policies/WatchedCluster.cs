using System.Collections.Immutable;
using Keepalive.Config;

namespace Keepalive.Agent.Policies;

/// <summary>The cluster's part of the policies: decides when to compile its objects again, and reports the outcome to it.</summary>
internal sealed class WatchedCluster(IClusterPolicies cluster, TimeProvider time)
{
    /// <summary>The limit for compiling changed endpoints, which may change all the time: at most one part in this many of the
    /// time.</summary>
    private const int CompileAtMost = 10;

    private IReadOnlyList<BrokenFile> _broken = [];
    private long _version;
    private long _endpointsVersion;
    private long _compiledAt;
    private TimeSpan _cost;

    /// <summary>How many objects are invalid now. For each, the last valid version stays in force.</summary>
    public int Refused { get; private set; }

    /// <inheritdoc cref="IClusterPolicies.WaitUntilKnown"/>
    public void WaitUntilKnown(long until, CancellationToken stop) => cluster.WaitUntilKnown(until, stop);

    /// <summary>Whether objects have changed since the last <see cref="View"/>. Endpoints count only if a pass follows anyway.</summary>
    public bool HasChanged(bool isPassDue) => cluster.Version != _version
        || (isPassDue && cluster.EndpointsVersion != _endpointsVersion && time.GetElapsedTime(_compiledAt) >= _cost * CompileAtMost);

    /// <summary>Returns the current objects. The caller must compile them at once.</summary>
    public ClusterView View()
    {
        (_version, _endpointsVersion, _compiledAt) = (cluster.Version, cluster.EndpointsVersion, time.GetTimestamp());
        var view = cluster.View();
        Refused = view.Refused;
        return view;
    }

    /// <summary>Sets the Services whose endpoints are needed. Returns true if everything needed was known when the view was
    /// taken.</summary>
    public bool Want(ClusterView view, IReadOnlySet<(string Namespace, string Name)> services)
    {
        cluster.WantSlices(services);
        return view.IsComplete && cluster.IsComplete;
    }

    /// <summary>Sets the files with errors. They are reported in the cluster, too.</summary>
    public void Have(IReadOnlyList<BrokenFile> broken) => _broken = broken;

    /// <summary>Ends a compilation: reports the problems of objects in the cluster.</summary>
    public void Tell(ClusterView view, ImmutableArray<Diagnostic> compiled)
    {
        cluster.Report(view.Diagnostics.Concat(compiled));
        cluster.Report(_broken);
        var begun = _compiledAt;
        _compiledAt = time.GetTimestamp();
        _cost = time.GetElapsedTime(begun, _compiledAt);
    }
}
