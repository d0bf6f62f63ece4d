using System.Globalization;
using Keepalive.Agent.Log;
using Keepalive.Agent.Policies;
using Keepalive.Config.Rendering;
using Keepalive.Config.Resources;
using Keepalive.Linux.Files;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The objects of the API server, with a watch for each kind that the agent uses.</summary>
/// <remarks>
/// <code>
///   API server ──► KindWatch ──► ResourceStore ──┐
///       ▲            (one for each kind)         ├──► ClusterView ──► PolicySource: files first, then these ──► compiled
///       │                                        │                          │
///       └── EndpointSlices of these Services ◄───┴──────────────────────────┘ which Services the policies select
/// </code>
/// </remarks>
internal sealed partial class Cluster : IClusterPolicies, IHostedService, IDisposable
{
    /// <summary>The maximum number of Services to name to the server. Above it, the EndpointSlices of all Services are watched.</summary>
    public const int MaxNamedServices = 64;

    /// <summary>How long the watches may take to end. After that, they end with the process.</summary>
    private static readonly TimeSpan s_endWithin = TimeSpan.FromSeconds(5);

    /// <summary>How often to look for changes that are worth keeping.</summary>
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan s_lookFirst = TimeSpan.FromSeconds(1);

    /// <summary>The time between two writes of the known objects.</summary>
    private static readonly TimeSpan s_keepEvery = TimeSpan.FromSeconds(30);

    /// <summary>The same if only endpoints have changed, or nothing but the time at which the objects were confirmed.</summary>
    private static readonly TimeSpan s_keepEndpointsEvery = TimeSpan.FromMinutes(5);

    private readonly ApiConnection _api;
    private readonly ClusterOptions _options;
    private readonly TimeProvider _time;
    private readonly List<ResourceStore> _stores = [];
    private readonly List<KindWatch> _watches = [];
    private readonly KindWatch _policies;
    private readonly KindWatch _rules;
    private readonly KindWatch _mesh;
    private readonly KindWatch _slices;
    private readonly EventReporter _events;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private IReadOnlySet<(string Namespace, string Name)> _sliced = new HashSet<(string, string)>();
    private volatile IReadOnlyList<string> _refused = [];
    private readonly ClusterMemory? _memory;
    private readonly List<RememberedKind> _remembered = [];
    private readonly ILogger _logger;
    private bool _isServerAway;
    private string? _source;
    private bool _isKeptSaid;
    private long _podsVersion = 1;
    private long _version = 1;
    private long _endpointsVersion = 1;

    /// <summary>Creates the watches, with the objects that an earlier agent has kept.</summary>
    /// <param name="options">The options.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    /// <param name="data">The directory for the last known objects; null to keep none.</param>
    public Cluster(ClusterOptions options, TimeProvider time, ILogger logger, DataDirectory? data = null)
    {
        (_options, _time, _logger) = (options, time, logger);
        _api = new ApiConnection(options.Access, time, options.Timing);
        var from = options.From;
        _policies = Watch(WatchedKind.ConnectionPolicies, from != PolicyOrigin.Istio);
        _rules = Watch(WatchedKind.DestinationRules, from is PolicyOrigin.Istio or PolicyOrigin.Both);
        _mesh = Watch(WatchedKind.MeshConfigs, isWanted: false);
        var listens = options.Side == Config.Side.Both && from != PolicyOrigin.Istio;
        Watch(WatchedKind.ListenerConnectionPolicies, listens);
        Watch(WatchedKind.VirtualGateways, listens);
        foreach (var kind in (WatchedKind[])
            [
                WatchedKind.VirtualDestinations, WatchedKind.ExternalServices, WatchedKind.ExternalEndpoints, WatchedKind.ServiceEntries,
                WatchedKind.WorkloadEntries, WatchedKind.Services,
            ])
        {
            Watch(kind, isWanted: true);
        }
        foreach (var kind in (WatchedKind[])
            [
                WatchedKind.BackendTrafficPolicies, WatchedKind.BackendConfigPolicies, WatchedKind.Upstreams, WatchedKind.Gateways,
                WatchedKind.HttpRoutes, WatchedKind.GrpcRoutes, WatchedKind.TlsRoutes, WatchedKind.TcpRoutes,
            ])
        {
            Watch(kind, options.ProxyPolicies);
        }
        Watch(WatchedKind.ClientTrafficPolicies, options is { ProxyPolicies: true, Side: Config.Side.Both });
        _slices = Watch(WatchedKind.EndpointSlices, isWanted: false);
        Definitions = new KindWatch(
            _api, WatchedKind.CustomResourceDefinitions,
            new DefinitionSink(_watches.Where(watch => watch.Kind.IsCustom).ToDictionary(watch => watch.Kind.DefinitionName)),
            options.Timing, time, logger);
        Definitions.Want(KindSelection.All);
        _events = new EventReporter(_api, options.NodeName ?? Environment.MachineName, options.Timing, time, logger);
        Pods = options.NodeName is null ? null : new PodDirectory(_api, options, time, logger, ReportPod);
        foreach (var watch in All)
        {
            watch.Heard = Heard;
            watch.IsNothingKnown = () => IsUnheardOf;
            watch.IsServerProven = () => All.Any(static one => one.IsProof);
        }
        if (data is not null)
        {
            _memory = new ClusterMemory(data, options, logger);
            Remember(_memory);
        }
        ChooseRules();

        KindWatch Watch(WatchedKind kind, bool isWanted)
        {
            var store = new ResourceStore(kind, time, logger) { Changed = kind == WatchedKind.EndpointSlices ? TouchEndpoints : Touch };
            var watch = new KindWatch(_api, kind, store, options.Timing, time, logger) { Changed = Settled };
            watch.Want(isWanted ? KindSelection.All : null);
            _stores.Add(store);
            _watches.Add(watch);
            return watch;
        }
    }

