using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Demo;

/// <summary>The demo's upstream: answers every request with 200, and leaves its connections open for the next one. Sets no keepalive.</summary>
internal static class RecommendationService
{
    public const int Port = 15443;

    public static async Task<int> RunAsync(TextWriter output)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Any, Port));
        listener.Listen();
        await output.WriteLineAsync("listening").ConfigureAwait(false);
        while (true)
        {
            _ = ServeAsync(await listener.AcceptAsync().ConfigureAwait(false));
        }
    }

    private static async Task ServeAsync(Socket connection)
    {
        using (connection)
        {
            try
            {
                while (await HttpMessage.ReadAsync(connection, CancellationToken.None).ConfigureAwait(false) is not null)
                {
                    await HttpMessage.WriteAsync(connection, HttpMessage.Response("200 OK", "recommendation", "[\"a book\",\"another book\"]"), CancellationToken.None)
                        .ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // The other end has gone; the next connection is another one.
            }
        }
    }
}
