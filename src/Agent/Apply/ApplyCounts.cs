using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply;

/// <summary>Counts the sockets that passes have set and restored, and the failures, since the datapath began. The pass thread counts; any
/// thread may read the sums.</summary>
internal sealed class ApplyCounts
{
    private readonly ConcurrentDictionary<string, long> _failures = new();
    private readonly Dictionary<(string Policy, ulong Namespace, string? Pod), long> _byPolicy = [];
    private long _applied;
    private long _restored;

    /// <summary>Sockets that were set to a policy's values.</summary>
    public long Applied => Volatile.Read(ref _applied);

    /// <summary>Sockets whose own values were restored.</summary>
    public long Restored => Volatile.Read(ref _restored);

    /// <summary>Sockets that became unreachable or could not be set, by reason (<see cref="FailureReasons"/>).</summary>
    public IReadOnlyDictionary<string, long> Failures => _failures;

    /// <summary>Returns the number of sockets that were set since the last call, by policy, network namespace, and workload if that is a pod. Call it on
    /// the pass thread, while the namespaces are still known.</summary>
    public List<(string Policy, ulong Namespace, string? Pod, long Count)> TakeApplied()
    {
        var taken = new List<(string, ulong, string?, long)>(_byPolicy.Count);
        foreach (var ((policy, inode, pod), count) in _byPolicy)
        {
            taken.Add((policy, inode, pod, count));
        }
        _byPolicy.Clear();
        return taken;
    }

    /// <summary>Counts a socket that was set.</summary>
    /// <param name="policy">Its policy.</param>
    /// <param name="inode">Its network namespace.</param>
    /// <param name="workload">Its workload.</param>
    public void CountApplied(string policy, ulong inode, string workload)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_byPolicy, (policy, inode, WorkloadName.IsPod(workload) ? workload : null), out _)++;
        Volatile.Write(ref _applied, _applied + 1);
    }

    /// <summary>Counts a socket whose own values were restored.</summary>
    public void CountRestored() => Volatile.Write(ref _restored, _restored + 1);

    /// <summary>Counts a socket that became unreachable or could not be set.</summary>
    public void CountFailure(string reason) => _failures.AddOrUpdate(reason, 1, static (_, count) => count + 1);
}
