using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Lab;

/// <summary>A server as anybody would write it: listens, accepts, sends back what it gets. Sets no socket option.</summary>
internal static class LabServer
{
    /// <summary>Order: <c>listen PORT…</c>.</summary>
    public static async Task<int> RunAsync(TextReader orders, TextWriter answers)
    {
        while (await orders.ReadLineAsync().ConfigureAwait(false) is { } order)
        {
            foreach (var port in order.Split(' ').Skip(1))
            {
                var listener = Socket.OSSupportsIPv6
                    ? new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true }
                    : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                listener.Bind(new IPEndPoint(Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any, int.Parse(port, CultureInfo.InvariantCulture)));
                listener.Listen();
                _ = AcceptAsync(listener);
            }
            await answers.WriteLineAsync("listening").ConfigureAwait(false);
        }
        return ExitCodes.Done;
    }

    private static async Task AcceptAsync(Socket listener)
    {
        while (true)
        {
            _ = EchoAsync(await listener.AcceptAsync().ConfigureAwait(false));
        }
    }

    private static async Task EchoAsync(Socket connection)
    {
        using var stream = new NetworkStream(connection, ownsSocket: true);
        await stream.CopyToAsync(stream).ConfigureAwait(false);
    }
}
