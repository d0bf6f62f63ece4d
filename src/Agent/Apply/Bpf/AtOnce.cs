using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>New connections of a cgroup, set when they are established: the programs there, what they go by, and what they tell.</summary>
internal sealed class AtOnce : IDisposable
{
    private readonly KernelPrograms _kernel;
    private readonly KernelPolicy _policy;
    private readonly Arrivals _arrivals;
    private readonly Dictionary<ulong, (ulong Cookie, bool IsExempt)> _listed = [];
    private readonly CgroupPrograms _attached;
    private readonly StateFile? _state;
    private long _lostBefore;

    /// <summary>Attaches the programs, without a policy: they have no effect until the first <see cref="Update"/>.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    /// <exception cref="LinuxException">No memory.</exception>
    public AtOnce(KernelPrograms kernel, StateFile? state, string cgroup)
    {
        _kernel = kernel;
        _state = state;
        _policy = new KernelPolicy(kernel.Policy, kernel.MostRules);
        _arrivals = new Arrivals(kernel);
        try
        {
            kernel.Namespaces.Clear();
            _policy.Suspend();
            _attached = new CgroupPrograms(kernel, cgroup);
        }
        catch
        {
            _arrivals.Dispose();
            _policy.Dispose();
            throw;
        }
    }

    /// <summary>New connections that were set and not reported when they were, because there were too many at once.</summary>
    public long Lost => _arrivals.Lost;

    /// <summary>The sockets reported in this pass.</summary>
    public IReadOnlySet<ulong> Announced => _arrivals.Announced;

    /// <summary>Makes sure that there is room for a policy, before the first pass puts it in force.</summary>
    /// <exception cref="LinuxException">There is not.</exception>
    public void Prepare(PolicySnapshot policy) => _policy.Prepare(policy);

    /// <summary>Takes out what has come since the last pass.</summary>
    public void Drain() => _arrivals.Drain();

    /// <summary>Reports what was taken out.</summary>
    public void Report(ISocketSink sink, NamespaceInventory namespaces)
    {
        _arrivals.Report(
            _policy.Current, sink, (netns, cookie) => namespaces.Find(netns) is { } watched && watched.Sockets.ContainsKey(cookie));
        foreach (var netns in _arrivals.Namespaces())
        {
            // No reading will tell that these are gone.
            if (namespaces.Find(netns) is null)
            {
                sink.NamespaceGone(netns);
            }
        }
    }

    /// <summary>Leaves new connections to the passes: a policy that is in force no more must not go on setting them.</summary>
    public void Suspend() => _policy.Suspend();

    /// <summary>Lists the namespaces there are, then puts the policy in force.</summary>
    /// <exception cref="LinuxException">No memory; the policy before is still in force in the kernel.</exception>
    public void Update(PolicySnapshot policy, IReadOnlyCollection<WatchedNamespace> namespaces)
    {
        var gone = _listed.Keys.ToHashSet();
        foreach (var watched in namespaces)
        {
            gone.Remove(watched.Inode);
            var isListed = _listed.TryGetValue(watched.Inode, out var listed);
            var isExempt = watched.Exemption != Exemption.None;
            if (!isListed || listed.IsExempt != isExempt)
            {
                var cookie = isListed ? listed.Cookie : watched.Handle.Diag.NamespaceCookie();
                _kernel.Namespaces.Update(in cookie, isExempt ? BpfAbi.KA_LEFT_ALONE : BpfAbi.KA_IN_SCOPE);
                _listed[watched.Inode] = (cookie, isExempt);
            }
        }
        foreach (var inode in gone)
        {
            _listed.Remove(inode, out var listed);
            _kernel.Namespaces.Remove(listed.Cookie);
        }
        if (!ReferenceEquals(policy, _policy.Current))
        {
            // What is set at once is noted by the pass after it. A kill in between leaves this to go by.
            _state?.Announce([.. Settings(_policy.Current), .. Settings(policy)]);
            _policy.Replace(policy);
        }
    }

    /// <summary>Every socket that went by an earlier policy has been met.</summary>
    public void EndPass()
    {
        _state?.TryAnnounce(Settings(_policy.Current));
        _lostBefore = _arrivals.Lost;
    }

    /// <summary>Detaches the programs and takes out what has come since the last pass.</summary>
    /// <returns>The namespaces it came from; null where there was more than could be told.</returns>
    /// <exception cref="LinuxException">What has come cannot be read.</exception>
    public IReadOnlySet<ulong>? Stop()
    {
        _attached.Dispose();
        _arrivals.Drain();
        return _arrivals.Lost == _lostBefore ? _arrivals.Namespaces().ToHashSet() : null;
    }

    public void Dispose()
    {
        _attached.Dispose();
        _arrivals.Dispose();
        _policy.Dispose();
    }

    private static IEnumerable<KeepaliveSettings> Settings(PolicySnapshot policy) => policy.Policy.Rules.Select(rule => rule.Settings).Distinct();
}
