using Keepalive.Agent.Policies;
using Keepalive.Config.Resources;
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

    private readonly ApiConnection _api;
    private readonly ClusterOptions _options;
    private readonly ILogger _logger;
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
    private long _version = 1;
    private long _endpointsVersion = 1;

    public Cluster(ClusterOptions options, TimeProvider time, ILogger logger)
    {
        (_options, _time, _logger) = (options, time, logger);
        _api = new ApiConnection(options.Access, time);
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
        return Task.CompletedTask;
    }

    /// <summary>Ends the watches, and waits for their ends for a limited time. The known objects stay known.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_running).WaitAsync(s_endWithin, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
    }

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
                    refused.Add(stored.Diagnostics[0].Position.File);
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
        .. All.Where(watch => watch.Wanted is not null && (watch.Trouble is not null || watch.Knowledge == Knowledge.None))
            .OrderBy(watch => watch.Kind.Plural, StringComparer.Ordinal)
            .Select(watch => watch.Trouble is { } trouble
                ? $"{watch.Kind} cannot be read from the cluster's API: {trouble}"
                : $"{watch.Kind} have not been read from the cluster's API yet"),
    ];

    /// <summary>Returns the objects whose current versions have errors, such as <c>ConnectionPolicy shop/db</c>, as of the last
    /// <see cref="View"/>.</summary>
    public IReadOnlyList<string> Refused() => _refused;

    /// <summary>Returns the age of the known objects, by kind. Kinds that the server does not have are omitted.</summary>
    public IReadOnlyList<(string Kind, TimeSpan Age)> Ages() =>
    [
        .. All.Where(watch => watch is { Wanted: not null, Knowledge: not Knowledge.Absent }).OrderBy(watch => watch.Kind.Plural, StringComparer.Ordinal)
            .Select(watch => (watch.Kind.ToString(), watch.Age)),
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

    private void Touch() => Interlocked.Increment(ref _version);
}
