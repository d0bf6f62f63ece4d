using System.Collections.Immutable;
using Keepalive.Agent.Destinations;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Policies;

/// <summary>Outcome of reading the policies once.</summary>
/// <param name="Snapshot">The new policy; null where errors keep the last good one in force.</param>
/// <param name="Diagnostics">Everything that was noticed.</param>
internal sealed record PolicyLoad(PolicySnapshot? Snapshot, ImmutableArray<Diagnostic> Diagnostics)
{
    public IEnumerable<Diagnostic> Errors => Diagnostics.Where(d => d.Severity == Severity.Error);
}

/// <summary>The policies of a set of files: read, compiled, and read again when they change. All or nothing: a set with an error in it
/// leaves the last good policy in force.</summary>
internal sealed class PolicySource(IReadOnlyList<string> paths, Side side, ExistingMode existing, HostResolver resolver)
{
    private static readonly TimeSpan ResolveEvery = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private string _signature = "";
    private string? _changing;
    private ResourceSet _resources = ResourceSet.Empty;
    private IReadOnlyCollection<string> _wanted = [];
    private HostAnswers _hosts = HostAnswers.None;
    private Task? _resolving;
    private long _resolvedAt;
    private bool _answersChanged;

    /// <summary>Whether the files have just changed, and may still be being written.</summary>
    public bool IsChanging => _changing is not null;

    /// <summary>Reads the files and looks their hosts up, waiting for the answers as long as the resolver does.</summary>
    public PolicyLoad Load(CancellationToken stop)
    {
        var read = ReadAtOneMoment();
        if (read.HasErrors)
        {
            return new PolicyLoad(null, read.Diagnostics);
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
        (_resources, _wanted) = (read.Resources, hosts);
        return new PolicyLoad(new PolicySnapshot(compiled.Policy, existing), diagnostics);
    }

    /// <summary>What changed since the last call: files, or the addresses behind host names. Null where nothing did, and where files changed so
    /// lately that they may still be being written: those that are the same at two calls are read.</summary>
    public PolicyLoad? Refresh(bool force, CancellationToken stop)
    {
        if (force)
        {
            return Load(stop);
        }
        var signature = Signature();
        if (signature != _signature)
        {
            if (signature == _changing)
            {
                return Load(stop);
            }
            _changing = signature;
            return null;
        }
        _changing = null;
        ResolveAgain(stop);
        lock (_lock)
        {
            if (!_answersChanged)
            {
                return null;
            }
            _answersChanged = false;
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
                    // The inode, as one that takes a file's place may be as old and as long as it was.
                    lines.Add($"{file} {info.FullName} {ProcFs.Inode(info.FullName)} {info.LastWriteTimeUtc.Ticks} {(info is FileInfo { Exists: true } f ? f.Length : -1)}");
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
