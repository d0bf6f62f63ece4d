using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Sets new connections of a cgroup when they are established: the programs there, their policy, and their reports.</summary>
internal sealed class AtOnce : IDisposable
{
    private readonly KernelPrograms _kernel;
    private readonly KernelPolicy _policy;
    private readonly Arrivals _arrivals;
    private readonly Dictionary<ulong, bool> _isExempt = [];
    private readonly string _cgroup;
    private readonly StateFile? _state;
    private CgroupPrograms _attached;
    private long _lostBefore;

    /// <summary>Attaches the programs, without a policy: they have no effect until the first <see cref="Update"/>.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    /// <exception cref="LinuxException">There is no memory.</exception>
    public AtOnce(KernelPrograms kernel, StateFile? state, string cgroup)
    {
        _kernel = kernel;
        _state = state;
        _cgroup = cgroup;
        _policy = new KernelPolicy(kernel.Policy, kernel.MaxRules);
        _arrivals = new Arrivals(kernel);
        try
        {
            kernel.Namespaces.Clear();
            kernel.Activities.Clear();
            _policy.Suspend();
            _attached = new CgroupPrograms(kernel, cgroup);
            Changes = kernel.TryAttachStates() is { } link ? new ReportedChanges(kernel, link, _arrivals) : null;
        }
        catch
        {
            _arrivals.Dispose();
            _policy.Dispose();
            throw;
        }
    }

    /// <summary>Decides which namespaces must be read; null if the kernel does not count connections for the agent.</summary>
    public ReportedChanges? Changes { get; }

    /// <summary>Whether the kernel has the whole policy of a pass.</summary>
    public bool Has(PolicySnapshot policy) => ReferenceEquals(policy, _policy.Current);

    /// <summary>New connections that were set but not reported at that time, because there were too many at once.</summary>
    public long Lost => _arrivals.Lost;

    /// <summary>New connections that were left to the passes because the kernel could not remember or write them.</summary>
    public long LeftToPasses => _arrivals.LeftToPasses;

    /// <summary>The sockets reported in this pass.</summary>
    public IReadOnlySet<ulong> Announced => _arrivals.Announced;

    /// <summary>Makes sure that there is room for a policy, before the first pass puts it in force.</summary>
    /// <exception cref="LinuxException">There is no room.</exception>
    public void Prepare(PolicySnapshot policy) => _policy.Prepare(policy);

    /// <summary>Attaches the programs again if they are no longer attached: the cgroup was removed and created again, or another program
    /// has detached them.</summary>
    /// <exception cref="BpfException">The kernel refuses, or there is no such cgroup.</exception>
    public void StayAttached()
    {
        if (!_attached.AreAt(_cgroup))
        {
            _attached.Dispose();
            _attached = new CgroupPrograms(_kernel, _cgroup);
        }
    }

    /// <summary>Takes out the sockets that were set since the last pass.</summary>
    public void Drain()
    {
        _arrivals.Drain();
        Changes?.BeginPass();
    }

    /// <summary>Reports the sockets that were taken out.</summary>
    public void Report(ISocketSink sink, SocketLedger ledger, NamespaceInventory namespaces, SocketWorkloads workloads)
    {
        _arrivals.Report(
            _policy.Current,
            sink,
            ledger,
            (netns, cookie) => namespaces.Find(netns) is { } watched && watched.Sockets.ContainsKey(cookie),
            (netns, maker) => workloads.Of(namespaces.Find(netns), maker.cgroup, maker.Uid, pid: 0).Workload,
            (netns, cookie) => namespaces.Find(netns)?.ReportEarly(cookie));
        foreach (var netns in _arrivals.Namespaces())
        {
            // The namespace is not watched, so no dump will show that these sockets are gone.
            if (namespaces.Find(netns) is null)
            {
                sink.NamespaceGone(netns);
            }
        }
    }

    /// <summary>Leaves new connections to the passes: a policy that is no longer in force must not set them.</summary>
    public void Suspend() => _policy.Suspend();

    /// <summary>Removes a namespace from the list. Call it before the namespace is released: afterwards its inode number may belong to
    /// another one.</summary>
    public void Forget(ulong inode)
    {
        if (_isExempt.Remove(inode))
        {
            _kernel.Namespaces.Remove(inode);
        }
        Changes?.Forget(inode);
    }

    /// <summary>Lists the existing namespaces, then puts the policy in force.</summary>
    /// <exception cref="LinuxException">There is no memory; the earlier policy is still in force in the kernel.</exception>
    public void Update(PolicySnapshot policy, IReadOnlyCollection<WatchedNamespace> namespaces)
    {
        foreach (var watched in namespaces)
        {
            // The map in the kernel has the rules for all workloads only.
            var isExempt = watched.Standing.Exemption != Exemption.None || watched.NeedsWorkloads(policy)
                || !ReferenceEquals(policy.For(watched.Standing.Client), policy);
            if (!_isExempt.TryGetValue(watched.Inode, out var listed) || listed != isExempt)
            {
                _kernel.Namespaces.Update(watched.Inode, isExempt ? BpfAbi.KA_LEFT_ALONE : BpfAbi.KA_IN_SCOPE);
                _isExempt[watched.Inode] = isExempt;
            }
        }
        if (!ReferenceEquals(policy, _policy.Current))
        {
            // The next pass notes the sockets that are set at once. If the agent is killed before that, its successor recognizes them by
            // these values.
            _state?.Announce([.. Settings(_policy.Current), .. Settings(policy)]);
            _policy.Replace(policy);
        }
    }

    /// <summary>Ends a complete pass: every socket that an earlier policy has set was found.</summary>
    public void EndPass()
    {
        _state?.TryAnnounce(Settings(_policy.Current));
        _lostBefore = _arrivals.Lost;
    }

    /// <summary>Detaches the programs and takes out the sockets that were set since the last pass.</summary>
    /// <returns>The namespaces of these sockets; null if some were not reported.</returns>
    /// <exception cref="LinuxException">The ring cannot be read.</exception>
    public IReadOnlySet<ulong>? Stop()
    {
        _attached.Dispose();
        _arrivals.Drain();
        return _arrivals.Lost == _lostBefore ? _arrivals.Namespaces().ToHashSet() : null;
    }

    public void Dispose()
    {
        Changes?.Dispose();
        _attached.Dispose();
        _arrivals.Dispose();
        _policy.Dispose();
    }

    private static IEnumerable<KeepaliveSettings> Settings(PolicySnapshot policy) => policy.Policy.Rules.Select(rule => rule.Settings).Distinct();
}
