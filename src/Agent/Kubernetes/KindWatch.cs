using System.Net;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Keeps the objects of one kind as the server has them: a list, then a watch from there on, for as long as it is wanted.</summary>
/// <remarks>
/// <code>
///   Idle ──wanted──► Listing ──its version──► Watching ◄─┐ events, bookmarks; the server ends it; an error
///     ▲                 ▲  ◄─┐ an error          │ │  ───┘
///     │                 │  ──┘                   │ │
///     │                 └── 410 Gone, silence, nonsense, another selection
///     └──────────── nothing is wanted ───────────┘
/// </code>
/// Each step ends in a state and a wait (<see cref="Backoff"/>). Whatever goes wrong, what was known stays known.
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

    /// <summary>Time since the server last said, by an answer, an event or a bookmark, that what is known is all there is; where it never did, since
    /// the kind is wanted.</summary>
    public TimeSpan Age => _standing.Age;

    /// <summary>What is wanted of the kind; null is nothing, and it is not asked for.</summary>
    public KindSelection? Wanted => _wanted;

    /// <summary>Whether what is known is what is wanted.</summary>
    public bool IsSettled => _wanted is not { } wanted || Knowledge == Knowledge.Absent || (Knowledge == Knowledge.Known && wanted == _standing.Listed);

    /// <summary>Told when <see cref="Knowledge"/>, <see cref="IsSettled"/> or <see cref="Trouble"/> changed.</summary>
    public Action? Changed
    {
        get => _standing.Changed;
        set => _standing.Changed = value;
    }

    /// <summary>Says what is wanted from now on.</summary>
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
        }
        _waker.Wake();
    }

    /// <summary>The kind has just come to the server: it need not be waited for.</summary>
    public void DefinitionCame()
    {
        _isDefinitionGone = false;
        if (Knowledge == Knowledge.Absent)
        {
            _waker.Wake();
        }
    }

    /// <summary>The kind has been taken off the server, and all of its objects with it.</summary>
    public void DefinitionGone()
    {
        _isDefinitionGone = true;
        _waker.Wake();
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
                (state, var wait) = await StepAsync(state.Toward(_wanted), interrupt, stop).ConfigureAwait(false);
                await _waker.Wait(wait, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Told to.
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
                    Clear();
                    _standing.Forget();
                    return (state, Timeout.InfiniteTimeSpan);
            }
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // Something else is wanted now, or the kind has come or gone: the next step does it.
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
        _standing.Know(selection);
        return new WatchState.Watching(selection, _lastKnown);
    }

    /// <summary>Watches until the server ends it; true where it said anything.</summary>
    private async Task<bool> WatchAsync(WatchState.Watching state, CancellationToken stop)
    {
        await using var events = await _reader.WatchAsync(state.Of, state.From, stop).ConfigureAwait(false);
        _backoff.Opened();
        _standing.IsForbidden = false;
        var first = events.NextAsync();
        if (Trouble is not null && await Task.WhenAny(first, Task.Delay(_timing.GoodAfter, _time, stop)).ConfigureAwait(false) != first)
        {
            _standing.Say(null);   // nothing has to happen; what is no watch would have ended or said something else by now
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

    /// <summary>The server ended a watch: returns the wait before the next.</summary>
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
            case ApiException { Status: (int)HttpStatusCode.Gone }:
                return (state.Again, wasGood ? _backoff.BeforeList : _backoff.AfterFailure());
            case ApiException { Status: (int)HttpStatusCode.NotFound }:
                return NotThere(state);
            case ApiException e:
                if (wasGood)
                {
                    _backoff.Lasted();
                }
                _standing.IsForbidden = e.Status == (int)HttpStatusCode.Forbidden;
                _standing.Say(e.Message);
                // A server that was set back to an earlier state says nothing to who watches from a version it has not come to yet.
                return (e.IsSilence ? state.Again : state, _backoff.AfterFailure(e.RetryAfter));
            default:
                // Whatever the server sends, the kind is asked for again; and what cannot be read would come again from the same place.
                _standing.Say($"the server sent invalid data: {failure.Message.ReplaceLineEndings(" ")}");
                return (state.Again, _backoff.AfterFailure());
        }
    }

    /// <summary>The server has no such kind in this version: there may be another version, or none at all.</summary>
    private (WatchState Next, TimeSpan Wait) NotThere(WatchState state)
    {
        if (_reader.TryNextVersion())
        {
            return (state.Again, TimeSpan.Zero);
        }
        _missingSince ??= _time.GetTimestamp();
        if (Knowledge == Knowledge.Known && !_isDefinitionGone && _time.GetElapsedTime(_missingSince.Value) < _timing.GoneAfter)
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

    private void Clear()
    {
        _sink.Clear();
        (_lastKnown, _isDefinitionGone) = (null, false);
    }

    /// <summary>The server has the kind, and what is known of it is all there is.</summary>
    private void Confirm()
    {
        _standing.Confirm();
        _missingSince = null;
    }
}
