using Keepalive.Agent.Running;
using Keepalive.Linux.Sockets;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Liveness;

/// <summary>Logs what died and what is back; at most so many lines between two passes.</summary>
internal sealed partial class LivenessLog(ILogger logger, int linesPerPass = 50)
{
    private int _lines;
    private int _left;

    public void Dead(WatchedConnection connection)
    {
        if (Room())
        {
            LogDead(connection.Local, connection.Remote, connection.State.Cause switch
            {
                DeathCause.Probes => $"{connection.State.Unanswered} probes unanswered",
                DeathCause.Reset => "reset by the other end",
                _ => "the kernel gave up sending data again",
            }, connection.Rule.Policy, connection.Rule.Destination);
        }
    }

    public void Out(PooledEndpoint endpoint)
    {
        if (Room())
        {
            LogOut(endpoint.Remote, endpoint.Destination);
        }
    }

    public void Back(PooledEndpoint endpoint)
    {
        if (Room())
        {
            LogBack(endpoint.Remote, endpoint.Destination);
        }
    }

    /// <summary>The kernel's count was not the captured one and stands.</summary>
    public void Differs(WatchedConnection connection, int kernel)
    {
        if (Room())
        {
            LogDiffers(connection.Local, connection.Remote, connection.State.Unanswered, kernel);
        }
    }

    public void EndPass()
    {
        if (_left > 0)
        {
            LogMore(_left);
        }
        _lines = _left = 0;
    }

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

    [LoggerMessage(EventIds.ConnectionDead, LogLevel.Warning, "Dead {Local} → {Remote}: {Cause}; policy {Policy}, destination {Destination}")]
    private partial void LogDead(SocketEndpoint local, SocketEndpoint remote, string cause, string policy, string destination);

    [LoggerMessage(EventIds.EndpointOut, LogLevel.Warning, "Endpoint {Endpoint} of {Destination} is out of the pool: it did not answer probes")]
    private partial void LogOut(SocketEndpoint endpoint, string destination);

    [LoggerMessage(EventIds.EndpointBack, LogLevel.Information, "Endpoint {Endpoint} of {Destination} is back in the pool: it answers")]
    private partial void LogBack(SocketEndpoint endpoint, string destination);

    [LoggerMessage(EventIds.CountsDiffer, LogLevel.Debug, "{Local} → {Remote}: captured {Captured} unanswered probes, the kernel counts {Kernel}")]
    private partial void LogDiffers(SocketEndpoint local, SocketEndpoint remote, int captured, int kernel);

    [LoggerMessage(EventIds.LivenessLeftOut, LogLevel.Information, "{Count} more connections and endpoints changed and are not listed")]
    private partial void LogMore(int count);
}
