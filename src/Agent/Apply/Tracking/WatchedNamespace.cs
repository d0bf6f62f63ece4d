using Keepalive.Agent.Policies;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A namespace that is held open, and its tracked sockets.</summary>
/// <param name="inode">Its inode number.</param>
/// <param name="handle">The open handle of it.</param>
/// <param name="account">The owner that is charged for it; null for the node itself.</param>
internal sealed class WatchedNamespace(ulong inode, NamespaceSockets handle, string? account = null) : IDisposable
{
    /// <summary>The maximum number of workloads whose exemptions are stored. Above it, all are dropped, because some workloads may be
    /// gone.</summary>
    private const int MaxWorkloads = 4096;

    private readonly Dictionary<string, Exemption> _exemptions = [];

    /// <summary>Its owner. All sockets in it belong to the same workload unless it is <see cref="IsShared"/>.</summary>
    public ProcessOwner Owner { get; init; } = ProcessOwner.Node;

    /// <summary>Whether it is the node's own namespace. Pods with the node's network and all systemd units use it.</summary>
    public bool IsNodes { get; init; }

    /// <summary>Whether it may contain sockets of several workloads. This is true for the node's own namespace, and for one that an
    /// administrator made, except for a pod's. A namespace that a workload makes belongs to that workload.</summary>
    public bool IsShared => IsNodes || (!Owner.IsPod && Handle.IsOfOwnUserNamespace);

    /// <summary>The owner that is charged for it, as <see cref="Accountable"/> names it; null for the node itself.</summary>
    public string? Account { get; } = account;

    /// <summary>The progress of the search for the owners of its sockets, which the next pass continues.</summary>
    public SearchProgress Progress { get; } = new();

    public ulong Inode { get; } = inode;

    public NamespaceSockets Handle { get; } = handle;

    public Dictionary<ulong, TrackedSocket> Sockets { get; } = [];

    /// <summary>Finds the connections whose other end is also in this namespace.</summary>
    public LocalEnds LocalEnds { get; } = new();

    /// <summary>The connection counters at the last dump. Any other value means that sockets came or went.</summary>
    public TcpActivity? Activity { get; set; }

    /// <summary>The time of the next dump, even if nothing is known to have changed.</summary>
    public long DumpAt { get; set; }

    /// <summary>Number of dumps so far. A socket that the last dump did not show is gone.</summary>
    public long Dumps { get; set; }

    /// <summary>The first pass in which an unsettled socket is due for another try.</summary>
    public long NextTry { get; set; } = long.MaxValue;

    /// <summary>Whether policies apply to it.</summary>
    public Exemption Exemption { get; set; }

    /// <summary>Decides by the workload of a socket whether policies apply to it. Null except in the node's own namespace.</summary>
    public HostExemption? Host { get; init; }

    /// <summary>Whether there may be workloads in it to which policies do not apply.</summary>
    public bool MayExempt { get; private set; }

    /// <summary>Whether its sockets must be matched with the policy again, because the policy now applies to other workloads than
    /// before.</summary>
    public bool IsToBeCompared { get; set; }

    /// <summary>The policy with which its sockets were last matched.</summary>
    public PolicySnapshot? ComparedWith { get; set; }

    /// <summary>Returns the policy that applies to the sockets of a workload.</summary>
    public PolicySnapshot PolicyOf(string workload, PassContext pass)
    {
        if (Host is null)
        {
            return pass.Policy;
        }
        if (!_exemptions.TryGetValue(workload, out var exemption))
        {
            _exemptions.Add(workload, exemption = Host.Of(workload));
        }
        return pass.PolicyUnder(exemption);
    }

    /// <summary>Updates the exemptions of its workloads.</summary>
    public void JudgeWorkloads()
    {
        if (Host is null)
        {
            return;
        }
        MayExempt = Host.MayExempt();
        if (_exemptions.Count > MaxWorkloads)
        {
            _exemptions.Clear();
            IsToBeCompared = true;
        }
        foreach (var (workload, before) in _exemptions)
        {
            if (Host.Of(workload) is var now && now != before)
            {
                _exemptions[workload] = now;
                IsToBeCompared = true;
            }
        }
    }

    public void Dispose() => Handle.Dispose();
}
