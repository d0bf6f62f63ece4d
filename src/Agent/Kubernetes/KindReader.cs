using System.Buffers;
using System.Globalization;
using System.Net;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Reads the objects of one kind from the server: a whole list, and the watch that follows it.</summary>
internal sealed class KindReader(ApiConnection api, WatchedKind kind, IObjectSink sink, WatchTiming timing, TimeProvider time)
{
    /// <summary>The maximum number of pieces of a list: some hundred thousand objects.</summary>
    private const int MaxPieces = 1000;

    private int _version;

    private string Version => kind.Versions[_version];

    /// <summary>Selects the next API version, because the server does not have the kind in the current one. Returns false after the
    /// last.</summary>
    public bool TryNextVersion()
    {
        _version = (_version + 1) % kind.Versions.Length;
        return _version > 0;
    }

    /// <summary>Sends all objects to the sink.</summary>
    /// <param name="selection">The objects to list.</param>
    /// <param name="known">The newest known version, because an older list would replace newer objects. Null accepts any version that the
    /// server has in memory.</param>
    /// <param name="stop">Ends the request.</param>
    /// <returns>The version to watch from.</returns>
    /// <exception cref="ApiException">The server refused, was quiet for too long, or did not send a list.</exception>
    public async Task<string> ListAsync(KindSelection selection, string? known, CancellationToken stop)
    {
        var restarts = 0;
        for (var from = known ?? "0"; ;)
        {
            try
            {
                return await ListAsync(selection, from, restarts > 1 ? 0 : timing.ListChunk, stop).ConfigureAwait(false);
            }
            catch (ApiException e) when (e.Status is (int)HttpStatusCode.Gone && restarts < 3)
            {
                // The rest of a list in pieces expired, or the server no longer has the requested version.
                restarts++;
                from = "";
            }
            catch (ApiException e) when (e.Status is (int)HttpStatusCode.BadRequest or (int)HttpStatusCode.GatewayTimeout && from.Length > 0)
            {
                // A server that was restored to an earlier state does not know our version yet.
                from = "";
            }
        }
    }

    /// <summary>Opens a watch.</summary>
    /// <param name="selection">The objects to watch.</param>
    /// <param name="from">The version after which changes are sent.</param>
    /// <param name="stop">Ends the request.</param>
    /// <exception cref="ApiException">The server refused.</exception>
    public async Task<WatchStream> WatchAsync(KindSelection selection, string from, CancellationToken stop)
    {
        var seconds = (int)(timing.WatchFor.TotalSeconds * (1 + Random.Shared.NextDouble()));
        string[] query =
        [
            $"watch=1&allowWatchBookmarks=true&resourceVersion={Uri.EscapeDataString(from)}",
            string.Create(CultureInfo.InvariantCulture, $"timeoutSeconds={Math.Max(1, seconds)}"),
        ];
        var response = await GetAsync(selection, query, "PartialObjectMetadata", stop).ConfigureAwait(false);
        try
        {
            var body = await OpenAsync(response, timing.QuietFor, stop).ConfigureAwait(false);
            return new WatchStream(response, body, sink, kind.ApiVersion(Version));
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <param name="selection">The objects to list.</param>
    /// <param name="from">The oldest version to accept, which the server has in memory; empty for the newest version.</param>
    /// <param name="limit">The number of objects in one piece; 0 for all of them.</param>
    /// <param name="stop">Ends the request.</param>
    private async Task<string> ListAsync(KindSelection selection, string from, int limit, CancellationToken stop)
    {
        sink.BeginList();
        string? more = null;
        for (var pieces = 1; ; pieces++)
        {
            if (pieces > MaxPieces)
            {
                throw new ApiException(0, $"the server's list does not end: {MaxPieces} pieces of it were read");
            }
            var query = new List<string>();
            if (limit > 0)
            {
                query.Add(string.Create(CultureInfo.InvariantCulture, $"limit={limit}"));
            }
            if (more is not null)
            {
                query.Add($"continue={Uri.EscapeDataString(more)}");
            }
            else if (from.Length > 0)
            {
                query.Add($"resourceVersion={Uri.EscapeDataString(from)}&resourceVersionMatch=NotOlderThan");
            }
            using var response = await GetAsync(selection, query, "PartialObjectMetadataList", stop).ConfigureAwait(false);
            await using var body = await OpenAsync(response, timing.ListQuietFor, stop).ConfigureAwait(false);
            var list = await body.ReadListAsync(Take).ConfigureAwait(false);
            more = string.IsNullOrEmpty(list.Continue) ? null : list.Continue;
            if (more is null)
            {
                // What is no list must not replace the known objects.
                var version = list.ResourceVersion is { Length: > 0 } given ? given : throw new ApiException(0, "the server sent a list without a version");
                sink.EndList();
                return version;
            }
        }
    }

    private void Take(in ReadOnlySequence<byte> json) => sink.Take(ApiJson.Named(ApiJson.HeadOf(in json)), kind.ApiVersion(Version), in json);

    private Task<HttpResponseMessage> GetAsync(KindSelection selection, IEnumerable<string> query, string partial, CancellationToken stop) => api.GetAsync(
        selection.Request(kind, Version, query),
        kind.MetadataOnly ? $"application/json;as={partial};g=meta.k8s.io;v=v1,application/json" : "application/json",
        stop);

    private async Task<JsonStream> OpenAsync(HttpResponseMessage response, TimeSpan quietFor, CancellationToken stop) =>
        new(await response.Content.ReadAsStreamAsync(stop).ConfigureAwait(false), quietFor, time, stop);
}
