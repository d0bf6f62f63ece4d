using System.Diagnostics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Config;
using Keepalive.Config.Resources;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Finds the pod of this node that a socket belongs to, and whether the agent must not change its sockets.</summary>
/// <remarks>A network namespace belongs to a pod, or to the node itself. The cgroup of any process in a namespace shows the pod. Pods with
/// the node's network are in the node's namespace too. There, the workload of each socket shows the pod.</remarks>
internal sealed class PodDirectory : IDisposable
{
    /// <summary>The maximum number of processes of a namespace to examine in one pass. All processes of a pod show the same pod.</summary>
    private const int MaxAsked = 16;

    /// <summary>The maximum number of pods to wait for at a time. A node has some hundred pods.</summary>
    private const int MaxUnknown = 1024;

    /// <summary>How long to wait for a pod that the API does not know yet. The kubelet may start it a moment before the API reports
    /// it.</summary>
    private static readonly TimeSpan s_waitForUnknown = TimeSpan.FromMinutes(1);

    /// <summary>How long a command waits for the API.</summary>
    private static readonly TimeSpan s_askFor = TimeSpan.FromSeconds(5);

    private readonly ClusterOptions _options;
    private readonly TimeProvider _time;
    private readonly PodStore _pods;
    private readonly NamespaceStore _namespaces;
    private readonly Dictionary<Pod, (KeepaliveSettings? OfNamespace, ClientWorkload Client)> _clients = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<ulong, string> _podOf = [];
    private readonly Dictionary<ulong, long> _unknownSince = [];
    private readonly Dictionary<string, long> _unknownPods = [];
    private readonly Lock _lock = new();
    private readonly ulong _own = ProcFs.NodesNetworkNamespace();

    /// <param name="api">The API.</param>
    /// <param name="options">The options.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    /// <param name="report">Receives the problems of pods and namespaces.</param>
    public PodDirectory(ApiConnection api, ClusterOptions options, TimeProvider time, ILogger logger, Action<ObjectReference, Diagnostic>? report = null)
    {
        (_options, _time) = (options, time);
        var own = new OwnValuesReader(options.LeastOfPods, report);
        (_pods, _namespaces) = (new PodStore(own), new NamespaceStore(own));
        Pods = new KindWatch(api, WatchedKind.Pods, _pods, options.Timing, time, logger);
        Namespaces = new KindWatch(api, WatchedKind.Namespaces, _namespaces, options.Timing, time, logger);
        Pods.Want(new KindSelection(null, $"fieldSelector={Uri.EscapeDataString($"spec.nodeName={options.NodeName}")}"));
        Namespaces.Want(KindSelection.All);
    }

    /// <summary>Returns the current pods, for a command that runs once. Returns null without a cluster, or if the node's name is unknown,
    /// which is reported.</summary>
    /// <param name="options">The options of the cluster.</param>
    /// <param name="complain">Receives a message if the pods are unavailable.</param>
    /// <param name="stop">Ends the wait.</param>
    public static PodDirectory? Ask(ClusterOptions? options, Action<string> complain, CancellationToken stop)
    {
        if (options is null)
        {
            return null;
        }
        if (options.NodeName is null)
        {
            complain("pods are unknown, because the node's name is: give --node-name or the variable NODE_NAME");
            return null;
        }
        using var api = new ApiConnection(options.Access, TimeProvider.System);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var asked = options with { Timing = options.Timing with { StartWithin = TimeSpan.Zero } };
        var directory = new PodDirectory(api, asked, TimeProvider.System, NullLogger.Instance);
        KindWatch[] watches = [directory.Pods, directory.Namespaces];
        var running = watches.Select(watch => Task.Run(() => watch.RunAsync(over.Token))).ToArray();
        var begun = Stopwatch.StartNew();
        while (!directory.IsKnown && begun.Elapsed < s_askFor && !stop.WaitHandle.WaitOne(10))
        {
            // The watches run in the background.
        }
        if (!directory.IsKnown)
        {
            complain($"pods are not known: {watches.Select(watch => watch.Trouble).FirstOrDefault(trouble => trouble is not null) ?? "the API server did not answer"}");
        }
        over.Cancel();
        Task.WaitAll(running, TimeSpan.FromSeconds(2));
        return directory;
    }

    public KindWatch Pods { get; }

    public KindWatch Namespaces { get; }

    /// <summary>Decides which sockets of the node's own namespace the agent must not change.</summary>
    public HostExemption OnHost => new(Exempts, MayExemptOnHost);

    public bool IsKnown => Pods.Knowledge == Knowledge.Known && Namespaces.Knowledge == Knowledge.Known;

