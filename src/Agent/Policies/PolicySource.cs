using System.Collections.Immutable;
using System.Diagnostics;
using Keepalive.Agent.Destinations;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

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
    IReadOnlyList<string> paths, Side side, ExistingMode existing, HostResolver resolver, Cluster? cluster = null)
{
    private static readonly TimeSpan ResolveEvery = TimeSpan.FromSeconds(30);

    /// <summary>How long the first policy waits for the API: what is in files must not wait for it for good.</summary>
    private static readonly TimeSpan WaitForCluster = TimeSpan.FromSeconds(10);

    /// <summary>Of the time goes at most one part in this many into compiling endpoints, which may change all the time.</summary>
    private const int CompileAtMost = 10;

    /// <summary>Bytes that a compilation uses before what it leaves behind is worth a collection of its own.</summary>
    private const long LargeCompilation = 16 * 1024 * 1024;

    private readonly Lock _lock = new();
    private string _signature = "";
    private ResourceSet _resources = ResourceSet.Empty;
    private HostAnswers _hosts = HostAnswers.None;
    private Task? _resolving;
    private long _resolvedAt;
    private bool _answersChanged;
    private PolicySnapshot? _inForce;
    private HashSet<Diagnostic> _said = [];
    private HashSet<string> _hostsOfCluster = [];
    private long _clusterVersion;
    private long _endpointsVersion;
    private long _compiledAt;
    private TimeSpan _compileCost;

    /// <summary>Reads the files and looks their hosts up, waiting for the answers as long as the resolver does.</summary>
    public PolicyLoad Load(CancellationToken stop)
    {
        _signature = Signature();
        var read = PolicyReader.Read(paths);
        if (read.HasErrors)
        {
            return new PolicyLoad(null, read.Diagnostics);
        }
        if (cluster is not null)
        {
            _resources = read.Resources;
            return LoadWithCluster(read, stop);
        }
        var hosts = PolicyCompiler.HostsToResolve(read.Resources);
        if (hosts.Count > 0)
        {
            lock (_lock)
            {
                _hosts = resolver.ResolveAsync(hosts, stop).GetAwaiter().GetResult();
                _resolvedAt = Environment.TickCount64;
            }
        }
        var compiled = Compile(read.Resources);
        var diagnostics = read.Diagnostics.AddRange(compiled.Diagnostics);
        if (compiled.Diagnostics.Any(d => d.Severity == Severity.Error))
        {
            return new PolicyLoad(null, diagnostics);
        }
        _resources = read.Resources;
        return new PolicyLoad(new PolicySnapshot(compiled.Policy, existing), diagnostics);
    }

    /// <summary>What changed since the last call: files, or the addresses behind host names. Null where nothing did.</summary>
    public PolicyLoad? Refresh(bool force, CancellationToken stop)
    {
        if (force || Signature() != _signature)
        {
            return Load(stop);
        }
        var isDue = cluster is not null && (cluster.Version != _clusterVersion
            || (cluster.EndpointsVersion != _endpointsVersion && Stopwatch.GetElapsedTime(_compiledAt) >= _compileCost * CompileAtMost));
        if (isDue && CompileWithCluster([]) is { } changed)
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

    /// <summary>The first policy with the API's objects: waits for these, and for the addresses of hosts, but not for long.</summary>
    private PolicyLoad LoadWithCluster(ReadResult files, CancellationToken stop)
    {
        cluster!.WaitUntilComplete(_inForce is null ? WaitForCluster : TimeSpan.Zero, stop);
        CompileWithCluster([]);
        if (_hostsOfCluster.Count > 0)
        {
            var answers = resolver.ResolveAsync(_hostsOfCluster, stop).GetAwaiter().GetResult();
            lock (_lock)
            {
                _hosts = answers;
                _resolvedAt = Environment.TickCount64;
            }
        }
        // Which EndpointSlices are needed is known only now.
        cluster.WaitUntilComplete(_inForce is null ? WaitForCluster : TimeSpan.Zero, stop);
        _said = [];
        return CompileWithCluster(files.Diagnostics, always: true)!;
    }

    /// <summary>Compiles files and API objects together; null where that changes nothing and there is nothing new to say.</summary>
    private PolicyLoad? CompileWithCluster(ImmutableArray<Diagnostic> before, bool always = false)
    {
        var begun = Stopwatch.GetTimestamp();
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        (_clusterVersion, _endpointsVersion) = (cluster!.Version, cluster.EndpointsVersion);
        var view = cluster.View();
        var own = _resources.All.Select(resource => (resource.Kind, resource.QualifiedName)).ToHashSet();
        var all = own.Count == 0
            ? view.Resources
            : _resources.Concat(new ResourceSet([.. view.Resources.All.Where(resource => !own.Contains((resource.Kind, resource.QualifiedName)))]));
        var (hosts, services) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<(string, string)>());
        CompilationResult compiled;
        lock (_lock)
        {
            compiled = PolicyCompiler.Compile(
                all, _hosts.ToOptions(side) with { SelectedOnly = true, WantedHosts = hosts, WantedServices = services });
        }
        if (!hosts.IsSubsetOf(_hostsOfCluster))
        {
            _resolvedAt = 0;
        }
        _hostsOfCluster = hosts;
        cluster.WantSlices(services);
        cluster.Report(view.Diagnostics.Concat(compiled.Diagnostics));
        if (GC.GetAllocatedBytesForCurrentThread() - allocated > LargeCompilation)
        {
            // What a large compilation leaves behind would lie there until long after the next.
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
        (_compiledAt, _compileCost) = (Stopwatch.GetTimestamp(), Stopwatch.GetElapsedTime(begun));
        ImmutableArray<Diagnostic> news = [.. before, .. compiled.Diagnostics.Where(diagnostic => !_said.Contains(diagnostic))];
        _said = [.. compiled.Diagnostics];
        if (compiled.Diagnostics.Any(d => d.Severity == Severity.Error))
        {
            return news.IsEmpty && !always ? null : new PolicyLoad(null, news);
        }
        var isComplete = view.IsComplete && cluster.IsComplete;
        var isSame = _inForce is { } current && current.IsComplete == isComplete && current.Policy.Side == compiled.Policy.Side
            && current.Policy.Rules.SequenceEqual(compiled.Policy.Rules) && current.Policy.ListenerRules.SequenceEqual(compiled.Policy.ListenerRules);
        if (isSame && !always && news.IsEmpty)
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
        var hosts = cluster is null ? PolicyCompiler.HostsToResolve(_resources) : _hostsOfCluster;
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
                    FileSystemInfo info = new FileInfo(file);
                    info = info.ResolveLinkTarget(returnFinalTarget: true) ?? info;
                    lines.Add($"{file} {info.FullName} {info.LastWriteTimeUtc.Ticks} {(info is FileInfo { Exists: true } f ? f.Length : -1)}");
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
