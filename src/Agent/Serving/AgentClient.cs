using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Serving;

/// <summary>Asks the node's running agent through its unix socket. An agent that hangs, or is of another version, does not hold up the
/// command.</summary>
/// <remarks>The state directory must have been examined before: only root can have put the socket there.</remarks>
internal static class AgentClient
{
    /// <summary>The longest time to the first byte of an answer, which comes from the agent's memory.</summary>
    private static readonly TimeSpan s_firstByteWithin = TimeSpan.FromSeconds(2);

    /// <summary>The longest time for a whole answer, and its greatest length: some 200,000 connections.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private const long MaxAnswer = 128 * 1024 * 1024;

    /// <summary>Returns what a running agent has made of each socket that a policy selects.</summary>
    /// <param name="stateDirectory">The agent's state directory.</param>
    /// <param name="stop">Ends the request.</param>
    public static AgentReply<IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>> Sockets(string stateDirectory, CancellationToken stop) =>
        Ask<IReadOnlyDictionary<(ulong, ulong), AgentsWord>>(stateDirectory, "sockets", ReadSocketsAsync, stop);

    /// <summary>Returns the rule that applies to a connection by the policies in force, and what the agent knows of its socket.</summary>
    /// <param name="stateDirectory">The agent's state directory.</param>
    /// <param name="remote">The remote end.</param>
    /// <param name="local">The local end; null if it is unknown.</param>
    /// <param name="socket">The namespace, cookie and process of a live socket; null for none.</param>
    /// <param name="stop">Ends the request.</param>
    public static AgentReply<AgentsExplanation> Explain(
        string stateDirectory, string remote, string? local, (ulong Namespace, ulong Cookie, int Pid)? socket, CancellationToken stop)
    {
        var query = $"to={Uri.EscapeDataString(remote)}" + (local is null ? "" : $"&from={Uri.EscapeDataString(local)}")
            + (socket is var (inode, cookie, pid) ? $"&netns={inode}&cookie={cookie}&pid={pid}" : "");
        return Ask(
            stateDirectory,
            $"{ExplainPage.Path.TrimStart('/')}?{query}",
            static async (stream, stop) => await JsonSerializer.DeserializeAsync(stream, Type(ExplanationJsonContext.Readable.AgentsExplanation), stop).ConfigureAwait(false)
                ?? throw new JsonException("an empty answer"),
            stop);
    }

    /// <summary>Returns the node's connections, added up.</summary>
    /// <param name="stateDirectory">The agent's state directory.</param>
    /// <param name="stop">Ends the request.</param>
    public static AgentReply<NodeOverview> Overview(string stateDirectory, CancellationToken stop) => Ask(
        stateDirectory,
        OverviewPage.Path.TrimStart('/'),
        static async (stream, stop) => await JsonSerializer.DeserializeAsync(stream, Type(OverviewJsonContext.Readable.NodeOverview), stop).ConfigureAwait(false)
            ?? throw new JsonException("an empty answer"),
        stop);

    /// <summary>Returns connections of one workload, or to one destination.</summary>
    /// <param name="stateDirectory">The agent's state directory.</param>
    /// <param name="workload">The workload; null for all.</param>
    /// <param name="destination">The destination; null for all.</param>
    /// <param name="stop">Ends the request.</param>
    public static AgentReply<NodeConnections> Connections(string stateDirectory, string? workload, string? destination, CancellationToken stop)
    {
        var query = string.Join('&', new[] { ("workload", workload), ("destination", destination) }
            .Where(static one => one.Item2 is not null).Select(static one => $"{one.Item1}={Uri.EscapeDataString(one.Item2!)}"));
        return Ask(
            stateDirectory,
            $"{OverviewPage.Path.TrimStart('/')}?{query}",
            static async (stream, stop) => await JsonSerializer.DeserializeAsync(stream, Type(OverviewJsonContext.Readable.NodeConnections), stop).ConfigureAwait(false)
                ?? throw new JsonException("an empty answer"),
            stop);
    }

    private static JsonTypeInfo<T> Type<T>(JsonTypeInfo<T> type) => type;

    private static AgentReply<T> Ask<T>(string stateDirectory, string page, Func<Stream, CancellationToken, Task<T>> read, CancellationToken stop)
        where T : class
    {
        var path = Path.Combine(Path.GetFullPath(stateDirectory), AgentServer.SocketName);
        if (!File.Exists(path))
        {
            return default;
        }
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(s_firstByteWithin);
        try
        {
            return new AgentReply<T>(AskAsync(path, page, read, limit).GetAwaiter().GetResult(), null);
        }
        catch (HttpRequestException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return new AgentReply<T>(null, "the running agent is of an earlier version");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException or JsonException)
        {
            // A killed agent leaves its socket behind. One of another version may answer with other fields.
            return new AgentReply<T>(null, Explain(e, path));
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return new AgentReply<T>(null, $"the running agent did not answer within {s_firstByteWithin.TotalSeconds} s");
        }
    }

    private static string Explain(Exception e, string path) => (e.InnerException ?? e, e) switch
    {
        (SocketException { SocketErrorCode: SocketError.ConnectionRefused }, _) => $"no agent is running (nothing listens on {path})",
        (SocketException { SocketErrorCode: SocketError.AccessDenied }, _) => $"permission to ask the running agent at {path} is denied",
        (SocketException socket, _) => $"the running agent cannot be asked at {path}: {socket.SocketErrorCode}",
        (_, HttpRequestException { StatusCode: { } status }) => $"the running agent answered {(int)status}",
        (_, HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse }) => $"what listens on {path} is no agent: its answer is not HTTP",
        (_, HttpRequestException or HttpIOException) => $"the running agent's answer ended early",
        (_, JsonException) => "the running agent's answer is not as expected: it is of another version, or no agent",
        _ => $"the running agent's answer cannot be used: {TerminalText.Mask(e.Message)}",
    };

    private static async Task<T> AskAsync<T>(string path, string page, Func<Stream, CancellationToken, Task<T>> read, CancellationTokenSource limit)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, ConnectCallback = (_, token) => ConnectAsync(path, token) };
        using var client = new HttpClient(handler);
        using var response = await client.GetAsync(new Uri("http://localhost/" + page), HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
        response.EnsureSuccessStatusCode();
        limit.CancelAfter(s_patience);
        await using var body = new LimitedStream(await response.Content.ReadAsStreamAsync(limit.Token).ConfigureAwait(false), MaxAnswer);
        return await read(body, limit.Token).ConfigureAwait(false);
    }

    private static async Task<IReadOnlyDictionary<(ulong, ulong), AgentsWord>> ReadSocketsAsync(Stream stream, CancellationToken stop)
    {
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

/// <summary>The outcome of a request to the node's agent. Without a value and a problem, no agent has been running here.</summary>
/// <param name="Value">The answer; null if there is none.</param>
/// <param name="Problem">Why there is none, as a sentence's beginning.</param>
internal readonly record struct AgentReply<T>(T? Value, string? Problem)
    where T : class;
