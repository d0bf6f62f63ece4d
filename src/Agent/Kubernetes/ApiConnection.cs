using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A failed request: there was no answer from the API server, or an error.</summary>
/// <param name="status">The status of the answer; 0 if there was none.</param>
/// <param name="message">The message of the answer, on one line.</param>
/// <param name="inner">The cause.</param>
internal sealed class ApiException(int status, string message, Exception? inner = null) : IOException(message, inner)
{
    public int Status => status;

    /// <summary>How long the server asks to wait before the next request; null if it does not.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Whether the cause is the server as a whole, or the way to it: another kind may show that it is over.</summary>
    public bool IsServers => (status == 0 || status >= 500) && RetryAfter is null && !IsSilence;

    /// <summary>Whether the server answered, and then sent nothing for too long.</summary>
    public bool IsSilence { get; init; }
}

/// <summary>Requests to the API server. It has at most one connection if the server supports HTTP/2.</summary>
/// <remarks>The server's certificate is always verified. Connections use TCP keepalive, and HTTP/2 connections also use pings, because
/// devices on the path to the server drop quiet connections too.</remarks>
internal sealed class ApiConnection : IDisposable
{
    private const int MaxOfAMessage = 2048;

    /// <summary>The longest time until an answer must begin.</summary>
    public static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly ApiAccess _access;
    private readonly TimeProvider _time;
    private readonly TimeSpan _connectWithin;
    private readonly FileWatch? _token;
    private readonly FileWatch? _authority;
    private byte[]? _authorityInUse;
    private HttpClient? _client;

    public ApiConnection(ApiAccess access, TimeProvider time, WatchTiming? timing = null)
    {
        (_access, _time, _connectWithin) = (access, time, (timing ?? new WatchTiming()).ConnectWithin);
        _token = access.TokenFile is { } token ? new FileWatch(token) : null;
        _authority = access.AuthorityFile is { } authority ? new FileWatch(authority) : null;
    }

    public Uri Server => _access.Server;

    /// <summary>Sends a GET request and waits until the answer begins.</summary>
    /// <param name="path">The path below the server's address, with the query and without a leading slash.</param>
    /// <param name="accept">The media type to ask for.</param>
    /// <param name="stop">Ends the request.</param>
    /// <exception cref="ApiException">There was no answer, or an error.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> was cancelled.</exception>
    public Task<HttpResponseMessage> GetAsync(string path, string accept, CancellationToken stop) =>
        SendAsync(HttpMethod.Get, path, accept, null, stop);

    /// <summary>Sends a request and waits until the answer begins.</summary>
    /// <inheritdoc cref="GetAsync"/>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string accept, byte[]? json, CancellationToken stop)
    {
        using var late = new CancellationTokenSource(AnswerWithin, _time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop, late.Token);
        HttpResponseMessage? response = null;
        try
        {
            using var request = new HttpRequestMessage(method, new Uri(_access.Server, path));
            request.Headers.TryAddWithoutValidation("Accept", accept);
            if (_token is not null)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Encoding.ASCII.GetString(_token.Read()).Trim());
            }
            if (json is not null)
            {
                request.Content = new ByteArrayContent(json) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            }
            response = await Client().SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }
            if (response.StatusCode == HttpStatusCode.Unauthorized)
            {
                _token?.Doubt();
            }
            var refused = new ApiException((int)response.StatusCode, await MessageOf(response, limit.Token).ConfigureAwait(false))
            {
                RetryAfter = response.Headers.RetryAfter?.Delta,
            };
            response.Dispose();
            throw refused;
        }
        catch (OperationCanceledException e) when (!stop.IsCancellationRequested)
        {
            response?.Dispose();
            if (!late.IsCancellationRequested)
            {
                throw new ApiException(0, $"{_access.Server} is unreachable: no connection within {_connectWithin.TotalSeconds} s", e);
            }
            throw new ApiException(0, $"{_access.Server} did not answer within {AnswerWithin.TotalSeconds} s", e);
        }
        catch (Exception e) when (e is HttpRequestException or FormatException or CryptographicException or UnauthorizedAccessException
            || e is IOException and not ApiException)
        {
            response?.Dispose();
            throw new ApiException(0, Reason(e), e);
        }
    }

    public void Dispose() => _client?.Dispose();

    /// <summary>Returns the client for the current authority file. A client for earlier authorities stays in use by its running
    /// requests.</summary>
    private HttpClient Client()
    {
        var authority = _authority?.Read();
        lock (_lock)
        {
            if (_client is null || !ReferenceEquals(authority, _authorityInUse))
            {
                (_client, _authorityInUse) = (Create(authority), authority);
            }
            return _client;
        }
    }

    private HttpClient Create(byte[]? authority)
    {
        var handler = new SocketsHttpHandler
        {
            AutomaticDecompression = DecompressionMethods.GZip,
            UseCookies = false,
            AllowAutoRedirect = false,
            // The cluster's own server is not behind a proxy that leads out of the cluster.
            UseProxy = false,
            ConnectTimeout = _connectWithin,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
            MaxResponseHeadersLength = 64,
            KeepAlivePingDelay = TimeSpan.FromSeconds(30),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(15),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            ConnectCallback = Connect,
        };
        if (authority is not null)
        {
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPem(Encoding.ASCII.GetString(authority));
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        }
        return new HttpClient(handler)
        {
            Timeout = Timeout.InfiniteTimeSpan,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
            DefaultRequestHeaders = { { "User-Agent", "keepalive-agent" } },
        };
    }

    private static async ValueTask<Stream> Connect(SocketsHttpConnectionContext context, CancellationToken stop)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
            await socket.ConnectAsync(context.DnsEndPoint, stop).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Returns the message of the Status in the answer, or else the status line.</summary>
    private static async Task<string> MessageOf(HttpResponseMessage response, CancellationToken stop)
    {
        var line = $"{(int)response.StatusCode} {response.ReasonPhrase}".TrimEnd();
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(stop).ConfigureAwait(false);
            var text = new byte[MaxOfAMessage];
            var length = await body.ReadAtLeastAsync(text, text.Length, throwOnEndOfStream: false, stop).ConfigureAwait(false);
            var said = ApiJson.StatusOf(text.AsSpan(0, length))?.Message;
            return string.IsNullOrWhiteSpace(said) ? line : $"{line}: {said.ReplaceLineEndings(" ")}";
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            return line;
        }
    }

    private static string Reason(Exception e)
    {
        while (e is HttpRequestException { InnerException: { } inner })
        {
            e = inner;
        }
        Debug.Assert(e is not null, "a chain of exceptions ends");
        return e.Message.ReplaceLineEndings(" ");
    }
}
