using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Reports;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Metrics;

/// <summary>Counts what passes report: the state of selected sockets now, and events as they happen. Used on the pass thread only.</summary>
internal sealed class SocketTally(MetricCatalogue metrics, string datapath) : ISocketSink
{
    /// <summary>Destinations with series of their own; the rest are folded into one.</summary>
    private const int MostDestinations = 1000;

    private readonly Dictionary<ulong, Dictionary<ulong, Standing>> _namespaces = [];
    private Dictionary<ulong, Standing>? _frame;
    private Dictionary<ulong, Standing>? _before;
    private ulong _frameNamespace;
    private readonly Dictionary<CompiledRule, long> _applied = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<ulong, int> _withoutPolicy = [];
    private List<Sample>? _samples;
    private List<Sample>? _unprotected;

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
            CollectionsMarshal.GetValueRefOrAddDefault(_applied, rule, out _)++;
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
        foreach (var (rule, count) in _applied)
        {
            metrics.Applied.Add(count, new("policy", rule.Policy), new("namespace", ""), new("datapath", datapath));
        }
        _applied.Clear();
        return _samples ??= Recount();
    }

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
        var counts = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (var reason in _namespaces.Values.SelectMany(sockets => sockets.Values).Select(standing => standing.Unprotected))
        {
            if (reason is not null)
            {
                counts[reason] = counts.GetValueOrDefault(reason) + 1;
            }
        }
        if (_withoutPolicy.Values.Sum() is > 0 and var sum)
        {
            counts["noPolicy"] = sum;
        }
        return [.. counts.Select(c => new Sample(Exposition.Labels(("namespace", ""), ("reason", c.Key)), c.Value))];
    }

    private List<Sample> Recount()
    {
        // Few rules and many sockets: told apart by reference first, by name only once.
        var byRule = new Dictionary<(CompiledRule Rule, SocketOutcome Outcome), int>(SameRule.Comparer);
        foreach (var sockets in _namespaces.Values)
        {
            foreach (var standing in sockets.Values)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(byRule, (standing.Rule!, standing.Outcome), out _)++;
            }
        }
        var counts = new Dictionary<(string Policy, string Destination, string State), int>();
        var names = byRule.Keys.Select(key => (key.Rule.Policy, key.Rule.Destination)).Distinct().Order().Take(MostDestinations).ToHashSet();
        foreach (var ((rule, outcome), count) in byRule)
        {
            if (State(outcome) is { } state)
            {
                var (policy, destination) = names.Contains((rule.Policy, rule.Destination))
                    ? (rule.Policy, rule.Destination)
                    : (MetricCatalogue.Other, MetricCatalogue.Other);
                CollectionsMarshal.GetValueRefOrAddDefault(counts, (policy, destination, state), out _) += count;
            }
        }
        return
        [
            .. counts.OrderBy(c => c.Key).Select(c => new Sample(
                Exposition.Labels(("policy", c.Key.Policy), ("destination", c.Key.Destination), ("namespace", ""), ("state", c.Key.State)),
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

    private readonly record struct Standing(CompiledRule? Rule, SocketOutcome Outcome, string? Reason, string? Unprotected);

    private sealed class SameRule : IEqualityComparer<(CompiledRule Rule, SocketOutcome Outcome)>
    {
        public static readonly SameRule Comparer = new();

        public bool Equals((CompiledRule Rule, SocketOutcome Outcome) a, (CompiledRule Rule, SocketOutcome Outcome) b) =>
            ReferenceEquals(a.Rule, b.Rule) && a.Outcome == b.Outcome;

        public int GetHashCode((CompiledRule Rule, SocketOutcome Outcome) key) => (RuntimeHelpers.GetHashCode(key.Rule) * 31) + (int)key.Outcome;
    }
}
