using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Agent.Health;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Sockets;
using Microsoft.AspNetCore.Http;

namespace Keepalive.Agent.Serving;

/// <summary>Serves the pages over HTTP. All pages come from memory, and none waits for a pass.</summary>
internal sealed class AgentPages(MetricsPage metrics, AgentHealth health, LivenessMonitor liveness, PodDirectory? pods, ExplainPage explanations, OverviewPage overview)
{
    private const string Endpoint = "/destinations/";
    private const string From = "from";
    private const string Json = "application/json; charset=utf-8";
    private const string Plain = "text/plain; charset=utf-8";

    public Task Serve(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        response.Headers.CacheControl = "no-store";
        response.Headers.XContentTypeOptions = "nosniff";
        if (!HttpMethods.IsGet(request.Method) && !HttpMethods.IsHead(request.Method))
        {
            response.Headers.Allow = "GET, HEAD";
            return Say(context, StatusCodes.Status405MethodNotAllowed, "only GET and HEAD");
        }
        var own = context.Features.Get<NodesOwn>();
        if (own is { AsksForOtherHost: true } && request.Host.HasValue && !IsLoopbackName(request.Host.Host))
        {
            // This may be a web page in a browser on this host, whose own host name resolves to 127.0.0.1 (DNS rebinding). A browser always
            // sends a Host header; HTTP/1.0 does not require it.
            return Say(context, StatusCodes.Status421MisdirectedRequest, "ask for localhost");
        }
        return request.Path.Value switch
        {
            "/metrics" => Metrics(context),
            "/healthz" => Alive(context),
            "/readyz" => Ready(context),
            "/destinations" when own is not null => Destinations(context),
            "/sockets" when own is not null => Sockets(context),
            ExplainPage.Path when own is { IsRoot: true } => Explain(context),
            OverviewPage.Path when own is { IsRoot: true } => Overview(context),
            { } path when path.StartsWith(Endpoint, StringComparison.Ordinal) => Verdict(context, path[Endpoint.Length..]),
            _ => Say(context, StatusCodes.Status404NotFound, "not found"),
        };
    }

    private static bool IsLoopbackName(string host) =>
        host is "localhost" or "[::1]" || (System.Net.IPAddress.TryParse(host, out var address) && System.Net.IPAddress.IsLoopback(address));

    private async Task Metrics(HttpContext context)
    {
        var gzip = AcceptsGzip(context.Request.Headers.AcceptEncoding.ToString());
        using var text = metrics.Rent(gzip);
        var response = context.Response;
        response.ContentType = MetricsPage.ContentType;
        response.Headers.Vary = "Accept-Encoding";
        if (gzip)
        {
            response.Headers.ContentEncoding = "gzip";
        }
        await Send(context, text.Bytes).ConfigureAwait(false);
    }

    /// <summary>Reports whether the passes continue. If they do not, a restart helps.</summary>
    private Task Alive(HttpContext context) => health.IsStuck
        ? Say(context, StatusCodes.Status503ServiceUnavailable, $"no sign of passes for more than {health.Patience.TotalSeconds:F0} s")
        : Say(context, StatusCodes.Status200OK, "ok");

    private Task Ready(HttpContext context)
    {
        var report = health.Report();
        context.Response.StatusCode = report.Ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = Json;
        return Send(context, Line(JsonSerializer.SerializeToUtf8Bytes(report, PagesJsonContext.Readable.HealthReport)));
    }

    private Task Verdict(HttpContext context, string name)
    {
        // Kestrel leaves brackets as they are, and clients differ in whether they escape them.
        if (!EndpointName.TryParse(name, out var endpoint))
        {
            return Say(context, StatusCodes.Status404NotFound, "not ADDR:PORT, like 10.0.0.1:443 or [2001:db8::1]:443");
        }
        if (liveness.Find(endpoint) is not { } standing)
        {
            return Say(context, StatusCodes.Status404NotFound, $"{endpoint} is unknown: no policy selects a connection to it");
        }
        if (context.Request.Query.TryGetValue(From, out var from))
        {
            // An empty name would otherwise be answered by the votes of all.
            return from is [{ Length: > 0 } workload] ? VerdictOf(context, endpoint, standing, workload)
                : Say(context, StatusCodes.Status400BadRequest, "from= names one workload: pod:NAMESPACE/NAME, unit:NAME or uid:N");
        }
        return standing.IsIn
            ? Say(context, StatusCodes.Status200OK, $"{endpoint} is in the pool")
            : Say(context, StatusCodes.Status503ServiceUnavailable, $"{endpoint} is out of the pool since {Time(standing.OutSince)}: it did not answer probes");
    }

