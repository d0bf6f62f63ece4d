using System.Net;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Keeps the objects of one kind up to date while they are wanted: a list first, then a watch from the version of the
/// list.</summary>
/// <remarks>
/// <code>
///   Idle ──wanted──► Listing ──its version──► Watching ◄─┐ events, bookmarks; the server ends it; an error
///     ▲                 ▲  ◄─┐ an error          │ │  ───┘
///     │                 │  ──┘                   │ │
///       │                 └── 410 Gone, silence, invalid data, another selection
///     └──────────── nothing is wanted ───────────┘
/// </code>
/// Each step ends in a state and a wait (<see cref="Backoff"/>). After any failure, the known objects are kept.
/// </remarks>
internal sealed class KindWatch : IDisposable
{
    private readonly WatchTiming _timing;
    private readonly TimeProvider _time;
    private readonly IObjectSink _sink;
    private readonly KindReader _reader;
    private readonly KindStanding _standing;
    private readonly Backoff _backoff;
    private readonly Waker _waker;
    private readonly Lock _lock = new();
    private volatile KindSelection? _wanted;
    private string? _lastKnown;
    private long? _missingSince;
    private volatile bool _isDefinitionGone;
    private volatile bool _isWaitingForServer;
    private volatile bool _isServerBack;
    private volatile bool _wasWanted;
    private volatile bool _isDenied;

    public KindWatch(ApiConnection api, WatchedKind kind, IObjectSink sink, WatchTiming timing, TimeProvider time, ILogger logger)
    {
        (Kind, _sink, _timing, _time) = (kind, sink, timing, time);
        _reader = new KindReader(api, kind, sink, timing, time);
        _standing = new KindStanding(kind, time, logger);
        _backoff = new Backoff(timing, Random.Shared.NextDouble);
        _waker = new Waker(time);
    }

    public WatchedKind Kind { get; }

    /// <inheritdoc cref="KindStanding.Knowledge"/>
    public Knowledge Knowledge => _standing.Knowledge;

    /// <inheritdoc cref="KindStanding.Trouble"/>
    public string? Trouble => _standing.Trouble;

    /// <inheritdoc cref="KindStanding.IsForbidden"/>
    public bool IsForbidden => _standing.IsForbidden;

    /// <summary>Time since the server last confirmed, by an answer, an event or a bookmark, that all objects are known. If it never did,
    /// time since the kind is wanted.</summary>
    public TimeSpan Age => _standing.Age;

    /// <inheritdoc cref="KindStanding.KeptAt"/>
    public DateTimeOffset? KeptAt => _standing.KeptAt;

    /// <inheritdoc cref="KindStanding.Keep"/>
    public void Keep(DateTimeOffset confirmedAt) => _standing.Keep(confirmedAt);

    /// <summary>The wanted objects of the kind; null for none, and then the kind is not requested.</summary>
    public KindSelection? Wanted => _wanted;

    /// <summary>Whether the wanted objects are known.</summary>
    public bool IsSettled => _wanted is not { } wanted || Knowledge == Knowledge.Absent || (Knowledge == Knowledge.Known && wanted == _standing.Listed);

    /// <summary>Called after <see cref="Knowledge"/>, <see cref="IsSettled"/> or <see cref="Trouble"/> changed.</summary>
    public Action? Changed
    {
        get => _standing.Changed;
        set => _standing.Changed = value;
    }

    /// <summary>Called after an answer (true), or after a failure that may concern all kinds (false).</summary>
    public Action<bool>? Heard { get; set; }

    /// <summary>Whether nothing is known of any kind. Then the waits are shorter.</summary>
    public Func<bool> IsNothingKnown { get; set; } = static () => false;

    /// <summary>Whether this kind, which every cluster has, shows that the server is a cluster's API: it has answered for it, also if it was that
    /// this agent may not read it.</summary>
    public bool IsProof => !Kind.IsCustom && _wanted is not null && !_isDenied && (IsForbidden || Knowledge == Knowledge.Known);

    /// <summary>Whether other kinds show that the server is a cluster's API and works. Only such a server is believed when it says that it does
    /// not have a kind.</summary>
    public Func<bool> IsServerProven { get; set; } = static () => true;

