using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Keepalive.Linux.Sockets;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Liveness;

/// <summary>Logs dead connections, and endpoints that leave the pool or return. Lines above a limit per second are logged at Debug
/// only.</summary>
internal sealed partial class LivenessLog(ILogger logger, TimeProvider? time = null, int linesPerSecond = 50)
{
    private readonly LineAllowance _lines = new(time ?? TimeProvider.System, linesPerSecond);
    private string? _trouble;

    /// <summary>Finds the pod of a connection; null without a cluster.</summary>
    public PodDirectory? Pods { get; init; }

    public void Dead(WatchedConnection connection)
    {
        if (Level(LogLevel.Warning) is { } level)
        {
            var pod = Pods?.Find(connection.Scope.Inode, connection.Pid, connection.Local);
            var whose = pod is not null ? Workload.OfPod(pod) : connection.Workload.Length > 0 ? $" of {connection.Workload}" : "";
            LogDead(level, connection.Local, connection.Remote, whose, connection.State.Cause switch
            {
                DeathCause.Probes => Words.Count(connection.State.Unanswered, "probe") + " unanswered"
                    + (connection.HasShortUserTimeout ? $", and its TCP_USER_TIMEOUT of {UserTimeout.Format(connection.UserTimeout)} allows no more" : ""),
                DeathCause.Reset => "reset by the other end",
                _ => "the kernel stopped retransmitting data",
            }, connection.Rule.Policy, connection.Rule.Destination);
        }
    }

    public void Out(PooledEndpoint endpoint)
    {
        if (Level(LogLevel.Warning) is { } level)
        {
            LogOut(level, endpoint.Remote, endpoint.Destination);
        }
    }

    public void Back(PooledEndpoint endpoint)
    {
        if (Level(LogLevel.Information) is { } level)
        {
            LogBack(level, endpoint.Remote, endpoint.Destination);
        }
    }

    /// <summary>Logs that the kernel's count differs from the captured one. The kernel's count is used.</summary>
    public void Differs(WatchedConnection connection, int kernel)
    {
        LogDiffers(connection.Local, connection.Remote, connection.State.Unanswered, kernel);
    }

    /// <summary>Logs that the kernel ended a connection whose probes seemed to be answered.</summary>
    public void Contradicts(WatchedConnection connection, int kernel)
    {
        if (Level(LogLevel.Warning) is { } level)
        {
            LogContradicts(level, connection.Local, connection.Remote, connection.Workload, kernel);
        }
    }

    /// <summary>Logs why the backends behind virtual addresses are unknown, each time the reason changes.</summary>
    public void Backends(string? trouble)
    {
        if (trouble is not null && trouble != _trouble)
        {
            LogBackends(trouble);
        }
        _trouble = trouble;
    }

    public void EndPass()
    {
        if (_lines.TryRenew(out var left) && left > 0 && !logger.IsEnabled(LogLevel.Debug))
        {
            LogMore(left);
        }
    }

    /// <summary>The level to log a line at; null if the line would not be written.</summary>
    private LogLevel? Level(LogLevel level) => _lines.Take() ? level : logger.IsEnabled(LogLevel.Debug) ? LogLevel.Debug : null;

    [LoggerMessage(EventId = EventIds.ConnectionDead, Message = "Dead {Local} → {Remote}{Whose}: {Cause}; policy {Policy}, destination {Destination}")]
    private partial void LogDead(
        LogLevel level, SocketEndpoint local, SocketEndpoint remote, string whose, string cause, string policy, string destination);

    [LoggerMessage(EventId = EventIds.EndpointOut, Message = "Endpoint {Endpoint} of {Destination} left the pool: it did not answer probes")]
    private partial void LogOut(LogLevel level, SocketEndpoint endpoint, string destination);

    [LoggerMessage(EventId = EventIds.EndpointBack, Message = "Endpoint {Endpoint} of {Destination} is back in the pool: it answers")]
    private partial void LogBack(LogLevel level, SocketEndpoint endpoint, string destination);

    [LoggerMessage(EventId = EventIds.CaptureContradicted,
        Message = "{Local} → {Remote} ({Workload}): the kernel received no reply to {Kernel} probes, but replies were captured; they are dropped on this node, for example by a firewall rule or a NetworkPolicy")]
    private partial void LogContradicts(LogLevel level, SocketEndpoint local, SocketEndpoint remote, string workload, int kernel);

    [LoggerMessage(EventIds.CountsDiffer, LogLevel.Debug, "{Local} → {Remote}: captured {Captured} unanswered probes, the kernel counts {Kernel}")]
    private partial void LogDiffers(SocketEndpoint local, SocketEndpoint remote, int captured, int kernel);

    [LoggerMessage(EventIds.BackendsUnknown, LogLevel.Information, "{Trouble}")]
    private partial void LogBackends(string trouble);

    [LoggerMessage(EventIds.LivenessLeftOut, LogLevel.Information, "{Count} more changes of connections and endpoints are not listed; --log-level debug lists all")]
    private partial void LogMore(int count);
}
