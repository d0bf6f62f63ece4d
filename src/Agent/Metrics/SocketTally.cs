using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Metrics;

/// <summary>Counts what passes report: the state of selected sockets now, and events as they happen. Used on the pass thread only.</summary>
internal sealed class SocketTally(MetricCatalogue metrics, string datapath) : ISocketSink
{
    /// <summary>Destinations with series of their own in each of the cluster's namespaces, all together; the rest are folded into one.</summary>
    private const int MostDestinations = 1000;

    private readonly Dictionary<ulong, Dictionary<ulong, Standing>> _namespaces = [];
    private Dictionary<ulong, Standing>? _frame;
    private Dictionary<ulong, Standing>? _before;
    private ulong _frameNamespace;
    private readonly Dictionary<(CompiledRule Rule, string Namespace), long> _applied = new(SameApplied.Comparer);
    private readonly Dictionary<ulong, int> _withoutPolicy = [];
    private List<Sample>? _samples;
    private List<Sample>? _unprotected;

    /// <summary>Tells which of the cluster's namespaces a socket belongs to; null where there is no cluster.</summary>
    public PodDirectory? Pods { get; init; }

    public void BeginNamespace(ulong inode)
    {
        _before = _namespaces.GetValueOrDefault(inode);
        _frame = new Dictionary<ulong, Standing>(_before?.Count ?? 0);
        _frameNamespace = inode;
        _namespaces[inode] = _frame;
        _withoutPolicy.Remove(inode);
    }

