using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Keepalive.Agent.Apply;

/// <summary>What passes have done to sockets since the datapath began. Counted on the pass thread; the sums may be read on any.</summary>
internal sealed class ApplyCounts
{
    private readonly ConcurrentDictionary<string, long> _failures = new();
    private readonly Dictionary<(string Policy, ulong Namespace), long> _byPolicy = [];
    private long _applied;
    private long _restored;

    /// <summary>Sockets that were set as a policy says.</summary>
    public long Applied => Volatile.Read(ref _applied);

    /// <summary>Sockets that were given their own values back.</summary>
    public long Restored => Volatile.Read(ref _restored);

    /// <summary>Sockets that became unreachable or could not be set, by <see cref="FailureReasons"/>.</summary>
    public IReadOnlyDictionary<string, long> Failures => _failures;

    /// <summary>Takes out how many sockets of which network namespace were set by which policy since the last time. To be called on the pass thread, while the
    /// namespaces are still known.</summary>
    public List<(string Policy, ulong Namespace, long Count)> TakeApplied()
    {
        var taken = new List<(string, ulong, long)>(_byPolicy.Count);
        foreach (var ((policy, inode), count) in _byPolicy)
        {
            taken.Add((policy, inode, count));
        }
        _byPolicy.Clear();
        return taken;
    }

    /// <summary>A socket was set.</summary>
    /// <param name="policy">The policy that says so.</param>
    /// <param name="inode">Its network namespace.</param>
    public void CountApplied(string policy, ulong inode)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_byPolicy, (policy, inode), out _)++;
        Volatile.Write(ref _applied, _applied + 1);
    }

    /// <summary>A socket was given its own values back.</summary>
    public void CountRestored() => Volatile.Write(ref _restored, _restored + 1);

    /// <summary>A socket became unreachable, or could not be set.</summary>
    public void CountFailure(string reason) => _failures.AddOrUpdate(reason, 1, static (_, count) => count + 1);
}
