using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>The policies of a set of files, and of a cluster's API below them: read, compiled, and again when they change. Files are all or
/// nothing: a set with an error in it leaves the last good one in force. Of the API's objects each one stands for itself.</summary>
/// <remarks>
/// <code>
///   WatchedFiles ───► resources ──┐
///   WatchedCluster ─► those below ┴──► PolicyCompilation ──► PolicyLoad: a new snapshot, or what is wrong
///         ▲                              ▲       │
///         │               WatchedHosts ──┘       │
///         └─ wanted EndpointSlices  ▲            │
///                     wanted hosts  └────────────┘
/// </code>
/// </remarks>
internal sealed class PolicySource
{
    /// <summary>How long the first policy waits for the API: what is in files must not wait for it for good.</summary>
    private static readonly TimeSpan s_waitForCluster = TimeSpan.FromSeconds(10);

    /// <summary>Bytes that a compilation uses before what it leaves behind is worth a collection of its own.</summary>
    private const long LargeCompilation = 16 * 1024 * 1024;

    private readonly WatchedFiles _files;
    private readonly WatchedCluster? _cluster;
    private readonly WatchedHosts _hosts;
    private readonly PolicyCompilation _compilation;
    private readonly TimeProvider _time;
    private ResourceSet _resources = ResourceSet.Empty;

    public PolicySource(IReadOnlyList<string> paths, Side side, ExistingMode existing, HostResolver resolver, IClusterPolicies? cluster = null, TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        _files = new WatchedFiles(paths, _time);
        _cluster = cluster is null ? null : new WatchedCluster(cluster, _time);
        _hosts = new WatchedHosts(resolver, _time);
        _compilation = new PolicyCompilation(side, existing, selectedOnly: cluster is not null);
    }

    /// <summary>Whether the files have just changed, and may still be being written.</summary>
    public bool IsChanging => _files.IsChanging;

    /// <summary>How many objects of the cluster are invalid now. For each, the last valid version stays in force.</summary>
    public int RefusedObjects => _cluster?.Refused ?? 0;

    /// <summary>Reads everything, and looks hosts up, waiting for the answers as long as the resolver does; the first time for the cluster's too, but
    /// not for long.</summary>
    public PolicyLoad Load(CancellationToken stop)
    {
        // Where the API has the policies, a directory may well have none.
        var read = _files.Read(mayBeEmpty: _cluster is not null);
        if (read.HasErrors)
        {
            return new PolicyLoad(null, read.Diagnostics);
        }
        var (resources, hosts) = (_resources, _hosts.Wanted);
        _resources = read.Resources;
        var load = CompileAfresh(stop);
        if (load.Snapshot is null && _cluster is null)
        {
            // What stays in force goes on following its own hosts.
            _resources = resources;
            _hosts.Want(hosts);
        }
        else if (load.Snapshot is null && _compilation.InForce is null)
        {
            // An invalid set of objects must be corrected in the cluster: an agent that exited because of it would only be restarted again and again.
            load = load with { Snapshot = PolicySnapshot.Undecided };
        }
        return load with { Diagnostics = read.Diagnostics.AddRange(load.Diagnostics) };
    }

    /// <summary>What changed since the last call: files, or the addresses behind host names. Null where nothing did, and where files changed so
    /// lately that they may still be being written.</summary>
    /// <param name="force">Reads everything again.</param>
    /// <param name="isPassDue">Whether a pass follows anyway. The endpoints of a cluster's Services, which may change all the time, wait for one.</param>
    /// <param name="stop">Ends it.</param>
    public PolicyLoad? Refresh(bool force, bool isPassDue, CancellationToken stop)
    {
        if (force || _files.HaveChanged())
        {
            return Load(stop);
        }
        if (_cluster is not null && _cluster.HasChanged(isPassDue) && Compile(afresh: false) is { } changed)
        {
            return changed;
        }
        return _hosts.Refresh(stop) ? Compile(afresh: false) : null;
    }

    /// <summary>Compiles twice where the first time tells what else has to be known: the addresses of hosts, the endpoints of Services.</summary>
    private PolicyLoad CompileAfresh(CancellationToken stop)
    {
        var until = _time.GetTimestamp() + (_compilation.InForce is null ? (long)(s_waitForCluster.TotalSeconds * _time.TimestampFrequency) : 0);
        _cluster?.WaitUntilKnown(until, stop);
        var load = Compile(afresh: true)!;
        if (_cluster is null && (load.Snapshot is null || _hosts.Wanted.Count == 0))
        {
            return load;
        }
        _hosts.Resolve(stop);
        _cluster?.WaitUntilKnown(until, stop);
        return Compile(afresh: true)!;
    }

    /// <summary>Compiles what is known now; null where that changes nothing and there is nothing new to say.</summary>
    private PolicyLoad? Compile(bool afresh)
    {
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var view = _cluster?.View();
        var compiled = _compilation.Compile(view?.Below(_resources) ?? _resources, _hosts.Answers);
        var isResolved = _hosts.Want(compiled.WantedHosts);
        var isComplete = view is null || _cluster!.Want(view, compiled.WantedServices);
        var told = PolicyCompilation.Told(compiled, isResolved && isComplete);
        if (view is not null)
        {
            CollectGarbage(GC.GetAllocatedBytesForCurrentThread() - allocated);
            _cluster!.Tell(view, told);
        }
        return _compilation.Settle(compiled, told, isComplete, afresh);
    }

    /// <summary>What a large compilation leaves behind would lie there until long after the next.</summary>
    private static void CollectGarbage(long allocated)
    {
        if (allocated > LargeCompilation)
        {
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
    }
}
