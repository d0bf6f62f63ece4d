using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Lab;

/// <summary>A client as anybody would write it: opens connections and keeps them for its next request. Sets no socket option.</summary>
internal static class LabClient
{
    private static readonly TimeSpan RequestTime = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Orders: <c>open ADDRESS:PORT</c> (an IPv4-mapped address goes through an IPv6 socket), <c>options</c> (what getsockopt(2) tells, see
    /// <see cref="SocketOptions"/>), <c>request</c> (one over each connection; answers how many came back).
    /// </summary>
    public static async Task<int> RunAsync(TextReader orders, TextWriter answers)
    {
        var connections = new List<Socket>();
        while (await orders.ReadLineAsync().ConfigureAwait(false) is { } order)
        {
            var answer = order.Split(' ') switch
            {
                ["open", var target] => await OpenAsync(connections, IPEndPoint.Parse(target)).ConfigureAwait(false),
                ["options"] => string.Join(' ', connections.Select(Read)),
                ["request"] => await RequestAsync(connections).ConfigureAwait(false),
                _ => "unknown order",
            };
            await answers.WriteLineAsync(answer).ConfigureAwait(false);
        }
        return ExitCodes.Done;
    }

    private static async Task<string> OpenAsync(List<Socket> connections, IPEndPoint target)
    {
        var connection = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (target.AddressFamily == AddressFamily.InterNetworkV6)
        {
            connection.DualMode = true;
        }
        await connection.ConnectAsync(target).ConfigureAwait(false);
        connections.Add(connection);
        return "open";
    }

    private static SocketOptions Read(Socket connection) => new(
        (int)connection.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)! != 0,
        (int)connection.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime)!,
        (int)connection.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval)!,
        (int)connection.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount)!);

    private static async Task<string> RequestAsync(List<Socket> connections)
    {
        var answered = 0;
        foreach (var connection in connections)
        {
            try
            {
                using var limit = new CancellationTokenSource(RequestTime);
                await connection.SendAsync("hello"u8.ToArray(), limit.Token).ConfigureAwait(false);
                var answer = new byte[16];
                answered += await connection.ReceiveAsync(answer, limit.Token).ConfigureAwait(false) > 0 ? 1 : 0;
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                // Not answered is what the caller wants to know.
            }
        }
        return answered.ToString(CultureInfo.InvariantCulture);
    }
}
