using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>run --once</c> and <c>--dry-run</c>: a line for each change and each failure, and a summary.</summary>
internal sealed class OnceReport(TextWriter output, string? whenRestored = null, PodDirectory? pods = null) : ISocketSink
{
    private int _set;
    private int _right;
    private int _kept;
    private int _restored;
    private int _deferred;
    private int _wouldSet;
    private int _wouldRestore;
    private int _pending;
    private int _skipped;
    private int _short;

    public int Failed { get; private set; }

    public void BeginNamespace(ulong inode)
    {
    }

    public void Socket(in SocketRecord record)
    {
        var verb = record.Outcome switch
        {
            SocketOutcome.Managed when record.Changed => "set",
            SocketOutcome.Restored => "restored",
            SocketOutcome.Kept when record.Changed => "restored",
            SocketOutcome.WouldApply => "would set",
            SocketOutcome.WouldRestore => "would restore",
            _ => null,
        };
        if (verb is not null && record is { Replaced: not null, Current: not null })
        {
            output.WriteLine($"{verb} {SocketText.Name(in record, pods)}: {SocketText.Change(in record)}; {SocketText.Rule(in record, whenRestored)}");
        }
        else if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && Concerns(in record))
        {
            output.WriteLine($"failed {SocketText.Name(in record, pods)}: {FailureReasons.Text(record.Reason)}; {SocketText.Rule(in record, whenRestored)}");
        }
        Count(in record);
    }

    public void EndNamespace(ulong inode)
    {
    }

    public void NamespaceGone(ulong inode)
    {
    }

    public void Summary(PassSummary summary)
    {
        var parts = new List<string>();
        Add(parts, _set, "set");
        Add(parts, _wouldSet, "would be set");
        Add(parts, _right, "already right");
        Add(parts, _kept, "with values of their application");
        Add(parts, _skipped, "skipped for their user timeout");
        Add(parts, _restored, "restored");
        Add(parts, _wouldRestore, "would be restored");
        Add(parts, _deferred, "deferred while their probes are unanswered");
        Add(parts, _pending, "not connected or accepted yet");
        Add(parts, Failed, "failed");
        var selected = parts.Count == 0 ? (whenRestored is null ? "none selected by a policy" : "nothing to restore") : string.Join(", ", parts);
        var (sockets, namespaces) = (summary.Sockets == 1 ? "socket" : "sockets", summary.Namespaces == 1 ? "namespace" : "namespaces");
        output.WriteLine($"{summary.Sockets} {sockets} in {summary.Namespaces} network {namespaces}: {selected}");
        if (_short > 0)
        {
            output.WriteLine($"{_short} of them {(_short == 1 ? "ends" : "end")} after fewer lost probes than the policy says: TCP_USER_TIMEOUT is too short");
        }
    }

    private void Count(in SocketRecord record)
    {
        _short += UserTimeoutLog.IsConcerned(in record) ? 1 : 0;
        _ = record.Outcome switch
        {
            SocketOutcome.Kept when record.Reason == FailureReasons.UserTimeout => _skipped++,
            SocketOutcome.Managed => record.Changed ? _set++ : _right++,
            SocketOutcome.Kept or SocketOutcome.Application => _kept++,
            SocketOutcome.Restored => _restored++,
            SocketOutcome.Deferred => _deferred++,
            SocketOutcome.WouldApply => _wouldSet++,
            SocketOutcome.WouldRestore => _wouldRestore++,
            SocketOutcome.Pending => _pending++,
            SocketOutcome.Failed or SocketOutcome.Unreachable when Concerns(in record) => Failed++,
            _ => 0,
        };
    }

    /// <summary>Whether a policy selects it, or it has values to restore.</summary>
    private static bool Concerns(in SocketRecord record) => record.Rule is not null || record.Found is not null;

    private static void Add(List<string> parts, int count, string what)
    {
        if (count > 0)
        {
            parts.Add($"{count} {what}");
        }
    }
}