    /// <summary>Whether the pods are known, by the server or by an earlier agent. A pod of an earlier agent is the same pod, but there may be
    /// others.</summary>
    private bool HasPods => IsKnown || ((Pods.KeptAt is not null || Pods.Knowledge == Knowledge.Known) && (Namespaces.KeptAt is not null || Namespaces.Knowledge == Knowledge.Known));

    /// <summary>The pods.</summary>
    public PodStore PodObjects => _pods;

    /// <summary>The namespaces.</summary>
    public NamespaceStore NamespaceObjects => _namespaces;

    /// <summary>Whether the agent must not change the sockets of a network namespace.</summary>
    /// <param name="inode">The network namespace.</param>
    /// <param name="processes">Processes in it.</param>
    public ClientStanding Exempts(ulong inode, IEnumerable<int> processes)
    {
        if (inode == _own)
        {
            return Exemption.None;   // the workload of each socket decides
        }
        ClientStanding others = OfOthers;
        var pod = PodOf(inode, processes, out var isOfPod);
        if (!isOfPod)
        {
            return others;
        }
        lock (_lock)
        {
            if (pod is not null && HasPods)
            {
                _unknownSince.Remove(inode);
                return StandingOf(pod);
            }
            if (!_unknownSince.TryGetValue(inode, out var since))
            {
                _unknownSince.Add(inode, since = _time.GetTimestamp());
            }
            return !IsKnown || _time.GetElapsedTime(since) < s_waitForUnknown ? Exemption.NotKnown : others;
        }
    }

    /// <summary>Whether the agent must not change the sockets of a workload in the node's own namespace.</summary>
    public ClientStanding Exempts(string workload)
    {
        if (WorkloadName.PodId(workload) is not { } id)
        {
            return OfOthers;
        }
        lock (_lock)
        {
            if (_pods.ById(id) is { } pod && HasPods)
            {
                _unknownPods.Remove(id);
                return StandingOf(pod);
            }
            if (!_unknownPods.TryGetValue(id, out var since))
            {
                if (_unknownPods.Count >= MaxUnknown)
                {
                    _unknownPods.Clear();
                }
                _unknownPods.Add(id, since = _time.GetTimestamp());
            }
            return !IsKnown || _time.GetElapsedTime(since) < s_waitForUnknown ? Exemption.NotKnown : OfOthers;
        }
    }

    /// <summary>Returns the place of a workload in the cluster; null if it is not a pod, or the pod is unknown.</summary>
    public Workload? Find(string workload) =>
        WorkloadName.PodId(workload) is { } id && _pods.ById(id) is { } pod ? new Workload(pod.Namespace, pod.Name, null) : null;

    /// <summary>Removes a network namespace that is gone. Another one may get the same inode number.</summary>
    public void Forget(ulong inode)
    {
        lock (_lock)
        {
            _podOf.Remove(inode);
            _unknownSince.Remove(inode);
        }
    }

    /// <summary>Returns the place of a socket in the cluster; null if it does not belong to a pod, or the pod is unknown.</summary>
    public Workload? Find(in SocketRecord record) => Find(record.Namespace, record.Pid, record.Local) ?? Find(record.Workload);

    /// <inheritdoc cref="Find(in SocketRecord)"/>
    /// <param name="inode">Its network namespace.</param>
    /// <param name="process">A process that has the socket; 0 if none is known.</param>
    /// <param name="local">Its local end.</param>
    public Workload? Find(ulong inode, int process, SocketEndpoint local)
    {
        if (process != 0 && PodCgroup.Parse(ProcFs.Cgroup(process) ?? "") is { } cgroup && _pods.ById(cgroup.Pod) is { } own)
        {
            return new Workload(own.Namespace, own.Name, cgroup.Container is { } id ? own.Containers.GetValueOrDefault(id) : null);
        }
        var pod = NamespacesPod(inode) ?? (inode == _own ? null : _pods.ByAddress(local.Address));
        return pod is null ? null : new Workload(pod.Namespace, pod.Name, pod.Containers.Count == 1 ? pod.Containers.Values.First() : null);
    }

    /// <summary>Returns why the agent does not change a socket: a clause about its pod. Null if it may change it.</summary>
    /// <param name="inode">Its network namespace.</param>
    /// <param name="process">A process that has the socket; 0 if none is known.</param>
    /// <param name="local">Its local end.</param>
    public string? WhyExempt(ulong inode, int process, SocketEndpoint local)
    {
        if (!IsKnown)
        {
            return "the node's pods are not known yet: the API server did not answer";
        }
        if (Find(inode, process, local) is not { } found || _pods.Find(found.Namespace, found.Pod) is not { } pod)
        {
            return _options.Namespaces.Count > 0 ? $"it belongs to no known pod, and --namespaces names {string.Join(", ", _options.Namespaces)}" : null;
        }
        return pod.IsLeftAlone ? $"pod {found.Namespace}/{found.Pod} has {Pod.Enforce}: \"false\""
            : _namespaces.IsLeftAlone(pod.Namespace) ? $"namespace {pod.Namespace} has {Pod.Enforce}: \"false\""
            : _options.ExcludedNamespaces.Contains(pod.Namespace) ? $"--exclude-namespaces names {pod.Namespace}"
            : LeavesAlone(pod) ? $"--namespaces does not name {pod.Namespace}"
            : null;
    }

