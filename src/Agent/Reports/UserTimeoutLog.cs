using System.Diagnostics.CodeAnalysis;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Log;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Reports;

/// <summary>Logs sockets that their user timeout ends before the policy's probes are spent: once in an hour for each policy and
/// workload. All of them are logged at the level Debug.</summary>
/// <remarks>An application usually sets the same user timeout on all of its connections, and opens new ones at any time.</remarks>
[SuppressMessage("Performance", "CA1873", Justification = "It is checked first whether the line is logged.")]
internal sealed partial class UserTimeoutLog(ILogger logger, TimeProvider time, int linesPerSecond)
{
    /// <summary>The maximum number of policies and workloads that are remembered. Above it, all are dropped.</summary>
    private const int MaxSaid = 4096;

    private static readonly TimeSpan s_apart = TimeSpan.FromHours(1);

    private readonly Dictionary<(string Policy, string Workload), long> _said = [];
    private readonly LineAllowance _lines = new(time, linesPerSecond);

    /// <summary>Logs a socket if its user timeout is too short, and no earlier record said so.</summary>
    public void Socket(in SocketRecord record, PodDirectory? pods)
    {
        if (!record.HasNewUserTimeout || !IsConcerned(in record))
        {
            return;
        }
        var level = IsDue(record.Rule!.Policy, record.Workload) && _lines.Take() ? LogLevel.Warning : LogLevel.Debug;
        if (logger.IsEnabled(level))
        {
            var on = record.Current!.Value;
            LogShort(
                level, SocketText.Name(in record, pods), UserTimeout.Format(record.UserTimeout),
                Counted.Of(UserTimeout.LostProbes(record.UserTimeout, on.Time, on.Interval, on.Probes), "lost probe"), on.Probes,
                UserTimeout.Format(UserTimeout.Covering(on.Time, on.Interval, on.Probes)), SocketText.Rule(in record));
        }
    }

    /// <summary>Renews the lines after a second, and logs how many were left out.</summary>
    public void EndPass()
    {
        if (_lines.TryRenew(out var left) && left > 0 && !logger.IsEnabled(LogLevel.Debug))
        {
            LogMore(left);
        }
    }

    /// <summary>Whether a policy's values are, or would be, in force on a socket whose user timeout is too short for them.</summary>
    public static bool IsConcerned(in SocketRecord record) =>
        record is { Rule: not null, Outcome: SocketOutcome.Managed or SocketOutcome.Deferred or SocketOutcome.WouldApply, HasShortUserTimeout: true };

    private bool IsDue(string policy, string workload)
    {
        var now = time.GetTimestamp();
        if (_said.TryGetValue((policy, workload), out var at) && time.GetElapsedTime(at, now) < s_apart)
        {
            return false;
        }
        if (_said.Count >= MaxSaid)
        {
            _said.Clear();
        }
        _said[(policy, workload)] = now;
        return true;
    }

    [LoggerMessage(EventId = EventIds.ShortUserTimeout,
        Message = "{Socket}: its TCP_USER_TIMEOUT of {Timeout} ends it after {Lost} in a row, not {Probes}, because time + interval × probes is {Covering}; {Rule}")]
    private partial void LogShort(LogLevel level, string socket, string timeout, string lost, int probes, string covering, string rule);

    [LoggerMessage(EventIds.ShortUserTimeoutsLeftOut, LogLevel.Warning,
        "{Count} more workloads with a TCP_USER_TIMEOUT that is too short are not listed; --log-level debug lists all")]
    private partial void LogMore(int count);
}