    public void Socket(in SocketRecord record)
    {
        if (record.Rule is null && !record.Changed)
        {
            CountWithoutPolicy(in record);
            return;
        }
        var inFrame = _frame is not null && record.Namespace == _frameNamespace;
        var known = inFrame ? _before : _namespaces.GetValueOrDefault(record.Namespace);
        var before = known is not null && known.TryGetValue(record.Cookie, out var standing) ? standing : default;
        if (record.Changed && record.Outcome is SocketOutcome.Restored or SocketOutcome.Kept)
        {
            metrics.Restored.Add(1);
        }
        else if (record.Changed && record.Rule is { } rule)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_applied, (rule, Workload(record.Namespace)), out _)++;
        }
        if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable
            && (before.Outcome != record.Outcome || before.Reason != record.Reason))
        {
            metrics.ApplyFailures.Add(1, new KeyValuePair<string, object?>("reason", record.Reason));
        }
        if (record.Rule is not null)
        {
            var target = inFrame ? _frame! : known ?? (_namespaces[record.Namespace] = []);
            target[record.Cookie] = new Standing(record.Rule, record.Outcome, record.Reason, WhyUnprotected(in record));
        }
        else
        {
            known?.Remove(record.Cookie);
        }
        _samples = _unprotected = null;
    }

    public void EndNamespace(ulong inode)
    {
        _frame = null;
        _samples = _unprotected = null;
        _before = null;
    }

    public void NamespaceGone(ulong inode)
    {
        _namespaces.Remove(inode);
        _withoutPolicy.Remove(inode);
        _samples = _unprotected = null;
    }

    /// <summary>The series of <see cref="MetricCatalogue.Sockets"/> as they stand; counted anew only after something was reported.</summary>
    public List<Sample> Samples()
    {
        foreach (var ((rule, ns), count) in _applied)
        {
            metrics.Applied.Add(count, new("policy", rule.Policy), new("namespace", ns), new("datapath", datapath));
        }
        _applied.Clear();
        return _samples ??= Recount();
    }

    /// <summary>Selected sockets that cannot be set, and why most of them cannot; as of the last <see cref="Samples"/>.</summary>
    public (int Count, string? Reason) Failing { get; private set; }

    /// <summary>The series of <see cref="MetricCatalogue.UnprotectedSockets"/> as they stand.</summary>
    public List<Sample> Unprotected() => _unprotected ??= RecountUnprotected();

    /// <summary>An idle connection that has keepalive shows its timer; in a namespace's frame only, where every socket comes once.</summary>
    private void CountWithoutPolicy(in SocketRecord record)
    {
        if (_frame is not null && record.Namespace == _frameNamespace && record is { State: TcpState.Established, Timer: TcpTimer.None }
            && !AuditedSockets.IsLocal(in record))
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_withoutPolicy, record.Namespace, out _)++;
        }
    }

    private static string? WhyUnprotected(in SocketRecord record) => record.Outcome switch
    {
        _ when AuditedSockets.IsLocal(in record) => null,
        SocketOutcome.WouldApply => record.Replaced is { Enabled: false } ? "wouldApply" : null,
        SocketOutcome.Failed or SocketOutcome.Unreachable => record.Timer == TcpTimer.Keepalive ? null : record.Reason,
        SocketOutcome.Application => record.Current is { Enabled: false } ? "application" : null,
        _ => null,
    };

    private List<Sample> RecountUnprotected()
    {
        var counts = new Dictionary<(string Namespace, string Reason), int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            var ns = Workload(inode);
            foreach (var standing in sockets.Values)
            {
                if (standing.Unprotected is { } reason)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(counts, (ns, reason), out _)++;
                }
            }
        }
        foreach (var (inode, count) in _withoutPolicy)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(counts, (Workload(inode), "noPolicy"), out _) += count;
        }
        return
        [
            .. counts.OrderBy(c => c.Key.Namespace, StringComparer.Ordinal).ThenBy(c => c.Key.Reason, StringComparer.Ordinal)
                .Select(c => new Sample(Exposition.Labels(("namespace", c.Key.Namespace), ("reason", c.Key.Reason)), c.Value)),
        ];
    }

    private List<Sample> Recount()
    {
        // Few rules and many sockets: told apart by reference first, by name only once.
        var byRule = new Dictionary<(CompiledRule Rule, SocketOutcome Outcome), int>(SameRule.Comparer);
        var all = new Dictionary<(string Policy, string Destination, string Namespace, string State), int>();
        var failing = new Dictionary<string, int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            byRule.Clear();
            foreach (var standing in sockets.Values)
            {
                if (standing.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(failing, standing.Reason ?? "", out _)++;
                }
                CollectionsMarshal.GetValueRefOrAddDefault(byRule, (standing.Rule!, standing.Outcome), out _)++;
            }
            var ns = Workload(inode);
            foreach (var ((rule, outcome), count) in byRule)
            {
                if (State(outcome) is { } state)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(all, (rule.Policy, rule.Destination, ns, state), out _) += count;
                }
            }
        }
        Failing = (failing.Values.Sum(), failing.Count == 0 ? null : failing.MaxBy(reason => reason.Value).Key);
        var own = all.Keys.Select(key => (key.Policy, key.Destination, key.Namespace)).Distinct().Order().Take(MostDestinations).ToHashSet();
        var counts = new Dictionary<(string Policy, string Destination, string Namespace, string State), int>();
        foreach (var (key, count) in all)
        {
            var folded = own.Contains((key.Policy, key.Destination, key.Namespace))
                ? key
                : (MetricCatalogue.Other, MetricCatalogue.Other, key.Namespace, key.State);
            CollectionsMarshal.GetValueRefOrAddDefault(counts, folded, out _) += count;
        }
        return
        [
            .. counts.OrderBy(c => c.Key).Select(c => new Sample(
                Exposition.Labels(("policy", c.Key.Policy), ("destination", c.Key.Destination), ("namespace", c.Key.Namespace), ("state", c.Key.State)),
                c.Value)),
        ];
    }

    /// <summary>The cluster's namespace of a network namespace; empty where it is no pod's.</summary>
    private string Workload(ulong inode) => Pods?.NamespaceOf(inode) ?? "";

    private static string? State(SocketOutcome outcome) => outcome switch
    {
        SocketOutcome.Managed or SocketOutcome.Deferred => "managed",
        SocketOutcome.Kept or SocketOutcome.Application => "kept",
        SocketOutcome.Failed or SocketOutcome.Unreachable => "failed",
        SocketOutcome.WouldApply => "wouldApply",
        _ => null,
    };

    private readonly record struct Standing(CompiledRule? Rule, SocketOutcome Outcome, string? Reason, string? Unprotected);

    private sealed class SameApplied : IEqualityComparer<(CompiledRule Rule, string Namespace)>
    {
        public static readonly SameApplied Comparer = new();

        public bool Equals((CompiledRule Rule, string Namespace) a, (CompiledRule Rule, string Namespace) b) =>
            ReferenceEquals(a.Rule, b.Rule) && a.Namespace == b.Namespace;

        public int GetHashCode((CompiledRule Rule, string Namespace) key) =>
            HashCode.Combine(RuntimeHelpers.GetHashCode(key.Rule), key.Namespace.GetHashCode(StringComparison.Ordinal));
    }

    private sealed class SameRule : IEqualityComparer<(CompiledRule Rule, SocketOutcome Outcome)>
    {
        public static readonly SameRule Comparer = new();

        public bool Equals((CompiledRule Rule, SocketOutcome Outcome) a, (CompiledRule Rule, SocketOutcome Outcome) b) =>
            ReferenceEquals(a.Rule, b.Rule) && a.Outcome == b.Outcome;

        public int GetHashCode((CompiledRule Rule, SocketOutcome Outcome) key) => (RuntimeHelpers.GetHashCode(key.Rule) * 31) + (int)key.Outcome;
    }
}
