using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Log;
using Keepalive.Agent.Sockets;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Reports;

/// <summary>Logs every change to a socket as old → new with its rule, and every failure once.</summary>
/// <remarks>At most so many lines in each second with a pass in it; the others are counted, and logged only at the level Debug.</remarks>
[SuppressMessage("Performance", "CA1873", Justification = "Level() has seen to it that the line is logged.")]
internal sealed partial class ChangeLog(ILogger logger, TimeProvider? time = null, int linesPerSecond = 50) : ISocketSink
{
    /// <summary>One cause often fails every socket: a few lines tell it.</summary>
    private const int LinesPerReason = 5;

    private readonly Dictionary<ulong, Dictionary<ulong, string?>> _failing = [];
    private readonly Dictionary<string, int> _reasons = [];
    private readonly LineAllowance _lines = new(time ?? TimeProvider.System, linesPerSecond);
    private readonly UserTimeoutLog _timeouts = new(logger, time ?? TimeProvider.System, linesPerSecond);
    private readonly LineAllowance _failures = new(time ?? TimeProvider.System, linesPerSecond);
    private Dictionary<ulong, string?>? _frame;
    private ulong _frameNamespace;

    /// <summary>Whether sockets are restored because the agent stops.</summary>
    public bool Stopping { get; set; }

    /// <summary>Tells which pod a socket belongs to; null where there is no cluster.</summary>
    public PodDirectory? Pods { get; init; }

    private string? WhyRestored => Stopping ? "the agent stops" : Pods is null ? null : "no policy selects it any more, or its pod or namespace is excluded";

    /// <summary>Lets the next pass have its own lines, after saying how many were left out.</summary>
    public void EndPass()
    {
        if (_lines.TryRenew(out var left) && left > 0 && !logger.IsEnabled(LogLevel.Debug))
        {
            LogMore(left);
        }
        _timeouts.EndPass();
        if (_failures.TryRenew(out var failures))
        {
            _reasons.Clear();
            if (failures > 0 && !logger.IsEnabled(LogLevel.Debug))
            {
                LogMoreFailures(failures);
            }
        }
    }

    /// <remarks>A socket that could not be set waits for another try, and its record follows each time.</remarks>
    public bool TakesChanges => true;

    public void BeginNamespace(ulong inode) => (_frame, _frameNamespace) = ([], inode);

    public void Socket(in SocketRecord record)
    {
        var known = _failing.GetValueOrDefault(record.Namespace);
        if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && record.Rule is not null)
        {
            var failing = _frame is not null && record.Namespace == _frameNamespace ? _frame : known ?? (_failing[record.Namespace] = []);
            var isKnown = failing.TryGetValue(record.Cookie, out var reason) || (known is not null && known.TryGetValue(record.Cookie, out reason));
            failing[record.Cookie] = record.Reason;
            if (!isKnown || reason != record.Reason)
            {
                var said = CollectionsMarshal.GetValueRefOrAddDefault(_reasons, record.Reason ?? "", out _)++;
                if (Level(_failures, LogLevel.Warning, said < LinesPerReason) is { } level)
                {
                    LogFailed(level, SocketText.Name(in record, Pods), FailureReasons.Text(record.Reason), SocketText.Rule(in record));
                }
            }
            return;
        }
        known?.Remove(record.Cookie);
        _timeouts.Socket(in record, Pods);
        if (record is not { Replaced: not null, Current: not null } || Level(_lines, LogLevel.Information) is not { } at)
        {
            return;
        }
        var change = SocketText.Change(in record);
        switch (record.Outcome)
        {
            case SocketOutcome.WouldApply or SocketOutcome.WouldRestore:
                LogWould(at, SocketText.Name(in record, Pods), change, SocketText.Rule(in record));
                break;
            case SocketOutcome.Restored or SocketOutcome.Kept:
                LogRestored(at, SocketText.Name(in record, Pods), change, SocketText.Rule(in record, WhyRestored));
                break;
            default:
                LogSet(at, SocketText.Name(in record, Pods), change, SocketText.Rule(in record));
                break;
        }
    }

    public void EndNamespace(ulong inode)
    {
        // All of its sockets have been reported: others are gone.
        if (_frame is { Count: > 0 })
        {
            _failing[inode] = _frame;
        }
        else
        {
            _failing.Remove(inode);
        }
        _frame = null;
    }

    public void NamespaceGone(ulong inode) => _failing.Remove(inode);

    /// <summary>The level to log a line at, null where nobody would see it.</summary>
    private LogLevel? Level(LineAllowance lines, LogLevel level, bool mayBeSaid = true)
    {
        var at = lines.Take(mayBeSaid) ? level : LogLevel.Debug;
        return logger.IsEnabled(at) ? at : null;
    }

    [LoggerMessage(EventId = EventIds.SocketSet, Message = "Set {Socket}: {Change}; {Rule}")]
    private partial void LogSet(LogLevel level, string socket, string change, string rule);

    [LoggerMessage(EventId = EventIds.SocketRestored, Message = "Restored {Socket}: {Change}; {Rule}")]
    private partial void LogRestored(LogLevel level, string socket, string change, string rule);

    [LoggerMessage(EventId = EventIds.SocketWouldChange, Message = "Would set {Socket}: {Change}; {Rule}")]
    private partial void LogWould(LogLevel level, string socket, string change, string rule);

    [LoggerMessage(EventId = EventIds.SocketFailed, Message = "Cannot set {Socket}: {Reason}; {Rule}")]
    private partial void LogFailed(LogLevel level, string socket, string reason, string rule);

    [LoggerMessage(EventIds.SocketsLeftOut, LogLevel.Information, "{Count} more changes are not listed; --log-level debug lists all")]
    private partial void LogMore(int count);

    [LoggerMessage(EventIds.FailuresLeftOut, LogLevel.Warning, "{Count} more sockets cannot be set and are not listed; --log-level debug lists all")]
    private partial void LogMoreFailures(int count);
}
