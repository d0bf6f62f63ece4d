using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Keepalive.Testbed;

/// <summary>A fake kube-apiserver on a real port: lists, watches and Events. Tests can make it fail.</summary>
/// <remarks>As with the real server, the items of lists have no apiVersion and kind where the kind is built in, lists from the cache ignore
/// their limit unless <see cref="ChunksAlways"/>, and large lists are compressed where the client accepts that.</remarks>
internal sealed class FakeApiServer : IAsyncDisposable, IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, FakeKind> _kinds = [];
    private readonly WebApplication _application;
    private readonly X509Certificate2? _authority;
    private readonly ConcurrentDictionary<long, CancellationTokenSource> _watches = new();
    private long _version;
    private long _requests;
    private int _bookmarks;

    private FakeApiServer(bool tls, int port, long version)
    {
        _version = version;
        Add("", "v1", "services", "Service");
        Add("", "v1", "configmaps", "ConfigMap");
        Add("", "v1", "namespaces", "Namespace");
        Add("", "v1", "pods", "Pod");
        Add("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice");
        Add("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition");
        Add("events.k8s.io", "v1", "events", "Event");
        var certificate = tls ? Certificate(out _authority) : null;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton<ILoggerFactory>(LoggerFactory.Create(_ => { }));
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(IPAddress.Loopback, port, listen =>
            {
                listen.Protocols = certificate is null ? HttpProtocols.Http1 : HttpProtocols.Http1AndHttp2;
                if (certificate is not null)
                {
                    listen.UseHttps(certificate);
                }
            });
        });
        _application = builder.Build();
        _application.Run(Answer);
    }

    /// <summary>Its address.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>The certificate of its authority, as in ca.crt.</summary>
    public string AuthorityPem => _authority!.ExportCertificatePem();

    /// <summary>The token that it requires; null for none.</summary>
    public string? Token { get; set; }

    /// <summary>Whether lists from the cache are split into pieces, too, as by servers without a cache.</summary>
    public bool ChunksAlways { get; set; }

    /// <summary>How often watches get a bookmark.</summary>
    public TimeSpan BookmarkEvery { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>The number of continuations of lists to refuse as too old.</summary>
    public int ExpiringContinues { get; set; }

    /// <summary>The requests, the oldest first.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    public int Watches => _watches.Count;

    /// <summary>The number of bookmarks sent.</summary>
    public int Bookmarks => Volatile.Read(ref _bookmarks);

    public static FakeApiServer Start(bool tls = false, int port = 0, long version = 1000)
    {
        var server = new FakeApiServer(tls, port, version);
        server._application.StartAsync().GetAwaiter().GetResult();
        var address = server._application.Services.GetRequiredService<Microsoft.AspNetCore.Hosting.Server.IServer>().Features
            .Get<IServerAddressesFeature>()!.Addresses.First();
        server.Address = new Uri(address.EndsWith('/') ? address : address + "/");
        return server;
    }

    /// <summary>Installs the custom kinds of Gloo.</summary>
    public FakeApiServer WithGloo()
    {
        foreach (var (group, plural, kind) in (ReadOnlySpan<(string, string, string)>)
            [
                ("resilience.policy.gloo.solo.io", "connectionpolicies", "ConnectionPolicy"),
                ("resilience.policy.gloo.solo.io", "listenerconnectionpolicies", "ListenerConnectionPolicy"),
                ("networking.gloo.solo.io", "virtualdestinations", "VirtualDestination"),
                ("networking.gloo.solo.io", "externalservices", "ExternalService"),
                ("networking.gloo.solo.io", "externalendpoints", "ExternalEndpoint"),
                ("networking.gloo.solo.io", "virtualgateways", "VirtualGateway"),
            ])
        {
            Define(group, "v2", plural, kind);
        }
        return this;
    }

    /// <summary>Removes the custom kinds of Gloo.</summary>
    public FakeApiServer WithoutGloo()
    {
        List<FakeKind> kinds;
        lock (_lock)
        {
            kinds = [.. _kinds.Values.Where(kind => kind.Group.EndsWith(".gloo.solo.io", StringComparison.Ordinal))];
        }
        kinds.ForEach(kind => Undefine(kind.Group, kind.Plural));
        return this;
    }

    /// <summary>Installs the custom kinds of Istio.</summary>
    public FakeApiServer WithIstio(string version = "v1")
    {
        Define("networking.istio.io", version, "destinationrules", "DestinationRule");
        Define("networking.istio.io", version, "serviceentries", "ServiceEntry");
        Define("networking.istio.io", version, "workloadentries", "WorkloadEntry");
        return this;
    }

    /// <summary>Installs the custom kinds of Envoy Gateway, kgateway, Gloo Edge and the Gateway API.</summary>
    public FakeApiServer WithProxies()
    {
        foreach (var (group, version, plural, kind) in (ReadOnlySpan<(string, string, string, string)>)
            [
                ("gateway.envoyproxy.io", "v1alpha1", "backendtrafficpolicies", "BackendTrafficPolicy"),
                ("gateway.envoyproxy.io", "v1alpha1", "clienttrafficpolicies", "ClientTrafficPolicy"),
                ("gateway.kgateway.dev", "v1alpha1", "backendconfigpolicies", "BackendConfigPolicy"),
                ("gloo.solo.io", "v1", "upstreams", "Upstream"),
                ("gateway.networking.k8s.io", "v1", "gateways", "Gateway"),
                ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
                ("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute"),
                ("gateway.networking.k8s.io", "v1alpha2", "tlsroutes", "TLSRoute"),
                ("gateway.networking.k8s.io", "v1alpha2", "tcproutes", "TCPRoute"),
            ])
        {
            Define(group, version, plural, kind);
        }
        return this;
    }

    public FakeKind Kind(string plural)
    {
        lock (_lock)
        {
            return _kinds.Values.First(kind => kind.Plural == plural);
        }
    }

    /// <summary>Creates or replaces an object.</summary>
    public void Apply(string json)
    {
        var given = JsonNode.Parse(json)!.AsObject();
        lock (_lock)
        {
            var kind = _kinds.Values.First(kind => kind.Kind == (string)given["kind"]! && kind.ApiVersion == (string)given["apiVersion"]!);
            var metadata = given["metadata"]!.AsObject();
            var key = ((string?)metadata["namespace"] ?? "", (string)metadata["name"]!);
            var type = kind.Objects.TryGetValue(key, out var before) ? "MODIFIED" : "ADDED";
            metadata["uid"] = (string?)before?["metadata"]!["uid"] ?? (string?)metadata["uid"] ?? Guid.NewGuid().ToString();
            metadata["creationTimestamp"] ??= (string?)before?["metadata"]!["creationTimestamp"] ?? "2026-01-01T00:00:00Z";
            metadata["managedFields"] = JsonNode.Parse("""[{"manager":"kubectl","operation":"Update","fieldsV1":{"f:spec":{}}}]""");
            Note(kind, type, given);
            kind.Objects[key] = given;
        }
    }

    public void Delete(string plural, string ns, string name)
    {
        lock (_lock)
        {
            var kind = _kinds.Values.First(kind => kind.Plural == plural);
            kind.Objects.Remove((ns, name), out var gone);
            Note(kind, "DELETED", gone!.DeepClone().AsObject());
        }
    }

    /// <summary>Drops the history: new watches from earlier versions get the error that their version is gone. Open ones
    /// continue.</summary>
    public void Compact()
    {
        lock (_lock)
        {
            foreach (var kind in _kinds.Values)
            {
                kind.Log.Clear();
                kind.CompactedTo = ++_version;
            }
        }
    }

    /// <summary>Adds a kind, as a custom resource definition does.</summary>
    public void Define(string group, string version, string plural, string kind)
    {
        Add(group, version, plural, kind);
        Apply($$"""{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"{{plural}}.{{group}}"},"spec":{"versions":[{"name":"{{version}}"}] } }""");
    }

    /// <summary>Removes such a kind with its objects.</summary>
    public void Undefine(string group, string plural)
    {
        Delete("customresourcedefinitions", "", $"{plural}.{group}");
        lock (_lock)
        {
            _kinds.Remove(_kinds.First(pair => pair.Value.Plural == plural).Key);
        }
        EndWatches();
    }

    /// <summary>Ends every watch, as a restarting server does.</summary>
    public void EndWatches()
    {
        foreach (var watch in _watches.Values)
        {
            try
            {
                watch.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The watch has just ended by itself.
            }
        }
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    public async ValueTask DisposeAsync()
    {
        EndWatches();
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(soon.Token).ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
        _authority?.Dispose();
    }

    private void Add(string group, string version, string plural, string kind)
    {
        lock (_lock)
        {
            var added = new FakeKind(group, version, plural, kind) { CompactedTo = _version };
            _kinds.Add(group.Length == 0 ? $"/api/{version}/{plural}" : $"/apis/{group}/{version}/{plural}", added);
        }
    }

    private void Note(FakeKind kind, string type, JsonObject one)
    {
        one["metadata"]!["resourceVersion"] = (++_version).ToString(CultureInfo.InvariantCulture);
        kind.Log.Add((_version, type, one));
        kind.Tell();
    }

    private async Task Answer(HttpContext context)
    {
        var request = context.Request;
        Interlocked.Increment(ref _requests);
        Requests.Enqueue($"{request.Method} {request.Path}{request.QueryString}");
        if (Token is { } token && request.Headers.Authorization != $"Bearer {token}")
        {
            await Refuse(context, 401, "Unauthorized", "Unauthorized").ConfigureAwait(false);
            return;
        }
        var parts = request.Path.Value!.Split('/');
        var at = Array.IndexOf(parts, "namespaces");
        var ns = at > 0 && parts.Length == at + 3 ? parts[at + 1] : null;
        var path = ns is null ? request.Path.Value! : string.Join('/', parts.Where((_, i) => i != at && i != at + 1));
        FakeKind? kind;
        lock (_lock)
        {
            kind = _kinds.GetValueOrDefault(path);
        }
        if (kind is null && Discovery(path) is { } discovered)
        {
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(discovered.ToJsonString()).ConfigureAwait(false);
            return;
        }
        if (kind is null)
        {
            // A kind that was never defined: the answer has no Status.
            context.Response.StatusCode = 404;
            await context.Response.WriteAsync("404 page not found\n").ConfigureAwait(false);
            return;
        }
        if (kind.IsStuck)
        {
            try
            {
                await Task.Delay(Timeout.Infinite, context.RequestAborted).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;   // the client's timeout has passed
            }
        }
        if (kind.Refusal is { } status)
        {
            context.Response.Headers.RetryAfter = kind.RetryAfter?.ToString(System.Globalization.CultureInfo.InvariantCulture);
            await Refuse(context, status, status == 403 ? "Forbidden" : "Failed", $"{kind.Plural} is refused").ConfigureAwait(false);
            return;
        }
        if (request.Method == "POST")
        {
            using var reader = new StreamReader(request.Body);
            Apply(await reader.ReadToEndAsync().ConfigureAwait(false));
            context.Response.StatusCode = 201;
            await context.Response.WriteAsync("{}").ConfigureAwait(false);
            return;
        }
        if (kind.Garbage is { } garbage)
        {
            await context.Response.WriteAsync(garbage).ConfigureAwait(false);
            return;
        }
        await (request.Query.ContainsKey("watch") ? Watch(context, kind, ns) : List(context, kind, ns)).ConfigureAwait(false);
    }

    /// <summary>What kubectl asks for first: the groups, their versions, and the kinds of a version. Null for another path.</summary>
    private JsonObject? Discovery(string path)
    {
        lock (_lock)
        {
            if (path == "/version")
            {
                return new JsonObject { ["major"] = "1", ["minor"] = "35", ["gitVersion"] = "v1.35.2" };
            }
            if (path == "/api")
            {
                return new JsonObject { ["kind"] = "APIVersions", ["versions"] = new JsonArray("v1") };
            }
            if (path == "/apis")
            {
                var groups = _kinds.Values.Where(kind => kind.Group.Length > 0).GroupBy(kind => kind.Group).Select(group =>
                {
                    var versions = group.Select(kind => kind.Version).Distinct().ToList();
                    return new JsonObject
                    {
                        ["name"] = group.Key,
                        ["versions"] = new JsonArray([.. versions.Select(version => Version(group.Key, version))]),
                        ["preferredVersion"] = Version(group.Key, versions[0]),
                    };
                });
                return new JsonObject { ["kind"] = "APIGroupList", ["apiVersion"] = "v1", ["groups"] = new JsonArray([.. groups]) };
            }
            var kinds = _kinds.Where(pair => pair.Key == $"{path}/{pair.Value.Plural}").Select(pair => pair.Value).ToList();
            return kinds.Count == 0 ? null : new JsonObject
            {
                ["kind"] = "APIResourceList",
                ["apiVersion"] = "v1",
                ["groupVersion"] = kinds[0].ApiVersion,
                ["resources"] = new JsonArray([.. kinds.Select(kind => new JsonObject
                {
                    ["name"] = kind.Plural,
                    ["singularName"] = kind.Kind.ToLowerInvariant(),
                    ["namespaced"] = kind.Plural is not ("namespaces" or "customresourcedefinitions"),
                    ["kind"] = kind.Kind,
                    ["verbs"] = new JsonArray("get", "list", "watch"),
                })]),
            };
        }

        static JsonObject Version(string group, string version) => new() { ["groupVersion"] = $"{group}/{version}", ["version"] = version };
    }

    private async Task List(HttpContext context, FakeKind kind, string? ns)
    {
        var query = context.Request.Query;
        var from = (string?)query["resourceVersion"];
        var limit = int.TryParse(query["limit"], CultureInfo.InvariantCulture, out var given) && (ChunksAlways || from != "0") ? given : int.MaxValue;
        var skip = 0;
        if (query["continue"] is [{ } more])
        {
            if (from is not null)
            {
                await Refuse(context, 400, "BadRequest", "resourceVersion must be unset with continue").ConfigureAwait(false);
                return;
            }
            if (ExpiringContinues > 0)
            {
                ExpiringContinues--;
                await Refuse(context, 410, "Expired", "The provided continue parameter is too old").ConfigureAwait(false);
                return;
            }
            skip = int.Parse(more, CultureInfo.InvariantCulture);
        }
        var text = new StringBuilder();
        lock (_lock)
        {
            if (long.TryParse(from, CultureInfo.InvariantCulture, out var least) && least > _version)
            {
                // Refused below, outside the lock.
                text.Append('!');
            }
            else
            {
                var selected = kind.Objects.Values.Where(one => IsSelected(one, ns, query)).ToList();
                var rest = kind.IsEndless ? "0" : selected.Count - skip > limit ? (skip + limit).ToString(CultureInfo.InvariantCulture) : "";
                text.Append(CultureInfo.InvariantCulture, $$"""{"kind":"{{kind.Kind}}List","apiVersion":"{{kind.ApiVersion}}","metadata":{"resourceVersion":"{{_version}}","continue":"{{rest}}"},"items":[""");
                text.AppendJoin(',', selected.Skip(skip).Take(limit).Select(one => Item(kind, one, context).ToJsonString()));
                text.Append("]}\n");
            }
        }
        if (text[0] == '!')
        {
            await Refuse(context, 504, "Timeout", "Too large resource version").ConfigureAwait(false);
            return;
        }
        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        context.Response.ContentType = "application/json";
        if (bytes.Length > 128 * 1024 && context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.Ordinal))
        {
            context.Response.Headers.ContentEncoding = "gzip";
            await using var zip = new GZipStream(context.Response.Body, CompressionLevel.Fastest);
            await zip.WriteAsync(bytes).ConfigureAwait(false);
            return;
        }
        await Write(context, kind, bytes).ConfigureAwait(false);
    }

    private async Task Watch(HttpContext context, FakeKind kind, string? ns)
    {
        var query = context.Request.Query;
        var sent = long.Parse((string?)query["resourceVersion"] ?? "0", CultureInfo.InvariantCulture);
        var id = Interlocked.Increment(ref _requests);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        end.CancelAfter(TimeSpan.FromSeconds(int.Parse((string?)query["timeoutSeconds"] ?? "1800", CultureInfo.InvariantCulture)));
        _watches.TryAdd(id, end);
        try
        {
            context.Response.ContentType = "application/json";
            await context.Response.StartAsync(end.Token).ConfigureAwait(false);
            await context.Response.Body.FlushAsync(end.Token).ConfigureAwait(false);
            if (kind.Line is { } line)
            {
                await context.Response.WriteAsync(line, end.Token).ConfigureAwait(false);
                return;
            }
            for (var isFirst = true; ; isFirst = false)
            {
                List<(long Version, string Type, JsonObject Object)> events;
                Task more;
                long now;
                lock (_lock)
                {
                    now = _version;
                    if (isFirst && sent < kind.CompactedTo)
                    {
                        events = [(0, "ERROR", JsonNode.Parse("""{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version","reason":"Expired","code":410}""")!.AsObject())];
                    }
                    else
                    {
                        events = [.. kind.Log.Where(entry => entry.Version > sent && IsSelected(entry.Object, ns, query))];
                    }
                    more = kind.More;
                }
                if (kind.IsSilent)
                {
                    await Task.Delay(Timeout.Infinite, end.Token).ConfigureAwait(false);
                }
                foreach (var (version, type, one) in events)
                {
                    await Send(context, kind, type, type == "ERROR" ? one : Item(kind, one, context), end.Token).ConfigureAwait(false);
                    if (type == "ERROR")
                    {
                        return;
                    }
                    sent = version;
                }
                if (await Task.WhenAny(more, Task.Delay(BookmarkEvery, end.Token)).ConfigureAwait(false) != more)
                {
                    end.Token.ThrowIfCancellationRequested();
                    var bookmark = JsonNode.Parse($$$"""{"kind":"{{{kind.Kind}}}","apiVersion":"{{{kind.ApiVersion}}}","metadata":{"resourceVersion":"{{{now}}}"}}""")!;
                    await Send(context, kind, "BOOKMARK", bookmark.AsObject(), end.Token).ConfigureAwait(false);
                    Interlocked.Increment(ref _bookmarks);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The client is gone, the time is up, or all watches end.
        }
        finally
        {
            _watches.TryRemove(id, out _);
        }
    }

    private static async Task Send(HttpContext context, FakeKind kind, string type, JsonObject one, CancellationToken end)
    {
        await Write(context, kind, Encoding.UTF8.GetBytes($$"""{"type":"{{type}}","object":{{one.ToJsonString()}}}""" + "\n")).ConfigureAwait(false);
        await context.Response.Body.FlushAsync(end).ConfigureAwait(false);
    }

    private static async Task Write(HttpContext context, FakeKind kind, byte[] bytes)
    {
        if (kind.IsHalf)
        {
            await context.Response.Body.WriteAsync(bytes.AsMemory(0, bytes.Length / 2)).ConfigureAwait(false);
            await context.Response.Body.FlushAsync().ConfigureAwait(false);
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(static _ => { }, TaskScheduler.Default).ConfigureAwait(false);
            context.Abort();
            return;
        }
        if (!kind.IsSlow)
        {
            await context.Response.Body.WriteAsync(bytes).ConfigureAwait(false);
            return;
        }
        for (var i = 0; i < bytes.Length; i++)
        {
            await context.Response.Body.WriteAsync(bytes.AsMemory(i, 1)).ConfigureAwait(false);
            await context.Response.Body.FlushAsync().ConfigureAwait(false);
        }
    }

    /// <summary>An object in the form of this request: only its metadata, or without apiVersion and kind.</summary>
    private static JsonObject Item(FakeKind kind, JsonObject one, HttpContext context)
    {
        if (context.Request.Headers.Accept.ToString().Contains("as=PartialObjectMetadata", StringComparison.Ordinal))
        {
            return new JsonObject
            {
                ["kind"] = "PartialObjectMetadata",
                ["apiVersion"] = "meta.k8s.io/v1",
                ["metadata"] = one["metadata"]!.DeepClone(),
            };
        }
        if (kind.Group.Contains('.', StringComparison.Ordinal) && !kind.Group.EndsWith(".k8s.io", StringComparison.Ordinal))
        {
            return one;
        }
        var item = one.DeepClone().AsObject();
        item.Remove("kind");
        item.Remove("apiVersion");
        return item;
    }

    private static bool IsSelected(JsonObject one, string? ns, IQueryCollection query)
    {
        if (ns is not null && (string?)one["metadata"]!["namespace"] != ns)
        {
            return false;
        }
        if (query["fieldSelector"] is [{ } field] && field.Split('=') is ["spec.nodeName", var node] && (string?)one["spec"]?["nodeName"] != node)
        {
            return false;
        }
        if (query["fieldSelector"] is [{ } named] && named.Split('=') is ["metadata.name", var name] && (string?)one["metadata"]!["name"] != name)
        {
            return false;
        }
        if (query["labelSelector"] is [{ } equal] && equal.Split('=') is [var wanted, var value])
        {
            return (string?)one["metadata"]!["labels"]?[wanted] == value;
        }
        if (query["labelSelector"] is [{ } existing] && !existing.Contains(' ', StringComparison.Ordinal))
        {
            return one["metadata"]!["labels"]?[existing] is not null;
        }
        if (query["labelSelector"] is [{ } label])
        {
            var (key, values) = (label[..label.IndexOf(' ', StringComparison.Ordinal)], label[(label.IndexOf('(', StringComparison.Ordinal) + 1)..^1].Split(','));
            return values.Contains((string?)one["metadata"]!["labels"]?[key]);
        }
        return true;
    }

    private static Task Refuse(HttpContext context, int status, string reason, string message)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["kind"] = "Status",
            ["apiVersion"] = "v1",
            ["status"] = "Failure",
            ["message"] = message,
            ["reason"] = reason,
            ["code"] = status,
        }));
    }

    private static X509Certificate2 Certificate(out X509Certificate2 authority)
    {
        var (from, to) = (DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test authority", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        authority = request.CreateSelfSigned(from, to);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        var own = new CertificateRequest("CN=apiserver", key, HashAlgorithmName.SHA256);
        own.CertificateExtensions.Add(names.Build());
        using var signed = own.Create(authority, from, to, RandomNumberGenerator.GetBytes(8));
        using var whole = signed.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }
}