    /// <summary>Records that the server answers again, as another kind has shown. If this one waits for it, it is requested at once.</summary>
    public void ServerCame()
    {
        if (_isWaitingForServer)
        {
            _isServerBack = true;
            _waker.Wake();
        }
    }

    /// <summary>Sets the wanted objects.</summary>
    public void Want(KindSelection? selection)
    {
        lock (_lock)
        {
            if (selection == _wanted)
            {
                return;
            }
            if (_wanted is null)
            {
                _standing.Confirm();
            }
            _wanted = selection;
            _wasWanted |= selection is not null;
        }
        _waker.Wake();
    }

    /// <summary>Records that the definition of the kind was added to the server. The next request is sent at once.</summary>
    public void DefinitionCame()
    {
        _isDefinitionGone = false;
        if (Knowledge == Knowledge.Absent)
        {
            _waker.Wake();
        }
    }

    /// <summary>Records that the definition of the kind was removed from the server, and all of its objects with it.</summary>
    public void DefinitionGone()
    {
        _isDefinitionGone = true;
        _waker.Wake();
    }

    /// <summary>Records that the server has no definition of the kind. It is proof only if all that is known of the kind is what an earlier agent
    /// has kept.</summary>
    public void NotDefined()
    {
        if (KeptAt is not null)
        {
            DefinitionGone();
        }
    }

    public async Task RunAsync(CancellationToken stop)
    {
        _waker.Renew();
        try
        {
            await _waker.Wait(_timing.StartWithin * Random.Shared.NextDouble(), stop).ConfigureAwait(false);
            for (WatchState state = new WatchState.Idle(); ;)
            {
                var interrupt = _waker.Renew();
                _isWaitingForServer = false;
                if (_isServerBack)
                {
                    _isServerBack = false;
                    _backoff.Lasted();
                }
                (state, var wait) = await StepAsync(state.Toward(_wanted), interrupt, stop).ConfigureAwait(false);
                await _waker.Wait(wait, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The caller stopped the watch.
        }
    }

    public void Dispose() => _waker.Dispose();

    private async Task<(WatchState Next, TimeSpan Wait)> StepAsync(WatchState state, CancellationToken interrupt, CancellationToken stop)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, interrupt);
        var begun = _time.GetTimestamp();
        try
        {
            switch (state)
            {
                case WatchState.Listing listing:
                    return (await ListAsync(listing.Of, either.Token).ConfigureAwait(false), TimeSpan.Zero);
                case WatchState.Watching watching:
                    var heard = await WatchAsync(watching, either.Token).ConfigureAwait(false);
                    return (watching, Ended(heard, IsGood(begun)));
                default:
                    if (_wasWanted)
                    {
                        Clear();
                        _standing.Forget();
                    }
                    return (state, Timeout.InfiniteTimeSpan);
            }
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // Other objects are wanted now, or the definition was added or removed. The next step handles it.
            return (state, TimeSpan.Zero);
        }
        catch (Exception e) when (e is ApiException || !stop.IsCancellationRequested)
        {
            return Failed(state, e, IsGood(begun));
        }
    }

    private bool IsGood(long begun) => _time.GetElapsedTime(begun) >= _timing.GoodAfter;

    private async Task<WatchState> ListAsync(KindSelection selection, CancellationToken stop)
    {
        _lastKnown = await _reader.ListAsync(selection, _lastKnown, stop).ConfigureAwait(false);
        Confirm();
        // Before it is heard of: other kinds wait for the proof that this server works.
        _isDenied = false;
        _standing.Know(selection);
        Heard?.Invoke(true);
        return new WatchState.Watching(selection, _lastKnown);
    }

    /// <summary>Watches until the server ends the watch. Returns true if there was an event.</summary>
    private async Task<bool> WatchAsync(WatchState.Watching state, CancellationToken stop)
    {
        await using var events = await _reader.WatchAsync(state.Of, state.From, stop).ConfigureAwait(false);
        _backoff.Opened();
        _isDenied = false;
        Heard?.Invoke(true);
        _standing.IsForbidden = false;
        var first = events.NextAsync();
        if (Trouble is not null && await Task.WhenAny(first, Task.Delay(_timing.GoodAfter, _time, stop)).ConfigureAwait(false) != first)
        {
            _standing.Say(null);   // a watch may be quiet; anything else would have ended or sent something by now
        }
        var heard = await first.ConfigureAwait(false);
        for (var more = heard; more; more = await events.NextAsync().ConfigureAwait(false))
        {
            state.From = _lastKnown = events.Version ?? state.From;
            Confirm();
            _standing.Say(null);
        }
        return heard;
    }

