using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Metrics;

/// <summary>Counts the state of selected sockets as passes report it, and keeps what they count themselves. Used on the pass thread only, but for <see cref="Now"/>.</summary>
internal sealed class SocketTally : ISocketSink
{
    private const string TooLate = "tooLate";

    private readonly Dictionary<ulong, NamespaceTally> _namespaces = [];
    private NamespaceTally? _frame;
    private ulong _frameNamespace;
    private bool _isComplete;
    private readonly Dictionary<(string Policy, string Namespace), long> _applied = [];
    private readonly Dictionary<ulong, Dictionary<(string Pod, string Reason), int>> _withoutPolicy = [];
    private bool _isStale = true;
    private volatile SocketFigures _now = new();

    /// <summary>What was counted by the end of the last pass: immutable, swapped whole, so a scrape never waits for a pass.</summary>
    public SocketFigures Now => _now;

    /// <summary>Tells which of the cluster's namespaces a socket belongs to; null where there is no cluster.</summary>
    public PodDirectory? Pods { get; init; }

    /// <summary>Seconds without traffic after which a connection is taken to be dropped: keepalive that waits longer does not protect it.</summary>
    public double IdleTimeout { get; init; } = AuditYardstick.DefaultIdleTimeout;

    public bool TakesChanges => true;

    public void BeginNamespace(ulong inode)
    {
        Begin(inode, isComplete: true);
        _frame!.Begin();
    }

    public void BeginChanges(ulong inode) => Begin(inode, isComplete: false);

    public void Gone(ulong inode, ulong cookie)
    {
        _namespaces.GetValueOrDefault(inode)?.Remove(cookie);
        _isStale = true;
    }

    private void Begin(ulong inode, bool isComplete)
    {
        (_frame, _isComplete) = (Of(inode), isComplete);
        _frameNamespace = inode;
        _withoutPolicy.Remove(inode);
    }

    public void Socket(in SocketRecord record)
    {
        if (record.Rule is null && !record.Changed)
        {
            CountWithoutPolicy(in record);
            if (_frame is not null && !_isComplete && record.Namespace == _frameNamespace)
            {
                _frame.Remove(record.Cookie);
            }
            return;
        }
        var sockets = _frame is not null && record.Namespace == _frameNamespace ? _frame : _namespaces.GetValueOrDefault(record.Namespace);
        if (record.Rule is not null)
        {
            (sockets ?? Of(record.Namespace)).Put(
                record.Cookie, new Standing(record.Rule, record.Outcome, record.Reason, WhyUnprotected(in record), PodOf(in record), IsCutShort(in record)));
        }
        else
        {
            sockets?.Remove(record.Cookie);
        }
        _isStale = true;
    }

    public void EndNamespace(ulong inode)
    {
        if (_isComplete)
        {
            _frame?.End();
        }
        _frame?.Trim();
        _frame = null;
        _isStale = true;
    }

    public void NamespaceGone(ulong inode)
    {
        _namespaces.Remove(inode);
        _withoutPolicy.Remove(inode);
        _isStale = true;
    }

    /// <summary>A pass is over: what it counted can be seen from now on.</summary>
    /// <param name="summary">What it did.</param>
    /// <param name="counts">The changes of sockets by it and the passes before it.</param>
    public void Passed(in PassSummary summary, ApplyCounts counts) => Publish(Counted(counts) with
    {
        Scanned = summary.Sockets,
        Namespaces = (summary.Namespaces, summary.NamespaceFailures, summary.NamespacesLeftOut),
        ArrivalsLost = summary.Lost,
        ArrivalsLeft = summary.LeftToPasses,
        Failure = null,
    });

    /// <summary>A pass failed as a whole: what is known of sockets is not known to be so any more.</summary>
    public void Failed(string reason, ApplyCounts counts) => Publish(Counted(counts) with { Failure = reason });

    /// <summary>Forgets what was counted for policies that are no longer in force.</summary>
    public void Retain(CompiledPolicy policy)
    {
        var inForce = policy.Policies;
        foreach (var key in _applied.Keys)
        {
            if (!inForce.Contains(key.Policy))
            {
                _applied.Remove(key);
                _isStale = true;
            }
        }
        Publish(_now);
    }

