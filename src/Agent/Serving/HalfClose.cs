using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Keepalive.Agent.Serving;

/// <summary>Lets clients that close their own direction after the request (<c>nc -N</c>, shutdown(2) with SHUT_WR) have their answer.</summary>
/// <remarks>
/// Kestrel's transport signals <see cref="BaseConnectionContext.ConnectionClosed"/> on a FIN as it does on a reset, and whatever serves the connection then aborts the
/// answer. Here the token is signalled only when both directions are closed. The input still ends at the FIN, so nothing waits for a further request.
/// </remarks>
internal static class HalfClose
{
    /// <summary>Applies to every connection of a listener.</summary>
    public static void Allow(ListenOptions listen) => listen.Use(next => connection =>
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket)
        {
            return next(connection);
        }
        // Not disposed: a heartbeat may come after the end, and there is no timer in it.
        var closed = new CancellationTokenSource();
        connection.ConnectionClosed.UnsafeRegister(
            _ =>
            {
                // The runtime clears this on a reset and when the server itself has shut the socket down, and not on a FIN.
                if (!socket.Connected || connection.Features.Get<IConnectionHeartbeatFeature>() is not { } heartbeat)
                {
                    closed.Cancel();
                    return;
                }
                // The receiving side is over, so that a later end shows in the sending side alone: looked for once a second.
                heartbeat.OnHeartbeat(
                    static state =>
                    {
                        var (socket, closed) = ((System.Net.Sockets.Socket, CancellationTokenSource))state;
                        if (!socket.Connected)
                        {
                            closed.Cancel();
                        }
                    },
                    (socket, closed));
            },
            null);
        connection.ConnectionClosed = closed.Token;
        return next(connection);
    });
}
