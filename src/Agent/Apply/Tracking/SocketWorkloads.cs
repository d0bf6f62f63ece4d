using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Finds the workload that a socket belongs to.</summary>
/// <remarks>
/// All sockets in a namespace that a workload made for itself belong to that workload. In other namespaces, the cgroup that the socket was
/// made in decides. If that is unknown or names no owner, the process that holds the socket decides, and at last the socket's user. A pass
/// may find tens of thousands of sockets, so a tracked socket keeps its workload.
/// </remarks>
internal sealed class SocketWorkloads(ProcessTable processes, CgroupOwners cgroups)
{
    /// <summary>Names that are kept, so that the same text is the same object.</summary>
    private const int MaxNames = 4096;

    private readonly Dictionary<string, string> _names = [];
    private readonly Dictionary<int, ProcessOwner> _unlisted = [];
    private (WatchedNamespace? Watched, ulong Cgroup, uint? Uid, int Pid) _last;
    private (string Workload, bool IsOpen) _lastFound = (WorkloadName.Unknown, true);

    /// <summary>Whether the cgroup of a socket may not be enough to find its workload, so that its process is needed.</summary>
    public bool NeedProcesses => !cgroups.IsAlone;

    /// <summary>Begins a pass. Processes may have changed since the last one.</summary>
    public void BeginPass()
    {
        _unlisted.Clear();
        _last = default;
    }

    /// <summary>Returns the workload of a socket.</summary>
    public string Of(WatchedNamespace watched, in SeenSocket seen, int pid) => Of(watched, seen.CgroupId, seen.Uid, pid).Workload;

    /// <summary>Returns the workload of a socket, and whether it is still open: a later pass may then find a better one.</summary>
    /// <param name="watched">Its namespace; null if it is not watched.</param>
    /// <param name="cgroup">The id of its cgroup; 0 if unknown.</param>
    /// <param name="uid">Its user; null if unknown.</param>
    /// <param name="pid">A process that has it; 0 if unknown.</param>
    public (string Workload, bool IsOpen) Of(WatchedNamespace? watched, ulong cgroup, uint? uid, int pid)
    {
        if (watched is { IsShared: false })
        {
            return (watched.Owner.Workload, false);
        }
        // Adjacent sockets in a dump often have the same owner.
        if (_last != (watched, cgroup, uid, pid))
        {
            var (workload, isOpen) = Find(watched, cgroup, uid, pid);
            _lastFound = (Shared(workload), isOpen);
            _last = (watched, cgroup, uid, pid);
        }
        return _lastFound;
    }

    /// <summary>Finds the workload of a tracked socket, if it is still open.</summary>
    /// <param name="watched">Its namespace.</param>
    /// <param name="socket">The socket.</param>
    /// <param name="pid">A process that has it, if the datapath knows one and the socket does not.</param>
    public void Settle(WatchedNamespace watched, TrackedSocket socket, int pid = 0)
    {
        if (socket.IsWorkloadOpen)
        {
            ref readonly var seen = ref socket.Seen;
            var (workload, isOpen) = Of(watched, seen.CgroupId, seen.Uid, pid == 0 ? socket.Reach.Pid : pid);
            socket.BelongsTo(workload, isOpen);
        }
    }

    private (string Workload, bool IsOpen) Find(WatchedNamespace? watched, ulong cgroup, uint? uid, int pid)
    {
        var owner = cgroups.Find(cgroup);
        if (pid != 0 && (owner is null || !cgroups.IsAlone) && Whose(pid) is var process && (owner is null || process.IsPod))
        {
            // If cgroup versions 1 and 2 are both mounted, a container may be in its runtime's cgroup in the version 2 hierarchy.
            return (process.Workload, false);
        }
        if (owner is not { } known)
        {
            return (watched is { IsNodes: false, Owner.Account: not null } && uid is null or 0 ? watched.Owner.Workload : WorkloadName.OfUser(uid), true);
        }
        var workload = known.Kind == CgroupKind.Unnamed && watched is { IsNodes: false } && watched.Owner.Workload == known.Workload(0) ? watched.Owner.Workload : known.Workload(uid);
        return (workload, pid == 0 && !cgroups.IsAlone);
    }

    private string Shared(string name)
    {
        if (_names.TryGetValue(name, out var known))
        {
            return known;
        }
        if (_names.Count >= MaxNames)
        {
            _names.Clear();
        }
        _names.Add(name, name);
        return name;
    }

    private ProcessOwner Whose(int pid)
    {
        if (processes.Find(pid) is { } listed)
        {
            return listed.Whose;
        }
        if (!_unlisted.TryGetValue(pid, out var owner))
        {
            _unlisted.Add(pid, owner = ProcessOwner.Of(pid));
        }
        return owner;
    }
}
