using System.Net;
using System.Net.Sockets;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>Measures the idle timeout between here and one far end.</summary>
/// <remarks>
/// <para>
/// Connections are opened, left idle for different times and tested by a keepalive probe. If no payload was asked for, nothing is sent but
/// SYNs, acknowledgements, probes and FINs. The first idle times are a ladder, up to the first that is not survived. Connections that are
/// younger then become old enough within the gap, and fill it.
/// </para>
/// <para>
/// Others are probed every second (<see cref="Controls"/>). They tell a balancer that forgets from a far end that is gone, and show whether
/// probes restart the clock. A conclusion that agrees with one observation and not with another is no result: it is "unknown".
/// </para>
/// </remarks>
internal sealed class Discovery : IDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_after = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    /// <summary>A SYN is sent again after 1 and 3 s.</summary>
    private static readonly TimeSpan s_dropped = TimeSpan.FromSeconds(3.5);

    private readonly DiscoverRequest _request;
    private readonly TimeProvider _time;
    private readonly Func<IPEndPoint, IPEndPoint?, IProbeSocket> _connect;
    private readonly long _began;
    private readonly Controls _controls = new();
    private readonly List<ProbedConnection> _idle = [];
    private readonly Handshakes _handshakes;
    private readonly Evidence _evidence = new();
    private readonly EndWatch _ends = new();
    private readonly FarEndMessages _messages;
    private readonly ConnectionBudget _budget;
    private readonly LadderPlan _plan;
    private readonly SamePortTrial _samePorts;
    private readonly Completion _completion;
    private readonly Openings _openings;
    private readonly List<(TimeSpan At, Bracket Timeout)> _narrowing = [];
    private PathChange? _change;
    private PayloadTrial? _trial;
    private TimeSpan _observed;
    private TimeSpan? _doneSince;
    private TimeSpan? _changedAt;
    private bool _isEnough;
    private bool _lostPackets;
    private string? _cut;

    public Discovery(DiscoverRequest request)
        : this(request, TimeProvider.System, ProbeSocket.Connect)
    {
    }

    /// <summary>Creates one with another clock and other sockets.</summary>
    public Discovery(DiscoverRequest request, TimeProvider time, Func<IPEndPoint, IPEndPoint?, IProbeSocket> connect)
    {
        (_request, _time, _connect, _began) = (request, time, connect, time.GetTimestamp());
        (_budget, _messages, _samePorts) = (new ConnectionBudget(request), new FarEndMessages(_evidence), new SamePortTrial(request, connect, () => Elapsed));
        (_handshakes, _plan) = (new Handshakes(request), new LadderPlan(request, _idle, _evidence, _messages));
        _completion = new Completion(request, _idle, _controls, _evidence, _messages, _budget, _plan, _samePorts);
        _openings = new Openings(request, _idle, _controls, _evidence, _handshakes, _budget, _plan);
    }

    /// <summary>The timeout, as far as it is known.</summary>
    public Bracket Timeout => _evidence.Timeout;

    public TimeSpan Elapsed => _time.GetElapsedTime(_began);

    public DiscoverRequest Request => _request;

    /// <summary>When it ends at the latest: the last gap is filled by then, and payload is tried.</summary>
    public TimeSpan Deadline => _trial?.Deadline ?? (_request.Until * 1.4) + TimeSpan.FromSeconds(20);

    /// <summary>Ends it at the next occasion: what is known is enough.</summary>
    public void Finish() => _isEnough = true;

    /// <summary>The current step, and how long all still takes.</summary>
    public Outlook Outlook
    {
        get
        {
            var now = Elapsed;
            var (doing, until) = Next(now);
            return new Outlook(doing, Later((until < Deadline ? until : Deadline) - now, s_second));
        }
    }

    private TimeSpan RoundTrip => _handshakes.RoundTrip;

    private WayState Way => _controls.Way(RoundTrip);

    private int Live => _idle.Count + _controls.Open.Count;

    private IEnumerable<ProbedConnection> All => _idle.Concat(_controls.Open);

    /// <summary>Measures until it is precise enough, or nothing was forgotten within the longest idle time.</summary>
    /// <param name="progress">Called often, on the same thread.</param>
    /// <param name="stop">Ends it early: the result has what is known by then.</param>
    public Measurement Run(Action<Discovery> progress, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var now = Elapsed;
            _openings.Open(_trial, _connect, () => Elapsed);
            _controls.Poll(() => Elapsed, RoundTrip, Opened, (one, seen) => ControlEnded(one, seen, now));
            FollowControls(now);
            PollIdle();
            FollowEnds(now);
            _samePorts.Poll(_budget, Way, now);
            Suspect(now);
            _trial?.Poll(now, Way);
            _plan.Plan(_budget, RoundTrip, now);
            Test(now);
            _cut ??= _openings.Cut;
            if (_cut is not null || IsDone(now) || _isEnough)
            {
                break;
            }
            progress(this);
            Task.Delay(s_tick, _time, CancellationToken.None).GetAwaiter().GetResult();
        }
        return Result(stop.IsCancellationRequested ? "interrupted" : _cut);
    }

    public void Dispose()
    {
        _controls.Dispose();
        _trial?.Dispose();
        _samePorts.Dispose();
        _idle.ForEach(one => one.Dispose());
    }

    private TimeSpan Age(ProbedConnection one, TimeSpan now) => _evidence.Idle(one.SincePacket(now), one.SincePayload(now));

    private void Opened(ProbedConnection one)
    {
        _handshakes.Opened(one);
        _controls.Note(one.OpenedAt);
        _budget.Accept();
    }

    private void ControlEnded(ProbedConnection one, Observation? end, TimeSpan now)
    {
        if (one.Failure is { } failure)
        {
            Refused(failure, now);
            return;
        }
        if (end is { EndedByItself: true } ended)
        {
            _ends.Add(one, in ended);
        }
        else if (end is { } seen)
        {
            ObserveControl(one, in seen, now);
        }
    }

    private void ObserveControl(ProbedConnection one, in Observation seen, TimeSpan now)
    {
        _evidence.AddControl(in seen);
        _observed = now;
        Note(now);
        if (seen.Answer == IdleAnswer.ClosedByItself)
        {
            return;
        }
        var since = (one.HeardAt < seen.At ? one.HeardAt : seen.At) - s_tick;
        if (_change is null)
        {
            _change = new PathChange(since, now);
        }
        if (seen.At >= _change.Since)
        {
            _change.ControlEnded(one.HeardAt);
        }
    }

    private void FollowControls(TimeSpan now)
    {
        (_evidence.FarEndEvent, _evidence.RoundTrip) = (_controls.Event, RoundTrip);
        foreach (var one in _controls.Open.Where(one => one.IsControl))
        {
            // A packet that arrives on it also shows that it was known until then.
            var age = one.HeardAt - one.LastPayload is var heard && one.SpokeAfter > heard ? one.SpokeAfter.Value : heard;
            _evidence.ControlAge = age > _evidence.ControlAge ? age : _evidence.ControlAge;
        }
        _lostPackets |= _controls.LostPackets;
        _evidence.IsLossy = _lostPackets;
        var way = Way;
        if (way.IsDeaf)
        {
            _idle.FindAll(one => one.Phase == ProbedPhase.Testing).ForEach(one => one.Untest(now));
        }
    }

    private void PollIdle()
    {
        var way = Way;
        for (var i = _idle.Count - 1; i >= 0; i--)
        {
            var (one, now) = (_idle[i], Elapsed);
            var wasConnecting = one.Phase == ProbedPhase.Connecting;
            var seen = one.Poll(in way);
            if (wasConnecting && one.Phase == ProbedPhase.Idle)
            {
                if (Handshakes.IsDoubtful(one))
                {
                    one.Abort();
                }
                else
                {
                    Opened(one);
                }
            }
            if (_handshakes.IsLate(one))
            {
                _lostPackets |= one.HasRetransmitted;
                one.Abort();
            }
            var isDropped = one.Phase == ProbedPhase.Connecting && one.Waited(now) > s_dropped + (RoundTrip * 6) && _handshakes.Last < one.BeganAt && way.IsHeard(now);
            if (isDropped)
            {
                // No other was answered since, but those that are open are.
                one.Abort();
                Refused(SocketError.TimedOut, now);
            }
            if (seen is { } observation)
            {
                if (one.Phase == ProbedPhase.Ended && observation.EndedByItself)
                {
                    _ends.Add(one, in observation);
                }
                else
                {
                    Observe(one, in observation, now);
                }
            }
            _messages.Look(one, now);
            _messages.Compare(one, _controls, now);
            _budget.Keep(one, Live, now);
            _lostPackets |= one.LostPackets;
            if (one.Phase == ProbedPhase.Ended)
            {
                _idle.RemoveAt(i);
                if (one.Failure is { } failure)
                {
                    Refused(failure, now);
                }
                if (seen is not { Answer: IdleAnswer.Silent } || !_samePorts.Take(one))
                {
                    one.Dispose();
                }
            }
        }
    }

    /// <summary>Takes notice of connections that ended by themselves, if not everything ended at once.</summary>
    private void FollowEnds(TimeSpan now)
    {
        if (_ends.Change(All, RoundTrip) is { } since)
        {
            Changed(since - s_tick);
            return;
        }
        foreach (var (one, seen) in _ends.Release(All, RoundTrip, now))
        {
            if (_openings.IsClosedAtOnce(one, in seen, now))
            {
            }
            else if (one.IsControl)
            {
                ObserveControl(one, in seen, now);
            }
            else
            {
                Observe(one, in seen, now);
            }
        }
    }

    private void Observe(ProbedConnection one, in Observation seen, TimeSpan now)
    {
        var before = seen.At - s_after;
        if (seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent or IdleAnswer.ResetByItself && _change is null && one.OpenedAt < before && _evidence.IsSafe(seen.SinceAny, seen.SincePayload, before))
        {
            _change = new PathChange(before, now);
        }
        _change?.Observe(one, in seen, _evidence);
        _evidence.Add(in seen);
        _observed = now;
        Note(now);
        _plan.Replan();
        if (seen.Answer == IdleAnswer.Alive)
        {
            _controls.Note(seen.At);
        }
        if (_evidence.IsAfterFarEnd(in seen))
        {
            _messages.NotReceived(one, in seen);
        }
    }

    private void Note(TimeSpan now)
    {
        if (_narrowing.Count == 0 || _narrowing[^1].Timeout != Timeout)
        {
            _narrowing.Add((now, Timeout));
        }
    }

    /// <summary>Ends it if everything that was open is gone.</summary>
    private void Suspect(TimeSpan now)
    {
        if (_change is null)
        {
            return;
        }
        if (_controls.Open.Any(one => one.IsControl && one.OpenedAt < _change.Since && one.HeardAt > _change.Since + (s_after * 1.5)))
        {
            // What was never idle lives on.
            _change = null;
            return;
        }
        _change.Decide(_idle, _evidence, now);
        if (_change.Verdict == true)
        {
            Changed(_change.Since);
        }
        else if (_change.Verdict == false)
        {
            _change = null;
        }
    }

    private void Changed(TimeSpan since)
    {
        (_changedAt, _change) = (since, null);
        _budget.Forgive();
        _evidence.ForgetSince(since);
        _cut = FormattableString.Invariant($"the way to the far end, or the far end itself, changed after {since.TotalSeconds:0.0} s: all connections were gone at once, whatever their age");
    }

    private void Test(TimeSpan now)
    {
        if (Way.IsDeaf)
        {
            return;
        }
        foreach (var one in _idle)
        {
            if (one is { Phase: ProbedPhase.Idle, Target: { } target } && Age(one, now) >= target && one.SincePacket(now) >= TestPlan.Shortest)
            {
                one.Test(now);
            }
        }
    }

    private bool IsDone(TimeSpan now)
    {
        if (now > Deadline)
        {
            _cut ??= _trial is null && (Timeout.To is not null || _completion.IsTooShort(now, Way)) && !_evidence.IsContradictory ? "time was up" : null;
            return true;
        }
        if (_trial is { } trial)
        {
            _evidence.PayloadCounts = trial.PayloadCounts;
            return trial.IsOver(now);
        }
        if (_change is null && !_ends.IsHolding && _completion.IsContradictedForLong(now))
        {
            return true;
        }
        if (_change is not null || _ends.IsHolding || !_completion.IsDone(RoundTrip, now))
        {
            _doneSince = null;
            return false;
        }
        // Where connections end by themselves, the next may always be about to end.
        _doneSince ??= now;
        if (now < _observed + s_after && now < _doneSince + (s_after * 2))
        {
            return false;
        }
        if (Timeout.To is not null && !_evidence.IsContradictory && !_completion.IsOutlived && _evidence.IsPayloadOnly && _request.Payload.Length > 0)
        {
            _trial = new PayloadTrial(Timeout, _request.Payload, now);
            return false;
        }
        return true;
    }

    private (string? Doing, TimeSpan Until) Next(TimeSpan now)
    {
        if (_trial is { } trial)
        {
            return ("trying if payload restarts the clock", trial.End);
        }
        if (!_handshakes.IsAnyOpen)
        {
            return ("waiting for the far end to answer", now + _request.Until);
        }
        var way = Way;
        if (way.IsDeaf)
        {
            return ("waiting for connections that end by themselves: probes are not answered", Deadline);
        }
        var targets = _idle.Where(one => one.Target is not null).Select(one => now + one.Target!.Value - Age(one, now)).ToList();
        var tested = targets.Append(now).Max() + s_after;
        if (Timeout.To is not { } most)
        {
            return (null, Later(tested, (_budget.Opened <= _plan.Rungs ? now : TimeSpan.Zero) + _request.Until + s_after));
        }
        if (_evidence.IsContradictory)
        {
            return ("no single timeout explains what was seen", Later(_completion.ContradictionEnds, now + s_second));
        }
        var answered = _evidence.Of(IdleAnswer.Silent) > 0 ? way.Silence : TimeSpan.Zero;
        var more = _evidence.IsPayloadOnly && _request.Payload.Length > 0 ? most * 1.6 : TimeSpan.Zero;
        if (Timeout.Width > _plan.Precision(RoundTrip))
        {
            // Connections that answer nothing halve the gap about once in the time that each takes. If none waits, new ones have to become as old.
            var rounds = Math.Ceiling(Math.Log2(Timeout.Width / _plan.Precision(RoundTrip)));
            return (null, (targets.Count > 0 ? tested : now + most) + (answered * rounds) + more);
        }
        if (!_completion.KnowsRefresh)
        {
            var oldest = _controls.Open.Select(one => one.LastPayload).Append(now).Min();
            return ("waiting if probes restart the clock", Later(oldest + (most * 1.05) + (s_after * 2), now) + answered + more);
        }
        return _completion.KnowsSyn ? (null, tested + answered + more) : ("trying if a SYN opens the connection again", now + SamePortTrial.Patience + s_after + more);
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private void Refused(SocketError error, TimeSpan now) => _openings.Refused(error, isSettled: !_ends.IsHolding && _change is null, now);

    private Measurement Result(string? cut)
    {
        var isContradictory = _evidence.IsContradictory || _completion.IsOutlived;
        var isMaximumAge = !isContradictory && _evidence is { IsPayloadOnly: true, PayloadCounts: false };
        var isUnknown = isContradictory || isMaximumAge;
        var way = Way;
        return new Measurement
        {
            Request = _request,
            Timeout = isContradictory ? default : isMaximumAge ? new Bracket(_evidence.Survived.Any, null) : Timeout,
            Classes = isUnknown ? [] : _evidence.Classes(_samePorts.OpensAnew),
            Refreshes = isUnknown ? [] : _evidence.IsPayloadOnly ? [Refresh.PayloadOnly] : _evidence.ProbesCount ? [Refresh.AnyPacket, Refresh.PerDirection] : [],
            IsContradictory = isContradictory,
            IsUneven = !isUnknown && _evidence.IsUneven,
            Several = _evidence.IsContradictory && Timeout.Overlap > TimeSpan.Zero ? (Timeout.Longest - Timeout.Overlap, Timeout.Longest) : null,
            MaximumAge = isMaximumAge ? _evidence.Ages : null,
            IsPayloadTried = _evidence.PayloadCounts is not null,
            AreProbesAnswered = !way.IsDeaf,
            IsFarEndInTheWay = _evidence.AfterFarEnd > 0 && Timeout.To is null,
            FarEndProbes = _messages.Interval(_idle, Elapsed),
            FarEndSpeech = _messages.Speech(_idle, Elapsed),
            FarEndSendsPayload = _messages.IsPayload,
            FarEndCloses = isContradictory ? null : _evidence.FarEndCloses,
            ChangedAt = _changedAt,
            Limited = _budget.Limited,
            RoundTrip = RoundTrip,
            LostPackets = _lostPackets,
            IsEverOpened = _handshakes.IsAnyOpen,
            Connections = _budget.Opened,
            Took = Elapsed,
            Observations = [.. _evidence.Observations],
            ControlEnds = [.. _evidence.ControlEnds],
            Narrowing = _narrowing,
            Ladder = [.. Enumerable.Range(0, _plan.Rungs).Select(rung => TestPlan.Rung(rung, _plan.Rungs, _request.Until))],
            Cut = cut,
        };
    }
}
