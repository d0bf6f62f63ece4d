using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Running;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Reports;

/// <summary>Logs every change to a socket as old → new with its rule, and every failure once; at most so many lines a pass.</summary>
internal sealed partial class ChangeLog(ILogger logger, int linesPerPass = 50) : ISocketSink
{
    /// <summary>One cause often fails every socket: a few lines tell it.</summary>
    private const int LinesPerReason = 5;

    private readonly Dictionary<(ulong Namespace, ulong Cookie), string?> _failing = [];
    private readonly List<(ulong Namespace, ulong Cookie)> _over = [];
    private readonly Dictionary<string, int> _reasons = [];
    private int _lines;
    private int _left;

    /// <summary>Whether what is given back is given back because the agent stops.</summary>
    public bool Stopping { get; set; }

    /// <summary>Tells which pod a socket belongs to; null where there is no cluster.</summary>
    public PodDirectory? Pods { get; init; }

    /// <summary>Lets the next pass have its own lines, after saying how many the last one left out.</summary>
    public void EndPass()
    {
        if (_left > 0)
        {
            LogMore(_left);
        }
        _lines = _left = 0;
        _reasons.Clear();
    }

    public void BeginNamespace(ulong inode)
    {
    }

    public void Socket(in SocketRecord record)
    {
        var id = (record.Namespace, record.Cookie);
        if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && record.Rule is not null)
        {
            if (!_failing.TryGetValue(id, out var reason) || reason != record.Reason)
            {
                _failing[id] = record.Reason;
                var said = CollectionsMarshal.GetValueRefOrAddDefault(_reasons, record.Reason ?? "", out _)++;
                if (said >= LinesPerReason)
                {
                    _left++;
                }
                else if (Room())
                {
                    LogFailed(Name(in record), SocketText.Reason(record.Reason), SocketText.Rule(in record));
                }
            }
            return;
        }
        if (_failing.Count > 0)
        {
            _failing.Remove(id);
        }
        if (record.Replaced is not { } from || record.Current is not { } to || !Room())
        {
            return;
        }
        var change = SocketText.Change(from, to);
        switch (record.Outcome)
        {
            case SocketOutcome.WouldApply or SocketOutcome.WouldRestore:
                LogWould(Name(in record), change, SocketText.Rule(in record));
                break;
            case SocketOutcome.Restored or SocketOutcome.Kept:
                LogRestored(Name(in record), change, SocketText.Rule(in record, Stopping ? "the agent stops" : null));
                break;
            default:
                LogSet(Name(in record), change, SocketText.Rule(in record));
                break;
        }
    }

    public void EndNamespace(ulong inode)
    {
    }

    public void NamespaceGone(ulong inode)
    {
        Pods?.Forget(inode);
        if (_failing.Count > 0)
        {
            _over.AddRange(_failing.Keys.Where(id => id.Namespace == inode));
            _over.ForEach(id => _failing.Remove(id));
            _over.Clear();
        }
    }

    private string Name(in SocketRecord record) =>
        Pods?.Find(in record) is { } workload ? $"{SocketText.Name(in record)} of pod {workload}" : SocketText.Name(in record);

    private bool Room()
    {
        if (_lines < linesPerPass)
        {
            _lines++;
            return true;
        }
        _left++;
        return false;
    }

    [LoggerMessage(EventIds.SocketSet, LogLevel.Information, "Set {Socket}: {Change}; {Rule}")]
    private partial void LogSet(string socket, string change, string rule);

    [LoggerMessage(EventIds.SocketRestored, LogLevel.Information, "Gave back {Socket}: {Change}; {Rule}")]
    private partial void LogRestored(string socket, string change, string rule);

    [LoggerMessage(EventIds.SocketWouldChange, LogLevel.Information, "Would set {Socket}: {Change}; {Rule}")]
    private partial void LogWould(string socket, string change, string rule);

    [LoggerMessage(EventIds.SocketFailed, LogLevel.Warning, "Cannot set {Socket}: {Reason}; {Rule}")]
    private partial void LogFailed(string socket, string reason, string rule);

    [LoggerMessage(EventIds.SocketsLeftOut, LogLevel.Information, "{Count} more changes and failures in this pass are not listed")]
    private partial void LogMore(int count);
}
