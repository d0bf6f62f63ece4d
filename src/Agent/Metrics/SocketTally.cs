using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Metrics;

/// <summary>Counts what passes report: the state of selected sockets now, and events as they happen. Used on the pass thread only.</summary>
internal sealed class SocketTally(MetricCatalogue metrics, string datapath) : ISocketSink
{
    private readonly Dictionary<ulong, Dictionary<ulong, Standing>> _namespaces = [];
    private Dictionary<ulong, Standing>? _frame;
    private Dictionary<ulong, Standing>? _before;
    private ulong _frameNamespace;
    private readonly Dictionary<(CompiledRule Rule, string Namespace), long> _applied = new(SameApplied.Comparer);
    private List<Sample>? _samples;

    /// <summary>Tells which of the cluster's namespaces a socket belongs to; null where there is no cluster.</summary>
    public PodDirectory? Pods { get; init; }

    public void BeginNamespace(ulong inode)
    {
        _before = _namespaces.GetValueOrDefault(inode);
        _frame = new Dictionary<ulong, Standing>(_before?.Count ?? 0);
        _frameNamespace = inode;
        _namespaces[inode] = _frame;
    }

    public void Socket(in SocketRecord record)
    {
        if (record.Rule is null && !record.Changed)
        {
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
            CollectionsMarshal.GetValueRefOrAddDefault(_applied, (rule, Pods?.NamespaceOf(record.Namespace) ?? ""), out _)++;
        }
        if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable
            && (before.Outcome != record.Outcome || before.Reason != record.Reason))
        {
            metrics.ApplyFailures.Add(1, new KeyValuePair<string, object?>("reason", record.Reason));
        }
        if (record.Rule is not null)
        {
            var target = inFrame ? _frame! : known ?? (_namespaces[record.Namespace] = []);
            target[record.Cookie] = new Standing(record.Rule, record.Outcome, record.Reason);
            _samples = null;
        }
        else
        {
            known?.Remove(record.Cookie);
            _samples = null;
        }
    }

    public void EndNamespace(ulong inode)
    {
        _frame = null;
        _samples = null;
        _before = null;
    }

    public void NamespaceGone(ulong inode)
    {
        _namespaces.Remove(inode);
        _samples = null;
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

    private List<Sample> Recount()
    {
        // Few rules and many sockets: told apart by reference first, by name only once.
        var byRule = new Dictionary<(CompiledRule Rule, SocketOutcome Outcome), int>(SameRule.Comparer);
        var counts = new Dictionary<(string Policy, string Destination, string Namespace, string State), int>();
        foreach (var (inode, sockets) in _namespaces)
        {
            byRule.Clear();
            foreach (var standing in sockets.Values)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(byRule, (standing.Rule!, standing.Outcome), out _)++;
            }
            var ns = Pods?.NamespaceOf(inode) ?? "";
            foreach (var ((rule, outcome), count) in byRule)
            {
                if (State(outcome) is { } state)
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(counts, (rule.Policy, rule.Destination, ns, state), out _) += count;
                }
            }
        }
        return
        [
            .. counts.OrderBy(c => c.Key).Select(c => new Sample(
                Exposition.Labels(("policy", c.Key.Policy), ("destination", c.Key.Destination), ("namespace", c.Key.Namespace), ("state", c.Key.State)),
                c.Value)),
        ];
    }

    private static string? State(SocketOutcome outcome) => outcome switch
    {
        SocketOutcome.Managed or SocketOutcome.Deferred => "managed",
        SocketOutcome.Kept or SocketOutcome.Application => "kept",
        SocketOutcome.Failed or SocketOutcome.Unreachable => "failed",
        SocketOutcome.WouldApply => "wouldApply",
        _ => null,
    };

    private readonly record struct Standing(CompiledRule? Rule, SocketOutcome Outcome, string? Reason);

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