    /// <summary>The verdict by the connections of one workload.</summary>
    private static Task VerdictOf(HttpContext context, SocketEndpoint endpoint, RemoteStanding standing, string workload)
    {
        var name = TerminalText.Mask(workload);
        return standing.Of(workload) is not { } vote
            ? Say(context, StatusCodes.Status404NotFound, $"{name} has no connection to {endpoint} that counts for a vote")
            : vote.IsSilent
                ? Say(context, StatusCodes.Status503ServiceUnavailable, $"{endpoint} did not answer the probes of {name}")
                : Say(context, StatusCodes.Status200OK, $"{endpoint} is in the pool for {name}");
    }

    private Task Destinations(HttpContext context) => List(
        context,
        liveness.ListEndpoints(),
        PagesJsonContext.Readable.EndpointJson,
        static e => new EndpointJson(e.Policy, e.Destination, e.Remote.ToString(), e.Front?.ToString(), e.IsIn, e.Connections, e.IsIn ? null : Time(e.OutSince), [.. e.Votes.Select(VoteJson.Of)]));

    private Task Explain(HttpContext context)
    {
        if (explanations.Answer(context.Request.Query, out var problem) is not { } answer)
        {
            return Say(context, StatusCodes.Status400BadRequest, problem);
        }
        context.Response.ContentType = Json;
        return Send(context, System.Text.Encoding.UTF8.GetBytes(answer + "\n"));
    }

    private Task Overview(HttpContext context)
    {
        context.Response.ContentType = Json;
        return Send(context, Line(overview.Answer(context.Request.Query)));
    }

    private Task Sockets(HttpContext context)
    {
        var commands = new Dictionary<int, string?>();
        return List(context, liveness.ListConnections(), PagesJsonContext.Readable.ConnectionJson, c =>
        {
            if (!commands.TryGetValue(c.Pid, out var command))
            {
                commands.Add(c.Pid, command = c.Pid == 0 ? null : ProcessName.Find(c.Pid));
            }
            var workload = pods?.Find(c.Namespace, c.Pid, c.Local);
            return new ConnectionJson(
                c.Namespace,
                c.Cookie,
                c.Local.ToString(),
                c.Remote.ToString(),
                c.State.Name(),
                c.Values?.Enabled,
                c.Values?.Time,
                c.Values?.Interval,
                c.Values?.Probes,
                c.UserTimeout > 0 ? c.UserTimeout : null,
                c.Values is { Enabled: true } on && UserTimeout.IsShort(c.UserTimeout, on.Time, on.Interval, on.Probes)
                    ? UserTimeout.LostProbes(c.UserTimeout, on.Time, on.Interval, on.Probes) : null,
                c.Liveness.Unanswered,
                c.Liveness.Phase.ToString().ToLowerInvariant(),
                c.Pid == 0 ? null : c.Pid,
                command,
                c.Rule.Policy,
                c.Rule.Destination,
                c.Outcome is SocketOutcome.Managed or SocketOutcome.Deferred,
                c.Outcome,
                c.Outcome is SocketOutcome.Unreachable or SocketOutcome.Failed or SocketOutcome.Kept ? c.Reason : null,
                workload?.Namespace,
                workload?.Pod,
                workload?.Container);
        });
    }