    /// <summary>Returns the pod by which policies for certain pods judge a socket; null if it belongs to none that is known.</summary>
    /// <param name="inode">Its network namespace.</param>
    /// <param name="process">A process that has the socket; 0 if none is known.</param>
    public ClientWorkload? ClientOf(ulong inode, int process)
    {
        lock (_lock)
        {
            var pod = inode != _own ? NamespacesPod(inode)
                : process != 0 && PodCgroup.Parse(ProcFs.Cgroup(process) ?? "") is { } cgroup ? _pods.ById(cgroup.Pod) : null;
            return pod is not null && HasPods ? StandingOf(pod).Client : null;
        }
    }

    /// <summary>Returns the Kubernetes namespace of a socket; empty if it does not belong to a pod, or the pod is unknown.</summary>
    /// <param name="inode">Its network namespace.</param>
    /// <param name="pod">Its workload, if that is a pod: it may have the node's network.</param>
    public string NamespaceOf(ulong inode, string? pod) =>
        NamespaceOf(inode) is { Length: > 0 } found ? found : pod is null ? "" : Find(pod)?.Namespace ?? "";

    /// <summary>Returns the Kubernetes namespace of a network namespace; empty if it does not belong to a pod, or the pod is
    /// unknown.</summary>
    public string NamespaceOf(ulong inode) => NamespacesPod(inode)?.Namespace ?? "";

    public void Dispose()
    {
        Pods.Dispose();
        Namespaces.Dispose();
    }

    /// <summary>The exemption of sockets that belong to no pod.</summary>
    private Exemption OfOthers => _options.Namespaces.Count > 0 ? Exemption.LeftAlone : Exemption.None;

    private bool MayExemptOnHost() => _options.Namespaces.Count > 0 || !IsKnown || _pods.Any(pod => pod.IsHostNetwork && LeavesAlone(pod));

    private bool LeavesAlone(Pod pod) => pod.IsLeftAlone || _namespaces.IsLeftAlone(pod.Namespace) || _options.ExcludedNamespaces.Contains(pod.Namespace)
        || (_options.Namespaces.Count > 0 && !_options.Namespaces.Contains(pod.Namespace));

    private ClientStanding StandingOf(Pod pod)
    {
        if (LeavesAlone(pod))
        {
            return Exemption.LeftAlone;
        }
        var ofNamespace = pod.Own is null ? _namespaces.Own(pod.Namespace) : null;
        if (!_clients.TryGetValue(pod, out var known) || known.OfNamespace != ofNamespace)
        {
            if (_clients.Count > MaxUnknown * 4)
            {
                _clients.Clear();   // most of them are of pods that are gone, or were replaced by a later version
            }
            OwnKeepalive? own = pod.Own is { } chosen ? new OwnKeepalive(chosen, $"Pod {pod.Namespace}/{pod.Name}")
                : ofNamespace is { } inherited ? new OwnKeepalive(inherited, $"Namespace {pod.Namespace}")
                : null;
            _clients[pod] = known = (ofNamespace, new ClientWorkload(pod.Namespace, pod.Labels, own));
        }
        return new ClientStanding(Exemption.None, known.Client);
    }

    private Pod? NamespacesPod(ulong inode)
    {
        lock (_lock)
        {
            return _podOf.TryGetValue(inode, out var id) ? _pods.ById(id) : null;
        }
    }

    private Pod? PodOf(ulong inode, IEnumerable<int> processes, out bool isOfPod)
    {
        lock (_lock)
        {
            isOfPod = _podOf.TryGetValue(inode, out var known);
            if (isOfPod)
            {
                return _pods.ById(known!);
            }
            foreach (var process in processes.Take(MaxAsked))
            {
                if (PodCgroup.Parse(ProcFs.Cgroup(process) ?? "") is { } cgroup)
                {
                    var pod = _pods.ById(cgroup.Pod);
                    if (pod is { IsHostNetwork: true })
                    {
                        continue;   // the pod uses the node's network, so this process is in a namespace of the node
                    }
                    isOfPod = true;
                    _podOf[inode] = cgroup.Pod;
                    return pod;
                }
            }
            return null;
        }
    }
}
