using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>The policies of a set of files, and below them those of a cluster's API. It reads and compiles them, and does so again when
/// they change. Files and objects of the API are independent of each other: one with errors counts with its last good content.</summary>
/// <remarks>
/// <code>
///   WatchedFiles ─► LastGoodFiles ┐
///   WatchedCluster ─► those below ┴──► PolicyCompilation ──► PolicyLoad: a new snapshot, or the errors
///         ▲                              ▲       │
///         │               WatchedHosts ──┘       │
///         └─ wanted EndpointSlices  ▲            │
///                     wanted hosts  └────────────┘
/// </code>
/// </remarks>
internal sealed class PolicySource
{
    /// <summary>How long the first policy waits for the API. Policies in files must not wait for it without a limit.</summary>
    private static readonly TimeSpan s_waitForCluster = TimeSpan.FromSeconds(10);

    /// <summary>The number of bytes that a compilation must allocate to make a garbage collection worth its cost.</summary>
    private const long LargeCompilation = 16 * 1024 * 1024;

    private readonly WatchedFiles _files;
    private readonly WatchedCluster? _cluster;
    private readonly WatchedHosts _hosts;
    private readonly PolicyCompilation _compilation;
    private readonly TimeProvider _time;
    private readonly IReadOnlyList<string> _paths;
    private readonly LastGoodFiles? _lastGood;
    private ResourceSet _resources = ResourceSet.Empty;
    private bool _isLacking;

    /// <summary>Creates a source that has read nothing yet.</summary>
    /// <param name="options">The options.</param>
    /// <param name="resolver">Looks up the hosts.</param>
    /// <param name="cluster">The cluster; null without one.</param>
    /// <param name="time">The clock.</param>
    /// <param name="lastGood">The content that counts for files with errors; null to accept only files without errors.</param>
    public PolicySource(
        PolicyOptions options, HostResolver resolver, IClusterPolicies? cluster = null, TimeProvider? time = null, LastGoodFiles? lastGood = null)
    {
        _time = time ?? TimeProvider.System;
        (_paths, _lastGood) = (options.Paths, lastGood);
        _files = new WatchedFiles(options.Paths, keepsTexts: lastGood is not null, _time);
        _cluster = cluster is null ? null : new WatchedCluster(cluster, _time);
        _hosts = new WatchedHosts(resolver, _time);
        _compilation = new PolicyCompilation(options.Side, options.Existing, selectedOnly: cluster is not null, options.Keepalive, options.KnowsPods, options.AllowsOwn);
    }

    /// <summary>Whether the files have just changed, and may still be incomplete.</summary>
    public bool IsChanging => _files.IsChanging;

    /// <summary>The last valid policy; null if there was none yet. Any thread may read it.</summary>
    public PolicySnapshot? InForce => _compilation.InForce;

    /// <summary>How many objects of the cluster are invalid now. For each, the last valid version stays in force.</summary>
    public int RefusedObjects => _cluster?.Refused ?? 0;

    /// <summary>Reads everything, looks hosts up, and waits for the answers as long as the resolver does. The first call also waits for the
    /// cluster, for a limited time.</summary>
    public PolicyLoad Load(CancellationToken stop)
    {
        // With policies from the API, a directory may be empty.
        var read = _files.Read(mayBeEmpty: _cluster is not null);
        if (_lastGood is null)
        {
            return read.Result.HasErrors ? new PolicyLoad(null, read.Result.Diagnostics) : Load(new FilesInForce(read.Result.Resources, read.Result.Diagnostics, []), stop);
        }
        var isFirst = _compilation.InForce is null;
        if (isFirst && _paths.Any(_lastGood.IsUnknown))
        {
            return new PolicyLoad(null, read.Result.Diagnostics);
        }
        var files = _lastGood.Judge(read);
        var load = Load(files, stop);
        if (!load.Errors.Any())
        {
            _lastGood.Accept(read, files);
        }
        else if (isFirst)
        {
            // Each file is valid, but not all of them together. The last good ones were.
            files = _lastGood.Judge(read, onlyKept: true);
            load = load with { Snapshot = Load(files, stop).Snapshot };
        }
        return load with { Broken = files.Broken, Snapshot = load.Snapshot ?? (isFirst ? PolicySnapshot.Undecided : null) };
    }

    private PolicyLoad Load(FilesInForce files, CancellationToken stop)
    {
        var (resources, hosts, isLacking) = (_resources, _hosts.Wanted, _isLacking);
        (_resources, _isLacking) = (files.Resources, files.IsLacking);
        _cluster?.Have(files.Broken);
        var load = CompileAfresh(stop);
        if (load.Snapshot is null && _cluster is null)
        {
            // The policy that stays in force keeps its own hosts.
            (_resources, _isLacking) = (resources, isLacking);
            _hosts.Want(hosts);
        }
        else if (load.Snapshot is null && _compilation.InForce is null)
        {
            // An invalid set of objects must be corrected in the cluster. If the agent exited because of it, it would be restarted again
            // and again.
            load = load with { Snapshot = PolicySnapshot.Undecided };
        }
        return load with { Diagnostics = files.Diagnostics.AddRange(load.Diagnostics) };
    }

    /// <summary>Returns the changes since the last call: of files, or of the addresses of hosts. Returns null if nothing changed, or if
    /// files changed a moment ago and may still be incomplete.</summary>
    /// <param name="force">Whether to read everything again.</param>
    /// <param name="isPassDue">Whether a pass follows anyway. Changed endpoints of a cluster's Services wait for one, because they may
    /// change all the time.</param>
    /// <param name="stop">Ends the call.</param>
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

    /// <summary>Compiles twice if necessary: the first compilation shows the hosts and the endpoints of Services that must be known
    /// too.</summary>
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

    /// <summary>Compiles the known objects. Returns null if nothing changes and there is no new diagnostic.</summary>
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
        return _compilation.Settle(compiled, told, isComplete && !_isLacking, afresh);
    }

    /// <summary>Collects the garbage of a large compilation. By itself, the collector would keep it until long after the next
    /// one.</summary>
    private static void CollectGarbage(long allocated)
    {
        if (allocated > LargeCompilation)
        {
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
    }
}
