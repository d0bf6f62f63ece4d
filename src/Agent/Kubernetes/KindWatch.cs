using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Keepalive.Agent.Log;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>What is known of the objects of a kind.</summary>
internal enum Knowledge
{
    /// <summary>Nothing yet.</summary>
    None,

    /// <summary>All of them.</summary>
    Known,

    /// <summary>The server has no such kind.</summary>
    Absent,
}

/// <summary>Keeps the objects of one kind as the server has them: a list, then a watch from there on, for as long as it is wanted.</summary>
/// <remarks>
/// <code>
///            ┌──────────── wait (backoff, jitter) ◄─────────── any failure
///            ▼                                                     │
///   list, in pieces ──► resourceVersion ──► watch ──► events ──────┤
///            ▲                                 ▲        bookmarks  │
///            │                                 └───────────────────┤ the server ends it, or it went quiet
///            └──────────────── 410 Gone ◄──────────────────────────┘
/// </code>
/// Whatever goes wrong, what was known stays known.
/// </remarks>
internal sealed partial class KindWatch(
    ApiConnection api, WatchedKind kind, IObjectSink sink, WatchTiming timing, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>Of a list: some hundred thousand objects.</summary>
    private const int MostPieces = 1000;

    /// <summary>Times in a row that a server may say it is busy, and until when, before it is asked less and less often all the same.</summary>
    private const int MostBusy = 10;

    /// <summary>Watches in a row that ended soon and said something, after which the wait grows no more.</summary>
    private const int MostShortWatches = 3;

    private const int Forbidden = 403;
    private const int NotFound = 404;
    private const int Gone = 410;

    private readonly Lock _lock = new();
    private CancellationTokenSource _interrupt = new();
    private Selection? _selection;
    private Selection? _listed;
    private string? _resourceVersion;
    private string? _lastKnown;
    private int _version;
    private int _failures;
    private int _busy;
    private long? _missingSince;
    private bool _definitionGone;
    private string? _trouble;
    private long _confirmedAt = time.GetTimestamp();
    private volatile Knowledge _knowledge;
    private volatile bool _isForbidden;

    /// <param name="Namespace">The only namespace to look into; null is all of them.</param>
    /// <param name="Query">What else to ask for, such as <c>fieldSelector=…</c>; empty is all.</param>
    public sealed record Selection(string? Namespace, string Query)
    {
        public static Selection All { get; } = new(null, "");
    }

    public WatchedKind Kind => kind;

    public Knowledge Knowledge => _knowledge;

    /// <summary>Why nothing can be heard of the kind now; null where all is well.</summary>
    public string? Trouble => _trouble;

    /// <summary>Whether the server has last said that this agent may not see the kind: waiting will not change that.</summary>
    public bool IsForbidden => _isForbidden;

    /// <summary>What is wanted of the kind; null is nothing, and it is not asked for.</summary>
    public Selection? Wanted => _selection;

    /// <summary>Whether what is known is what is wanted.</summary>
    public bool IsSettled => _selection is null || _knowledge == Knowledge.Absent || (_knowledge == Knowledge.Known && ReferenceEquals(_listed, _selection));

    /// <summary>Time since the server last said, by an answer, an event or a bookmark, that what is known is all there is; where it never did, since
    /// the kind is wanted.</summary>
    public TimeSpan Age => time.GetElapsedTime(Volatile.Read(ref _confirmedAt));

    /// <summary>Told when <see cref="Knowledge"/>, <see cref="IsSettled"/> or <see cref="Trouble"/> changed.</summary>
    public Action? Changed { get; set; }

    /// <summary>Says what is wanted from now on.</summary>
    public void Want(Selection? selection)
    {
        lock (_lock)
        {
            if (Equals(selection, _selection))
            {
                return;
            }
            if (_selection is null)
            {
                Volatile.Write(ref _confirmedAt, time.GetTimestamp());
            }
            _selection = selection;
        }
        Interrupt();
    }

    /// <summary>The kind has just come to the server: it need not be waited for.</summary>
    public void DefinitionCame()
    {
        _definitionGone = false;
        if (_knowledge == Knowledge.Absent)
        {
            Interrupt();
        }
    }

    /// <summary>The kind has been taken off the server, and all of its objects with it.</summary>
    public void DefinitionGone()
    {
        _definitionGone = true;
        Interrupt();
    }

    public async Task RunAsync(CancellationToken stop)
    {
        lock (_lock)
        {
            _interrupt = new CancellationTokenSource();
        }
        try
        {
            await Wait(timing.StartWithin * Random.Shared.NextDouble(), stop).ConfigureAwait(false);
            while (!stop.IsCancellationRequested)
            {
                await StepAsync(stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Told to.
        }
    }

    public void Dispose() => _interrupt.Dispose();

    private async Task StepAsync(CancellationToken stop)
    {
        CancellationTokenSource interrupt;
        Selection? selection;
        lock (_lock)
        {
            if (_interrupt.IsCancellationRequested)
            {
                _interrupt = new CancellationTokenSource();
            }
            (interrupt, selection) = (_interrupt, _selection);
        }
        if (selection is null)
        {
            Forget();
            await Wait(Timeout.InfiniteTimeSpan, stop).ConfigureAwait(false);
            return;
        }
        using var both = CancellationTokenSource.CreateLinkedTokenSource(stop, interrupt.Token);
        var begun = time.GetTimestamp();
        try
        {
            if (_resourceVersion is null || !ReferenceEquals(selection, _listed))
            {
                await ListAsync(selection, both.Token).ConfigureAwait(false);
                begun = time.GetTimestamp();
            }
            var heard = await WatchAsync(selection, both.Token).ConfigureAwait(false);
            if (IsGood(begun))
            {
                Confirm();
                _failures = 0;
            }
            else
            {
                // A proxy that lets something through and hangs up, again and again, is asked less often, but not as seldom as one that fails.
                _failures = heard ? Math.Min(_failures, MostShortWatches) : _failures;
                await WaitAfterFailure(null, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // Something else is wanted now, or the kind has come or gone: the next step does it.
        }
        catch (ApiException e) when (e.Status == Gone)
        {
            _resourceVersion = null;
            await (IsGood(begun) ? Wait(timing.Backoff * Random.Shared.NextDouble(), stop) : WaitAfterFailure(null, stop)).ConfigureAwait(false);
        }
        catch (ApiException e) when (e.Status == NotFound)
        {
            await NotThere(stop).ConfigureAwait(false);
        }
        catch (ApiException e)
        {
            if (e.IsSilence)
            {
                // A server that was set back to an earlier state says nothing to who watches from a version it has not come to yet.
                _resourceVersion = null;
            }
            _failures = IsGood(begun) ? 0 : _failures;
            _isForbidden = e.Status == Forbidden;
            Say(e.Message);
            await WaitAfterFailure(e.RetryAfter, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            // Whatever the server sends, the kind is asked for again; and what cannot be read would come again from the same place.
            _resourceVersion = null;
            Say($"what the server sent makes no sense: {e.Message.ReplaceLineEndings(" ")}");
            await WaitAfterFailure(null, stop).ConfigureAwait(false);
        }
    }

    private bool IsGood(long begun) => time.GetElapsedTime(begun) >= timing.GoodAfter;

    private async Task ListAsync(Selection selection, CancellationToken stop)
    {
        var restarts = 0;
        for (var version = _lastKnown ?? "0"; ;)
        {
            try
            {
                var listed = await ListAsync(selection, version, restarts > 1 ? 0 : timing.ListChunk, stop).ConfigureAwait(false);
                (_resourceVersion, _lastKnown, _listed) = (listed, listed, selection);
                Confirm();
                Know(Knowledge.Known);
                return;
            }
            catch (ApiException e) when (e.Status is Gone && restarts < 3)
            {
                // The rest of a list in pieces that took too long, or a version that the server no longer has.
                restarts++;
                version = "";
            }
            catch (ApiException e) when (e.Status is 400 or 504 && version.Length > 0)
            {
                // A server that was set back to an earlier state does not know of our version yet.
                version = "";
            }
        }
    }

    /// <param name="selection">What to list.</param>
    /// <param name="from">The list may be as old as this version, which the server has in memory; empty is the newest there is.</param>
    /// <param name="limit">Objects in one piece; 0 is all of them.</param>
    /// <param name="stop">Ends it.</param>
    private async Task<string> ListAsync(Selection selection, string from, int limit, CancellationToken stop)
    {
        const string partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
        sink.BeginList();
        string? more = null;
        for (var pieces = 1; ; pieces++)
        {
            if (pieces > MostPieces)
            {
                throw new ApiException(0, $"the server's list does not end: {MostPieces} pieces of it were read");
            }
            var query = new List<string>();
            if (selection.Query.Length > 0)
            {
                query.Add(selection.Query);
            }
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
            using var response = await api.GetAsync(Path(selection, query), kind.MetadataOnly ? partial : "application/json", stop).ConfigureAwait(false);
            await using var body = new JsonStream(
                await response.Content.ReadAsStreamAsync(stop).ConfigureAwait(false), timing.QuietFor, time, stop);
            var list = await body.ReadListAsync((in ReadOnlySequence<byte> json) => Take(in json)).ConfigureAwait(false);
            more = string.IsNullOrEmpty(list.Continue) ? null : list.Continue;
            if (more is null)
            {
                sink.EndList();
                return list.ResourceVersion is { Length: > 0 } version ? version : throw new ApiException(0, "the server sent a list without a version");
            }
        }
    }

    /// <summary>Watches until the server ends it; true where it said anything.</summary>
    private async Task<bool> WatchAsync(Selection selection, CancellationToken stop)
    {
        const string partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        var seconds = (int)(timing.WatchFor.TotalSeconds * (1 + Random.Shared.NextDouble()));
        var query = new List<string>
        {
            $"watch=1&allowWatchBookmarks=true&resourceVersion={Uri.EscapeDataString(_resourceVersion!)}",
            string.Create(CultureInfo.InvariantCulture, $"timeoutSeconds={Math.Max(1, seconds)}"),
        };
        if (selection.Query.Length > 0)
        {
            query.Add(selection.Query);
        }
        using var response = await api.GetAsync(Path(selection, query), kind.MetadataOnly ? partial : "application/json", stop).ConfigureAwait(false);
        await using var body = new JsonStream(await response.Content.ReadAsStreamAsync(stop).ConfigureAwait(false), timing.QuietFor, time, stop);
        (_busy, _isForbidden) = (0, false);
        var first = body.ReadLineAsync((in ReadOnlySequence<byte> line) => Event(in line));
        if (_trouble is not null && await Task.WhenAny(first, Task.Delay(timing.GoodAfter, time, stop)).ConfigureAwait(false) != first)
        {
            Say(null);   // nothing has to happen; what is no watch would have ended or said something else by now
        }
        var heard = await first.ConfigureAwait(false);
        for (var more = heard; more; more = await body.ReadLineAsync((in ReadOnlySequence<byte> line) => Event(in line)).ConfigureAwait(false))
        {
            Confirm();
            Say(null);
        }
        return heard;
    }

    private void Event(in ReadOnlySequence<byte> line)
    {
        if (line.IsEmpty)
        {
            return;
        }
        var (type, json) = WatchEvent.Read(in line);
        switch (type)
        {
            case "ADDED" or "MODIFIED" or "DELETED" or "BOOKMARK":
                var text = new Utf8JsonReader(json, ApiJson.Reading);
                var head = JsonSerializer.Deserialize(ref text, ApiJsonContext.Default.ApiObject)?.Metadata;
                if (type == "DELETED")
                {
                    sink.Remove(Named(head));
                }
                else if (type != "BOOKMARK")
                {
                    sink.Take(Named(head), kind.ApiVersion(Version), in json);
                }
                if (head?.ResourceVersion is { Length: > 0 } version)
                {
                    _resourceVersion = _lastKnown = version;
                }
                break;
            case "ERROR":
                var status = ApiJson.StatusOf(json.ToArray());
                throw new ApiException(status?.Code ?? (status?.Reason is "Expired" or "Gone" ? Gone : 0), status?.Message ?? "the watch failed");
            default:
                throw new JsonException($"an event of type {type ?? "none"}");
        }
    }

    private void Take(in ReadOnlySequence<byte> json)
    {
        var text = new Utf8JsonReader(json, ApiJson.Reading);
        sink.Take(Named(JsonSerializer.Deserialize(ref text, ApiJsonContext.Default.ApiObject)?.Metadata), kind.ApiVersion(Version), in json);
    }

    private static ApiMetadata Named(ApiMetadata? head) => head is { Name.Length: > 0 } ? head : throw new JsonException("an object without a name");

    private string Version => kind.Versions[_version];

    private string Path(Selection selection, List<string> query)
    {
        var path = kind.Path(Version);
        if (selection.Namespace is { } ns)
        {
            path = $"{path[..^kind.Plural.Length]}namespaces/{ns}/{kind.Plural}";
        }
        return $"{path}?{string.Join('&', query)}";
    }

    /// <summary>The server has no such kind in this version: there may be another version, or none at all.</summary>
    private async Task NotThere(CancellationToken stop)
    {
        if (_version + 1 < kind.Versions.Length)
        {
            _version++;
            _resourceVersion = null;
            return;
        }
        _version = 0;
        _missingSince ??= time.GetTimestamp();
        if (_knowledge != Knowledge.Known || _definitionGone || time.GetElapsedTime(_missingSince.Value) >= timing.GoneAfter)
        {
            Forget();
            Confirm(missing: true);
            Say(null);
            Know(Knowledge.Absent);
            await Wait(Jittered(timing.LookForAbsent), stop).ConfigureAwait(false);
            return;
        }
        Say("the server has no such kind any more");
        await WaitAfterFailure(null, stop).ConfigureAwait(false);
    }

    private void Forget()
    {
        sink.Clear();
        (_resourceVersion, _lastKnown, _listed, _definitionGone) = (null, null, null, false);
        if (_selection is null)
        {
            Know(Knowledge.None);
        }
    }

    private void Confirm(bool missing = false)
    {
        Volatile.Write(ref _confirmedAt, time.GetTimestamp());
        if (!missing)
        {
            _missingSince = null;
        }
    }

    private void Know(Knowledge knowledge)
    {
        _knowledge = knowledge;
        Changed?.Invoke();
    }

    private void Say(string? trouble)
    {
        if (trouble == _trouble)
        {
            return;
        }
        _trouble = trouble;
        if (trouble is not null)
        {
            LogTrouble(kind.ToString(), trouble, _knowledge == Knowledge.None ? "nothing is known of them yet" : "what is known of them stays in force");
        }
        else
        {
            LogRecovered(kind.ToString());
        }
        Changed?.Invoke();
    }

    /// <summary>Waits longer after each failure; or as long as a server that is busy asks for, as long as it does not ask again and again.</summary>
    private Task WaitAfterFailure(TimeSpan? asked, CancellationToken stop)
    {
        if (asked is { } least && least < TimeSpan.FromMinutes(10) && _busy++ < MostBusy)
        {
            return Wait(least + (Larger(least, timing.Backoff) * Random.Shared.NextDouble()), stop);
        }
        var wait = timing.Backoff * Math.Pow(2, Math.Min(_failures++, 20));
        wait = Jittered(wait < timing.LongestBackoff ? wait : timing.LongestBackoff);
        return Wait(asked is { } more && more > wait && more < TimeSpan.FromMinutes(10) ? Jittered(more) + (more / 2) : wait, stop);
    }

    private static TimeSpan Larger(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private static TimeSpan Jittered(TimeSpan wait) => wait * (0.5 + Random.Shared.NextDouble());

    /// <summary>Waits, but not when something else is wanted.</summary>
    private async Task Wait(TimeSpan span, CancellationToken stop)
    {
        CancellationTokenSource interrupt;
        lock (_lock)
        {
            interrupt = _interrupt;
        }
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, interrupt.Token);
        try
        {
            await Task.Delay(span, time, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The next step sees why.
        }
    }

    private void Interrupt()
    {
        lock (_lock)
        {
            _interrupt.Cancel();
        }
    }

    [LoggerMessage(EventIds.KubernetesTrouble, LogLevel.Warning, "Kubernetes: {Kind} cannot be read: {Reason}; {Consequence}")]
    private partial void LogTrouble(string kind, string reason, string consequence);

    [LoggerMessage(EventIds.KubernetesRecovered, LogLevel.Information, "Kubernetes: {Kind} are read again")]
    private partial void LogRecovered(string kind);
}
