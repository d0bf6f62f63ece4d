using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>HTTP requests to a running agent, over TCP or its unix socket.</summary>
internal sealed class AgentHttp : IDisposable
{
    private readonly HttpClient _http;
    private readonly Uri _base;

    public AgentHttp(string address)
    {
        _base = new Uri($"http://{address}/");
        _http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
    }

    private AgentHttp(SocketsHttpHandler handler)
    {
        _base = new Uri("http://localhost/");
        _http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(30) };
    }

    public static AgentHttp OverUnixSocket(string path) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, stop) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop);
            return new NetworkStream(socket, ownsSocket: true);
        },
    });

    /// <summary>A free loopback address.</summary>
    public static string FreeAddress()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return free.LocalEndpoint.ToString()!;
    }

    public (HttpStatusCode Status, string Body) Get(string path, HttpMethod? method = null, string? host = null)
    {
        using var response = Send(path, method, host);
        return (response.StatusCode, response.Content.ReadAsStringAsync().GetAwaiter().GetResult());
    }

    public HttpResponseMessage Send(string path, HttpMethod? method = null, string? host = null)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Get, new Uri(_base, path));
        request.Headers.Host = host;
        return _http.Send(request);
    }

    public JsonElement Json(string path)
    {
        var (_, body) = Get(path);
        return JsonDocument.Parse(body).RootElement.Clone();
    }

    /// <summary>The sum of a metric's series that have <paramref name="label"/>.</summary>
    public double Sum(string metric, string label = "") => Get("/metrics").Body.Split('\n')
        .Where(line => line.StartsWith(metric + "{", StringComparison.Ordinal) || line.StartsWith(metric + " ", StringComparison.Ordinal))
        .Where(line => line.Contains(label, StringComparison.Ordinal))
        .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));

    /// <summary>Waits for a condition for a number of the agent's passes, however long they take on this machine. One more may have begun before.</summary>
    public void WithinPasses(int passes, Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        double last = Passes() + passes + 1;
        var (seen, _) = Eventually.Value(
            () => (IsOver: Passes() >= last, Holds: condition()), one => one.Holds || one.IsOver, TimeSpan.FromMinutes(2), what: what);
        Assert.True(seen.Holds, $"not within {passes} passes: {what}{StartedPrograms.Tails()}");

        double Passes() => Sum("keepalive_scan_duration_seconds_count");
    }

    public void Dispose() => _http.Dispose();
}
