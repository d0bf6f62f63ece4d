using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Demo;

/// <summary>A proxy beside the client that keeps its upstream connections for the next request, as Envoy does. Sets no keepalive.</summary>
/// <remarks>
/// Its answers are Envoy's: 503 when the upstream connection turns out to be reset or closed before there is an answer (response flag UC), 504
/// when there is none within the request timeout (UT), 503 when no connection can be made (UF). A request is never tried again on another
/// connection: it may have been carried out already.
/// </remarks>
internal sealed class SidecarProxy(IPEndPoint upstream, TextWriter log)
{
    public const int Port = 15001;

    public static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(3);

    private readonly Stack<Socket> _idle = new();

    public async Task<int> RunAsync()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, Port));
        listener.Listen();
        await log.WriteLineAsync("listening").ConfigureAwait(false);
        while (true)
        {
            _ = ServeAsync(await listener.AcceptAsync().ConfigureAwait(false));
        }
    }

    private async Task ServeAsync(Socket downstream)
    {
        using (downstream)
        {
            try
            {
                while (await HttpMessage.ReadAsync(downstream, CancellationToken.None).ConfigureAwait(false) is { } request)
                {
                    var clock = Stopwatch.StartNew();
                    var (response, flag) = await ForwardAsync(request).ConfigureAwait(false);
                    var line = HttpMessage.FirstLine(request);
                    await log.WriteLineAsync(string.Create(
                        CultureInfo.InvariantCulture,
                        $"\"{line[0]} {line[1]}\" {HttpMessage.FirstLine(response)[1]} {flag} {clock.ElapsedMilliseconds}ms upstream {upstream}"))
                        .ConfigureAwait(false);
                    await HttpMessage.WriteAsync(downstream, response, CancellationToken.None).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // The client has gone.
            }
        }
    }

    private async Task<(string Response, string Flag)> ForwardAsync(string request)
    {
        using var limit = new CancellationTokenSource(RequestTimeout);
        Socket? connection = null;
        try
        {
            connection = TakeIdle() ?? await ConnectAsync(limit.Token).ConfigureAwait(false);
            if (connection is null)
            {
                return (HttpMessage.Response("503 Service Unavailable", "sidecar",
                    "upstream connect error or disconnect/reset before headers. reset reason: connection failure"), "UF");
            }
            await HttpMessage.WriteAsync(connection, request, limit.Token).ConfigureAwait(false);
            if (await HttpMessage.ReadAsync(connection, limit.Token).ConfigureAwait(false) is { } response)
            {
                Keep(connection);
                connection = null;
                return (response, "-");
            }
        }
        catch (OperationCanceledException)
        {
            return (HttpMessage.Response("504 Gateway Timeout", "sidecar", "upstream request timeout"), "UT");
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // As when it was closed in the ordinary way, below.
        }
        finally
        {
            connection?.Dispose();
        }
        return (HttpMessage.Response("503 Service Unavailable", "sidecar",
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination"), "UC");
    }

    private async Task<Socket?> ConnectAsync(CancellationToken cancellation)
    {
        var connection = new Socket(upstream.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await connection.ConnectAsync(upstream, cancellation).ConfigureAwait(false);
            return connection;
        }
        catch (SocketException)
        {
            connection.Dispose();
            return null;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>An idle connection that, for all this end knows, is still open: anything to be read would be its end.</summary>
    private Socket? TakeIdle()
    {
        lock (_idle)
        {
            while (_idle.TryPop(out var connection))
            {
                if (!connection.Poll(0, SelectMode.SelectRead))
                {
                    return connection;
                }
                connection.Dispose();
            }
            return null;
        }
    }

    private void Keep(Socket connection)
    {
        lock (_idle)
        {
            _idle.Push(connection);
        }
    }
}
