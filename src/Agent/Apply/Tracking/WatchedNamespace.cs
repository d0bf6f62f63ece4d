using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A namespace that is held open, and its tracked sockets.</summary>
/// <param name="inode">Its inode number.</param>
/// <param name="handle">The open handle of it.</param>
/// <param name="account">The owner that is charged for it; null for the node itself.</param>
internal sealed class WatchedNamespace(ulong inode, NamespaceSockets handle, string? account = null) : IDisposable
{
    /// <summary>The maximum number of workloads whose standings are stored. Above it, all are dropped, because some workloads may be
    /// gone.</summary>
    private const int MaxWorkloads = 4096;

    private const int MaxReportedEarly = 4096;

    private readonly Dictionary<string, ClientStanding> _standings = [];
    private bool _mayExempt;
    private Conntrack? _conntrack;
    private bool _isTrackingUnknown;

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

    public SocketTable<TrackedSocket> Sockets { get; } = new();

    /// <summary>Finds the connections whose other end is also in this namespace.</summary>
    public LocalEnds LocalEnds { get; } = new();

    /// <summary>The connection counters at the last dump. Any other value means that sockets came or went.</summary>
    public TcpActivity? Activity { get; set; }

    /// <summary>The time of the next dump, even if nothing is known to have changed.</summary>
    public long DumpAt { get; set; }

    /// <summary>The receiver that knows all of its sockets, as the last dump showed them; null if none does.</summary>
    public ISocketSink? ReportedTo { get; set; }

    /// <summary>The beginning of the last dump.</summary>
    public long DumpedAt { get; set; }

    /// <summary>Whether the last dump showed connections that are local, or may be (<see cref="LocalEnds.HasAny"/>).</summary>
    public bool HadLocalEnds { get; set; }

    /// <summary>Sockets that were reported before a dump showed them.</summary>
    public List<ulong> ReportedEarly { get; } = [];

    /// <summary>Notes that a socket was reported before a dump showed it. If they are too many to remember, the next dump reports
    /// all.</summary>
    public void ReportEarly(ulong cookie)
    {
        if (ReportedEarly.Count < MaxReportedEarly)
        {
            ReportedEarly.Add(cookie);
        }
        else
        {
            ReportedTo = null;
        }
    }

    /// <summary>Number of dumps so far. A socket that the last dump did not show is gone.</summary>
    public long Dumps { get; set; }

    /// <summary>The first pass in which an unsettled socket is due for another try.</summary>
    public long NextTry { get; set; } = long.MaxValue;

    /// <summary>The sockets that may be unsettled, until the examination of the namespace ends.</summary>
    public IReadOnlyCollection<TrackedSocket> Examined { get; set; } = [];

    /// <summary>Whether a socket of the last dump was unsettled at its end.</summary>
    public bool HasUnsettled { get; set; }

    /// <summary>How policies apply to it.</summary>
    public ClientStanding Standing { get; set; }

    /// <summary>Decides by the workload of a socket whether policies apply to it. Null except in the node's own namespace.</summary>
    public HostExemption? Host { get; init; }

    /// <summary>Whether the workload of a socket in it must be known before the socket is set: policies may not apply to it, or others
    /// may.</summary>
    public bool NeedsWorkloads(PolicySnapshot policy) => Host is not null && (_mayExempt || policy.Policy.DependsOnSource);

    /// <summary>Returns the policy that selects all sockets in it that may be selected once their workloads are known.</summary>
    public PolicySnapshot Widest(PolicySnapshot policy) => Host is null ? policy : policy.ForAny();

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
        if (!_standings.TryGetValue(workload, out var standing))
        {
            _standings.Add(workload, standing = Host.Of(workload));
        }
        return pass.PolicyUnder(standing);
    }

    /// <summary>Updates the standings of its workloads.</summary>
    public void JudgeWorkloads()
    {
        if (Host is null)
        {
            return;
        }
        _mayExempt = Host.MayExempt();
        if (_standings.Count > MaxWorkloads)
        {
            _standings.Clear();
            IsToBeCompared = true;
        }
        foreach (var (workload, before) in _standings)
        {
            if (Host.Of(workload) is var now && now != before)
            {
                _standings[workload] = now;
                IsToBeCompared = true;
            }
        }
    }

    /// <summary>Returns the end that really answers a connection, by the namespace's connection tracking; null if that is unknown. It takes
    /// CAP_NET_ADMIN over the namespace.</summary>
    public SocketEndpoint? Translate(ConnectionEnds connection)
    {
        if (_isTrackingUnknown)
        {
            return null;
        }
        try
        {
            _conntrack ??= Handle.OpenConntrack();
            Span<SocketEndpoint?> end = [null];
            if (_conntrack.TryFind([connection], end) == 0)
            {
                return end[0];
            }
        }
        catch (LinuxException)
        {
            // The privileges or the kernel lack it.
        }
        _isTrackingUnknown = true;
        return null;
    }

    public void Dispose()
    {
        _conntrack?.Dispose();
        Handle.Dispose();
    }
}
