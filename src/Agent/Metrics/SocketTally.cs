using Keepalive.Agent.Apply;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Metrics;

/// <summary>Counts what passes report: the state of selected sockets now, and events as they happen. Used on the pass thread only.</summary>
internal sealed class SocketTally(MetricCatalogue metrics, string datapath) : ISocketSink
{
    private readonly Dictionary<ulong, Dictionary<ulong, Standing>> _namespaces = [];
    private Dictionary<ulong, Standing>? _frame;
    private Dictionary<ulong, Standing>? _before;
    private ulong _frameNamespace;

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
            metrics.Applied.Add(1, new("policy", rule.Policy), new("namespace", ""), new("datapath", datapath));
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
        }
        else
        {
            known?.Remove(record.Cookie);
        }
    }

    public void EndNamespace(ulong inode)
    {
        _frame = null;
        _before = null;
    }

    public void NamespaceGone(ulong inode) => _namespaces.Remove(inode);

    /// <summary>The series of <see cref="MetricCatalogue.Sockets"/> as they stand.</summary>
    public List<Sample> Samples()
    {
        var counts = new Dictionary<(string Policy, string Destination, string State), int>();
        foreach (var sockets in _namespaces.Values)
        {
            foreach (var standing in sockets.Values)
            {
                if (State(standing.Outcome) is { } state)
                {
                    var key = (standing.Rule!.Policy, standing.Rule.Destination, state);
                    counts[key] = counts.GetValueOrDefault(key) + 1;
                }
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

    private readonly record struct Standing(CompiledRule? Rule, SocketOutcome Outcome, string? Reason);
}
