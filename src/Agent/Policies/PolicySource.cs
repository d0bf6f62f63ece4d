using System.Collections.Immutable;
using System.Diagnostics;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Policies;

/// <summary>Outcome of reading the policies once.</summary>
/// <param name="Snapshot">The new policy; null where errors keep the last good one in force.</param>
/// <param name="Diagnostics">Everything that was noticed.</param>
internal sealed record PolicyLoad(PolicySnapshot? Snapshot, ImmutableArray<Diagnostic> Diagnostics)
{
    public IEnumerable<Diagnostic> Errors => Diagnostics.Where(d => d.Severity == Severity.Error);
}

/// <summary>The policies of a set of files, and of a cluster's API after them: read, compiled, and again when they change. Files are all or
/// nothing: a set with an error in it leaves the last good one in force. Of the API's objects each one stands for itself.</summary>
internal sealed class PolicySource(
    IReadOnlyList<string> paths, Side side, ExistingMode existing, HostResolver resolver, IClusterPolicies? cluster = null)
{
    private static readonly TimeSpan ResolveEvery = TimeSpan.FromSeconds(30);

    /// <summary>How long files that were changed have to stay as they are: what is written a line at a time is not to be taken for the whole.</summary>
    private static readonly TimeSpan StillFor = TimeSpan.FromSeconds(1);

    /// <summary>How long the first policy waits for the API: what is in files must not wait for it for good.</summary>
    private static readonly TimeSpan WaitForCluster = TimeSpan.FromSeconds(10);

    /// <summary>Of the time goes at most one part in this many into compiling endpoints, which may change all the time.</summary>
    private const int CompileAtMost = 10;

    /// <summary>Bytes that a compilation uses before what it leaves behind is worth a collection of its own.</summary>
    private const long LargeCompilation = 16 * 1024 * 1024;

    private readonly Lock _lock = new();
    private string _signature = "";
    private string? _changing;
    private long _changingSince;
    private ResourceSet _resources = ResourceSet.Empty;
    private IReadOnlySet<string> _wanted = new HashSet<string>();
    private HostAnswers _hosts = HostAnswers.None;
    private Task? _resolving;
    private long _resolvedAt;
    private bool _answersChanged;
    private PolicySnapshot? _inForce;
    private HashSet<Diagnostic> _said = [];
    private long _clusterVersion;
    private long _endpointsVersion;
    private long _compiledAt;
    private TimeSpan _compileCost;
    private bool _isRefused;

    /// <summary>Whether the files have just changed, and may still be being written.</summary>
    public bool IsChanging => _changing is not null;

    /// <summary>Objects of the cluster with errors in what they say now: each of them says what it said before.</summary>
    public int RefusedObjects { get; private set; }

    /// <summary>Reads the files and looks their hosts up, waiting for the answers as long as the resolver does.</summary>
    public PolicyLoad Load(CancellationToken stop)
    {
        var read = ReadAtOneMoment();
        if (cluster is not null)
        {
            // A directory may well have none, where the API has them all. A file that is empty is one that somebody is not done with.
            read = read with
            {
                Diagnostics = read.Diagnostics.RemoveAll(static diagnostic =>
                    diagnostic.Code == DiagnosticCatalog.NoDocuments.Code && Directory.Exists(diagnostic.Position.File)),
            };
        }
        if (read.HasErrors)
        {
            return new PolicyLoad(null, read.Diagnostics);
        }
        if (cluster is not null)
        {
            _resources = read.Resources;
            return LoadWithCluster(read, stop);
        }
        var compiled = Compile(read.Resources);
        if (compiled.WantedHosts.Count > 0)
        {
            lock (_lock)
            {
                _hosts = resolver.ResolveAsync(compiled.WantedHosts, stop).GetAwaiter().GetResult();
                _resolvedAt = Environment.TickCount64;
            }
            compiled = Compile(read.Resources);
        }
        var diagnostics = read.Diagnostics.AddRange(compiled.Diagnostics);
        if (compiled.Diagnostics.Any(d => d.Severity == Severity.Error))
        {
            return new PolicyLoad(null, diagnostics);
        }
        (_resources, _wanted) = (read.Resources, compiled.WantedHosts);
        return new PolicyLoad(new PolicySnapshot(compiled.Policy, existing), diagnostics);
    }

    /// <summary>What changed since the last call: files, or the addresses behind host names. Null where nothing did, and where files changed so
    /// lately that they may still be being written.</summary>
    /// <param name="force">Reads everything again.</param>
    /// <param name="isPassDue">Whether a pass follows anyway. The endpoints of a cluster's Services, which may change all the time, wait for one.</param>
    /// <param name="stop">Ends it.</param>
    public PolicyLoad? Refresh(bool force, bool isPassDue, CancellationToken stop)
    {
        if (force)
        {
            return Load(stop);
        }
        var signature = Signature();
        if (signature == _signature)
        {
            _changing = null;
        }
        else if (signature != _changing)
        {
            (_changing, _changingSince) = (signature, Stopwatch.GetTimestamp());
        }
        else if (Stopwatch.GetElapsedTime(_changingSince) >= StillFor)
        {
            return Load(stop);
        }
        if (cluster is not null && IsDue(isPassDue) && CompileWithCluster([]) is { } changed)
        {
            return changed;
        }
        ResolveAgain(stop);
        lock (_lock)
        {
            if (!_answersChanged)
            {
                return null;
            }
            _answersChanged = false;
        }
        if (cluster is not null)
        {
            return CompileWithCluster([]);
        }
        var compiled = Compile(_resources);
        // The rest was said when the files were read.
        return new PolicyLoad(new PolicySnapshot(compiled.Policy, existing), [.. compiled.Diagnostics.Where(AboutHosts)]);
    }

    /// <summary>Reads all files as they were together: again when one was changed meanwhile, as when a ConfigMap is swapped.</summary>
    private ReadResult ReadAtOneMoment()
    {
        const int most = 5;
        _changing = null;
        for (var tries = 1; ; tries++)
        {
            _signature = Signature();
            var read = PolicyReader.Read(paths);
            if (tries == most || Signature() == _signature)
            {
                return read;
            }
        }
    }

    private bool IsDue(bool isPassDue) => cluster!.Version != _clusterVersion
        || (isPassDue && cluster.EndpointsVersion != _endpointsVersion && Stopwatch.GetElapsedTime(_compiledAt) >= _compileCost * CompileAtMost);

    /// <summary>The first policy with the API's objects: waits for these, and for the addresses of hosts, but not for long.</summary>
    private PolicyLoad LoadWithCluster(ReadResult files, CancellationToken stop)
    {
        var until = Stopwatch.GetTimestamp() + (_inForce is null ? (long)(WaitForCluster.TotalSeconds * Stopwatch.Frequency) : 0);
        cluster!.WaitUntilKnown(until, stop);
        CompileWithCluster([]);
        if (_wanted.Count > 0)
        {
            var answers = resolver.ResolveAsync(_wanted, stop).GetAwaiter().GetResult();
            lock (_lock)
            {
                _hosts = answers;
                _resolvedAt = Environment.TickCount64;
            }
        }
        // Which EndpointSlices are needed is known only now.
        cluster.WaitUntilKnown(until, stop);
        _said = [];
        var load = CompileWithCluster(files.Diagnostics, always: true)!;
        // Objects that make no whole are for the cluster's people to mend: an agent that ended over them would only begin again and again.
        return load.Snapshot is null && _inForce is null ? load with { Snapshot = PolicySnapshot.Undecided } : load;
    }

    /// <summary>Compiles files and API objects together; null where that changes nothing and there is nothing new to say.</summary>
    private PolicyLoad? CompileWithCluster(ImmutableArray<Diagnostic> before, bool always = false)
    {
        var begun = Stopwatch.GetTimestamp();
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        (_clusterVersion, _endpointsVersion) = (cluster!.Version, cluster.EndpointsVersion);
        var view = cluster.View();
        RefusedObjects = view.Refused;
        var own = _resources.All.Select(resource => (resource.Kind, resource.QualifiedName)).ToHashSet();
        var all = own.Count == 0
            ? view.Resources
            : _resources.Concat(new ResourceSet([.. view.Resources.All.Where(resource => !own.Contains((resource.Kind, resource.QualifiedName)))]));
        CompilationResult compiled;
        lock (_lock)
        {
            compiled = PolicyCompiler.Compile(all, _hosts.ToOptions(side) with { SelectedOnly = true });
        }
        var isResolved = compiled.WantedHosts.IsSubsetOf(_wanted);
        if (!isResolved)
        {
            _resolvedAt = 0;
        }
        _wanted = compiled.WantedHosts;
        cluster.WantSlices(compiled.WantedServices);
        var isComplete = view.IsComplete && cluster.IsComplete;
        // What is not there may only not have been read, or looked up, yet.
        ImmutableArray<Diagnostic> told = isComplete && isResolved ? compiled.Diagnostics : compiled.Diagnostics.RemoveAll(AboutWhatIsMissing);
        cluster.Report(view.Diagnostics.Concat(told));
        if (GC.GetAllocatedBytesForCurrentThread() - allocated > LargeCompilation)
        {
            // What a large compilation leaves behind would lie there until long after the next.
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
        (_compiledAt, _compileCost) = (Stopwatch.GetTimestamp(), Stopwatch.GetElapsedTime(begun));
        ImmutableArray<Diagnostic> news = [.. before, .. told.Where(diagnostic => !_said.Contains(diagnostic))];
        _said = [.. told];
        var wasRefused = _isRefused;
        _isRefused = compiled.Diagnostics.Any(d => d.Severity == Severity.Error);
        if (_isRefused)
        {
            return news.IsEmpty && !always ? null : new PolicyLoad(null, news);
        }
        var isSame = _inForce is { } current && current.IsComplete == isComplete && current.Policy.Side == compiled.Policy.Side
            && current.Policy.Rules.SequenceEqual(compiled.Policy.Rules) && current.Policy.ListenerRules.SequenceEqual(compiled.Policy.ListenerRules);
        if (isSame && !always && !wasRefused && news.IsEmpty)
        {
            return null;
        }
        _inForce = isSame ? _inForce : new PolicySnapshot(compiled.Policy, existing) { IsComplete = isComplete };
        return new PolicyLoad(_inForce, news);
    }

    private CompilationResult Compile(ResourceSet resources)
    {
        lock (_lock)
        {
            return PolicyCompiler.Compile(resources, _hosts.ToOptions(side));
        }
    }

    /// <summary>Asks for the hosts' addresses in the background: a slow name server must not hold a pass up.</summary>
    private void ResolveAgain(CancellationToken stop)
    {
        var hosts = _wanted;
        if (hosts.Count == 0 || _resolving is { IsCompleted: false } || Environment.TickCount64 - _resolvedAt < ResolveEvery.TotalMilliseconds)
        {
            return;
        }
        _resolvedAt = Environment.TickCount64;
        _resolving = Task.Run(
            async () =>
            {
                var answers = await resolver.ResolveAsync(hosts, stop).ConfigureAwait(false);
                lock (_lock)
                {
                    _answersChanged |= !_hosts.IsSameAs(answers);
                    _hosts = answers;
                }
            },
            stop);
    }

    private static bool AboutWhatIsMissing(Diagnostic diagnostic) =>
        diagnostic.Code == DiagnosticCatalog.SelectsNothing.Code || diagnostic.Code == DiagnosticCatalog.NoAddress.Code
        || diagnostic.Code == DiagnosticCatalog.NoSuchPort.Code || diagnostic.Code == DiagnosticCatalog.HostUnresolved.Code;

    private static bool AboutHosts(Diagnostic diagnostic) =>
        diagnostic.Code == DiagnosticCatalog.LastAnswer.Code || diagnostic.Code == DiagnosticCatalog.TooManyAddresses.Code;

    /// <summary>Changes whenever a file is written, replaced, added or removed; follows links, as a mounted ConfigMap is swapped by one.</summary>
    private string Signature()
    {
        var lines = new List<string>();
        foreach (var path in paths)
        {
            try
            {
                IEnumerable<string> files = Directory.Exists(path) ? Directory.EnumerateFiles(path).Order(StringComparer.Ordinal) : [path];
                foreach (var file in files)
                {
                    lines.Add($"{file} {FileStamp.Of(file)}");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                lines.Add($"{path} {e.GetType().Name}");
            }
        }
        return string.Join('\n', lines);
    }
}