    /// <summary>Writes a JSON array in pieces, because the node may have many connections.</summary>
    private static async Task List<TRow, TJson>(
        HttpContext context, List<TRow> rows, System.Text.Json.Serialization.Metadata.JsonTypeInfo<TJson> type, Func<TRow, TJson> convert)
    {
        const int piece = 256;
        context.Response.ContentType = Json;
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }
        var body = context.Response.BodyWriter;
        await using var writer = new Utf8JsonWriter(body, new JsonWriterOptions { Encoder = AgentJson.Encoder });
        writer.WriteStartArray();
        for (var i = 0; i < rows.Count; i++)
        {
            JsonSerializer.Serialize(writer, convert(rows[i]), type);
            if (i % piece == piece - 1)
            {
                writer.Flush();
                if ((await body.FlushAsync(context.RequestAborted).ConfigureAwait(false)).IsCompleted)
                {
                    return;
                }
            }
        }
        writer.WriteEndArray();
        writer.Flush();
        "\n"u8.CopyTo(body.GetSpan(1));
        body.Advance(1);
        await body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }

    private static Task Say(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = Plain;
        return Send(context, System.Text.Encoding.UTF8.GetBytes(text + "\n"));
    }

    private static byte[] Line(byte[] json) => [.. json, (byte)'\n'];

    private static Task Send(HttpContext context, ReadOnlyMemory<byte> bytes)
    {
        context.Response.ContentLength = bytes.Length;
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    /// <summary>Whether gzip is among the codings, with a quality other than 0 (RFC 9110, 12.5.3).</summary>
    internal static bool AcceptsGzip(string header)
    {
        foreach (var range in header.AsSpan().Split(','))
        {
            var coding = header.AsSpan(range).Trim();
            var semicolon = coding.IndexOf(';');
            var name = semicolon < 0 ? coding : coding[..semicolon].TrimEnd();
            if (name.Equals("gzip", StringComparison.OrdinalIgnoreCase))
            {
                var quality = semicolon < 0 ? "" : coding[(semicolon + 1)..].Trim();
                return !quality.StartsWith("q=", StringComparison.OrdinalIgnoreCase)
                    || !double.TryParse(quality[2..], CultureInfo.InvariantCulture, out var q) || q > 0;
            }
        }
        return false;
    }

    internal static string Time(long nanoseconds) =>
        DateTime.UnixEpoch.AddTicks(nanoseconds / 100).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}

/// <summary>Marks connections of the node's own administrator: from the unix socket, or from loopback.</summary>
/// <param name="AsksForOtherHost">Whether the Host header has to be checked.</param>
internal sealed record NodesOwn(bool AsksForOtherHost)
{
    /// <summary>Whether it came through the unix socket, which only root can open.</summary>
    public bool IsRoot => !AsksForOtherHost;
}

/// <summary>One element of <c>/destinations</c>.</summary>
internal sealed record EndpointJson(
    string Policy, string Destination, string Endpoint, string? Service, bool InPool, int Connections, string? OutSince, IReadOnlyList<VoteJson> Votes);

/// <summary>The vote of a workload in <c>/destinations</c>.</summary>
/// <param name="Workload">The workload.</param>
/// <param name="Vote"><c>in</c>, <c>out</c> or <c>abstains</c>.</param>
/// <param name="Connections">Its connections that count.</param>
/// <param name="LastHeardSeconds">The time since something was last heard on them; null if never.</param>
/// <param name="Since">When the vote last changed; null if it never did.</param>
internal sealed record VoteJson(string Workload, string Vote, int Connections, double? LastHeardSeconds, string? Since)
{
    public static VoteJson Of(VoteRow vote) => new(
        vote.Workload,
        vote.Says.ToString().ToLowerInvariant(),
        vote.Connections,
        vote.Quiet is { } quiet ? Math.Round(quiet.TotalSeconds, 1) : null,
        vote.Since is { } since ? AgentPages.Time(since) : null);
}

/// <summary>One element of <c>/sockets</c>: the names of <c>sockets -o json</c>, and the liveness.</summary>
internal sealed record ConnectionJson(
    ulong Netns,
    ulong Cookie,
    string Local,
    string Remote,
    string State,
    bool? Keepalive,
    int? Time,
    int? Interval,
    int? Probes,
    int? UserTimeoutMs,
    int? EndsAfterProbes,
    int Unanswered,
    string Liveness,
    int? Pid,
    string? Command,
    string Policy,
    string Destination,
    bool Managed,
    [property: JsonConverter(typeof(OutcomeName))] SocketOutcome? Outcome,
    string? Reason,
    string? Namespace,
    string? Pod,
    string? Container);

/// <summary>An outcome as <c>managed</c>, <c>wouldApply</c> and so on. One of a later version is null.</summary>
internal sealed class OutcomeName : JsonConverter<SocketOutcome?>
{
    public override SocketOutcome? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Enum.TryParse<SocketOutcome>(reader.GetString(), ignoreCase: true, out var outcome) ? outcome : null;

    public override void Write(Utf8JsonWriter writer, SocketOutcome? value, JsonSerializerOptions options) =>
        writer.WriteStringValue(JsonNamingPolicy.CamelCase.ConvertName(value.ToString() ?? ""));
}

[JsonSerializable(typeof(HealthReport))]
[JsonSerializable(typeof(EndpointJson))]
[JsonSerializable(typeof(ConnectionJson))]
internal sealed partial class PagesJsonContext : JsonSerializerContext
{
    /// <summary>Leaves quotes and arrows unescaped: people read the text, and it is never part of an HTML page.</summary>
    public static PagesJsonContext Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = AgentJson.Encoder,
    });
}