    public ApiConnection Api => _api;

    /// <summary>The watch of the custom resource definitions.</summary>
    public KindWatch Definitions { get; }

    /// <summary>The pods of this node; null if the node's name is unknown.</summary>
    public PodDirectory? Pods { get; }

    /// <summary>A number that changes whenever <see cref="View"/> may have changed, except the endpoints of Services.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>A number that changes with the endpoints of Services. In large clusters, they change all the time.</summary>
    public long EndpointsVersion => Volatile.Read(ref _endpointsVersion);

    private IEnumerable<KindWatch> All => _watches.Append(Definitions).Concat(Pods is null ? [] : [Pods.Pods, Pods.Namespaces]);

    /// <summary>Starts the watches, and does not wait for their first answers.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var watch in All)
        {
            _running.Add(Task.Run(() => watch.RunAsync(_stop.Token), _stop.Token));
        }
        _running.Add(Task.Run(() => _events.RunAsync(_stop.Token), _stop.Token));
        if (_memory is not null)
        {
            _running.Add(Task.Run(KeepAsync, _stop.Token));
        }
        return Task.CompletedTask;
    }

    /// <summary>Ends the watches, and waits for their ends for a limited time. The known objects stay known.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_running).WaitAsync(s_endWithin, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Keep();
    }

    /// <summary>Waits until all wanted objects and the node's pods are known. It does not wait for kinds that the server refuses.</summary>
    /// <param name="until">The timestamp at which the wait ends at the latest.</param>
    /// <param name="stop">Ends the waiting.</param>
    public void WaitUntilKnown(long until, CancellationToken stop)
    {
        while (!IsAnswered && _time.GetTimestamp() < until)
        {
            stop.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(20));
            stop.ThrowIfCancellationRequested();
        }
        if (KeptAt is { } at && !_isKeptSaid)
        {
            _isKeptSaid = true;
            LogKept(All.Count(watch => watch.Wanted is not null && watch.KeptAt is not null), Age.Text(_time.GetUtcNow() - at));
        }
    }

    /// <summary>When the oldest objects that an earlier agent has kept were confirmed; null if the server has answered for all kinds.</summary>
    public DateTimeOffset? KeptAt => All.Where(watch => watch.Wanted is not null).Min(watch => watch.KeptAt);

    private bool IsAnswered => All.Any(watch => watch.IsForbidden)
        ? All.All(watch => watch.IsSettled || watch.IsForbidden)
        : IsComplete && Pods is null or { IsKnown: true };

    public bool IsComplete => _watches.TrueForAll(watch => watch.IsSettled) && (_options.From != PolicyOrigin.Auto || _policies.Knowledge switch
    {
        Knowledge.None => false,
        Knowledge.Absent => _rules.Wanted is not null,
        _ => true,
    });

    public ClusterView View()
    {
        // Read before the objects: changes in the meantime only add objects.
        var complete = IsComplete;
        var resources = new List<Resource>();
        var diagnostics = new List<Config.Diagnostic>();
        var refused = new List<string>();
        foreach (var store in _stores)
        {
            store.CopyTo(resources, stored =>
            {
                diagnostics.AddRange(stored.Diagnostics);
                if (stored.IsRefused)
                {
                    refused.Add($"{stored.Diagnostics.First(static one => one.Severity == Config.Severity.Error)}");
                }
                return stored.InForce;
            });
        }
        _refused = refused;
        return new ClusterView(new ResourceSet([.. resources]), diagnostics, refused.Count, complete);
    }

    /// <summary>Sets the Services whose EndpointSlices are needed. The watch of slices that are not needed any more may go on for a
    /// while.</summary>
    public void WantSlices(IReadOnlySet<(string Namespace, string Name)> services)
    {
        if (services.Count == 0)
        {
            _sliced = services;
            _slices.Want(null);
            return;
        }
        var isAll = _sliced.Count > MaxNamedServices;
        var covered = _slices.Wanted is not null && (isAll || services.IsSubsetOf(_sliced));
        var fewer = services.Count * 2 < _sliced.Count && (services.Count <= MaxNamedServices / 2 || !isAll);
        if (covered && !fewer)
        {
            return;
        }
        _sliced = services;
        _slices.Want(SelectionOf(services));
    }

    /// <summary>Writes Events for the objects of some diagnostics. Diagnostics of files have no object in the cluster.</summary>
    public void Report(IEnumerable<Config.Diagnostic> diagnostics)
    {
        foreach (var diagnostic in diagnostics.Where(one => one is { Position.Line: 0, Severity: not Config.Severity.Note }))
        {
            if (diagnostic.Position.File.Split(' ', '/') is [var kind, var ns, var name]
                && _stores.Find(store => store.Kind.Kind == kind) is { } store && store.Find(ns, name) is { } stored)
            {
                _events.Report(new ObjectReference(stored.ApiVersion, kind, ns, name, stored.Uid), diagnostic);
            }
        }
    }

    /// <summary>Writes an Event of the agent's pod for each file with errors. All nodes share it.</summary>
    public void Report(IReadOnlyList<Policies.BrokenFile> files)
    {
        foreach (var file in files)
        {
            if (_options.Pod is { } pod)
            {
                _events.Report(pod, file.Path, file.Errors);
            }
        }
    }

    /// <summary>Whether the server has not answered for any kind.</summary>
    public bool IsUnheardOf => All.All(watch => watch.Knowledge == Knowledge.None);

    /// <summary>Returns the kinds that cannot be read now, one line for each.</summary>
    public IReadOnlyList<string> Troubles() =>
    [
        .. KeptAt is { } at
            ? (IEnumerable<string>)[string.Create(CultureInfo.InvariantCulture,
                $"stale objects of the cluster are in force, kept on this node and last confirmed {at.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ} ({Age.Text(_time.GetUtcNow() - at)} ago), until its API server answers")]
            : [],
        .. All.Where(watch => watch.Wanted is not null && (watch.Trouble is not null || watch.Knowledge == Knowledge.None))
            .OrderBy(watch => watch.Kind.Plural, StringComparer.Ordinal)
            .Select(watch => watch.Trouble is { } trouble
                ? $"{watch.Kind} cannot be read from the cluster's API: {trouble}"
                : $"{watch.Kind} have not been read from the cluster's API yet"),
    ];

    /// <summary>Returns the first error of each object whose current version has errors, as of the last <see cref="View"/>.</summary>
    public IReadOnlyList<string> Refused() => _refused;

    /// <summary>Returns the age of the known objects, by kind. Kinds that the server does not have are omitted.</summary>
    public IReadOnlyList<(string Kind, TimeSpan Age, bool IsStale)> Ages() =>
    [
        .. All.Where(watch => watch is { Wanted: not null, Knowledge: not Knowledge.Absent }).OrderBy(watch => watch.Kind.Plural, StringComparer.Ordinal)
            .Select(watch => (watch.Kind.ToString(), watch.Age, watch.KeptAt is not null)),
    ];

    public void Dispose()
    {
        if (!_stop.IsCancellationRequested)
        {
            StopAsync(CancellationToken.None).GetAwaiter().GetResult();   // not stopped before, because the run failed
        }
        _watches.ForEach(watch => watch.Dispose());
        Definitions.Dispose();
        _events.Dispose();
        Pods?.Dispose();
        _api.Dispose();
        _stop.Dispose();
    }

    /// <summary>The mesh-wide settings lie under DestinationRules, and are wanted with them.</summary>
    private static KindSelection MeshSelection { get; } = new(MeshConfig.DefaultNamespace, $"fieldSelector=metadata.name%3D{MeshConfig.ConfigMapName}");

    /// <summary>Those of all revisions, by the label that Istio's charts and operators set on them.</summary>
    private static KindSelection RevisionSelection { get; } = new(MeshConfig.DefaultNamespace, "labelSelector=istio.io%2Frev");

    private static KindSelection SelectionOf(IReadOnlySet<(string Namespace, string Name)> services)
    {
        if (services.Count > MaxNamedServices)
        {
            return KindSelection.All;
        }
        var names = services.Select(service => service.Name).Distinct().Order(StringComparer.Ordinal);
        var selector = $"{EndpointSlice.ServiceLabel} in ({string.Join(',', names)})";
        var namespaces = services.Select(service => service.Namespace).Distinct().ToList();
        return new KindSelection(namespaces is [var only] ? only : null, $"labelSelector={Uri.EscapeDataString(selector)}");
    }

    /// <summary>Takes the objects that an earlier agent has kept, and keeps them from now on.</summary>
    private void Remember(ClusterMemory memory)
    {
        foreach (var store in _stores)
        {
            _remembered.Add(new RememberedKind(_watches.First(watch => watch.Kind == store.Kind), store, write => store.Visit((_, _, stored) =>
            {
                if (stored.InForce is { } resource)
                {
                    write(json => ResourceJson.TryWrite(json, resource, stored.ApiVersion, stored.Uid));
                }
            })));
        }
        if (Pods is { } pods)
        {
            pods.PodObjects.Changed = TouchPods;
            pods.NamespaceObjects.Changed = TouchPods;
            // The slices are last, because there are more of them than of anything else.
            _remembered.Insert(_remembered.Count - 1, new RememberedKind(
                pods.Pods, pods.PodObjects, write => pods.PodObjects.Visit((_, _, pod) => write(json => PodStore.Write(json, pod)))));
            _remembered.Insert(_remembered.Count - 1, new RememberedKind(
                pods.Namespaces, pods.NamespaceObjects, write => pods.NamespaceObjects.Visit((_, name, entry) => write(json => NamespaceStore.Write(json, name, entry)))));
        }
        var absent = memory.Load([.. _remembered.Where(kind => kind.Watch.Wanted is not null || kind.Watch == _slices
            || (_options.From == PolicyOrigin.Auto && (kind.Watch == _mesh || kind.Watch == _rules)))]);
        if (_options.From == PolicyOrigin.Auto && absent.Contains(WatchedKind.ConnectionPolicies.ToString()))
        {
            _rules.Want(KindSelection.All);
        }
    }

    /// <summary>Keeps the known objects whenever they have changed, but not all the time.</summary>
    private async Task KeepAsync()
    {
        var (kept, keptEndpoints, at) = (0L, 0L, (long?)null);
        for (; ; await Task.Delay(at is null ? s_lookFirst : s_lookEvery, _time, _stop.Token).ConfigureAwait(false))
        {
            var (version, endpoints) = (Version + Volatile.Read(ref _podsVersion), EndpointsVersion);
            var since = at is { } last ? _time.GetElapsedTime(last) : TimeSpan.MaxValue;
            if (IsAnswered && ((version != kept && since >= s_keepEvery) || (endpoints != keptEndpoints && since >= s_keepEndpointsEvery) || since >= s_keepEndpointsEvery))
            {
                (kept, keptEndpoints, at) = (version, endpoints, _time.GetTimestamp());
                Keep();
            }
        }
    }

    private void Keep()
    {
        if (_memory is not null && !IsUnheardOf)
        {
            _memory.Save(_remembered, _time.GetUtcNow());
        }
    }

    /// <summary>Requests all kinds at once when the server has answered for one. By itself, each would wait until its own backoff is
    /// over.</summary>
    private void Heard(bool isAnswer)
    {
        if (!isAnswer)
        {
            Volatile.Write(ref _isServerAway, true);
        }
        else if (Interlocked.Exchange(ref _isServerAway, false))
        {
            foreach (var watch in All)
            {
                watch.ServerCame();
            }
        }
    }

    private void Settled()
    {
        ChooseRules();
        Touch();
    }

    /// <summary>Chooses the origin of policies for <c>auto</c>: DestinationRules are used only if the cluster does not have the kind
    /// ConnectionPolicy.</summary>
    private void ChooseRules()
    {
        if (_options.From == PolicyOrigin.Auto && _policies is not null && _rules is not null && _policies.Knowledge != Knowledge.None)
        {
            _rules.Want(_policies.Knowledge == Knowledge.Absent ? KindSelection.All : null);
        }
        _mesh?.Want(_rules?.Wanted is null ? null : _options.MeshRevisions ? RevisionSelection : MeshSelection);
        SaySource();
    }

    /// <summary>Logs the origin of policies, at the start and when it changes.</summary>
    private void SaySource()
    {
        var source = (_options.From, _policies?.Knowledge, _rules?.Wanted) switch
        {
            (PolicyOrigin.Gloo, _, _) => "ConnectionPolicies (--from gloo)",
            (PolicyOrigin.Istio, _, _) => "DestinationRules (--from istio)",
            (PolicyOrigin.Both, _, _) => "ConnectionPolicies and DestinationRules (--from both)",
            (_, Knowledge.Absent, _) => "DestinationRules, because the cluster has no ConnectionPolicies (--from auto)",
            (_, Knowledge.Known, _) => "ConnectionPolicies, because the cluster has this kind (--from auto)",
            (_, _, not null) => "DestinationRules, because the cluster had no ConnectionPolicies when it was last read (--from auto)",
            _ => null,
        };
        if (source is null || _policies is null || _rules is null || Interlocked.Exchange(ref _source, source) == source)
        {
            return;
        }
        LogSource(source);
        if (_options.From == PolicyOrigin.Auto && _policies.Knowledge == Knowledge.Known)
        {
            _ = Task.Run(SayUnusedRulesAsync, _stop.Token);
        }
    }

    /// <summary>Looks once for DestinationRules that somebody expects to be used.</summary>
    private async Task SayUnusedRulesAsync()
    {
        const int named = 5;
        var unused = new UnusedRules();
        var reader = new KindReader(_api, WatchedKind.DestinationRules, unused, _options.Timing, _time);
        for (; ; )
        {
            try
            {
                await reader.ListAsync(KindSelection.All, null, _stop.Token).ConfigureAwait(false);
                break;
            }
            catch (ApiException e)
            {
                if (e.Status != (int)System.Net.HttpStatusCode.NotFound || !reader.TryNextVersion())
                {
                    return;   // the cluster has none, or they may not be read
                }
            }
        }
        if (unused.Names.Count > 0)
        {
            LogUnused(unused.Names.Count, string.Join(", ", unused.Names.Take(named)) + (unused.Names.Count > named ? ", …" : ""));
        }
    }

    /// <summary>Reports a problem of a pod or a namespace to its owner, and in the log.</summary>
    private void ReportPod(ObjectReference regarding, Config.Diagnostic problem)
    {
        _events.Report(regarding, problem);
        LogPod(problem);
    }

    [LoggerMessage(EventId = Log.EventIds.KubernetesObjectWarning, Level = LogLevel.Warning, Message = "{Problem}")]
    private partial void LogPod(Config.Diagnostic problem);

    private void TouchEndpoints() => Interlocked.Increment(ref _endpointsVersion);

    [LoggerMessage(EventIds.PolicySourceChosen, LogLevel.Information, "Kubernetes: policies come from {Source}")]
    private partial void LogSource(string source);

    [LoggerMessage(EventIds.DestinationRulesUnused, LogLevel.Warning,
        "Kubernetes: DestinationRules with tcpKeepalive are not used, because policies come from ConnectionPolicies: {Count} ({Names}); --from both uses them, too")]
    private partial void LogUnused(int count, string names);

    private void TouchPods() => Interlocked.Increment(ref _podsVersion);

    private void Touch() => Interlocked.Increment(ref _version);

    [LoggerMessage(EventIds.KeptClusterInForce, LogLevel.Warning,
        "Kubernetes: the API server has not answered for {Kinds} kinds; their stale objects that this node has kept, last confirmed {Age} ago, are in force until it does")]
    private partial void LogKept(int kinds, string age);
}