    /// <summary>Returns the wait before the next watch, after the server ended one.</summary>
    private TimeSpan Ended(bool heard, bool wasGood)
    {
        if (wasGood)
        {
            Confirm();
            _backoff.Lasted();
            return TimeSpan.Zero;
        }
        if (heard)
        {
            _backoff.EndedSoon();
        }
        return _backoff.AfterFailure();
    }

    private (WatchState Next, TimeSpan Wait) Failed(WatchState state, Exception failure, bool wasGood)
    {
        switch (failure)
        {
            case ApiException { Status: (int)HttpStatusCode.Gone } when state is WatchState.Watching:
                return (state.Again, wasGood ? _backoff.BeforeList : _backoff.AfterFailure());
            case ApiException { Status: (int)HttpStatusCode.NotFound }:
                return NotThere(state);
            case ApiException e:
                if (wasGood)
                {
                    _backoff.Lasted();
                }
                _standing.IsForbidden = e.Status == (int)HttpStatusCode.Forbidden;
                if (IsForbidden)
                {
                    _isDenied = false;
                    Heard?.Invoke(true);
                }
                if (e.IsServers)
                {
                    // Before the failure is known to anybody: from then on another kind's answer ends the wait.
                    _isWaitingForServer = true;
                    Heard?.Invoke(false);
                }
                _standing.Say(e.Message);
                // A server that was restored to an earlier state sends nothing to a watch from a version that it has not reached yet.
                return (e.IsSilence ? state.Again : state, _backoff.AfterFailure(e.RetryAfter, isKnown: !IsNothingKnown()));
            default:
                // After any failure, the kind is requested again. It starts with a list, because a watch from the same version would send
                // the same invalid data.
                _standing.Say($"the server sent invalid data: {failure.Message.ReplaceLineEndings(" ")}");
                return (state.Again, _backoff.AfterFailure(isKnown: !IsNothingKnown()));
        }
    }

    /// <summary>Handles a server that does not have the kind in this version. It may have it in another version, or not at all.</summary>
    private (WatchState Next, TimeSpan Wait) NotThere(WatchState state)
    {
        if (_reader.TryNextVersion())
        {
            return (state.Again, TimeSpan.Zero);
        }
        if (!Kind.IsCustom || !IsServerProven())
        {
            return NotBelieved(state);
        }
        _missingSince ??= _time.GetTimestamp();
        if ((Knowledge == Knowledge.Known || KeptAt is not null) && !_isDefinitionGone && _time.GetElapsedTime(_missingSince.Value) < _timing.GoneAfter)
        {
            _standing.Say("the server no longer has this kind");
            return (state, _backoff.AfterFailure());
        }
        Clear();
        _standing.Confirm();
        _standing.Say(null);
        _standing.Miss();
        return (state.Again, _backoff.WhileAbsent);
    }

    /// <summary>Handles a server that says of kinds which every cluster has, or of all kinds, that it does not have them: it is another server,
    /// or a proxy that does not reach the cluster's.</summary>
    private (WatchState Next, TimeSpan Wait) NotBelieved(WatchState state)
    {
        _isDenied = true;
        _isWaitingForServer = true;
        Heard?.Invoke(false);
        if (Kind.IsCustom)
        {
            // The proof may have come meanwhile. One that comes later ends the wait.
            return (state.Again, IsServerProven() ? TimeSpan.Zero : _backoff.WhileAbsent);
        }
        _standing.Say("404 Not Found: the server does not have this kind, which every cluster has; it is not a cluster's API, or a proxy does not reach it");
        return (state.Again, _backoff.AfterFailure(isKnown: !IsNothingKnown()));
    }

    private void Clear()
    {
        _sink.Clear();
        (_lastKnown, _isDefinitionGone) = (null, false);
    }

    /// <summary>Records that the server has the kind, and that all of its objects are known.</summary>
    private void Confirm()
    {
        _standing.Confirm();
        _missingSince = null;
    }
}
