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
    /// <summary>Connections after all, in relation to those at a time.</summary>
    private const int MaxRounds = 4;

    /// <summary>So many connections have to hear the far end by itself.</summary>
    private const int LeastSpeaking = 4;

    /// <summary>So many connections have to end at once before they live for long.</summary>
    private const int LeastClosedAtOnce = 3;

    private const int MostRefusals = 10;

    /// <summary>Connections that end by themselves leave no gap to fill: more of them do not make the result more precise.</summary>
    private const int ManyEnds = 10;

    /// <summary>So many connections have to be young enough to fill the gap.</summary>
    private const int Filling = 12;

    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_leastWidth = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_planEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_after = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_once = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan s_contradiction = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_syn = TimeSpan.FromSeconds(4);

    private readonly DiscoverRequest _request;
    private readonly TimeProvider _time;
    private readonly Func<IPEndPoint, IPEndPoint?, IProbeSocket> _connect;
    private readonly long _began;
    private readonly Controls _controls = new();
    private readonly List<ProbedConnection> _idle = [];
    private readonly HashSet<ProbedConnection> _compared = [];
    private readonly HashSet<ProbedConnection> _speaking = [];
    private readonly List<TimeSpan> _farEndIntervals = [];
    private readonly List<TimeSpan> _quietLives = [];
    private readonly List<TimeSpan> _answers = [];
    private readonly HashSet<ProbedConnection> _answered = [];
    private readonly List<(bool Arrived, TimeSpan Idle, TimeSpan Age)> _outside = [];
    private readonly List<TimeSpan> _roundTrips = [];
    private readonly Queue<(TimeSpan At, TimeSpan SincePayload)> _ends = [];
    private readonly Evidence _evidence = new();
    private readonly int _rungs;
    private ProbedConnection? _again;
    private ProbedConnection? _silent;
    private PathChange? _change;
    private PayloadTrial? _trial;
    private TimeSpan _roundTrip;
    private TimeSpan _planned;
    private TimeSpan _observed;
    private TimeSpan _contradictory;
    private TimeSpan _refused;
    private TimeSpan? _changedAt;
    private bool? _opensAnew;
    private bool _isEverOpened;
    private bool _isTriedAgain;
    private bool _isOutlived;
    private bool _speaksAgain;
    private bool _isEnough;
    private TimeSpan _contradicted;
    private bool _lostPackets;
    private int _closedAtOnce;
    private int _refusals;
    private int _opened;
    private int _limit;
    private string? _limited;
    private string? _cut;

    public Discovery(DiscoverRequest request)
        : this(request, TimeProvider.System, ProbeSocket.Connect)
    {
    }

    /// <summary>Creates one with another clock and other sockets.</summary>
    public Discovery(DiscoverRequest request, TimeProvider time, Func<IPEndPoint, IPEndPoint?, IProbeSocket> connect)
    {
        (_request, _time, _connect, _began) = (request, time, connect, time.GetTimestamp());
        (_limit, _rungs) = (request.Connections, Math.Max(2, (request.Connections - 1) * 3 / 8));
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
            return new Outlook(doing, Later(Earlier(until, Deadline) - now, s_second));
        }
    }

    private TimeSpan Precision
    {
        get
        {
            var least = s_leastWidth + (_roundTrip * 2);
            return _evidence.Slack + (Timeout.To is { } to && to * _request.Precision > least ? to * _request.Precision : least);
        }
    }

    private int Live => _idle.Count + _controls.Open.Count;

    /// <summary>How often the far end sends something by itself on idle connections; null if it does not, or not on most.</summary>
    private TimeSpan? FarEndInterval(TimeSpan now)
    {
        if (_speaking.Count < LeastSpeaking)
        {
            return null;
        }
        var every = _farEndIntervals.Order().ElementAt(_farEndIntervals.Count / 2);
        var most = (every * 1.25) + s_second;
        var quiet = _quietLives.Count(life => life > most) + _idle.Count(one => one.Phase == ProbedPhase.Idle && !_speaking.Contains(one) && now - one.OpenedAt > most);
        return _speaking.Count > 2 * quiet ? every : null;
    }

    /// <summary>Measures until it is precise enough, or nothing was forgotten within the longest idle time.</summary>
    /// <param name="progress">Called often, on the same thread.</param>
    /// <param name="stop">Ends it early: the result has what is known by then.</param>
    public Measurement Run(Action<Discovery> progress, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && _cut is null)
        {
            var now = Elapsed;
            Open(now);
            _controls.Poll(() => Elapsed, _roundTrip, Opened, (one, seen) => ControlEnded(one, seen, now));
            FollowControls(now);
            PollIdle();
            PollAgain(now);
            Suspect(now);
            _trial?.Poll(now, _controls.Way(_roundTrip));
            Plan(now);
            Test(now);
            if (IsDone(now) || _isEnough)
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
        foreach (var one in (IEnumerable<ProbedConnection?>)[.. _idle, _again, _silent])
        {
            one?.Dispose();
        }
    }

    private TimeSpan Age(ProbedConnection one, TimeSpan now) => _evidence.Idle(one.SincePacket(now), one.SincePayload(now));

    private void Open(TimeSpan now)
    {
        var isControl = _controls.IsDue(now) && _trial is null && (_controls.Open.Count == 0 || _limit > 3);
        var isTrial = !isControl && _trial?.NeedsConnection == true;
        if (!(isControl || isTrial || IsIdleDue(now)) || (_refusals > 0 && now < _refused + s_second) || !_request.Pace.TryTake())
        {
            return;
        }
        try
        {
            var one = new ProbedConnection(_connect(_request.Remote, null), now, () => Elapsed);
            if (isControl)
            {
                _controls.Add(one);
            }
            else if (isTrial)
            {
                _trial!.Add(one);
            }
            else
            {
                one.Target = Timeout.To is null ? NextRung() : null;
                _idle.Add(one);
            }
            _opened++;
        }
        catch (SocketException e)
        {
            Refused(e.SocketErrorCode, now);
        }
    }

    private bool IsIdleDue(TimeSpan now)
    {
        var opened = _opened - 1;
        var fillers = _request.Connections - 1 - _rungs;
        return _trial is null && opened >= 0 && Live < _limit && _opened < MaxRounds * _request.Connections && _refusals < MostRefusals
            && (Timeout.To is null
                ? opened < _rungs || (opened - _rungs < fillers && now >= TestPlan.Opening(opened - _rungs, fillers, _request.Until))
                : Timeout.Width > Precision && !_evidence.EndThemselves && _idle.Count(one => one.Phase == ProbedPhase.Connecting || (one.Phase == ProbedPhase.Idle && Age(one, now) < Timeout.To)) < Filling);
    }

    /// <summary>The shortest idle time of the ladder that was neither survived nor is waited for; null if there is none.</summary>
    private TimeSpan? NextRung()
    {
        for (var number = 0; number < _rungs; number++)
        {
            var rung = TestPlan.Rung(number, _rungs, _request.Until);
            if (rung > _evidence.Survived.Any + s_leastWidth && !_idle.Exists(one => one.Target is { } target && (target - rung).Duration() < s_leastWidth / 2))
            {
                return rung;
            }
        }
        return null;
    }

    private void Opened(ProbedConnection one)
    {
        (_isEverOpened, _refusals) = (true, 0);
        if (one.RoundTrip is { } trip)
        {
            _roundTrips.Add(trip);
            _roundTrip = _roundTrips.Order().ElementAt(_roundTrips.Count / 2);
        }
        if (_request.Payload.Length > 0)
        {
            one.Send(_request.Payload);
        }
    }

    private void ControlEnded(ProbedConnection one, Observation? end, TimeSpan now)
    {
        if (one.Failure is { } failure)
        {
            Refused(failure, now);
            return;
        }
        if (end is not { } seen || IsClosedAtOnce(one, in seen, now))
        {
            return;
        }
        _evidence.AddControl(in seen);
        _observed = now;
        var since = Earlier(one.HeardAt, seen.At) - s_tick;
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
        if (_evidence.FarEndEvent != _controls.Event)
        {
            _evidence.FarEndEvent = _controls.Event;
        }
        foreach (var one in _controls.Open.Where(one => one.IsControl))
        {
            // A packet that arrives on it also shows that it was known until then.
            var age = one.HeardAt - one.LastPayload is var heard && one.SpokeAfter > heard ? one.SpokeAfter : heard;
            _evidence.ControlAge = age > _evidence.ControlAge ? age : _evidence.ControlAge;
        }
        _lostPackets |= _controls.LostPackets;
        _evidence.IsLossy = _lostPackets;
        var way = _controls.Way(_roundTrip);
        if (way.IsDeaf)
        {
            _idle.FindAll(one => one.Phase == ProbedPhase.Testing).ForEach(one => one.Untest(now));
        }
    }

    private void PollIdle()
    {
        var way = _controls.Way(_roundTrip);
        for (var i = _idle.Count - 1; i >= 0; i--)
        {
            var (one, now) = (_idle[i], Elapsed);
            var wasConnecting = one.Phase == ProbedPhase.Connecting;
            var seen = one.Poll(in way);
            if (wasConnecting && one.Phase == ProbedPhase.Idle)
            {
                if (one.RoundTrip is null && one.OpenedAt - one.BeganAt > s_once)
                {
                    // The first SYN may have passed: it is unknown when a balancer's clock started.
                    one.Abort();
                }
                else
                {
                    Opened(one);
                }
            }
            if (IsLate(one))
            {
                _lostPackets |= one.HasRetransmitted;
                one.Abort();
            }
            if (one.FarEndSpoke >= now)
            {
                _speaking.Add(one);
                _farEndIntervals.Add(one.SpokeAfter);
                _speaksAgain |= one.Spoken > 1;
            }
            if (seen is { } observation && !(one.Phase == ProbedPhase.Ended && IsClosedAtOnce(one, in observation, now)))
            {
                Observe(one, in observation, now);
            }
            Compare(one, now);
            _lostPackets |= one.LostPackets;
            if (one.Phase == ProbedPhase.Ended)
            {
                _idle.RemoveAt(i);
                if (!_speaking.Contains(one))
                {
                    _quietLives.Add(one.Failure is null ? now - one.OpenedAt : TimeSpan.Zero);
                }
                if (one.Failure is { } failure)
                {
                    Refused(failure, now);
                }
                if (one != _silent)
                {
                    one.Dispose();
                }
            }
        }
    }

    /// <summary>Whether payload was lost when it was opened: it is then unknown when a clock started that payload restarts.</summary>
    private bool IsLate(ProbedConnection one)
    {
        if (one.Phase != ProbedPhase.Idle || one.AnsweredAfter is not { } after || !_answered.Add(one))
        {
            return one.Phase == ProbedPhase.Idle && _request.Payload.Length > 0 && one.HasRetransmitted;
        }
        _answers.Add(after);
        // As long as it is not known how long an answer takes, a slow one is taken for one that was lost.
        var usual = _answers.Count > 2 ? _answers.Order().ElementAt(_answers.Count / 2) * 2 : _roundTrip * 4;
        return after > usual + s_leastWidth && after < s_second * 5;
    }

    private void Observe(ProbedConnection one, in Observation seen, TimeSpan now)
    {
        var before = seen.At - s_after;
        if (seen.Answer != IdleAnswer.Alive && _change is null && one.OpenedAt < before && _evidence.IsSafe(seen.SinceAny, seen.SincePayload, before))
        {
            _change = new PathChange(before, now);
        }
        _change?.Observe(one, in seen, _evidence);
        _evidence.Add(in seen);
        (_observed, _planned) = (now, TimeSpan.Zero);
        if (_evidence.IsAfterFarEnd(in seen))
        {
            _compared.Add(one);
            _outside.Add((false, _evidence.IdleAtEvent(in seen), _controls.Event!.Value));
        }
        if (seen.Answer == IdleAnswer.Silent && _silent is null && !_isTriedAgain)
        {
            _silent = one;
        }
        if (seen.EndedByItself)
        {
            EndedAtOnce(in seen, now);
        }
    }

    /// <summary>Nearly all connections ended in one moment, although their ages differ.</summary>
    private void EndedAtOnce(in Observation seen, TimeSpan now)
    {
        _ends.Enqueue((now, seen.SincePayload));
        while (_ends.Peek().At < now - s_once)
        {
            _ends.Dequeue();
        }
        var (least, most) = (_ends.Min(end => end.SincePayload), _ends.Max(end => end.SincePayload));
        if (_ends.Count >= 5 && most - least > s_second + (most * 0.1) && _ends.Count > 4 * _idle.Count(one => one.Phase != ProbedPhase.Ended && one.OpenedAt < now - s_once))
        {
            Changed(now - s_once);
        }
    }

    /// <summary>Whether the far end closes connections as soon as they are open: all, or those beyond a limit.</summary>
    private bool IsClosedAtOnce(ProbedConnection one, in Observation seen, TimeSpan now)
    {
        if (!seen.EndedByItself || now - one.OpenedAt > s_second)
        {
            return false;
        }
        var life = now - one.OpenedAt;
        if (_idle.Concat(_controls.Open).Any(other => other != one && other.Phase is ProbedPhase.Idle or ProbedPhase.Testing && now - other.OpenedAt > (life * 3) + s_leastWidth))
        {
            Limited("the far end closes further connections at once", now);
            return true;
        }
        if (++_closedAtOnce >= LeastClosedAtOnce && _evidence.Survived.Any == TimeSpan.Zero)
        {
            _cut = $"the far end {(seen.Answer == IdleAnswer.ClosedByItself ? "closes" : "resets")} connections at once{(_request.Payload.Length > 0 ? " after the payload" : "")}";
        }
        return _evidence.Survived.Any == TimeSpan.Zero;
    }

    /// <summary>Compares what the far end sent on an idle connection with what it sent on the controls.</summary>
    private void Compare(ProbedConnection one, TimeSpan now)
    {
        if (one is { Phase: ProbedPhase.Ended, CameAfter: { } last } && _compared.Add(one))
        {
            _outside.Add((true, one.CameAfterIdle, last));
        }
        if (!_controls.IsEventConfirmed || _controls.Event is not { } at)
        {
            return;
        }
        foreach (var (arrived, idle, age) in _outside.Where(seen => (seen.Age - at).Duration() < Controls.Late(at)))
        {
            _evidence.AddOutside(arrived, idle);
        }
        _outside.Clear();
        if (_compared.Contains(one))
        {
            return;
        }
        if (one.CameAfter is { } came && (came - at).Duration() < Controls.Late(at))
        {
            _compared.Add(one);
            _evidence.AddOutside(arrived: true, one.CameAfterIdle);
        }
        else if (one.Phase == ProbedPhase.Idle && one.SincePayload(now) > at + Controls.Late(at))
        {
            _compared.Add(one);
            var idle = one.SincePacket(now) - (one.SincePayload(now) - at);
            if (idle > TimeSpan.Zero)
            {
                _evidence.AddOutside(arrived: false, idle);
            }
        }
    }

    /// <summary>Tries a SYN between the ports of a connection that does not answer any more.</summary>
    private void PollAgain(TimeSpan now)
    {
        if (_silent is { Local: { } local } silent && _again is null && _request.Pace.TryTake())
        {
            silent.Abort();
            try
            {
                _again = new ProbedConnection(_connect(_request.Remote, local), now, () => Elapsed);
                _opened++;
            }
            catch (SocketException)
            {
                _silent = null;   // the next one that is silent
            }
        }
        if (_again is { } again)
        {
            again.Poll(default);
            if (again.Phase != ProbedPhase.Connecting || (again.Waited(now) > s_syn + (_roundTrip * 6) && _controls.Way(_roundTrip).IsHeard(now)))
            {
                // Where no new connections can be opened, that one was not answered says nothing.
                _opensAnew = again.Phase == ProbedPhase.Idle ? true : _limited is null ? false : null;
                _isTriedAgain = true;
                again.Abort();
                (_again, _silent) = (null, null);
            }
        }
    }

    /// <summary>Ends it if everything that was open is gone.</summary>
    private void Suspect(TimeSpan now)
    {
        if (_change is null)
        {
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
        (_changedAt, _change, _limited) = (since, null, null);
        _evidence.ForgetSince(since);
        _cut = FormattableString.Invariant($"the way to the far end, or the far end itself, changed after {since.TotalSeconds:0.0} s: all connections were gone at once, whatever their age");
    }

    private void Plan(TimeSpan now)
    {
        if (_evidence.IsOutsideOnly || now - _planned < s_planEvery)
        {
            return;
        }
        _planned = now;
        ProbedConnection[] waiting = [.. _idle.Where(one => one.Phase == ProbedPhase.Idle)];
        if (Timeout.To is not { } most)
        {
            ClimbFurther(waiting, now);
            return;
        }
        var targets = Timeout.Width > Precision
            ? TestPlan.Fill([.. waiting.Select(one => Age(one, now))], Timeout.From, most - _evidence.Slack, Precision - _evidence.Slack)
            : new TimeSpan?[waiting.Length];
        for (var i = 0; i < waiting.Length; i++)
        {
            waiting[i].Target = targets[i];
        }
    }

    /// <summary>If a connection of the ladder could not be opened, others wait for its idle time.</summary>
    private void ClimbFurther(ProbedConnection[] waiting, TimeSpan now)
    {
        if ((_opened <= _rungs && _limited is null) || FarEndInterval(now) is not null || NextRung() is not { } rung)
        {
            return;
        }
        var free = waiting.Where(one => one.Target is null && one.SincePacket(now) < rung).ToList();
        if (free.Count > 0)
        {
            // Few connections take longer steps, or the sum of all would be too long.
            var longer = waiting.Length < 8 ? rung * 1.5 : rung;
            free.MaxBy(one => one.SincePacket(now))!.Target = longer < _request.Until ? longer : _request.Until;
        }
    }

    private void Test(TimeSpan now)
    {
        if (_controls.Way(_roundTrip).IsDeaf)
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
            _cut ??= _trial is null && Timeout.To is not null && !_evidence.IsContradictory ? "time was up" : null;
            return true;
        }
        if (_trial is { } trial)
        {
            _evidence.PayloadCounts = trial.PayloadCounts;
            return trial.IsOver(now);
        }
        if (IsContradictedForLong(now))
        {
            return true;
        }
        if (_change is not null || _idle.Exists(one => one.Phase == ProbedPhase.Testing) || now < _observed + s_after)
        {
            return false;
        }
        if (_controls.Event is { } came && !IsFollowed(came, now))
        {
            return false;
        }
        if (_evidence.IsOutsideOnly)
        {
            _isOutlived = false;
            return true;
        }
        _isOutlived = Outliving(now, (Timeout.To * 1.15) + s_after) > Ended / 5;
        if (!_evidence.IsContradictory && !_isOutlived)
        {
            _contradictory = now;
        }
        else
        {
            return now > _contradictory + s_contradiction;
        }
        if (Timeout.To is not null)
        {
            return IsKnown(now);
        }
        var isUnreachable = _controls.Open.Count == 0 && _idle.Count == 0 && _refusals >= MostRefusals;
        return isUnreachable || (now > _request.Until && !_idle.Exists(one => one.Target is not null) && (NextRung() is null || _idle.Count == 0))
            || (FarEndInterval(now) is { } every && now > every * 4 && _idle.TrueForAll(one => one.Target is null || one.Target > every * 0.9));
    }

    private bool KnowsRefresh => _evidence.IsPayloadOnlyProven || _evidence.ProbesCount || _evidence.FarEndCloses is not null || _controls.IsClockHidden(_evidence.ControlAge);

    private bool KnowsSyn => _evidence.Of(IdleAnswer.Silent) == 0 || _evidence.Of(IdleAnswer.Silent) < _evidence.Of(IdleAnswer.Reset) || _isTriedAgain || _evidence.EndThemselves;

    /// <summary>When it gives up if the observations go on contradicting each other.</summary>
    private TimeSpan ContradictionEnds => _contradicted + s_contradiction + ((Timeout.To ?? default) * 0.25);

    private int Ended => _evidence.Of(IdleAnswer.ClosedByItself) + _evidence.Of(IdleAnswer.ResetByItself);

    /// <summary>How many live longer than others that ended by themselves.</summary>
    private int Outliving(TimeSpan now, TimeSpan? age) => _evidence.EndThemselves
        ? _idle.Count(one => one.Phase == ProbedPhase.Idle && Age(one, now) > age) : 0;

    /// <summary>Other connections must have had the time to receive what the controls received.</summary>
    private bool IsFollowed(TimeSpan came, TimeSpan now) => _controls.IsEventConfirmed
        ? !_idle.Exists(one => one.Phase == ProbedPhase.Idle && !_compared.Contains(one) && one.OpenedAt < TimeSpan.FromSeconds(5) && one.SincePayload(now) < came + Controls.Late(came))
        : _controls.Open.Count == 0 || !_controls.Open.Any(one => one.IsControl && one.SincePayload(now) < came + Controls.Late(came));

    /// <summary>Whether all is known; if payload is to be tried, that begins.</summary>
    private bool IsKnown(TimeSpan now)
    {
        var isPrecise = Timeout.Width <= Precision || ((_opened >= MaxRounds * _request.Connections || _refusals >= MostRefusals) && _idle.TrueForAll(one => one.Target is null))
            || (_evidence.EndThemselves && Ended >= ManyEnds);
        var isEnded = !_evidence.EndThemselves || (Ended >= 3 && Outliving(now, Timeout.To + (s_leastWidth * 2)) <= Ended / 5);
        if (!(isPrecise && isEnded && KnowsRefresh && KnowsSyn))
        {
            return false;
        }
        if (_evidence.IsPayloadOnly && _request.Payload.Length > 0)
        {
            _trial = new PayloadTrial(Timeout, _request.Payload, now);
            return false;
        }
        return true;
    }

    /// <summary>More tests do not resolve a contradiction. A change of the way, or what the far end sends, may explain it.</summary>
    private bool IsContradictedForLong(TimeSpan now)
    {
        if (!_evidence.IsContradictory)
        {
            _contradicted = now;
            return false;
        }
        return _change is null && now > ContradictionEnds && (_controls.Event is not { } came || IsFollowed(came, now));
    }

    private (string? Doing, TimeSpan Until) Next(TimeSpan now)
    {
        if (_trial is { } trial)
        {
            return ("trying if payload restarts the clock", trial.End);
        }
        if (!_isEverOpened)
        {
            return ("waiting for the far end to answer", now + _request.Until);
        }
        if (_controls.Way(_roundTrip).IsDeaf)
        {
            return ("waiting for connections that end by themselves: probes are not answered", Deadline);
        }
        var targets = _idle.Where(one => one.Target is not null).Select(one => now + one.Target!.Value - Age(one, now)).ToList();
        var tested = targets.Append(now).Max() + s_after;
        if (Timeout.To is not { } most)
        {
            return (null, Later(tested, (_opened <= _rungs ? now : TimeSpan.Zero) + _request.Until + s_after));
        }
        if (_evidence.IsContradictory)
        {
            return ("no single timeout explains what was seen", Later(ContradictionEnds, now + s_second));
        }
        var answered = _evidence.Of(IdleAnswer.Silent) > 0 ? _controls.Way(_roundTrip).Silence : TimeSpan.Zero;
        var more = _evidence.IsPayloadOnly && _request.Payload.Length > 0 ? most * 1.6 : TimeSpan.Zero;
        if (Timeout.Width > Precision)
        {
            // Connections that answer nothing halve the gap about once in the time that each takes. If none waits, new ones have to become as old.
            var rounds = Math.Ceiling(Math.Log2(Timeout.Width / Precision));
            return (null, (targets.Count > 0 ? tested : now + most) + (answered * rounds) + more);
        }
        if (!KnowsRefresh)
        {
            var oldest = _controls.Open.Select(one => one.LastPayload).Append(now).Min();
            return ("waiting if probes restart the clock", Later(oldest + (most * 1.05) + (s_after * 2), now) + answered + more);
        }
        return KnowsSyn ? (null, tested + answered + more) : ("trying if a SYN opens the connection again", now + s_syn + s_after + more);
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private void Refused(SocketError error, TimeSpan now)
    {
        if (!_isEverOpened)
        {
            _cut = Words(error);
        }
        else if (_controls.Open.Count == 0 && !_controls.Way(_roundTrip).IsHeard(now) && _change is null && Timeout.To is null && _idle.TrueForAll(one => one.Phase != ProbedPhase.Testing))
        {
            _cut = $"the far end is gone: {Words(error)}";
            _evidence.ForgetSince(_controls.Way(_roundTrip).Heard);
        }
        else if (error == SocketError.TimedOut && !_controls.Way(_roundTrip).IsDeaf && !_controls.Way(_roundTrip).IsHeard(now) && now - _controls.Way(_roundTrip).Heard > s_contradiction)
        {
            _cut = FormattableString.Invariant($"nothing has answered since {_controls.Way(_roundTrip).Heard.TotalSeconds:0.0} s");
            _evidence.ForgetSince(_controls.Way(_roundTrip).Heard);
        }
        else
        {
            Limited(Words(error), now);
        }
    }

    /// <summary>A limit on connections: those that are open have to be enough.</summary>
    private void Limited(string why, TimeSpan now)
    {
        _limit = Math.Max(2, _idle.Concat(_controls.Open).Count(one => one.Phase is ProbedPhase.Idle or ProbedPhase.Testing));
        (_limited, _refused) = (why, now);
        _refusals++;
    }

    private static string Words(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "the connection was refused",
        SocketError.TimedOut => "the connection attempt was not answered",
        SocketError.ConnectionReset => "the connection was reset at once",
        SocketError.HostUnreachable => "there is no route to the host",
        SocketError.NetworkUnreachable => "the network is unreachable",
        SocketError.TooManyOpenSockets => "no descriptor is left (ulimit -n)",
        SocketError.AddressNotAvailable => "no local port is left",
        _ => new SocketException((int)error).Message,
    };

    private static TimeSpan Earlier(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private Measurement Result(string? cut)
    {
        var isContradictory = _evidence.IsContradictory || _isOutlived;
        var isMaximumAge = !isContradictory && _evidence is { IsPayloadOnly: true, PayloadCounts: false };
        var isUnknown = isContradictory || isMaximumAge;
        var way = _controls.Way(_roundTrip);
        return new Measurement
        {
            Request = _request,
            Timeout = isContradictory ? default : isMaximumAge ? new Bracket(_evidence.Survived.Any, null) : Timeout,
            Classes = isUnknown ? [] : _evidence.Classes(_opensAnew),
            Refreshes = isUnknown ? [] : _evidence.IsPayloadOnly ? [Refresh.PayloadOnly] : _evidence.ProbesCount ? [Refresh.AnyPacket, Refresh.PerDirection] : [],
            IsContradictory = isContradictory,
            MaximumAge = isMaximumAge ? _evidence.Ages : null,
            IsPayloadTried = _evidence.PayloadCounts is not null,
            AreProbesAnswered = !way.IsDeaf,
            IsFarEndInTheWay = _evidence.AfterFarEnd > 0 && Timeout.To is null,
            FarEndProbes = FarEndInterval(Elapsed),
            FarEndSpeech = FarEndInterval(Elapsed) is null ? null : FarEndSpeech.Of(_farEndIntervals, _speaksAgain || _controls.IsSpokenToAgain),
            FarEndCloses = _evidence.FarEndCloses,
            ChangedAt = _changedAt,
            Limited = _limited,
            RoundTrip = _roundTrip,
            LostPackets = _lostPackets,
            IsEverOpened = _isEverOpened,
            Connections = _opened,
            Took = Elapsed,
            Cut = cut,
        };
    }
}