    private SocketFigures Counted(ApplyCounts counts)
    {
        foreach (var (policy, inode, pod, count) in counts.TakeApplied())
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_applied, (policy, NamespaceOf(inode, pod)), out _) += count;
            _isStale = true;
        }
        return _isStale ? _now with { Failures = [.. counts.Failures], Restored = counts.Restored } : _now;
    }

    private void Publish(SocketFigures figures)
    {
        if (_isStale)
        {
            var (states, failing) = Recount();
            figures = figures with { States = states, Failing = failing, Unprotected = RecountUnprotected(), ShortUserTimeouts = RecountCutShort(), Applied = [.. _applied] };
            _isStale = false;
        }
        _now = figures;
    }

    /// <summary>An idle connection that has keepalive shows its timer; in a namespace's frame only, where every socket comes once.</summary>
    private void CountWithoutPolicy(in SocketRecord record)
    {
        if (_frame is not null && record.Namespace == _frameNamespace && record is { State: TcpState.Established, IsLocal: false }
            && (record.Timer == TcpTimer.None ? "noPolicy" : IsLate(in record) ? TooLate : null) is { } reason)
        {
            ref var here = ref CollectionsMarshal.GetValueRefOrAddDefault(_withoutPolicy, record.Namespace, out _);
            CollectionsMarshal.GetValueRefOrAddDefault(here ??= [], (PodOf(in record) ?? "", reason), out _)++;
        }
    }

    /// <summary>Whether the next probe is so far away that the connection is dropped first. The time since the last traffic is not known.</summary>
    private bool IsLate(in SocketRecord record) => record is { Timer: TcpTimer.Keepalive, TimerExpires: { } left } && left > IdleTimeout * 1000;

    /// <summary>Whether values do not protect: keepalive is off, or waits too long.</summary>
    private bool AreLate(KeepaliveOptions? values) => values is { Enabled: false } || values?.Time > IdleTimeout;

    private string? WhyUnprotected(in SocketRecord record) => record.Outcome switch
    {
        _ when record.IsLocal => null,
        SocketOutcome.WouldApply => AreLate(record.Replaced) ? "wouldApply" : null,
        SocketOutcome.Failed or SocketOutcome.Unreachable => record.Timer == TcpTimer.Keepalive && !IsLate(in record) ? null : record.Reason,
        // A policy's own long time is what somebody has chosen, and `check` judges it.
        SocketOutcome.Kept or SocketOutcome.Application when record.Current is { Enabled: true } own && AreLate(own) && own.Time > (record.Rule?.Settings.Time ?? 0) => TooLate,
        SocketOutcome.Kept when record.Reason == FailureReasons.UserTimeout => record.Current is { Enabled: false } ? record.Reason : null,
        SocketOutcome.Application => record.Current is { Enabled: false } ? "application" : null,
        _ => null,
    };

    private KeyValuePair<(string Namespace, string Reason), double>[] RecountUnprotected()
    {
        var counts = new Dictionary<(string Namespace, string Reason), int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            foreach (var (standing, count) in sockets.Standings)
            {
                if (standing.Unprotected is { } reason)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(counts, (NamespaceOf(inode, standing.Pod), reason), out _) += count;
                }
            }
        }
        foreach (var (inode, sockets) in _withoutPolicy)
        {
            foreach (var ((pod, reason), count) in sockets)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(counts, (NamespaceOf(inode, pod.Length == 0 ? null : pod), reason), out _) += count;
            }
        }
        return [.. counts.Select(c => KeyValuePair.Create(c.Key, (double)c.Value))];
    }

    /// <summary>Whether a policy's values are, or would be, in force, and its user timeout ends it before their probes are spent.</summary>
    private static bool IsCutShort(in SocketRecord record) =>
        record is { Outcome: SocketOutcome.Managed or SocketOutcome.Deferred or SocketOutcome.WouldApply, HasShortUserTimeout: true };

    private KeyValuePair<(string Policy, string Namespace), double>[] RecountCutShort()
    {
        var counts = new Dictionary<(string Policy, string Namespace), int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            foreach (var (standing, count) in sockets.Standings)
            {
                if (standing.IsCutShort)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(counts, (standing.Rule.Policy, NamespaceOf(inode, standing.Pod)), out _) += count;
                }
            }
        }
        return [.. counts.Select(c => KeyValuePair.Create(c.Key, (double)c.Value))];
    }

    private (KeyValuePair<SocketSeries, double>[] States, (int Count, string? Reason) Failing) Recount()
    {
        var all = new Dictionary<SocketSeries, int>();
        var failing = new Dictionary<string, int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            foreach (var (standing, count) in sockets.Standings)
            {
                if (standing.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(failing, standing.Reason ?? "", out _) += count;
                }
                if (State(standing.Outcome) is { } state)
                {
                    var (rule, pod) = (standing.Rule, standing.Pod);
                    CollectionsMarshal.GetValueRefOrAddDefault(all, new SocketSeries(rule.Policy, rule.Destination, NamespaceOf(inode, pod), state), out _) += count;
                }
            }
        }
        var why = failing.Count == 0 ? null : failing.MaxBy(reason => reason.Value).Key;
        return ([.. all.Select(standing => KeyValuePair.Create(standing.Key, (double)standing.Value))], (failing.Values.Sum(), why));
    }

    /// <summary>The cluster's namespace of a socket; empty where it is no pod's.</summary>
    private string NamespaceOf(ulong inode, string? pod) => Pods?.NamespaceOf(inode, pod) ?? "";

    /// <summary>The workload of a socket, if that is a pod and pods have names.</summary>
    private string? PodOf(in SocketRecord record) => Pods is not null && WorkloadName.IsPod(record.Workload) ? record.Workload : null;

    private static string? State(SocketOutcome outcome) => outcome switch
    {
        SocketOutcome.Managed or SocketOutcome.Deferred => "managed",
        SocketOutcome.Kept or SocketOutcome.Application => "kept",
        SocketOutcome.Failed or SocketOutcome.Unreachable => "failed",
        SocketOutcome.WouldApply => "wouldApply",
        _ => null,
    };

    private NamespaceTally Of(ulong inode)
    {
        ref var sockets = ref CollectionsMarshal.GetValueRefOrAddDefault(_namespaces, inode, out _);
        return sockets ??= new NamespaceTally();
    }

    /// <summary>The part of a socket's record that is counted.</summary>
    private readonly record struct Standing(CompiledRule Rule, SocketOutcome Outcome, string? Reason, string? Unprotected, string? Pod, bool IsCutShort)
    {
        /// <summary>By reference of the rule: many sockets have the same one.</summary>
        public bool Equals(Standing other) =>
            ReferenceEquals(Rule, other.Rule) && Outcome == other.Outcome && Reason == other.Reason && Unprotected == other.Unprotected && Pod == other.Pod
            && IsCutShort == other.IsCutShort;

        public override int GetHashCode() => (RuntimeHelpers.GetHashCode(Rule) * 31) + (int)Outcome;
    }

    /// <summary>The number of sockets with a standing.</summary>
    private sealed class Group(Standing standing, int number)
    {
        public Standing Standing { get; } = standing;

        /// <summary>Its place among the groups.</summary>
        public int Number { get; } = number;

        public int Count { get; set; }
    }

    /// <summary>A socket, the number of its group, and the last frame that showed it.</summary>
    private record struct Entry(ulong Cookie, int Group, int Frame) : ISocketEntry;

    /// <summary>The sockets of a network namespace. Few standings and many sockets: a socket has the number of its group.</summary>
    private sealed class NamespaceTally
    {
        private readonly SocketTable<Entry> _sockets = new();
        private readonly Dictionary<Standing, Group> _byStanding = [];
        private readonly List<Group?> _groups = [];
        private readonly Stack<int> _free = new();
        private Group? _last;
        private int _number;
        private int _seen;

        /// <summary>The standings that sockets have, and how many have each.</summary>
        public IEnumerable<(Standing Standing, int Count)> Standings
        {
            get
            {
                _last = null;
                foreach (var (standing, group) in _byStanding)
                {
                    if (group.Count > 0)
                    {
                        yield return (standing, group.Count);
                    }
                    else
                    {
                        _byStanding.Remove(standing);
                        _groups[group.Number] = null;
                        _free.Push(group.Number);
                    }
                }
            }
        }

        /// <summary>Begins a frame, which shows all sockets.</summary>
        public void Begin() => (_number, _seen) = (_number + 1, 0);

        /// <summary>Ends a frame: the sockets that it did not show are gone.</summary>
        public void End()
        {
            if (_seen == _sockets.Count)
            {
                return;
            }
            foreach (var socket in _sockets)
            {
                if (socket.Frame != _number)
                {
                    _sockets.Remove(socket.Cookie);
                    _groups[socket.Group]!.Count--;
                }
            }
        }

        /// <summary>Releases memory that is not needed.</summary>
        public void Trim() => _sockets.TrimExcess();

        public void Put(ulong cookie, in Standing standing)
        {
            var group = GroupOf(in standing);
            var place = _sockets.Find(cookie);
            if (place < 0)
            {
                _seen++;
                group.Count++;
                _sockets.Add(new Entry(cookie, group.Number, _number));
                return;
            }
            ref var socket = ref _sockets.At(place);
            _seen += socket.Frame == _number ? 0 : 1;
            if (socket.Group != group.Number)
            {
                group.Count++;
                _groups[socket.Group]!.Count--;
            }
            (socket.Group, socket.Frame) = (group.Number, _number);
        }

        public void Remove(ulong cookie)
        {
            if (_sockets.Remove(cookie, out var socket))
            {
                _groups[socket.Group]!.Count--;
                _seen -= socket.Frame == _number ? 1 : 0;
            }
        }

        private Group GroupOf(in Standing standing)
        {
            // Sockets that follow each other mostly stand alike.
            if (_last is { } last && last.Standing.Equals(standing))
            {
                return last;
            }
            ref var group = ref CollectionsMarshal.GetValueRefOrAddDefault(_byStanding, standing, out _);
            return _last = group ??= New(in standing);
        }

        private Group New(in Standing standing)
        {
            if (!_free.TryPop(out var number))
            {
                number = _groups.Count;
                _groups.Add(null);
            }
            return _groups[number] = new Group(standing, number);
        }
    }
}
