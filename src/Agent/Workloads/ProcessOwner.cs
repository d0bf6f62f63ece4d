using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Workloads;

/// <summary>The owner of a process: the account that is charged for it, and the workload that it belongs to.</summary>
/// <param name="Account">The account, as <see cref="Accountable"/> names it; null for the node itself.</param>
/// <param name="Workload">The workload, as <see cref="WorkloadName"/> names it.</param>
/// <param name="IsPod">Whether it is a pod.</param>
internal readonly record struct ProcessOwner(string? Account, string Workload, bool IsPod)
{
    /// <summary>The node's administrator.</summary>
    public static ProcessOwner Node { get; } = Of("", 0);

    public static ProcessOwner Of(int pid) => Of(ProcFs.Cgroup(pid), ProcFs.RealUserId(pid));

    /// <param name="cgroups">As in /proc/PID/cgroup; null if it cannot be read, for example because the path is longer than a page.</param>
    /// <param name="uid">The real user id; null if unknown.</param>
    public static ProcessOwner Of(string? cgroups, uint? uid)
    {
        var owner = CgroupOwner.Of(cgroups, hasProcess: uid is not null);
        return new(owner.Account(uid), owner.Workload(uid), owner.Kind == CgroupKind.Pod);
    }
}
