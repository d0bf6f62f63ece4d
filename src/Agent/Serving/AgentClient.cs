using System.Net.Sockets;
using System.Text.Json;
using Keepalive.Agent.Reports;

namespace Keepalive.Agent.Serving;

/// <summary>Asks the node's running agent through its unix socket.</summary>
/// <remarks>The state directory must have been examined before: only root can have put the socket there.</remarks>
internal static class AgentClient
{
    /// <summary>The longest time for the whole answer, which comes from the agent's memory.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>Returns what a running agent has made of each socket that a policy selects. Null if no agent answers.</summary>
    /// <param name="stateDirectory">The agent's state directory.</param>
    /// <param name="stop">Ends the request.</param>
    public static IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? Sockets(string stateDirectory, CancellationToken stop)
    {
        var path = Path.Combine(Path.GetFullPath(stateDirectory), AgentServer.SocketName);
        if (!File.Exists(path))
        {
            return null;
        }
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(s_patience);
        try
        {
            return AskAsync(path, limit.Token).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException or JsonException
            || (e is OperationCanceledException && !stop.IsCancellationRequested))
        {
            // A killed agent leaves its socket behind; an earlier version may answer with other fields.
            return null;
        }
    }

    private static async Task<Dictionary<(ulong, ulong), AgentsWord>> AskAsync(string path, CancellationToken stop)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, ConnectCallback = (_, token) => ConnectAsync(path, token) };
        using var client = new HttpClient(handler);
        using var stream = await client.GetStreamAsync(new Uri("http://localhost/sockets"), stop).ConfigureAwait(false);
        var words = new Dictionary<(ulong, ulong), AgentsWord>();
        await foreach (var one in JsonSerializer.DeserializeAsyncEnumerable(stream, PagesJsonContext.Readable.ConnectionJson, stop).ConfigureAwait(false))
        {
            if (one is not null)
            {
                words[(one.Netns, one.Cookie)] = new AgentsWord(one.Policy, one.Destination, one.Managed, one.Outcome, one.Reason);
            }
        }
        return words;
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken stop)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
