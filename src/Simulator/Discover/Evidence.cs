using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>All observations about one far end, and what follows from them.</summary>
/// <remarks>
/// <para>
/// It is not known at first whether probes restart the balancer's clock. So each observation counts for both possibilities: the idle time
/// since any packet, and the idle time since payload. The wrong one leads to a contradiction: a connection that was probed is forgotten,
/// and one that was quiet for longer is not.
/// </para>
/// <para>
/// Connections that end by themselves are kept apart from those that do not answer: the far end may close them, behind a balancer that
/// forgets others sooner.
/// </para>
/// <para>
/// When the far end sends something first, after an idle time, a balancer that has dropped the connection may reset the far end. The
/// result of a later test is then no measure of the idle time.
/// </para>
/// </remarks>
internal sealed class Evidence
{
    /// <summary>So many packets of the far end have to be missing before a balancer is thought to drop them.</summary>
    private const int LeastMissing = 3;

    /// <summary>So many connections have to end by themselves before that is a rule.</summary>
    private const int LeastEnds = 3;

    /// <summary>So many connections have to be dropped before something else than those that end by themselves explains them.</summary>
    private const int LeastDropped = 2;

    /// <summary>Of a silent connection, whose probes do not restart the clock, the first answers may have been lost, and the next came too late.</summary>
    private static readonly TimeSpan s_lostAnswers = TimeSpan.FromSeconds(1.9);

    private static readonly TimeSpan s_tolerance = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan s_closed = TimeSpan.FromSeconds(0.4);

    /// <summary>The kernel's times have the resolution of its ticks, here and on the balancer.</summary>
    private static readonly TimeSpan s_clock = TimeSpan.FromMilliseconds(20);

    private static readonly TimeSpan s_even = TimeSpan.FromMilliseconds(50);

    private readonly List<Observation> _all = [];
    private readonly List<Observation> _controlEnds = [];
    private readonly List<(bool Arrived, TimeSpan Idle)> _outsideSeen = [];
    private readonly int[] _answers = new int[Enum.GetValues<IdleAnswer>().Length];
    private (Bracket Any, Bracket Payload) _tested, _ended;
    private Bracket _outside;

    /// <summary>The tests of idle connections, as they count.</summary>
    public IReadOnlyList<Observation> Observations => _all;

    /// <summary>The ends of connections that were probed every second.</summary>
    public IReadOnlyList<Observation> ControlEnds => _controlEnds;

    /// <summary>The longest time since payload that a connection survived which was probed every second.</summary>
    public TimeSpan ControlAge { get; set; }

    /// <summary>Something that the far end does by itself at a time since payload; null if nothing was seen.</summary>
    public FarEndEvent? FarEndEvent
    {
        get;
        set
        {
            if (field != value)
            {
                field = value;
                Recount();
            }
        }
    }

    /// <summary>Whether packets are lost.</summary>
    public bool IsLossy
    {
        get;
        set
        {
            if (field != value)
            {
                field = value;
                Recount();
            }
        }
    }

    /// <summary>Tests of connections that did not receive what the far end sent: whether they died of their idle time is unknown.</summary>
    public int AfterFarEnd { get; private set; }

    /// <summary>Packets of the far end that connections which were probed received, and others did not.</summary>
    public int Missing { get; private set; }

    /// <summary>Whether payload restarts the clock, where probes do not; null if that was not tried.</summary>
    public bool? PayloadCounts { get; set; }

    /// <summary>The timeout, as far as it is known.</summary>
    public Bracket Timeout => IsOutsideOnly ? _outside : IsPayloadOnly ? Known.Payload : Known.Any;

    /// <summary>The ages that connections reached, and those at which they had ended.</summary>
    public Bracket Ages
    {
        get
        {
            var (known, ended) = (new List<TimeSpan>(), new List<TimeSpan>());
            foreach (var seen in _all)
            {
                var least = seen.Age - seen.Blur - s_clock;
                if (seen.Answer == IdleAnswer.Alive || (seen.EndedByItself && !IsLossy))
                {
                    known.Add(least);
                }
                if (seen.Answer != IdleAnswer.Alive)
                {
                    ended.Add(seen.Age + seen.Opening + seen.Blur + s_clock);
                }
            }
            if (EndThemselves)
            {
                known.Add(_all.Where(seen => seen.Answer != IdleAnswer.Alive).Min(seen => seen.Age - seen.Blur - s_clock));
            }
            return Bracket.Of(known, ended);
        }
    }

    /// <summary>How much later than a connection was forgotten it may seem to have been.</summary>
    public TimeSpan Slack => EndThemselves || Of(IdleAnswer.Silent) == 0 ? TimeSpan.Zero : IsPayloadOnly && IsLossy ? s_lostAnswers + ProbedConnection.Spread : ProbedConnection.Spread;

    /// <summary>The longest times without any packet and without payload that connections survived.</summary>
    public (TimeSpan Any, TimeSpan Payload) Survived { get; private set; }

    /// <summary>Whether probes do not restart the clock: the times since payload agree with each other, and either those since any packet do
    /// not, or a connection that was probed all the time ended like the others.</summary>
    public bool IsPayloadOnly => !IsOutsideOnly && Known.Payload is { To: { } to } payload && ControlAge <= (to * 1.15) + s_tolerance
        && (HasControlEndedLike(payload) ? !payload.IsContradictory && payload.Overlap <= Known.Any.Overlap + Even + (IsLossy ? s_lostAnswers : TimeSpan.Zero)
            : payload.Overlap <= Even && Known.Any.Overlap > Even + (IsLossy ? s_lostAnswers : TimeSpan.Zero));

    /// <summary>Whether a connection that was probed all the time ended as early as others, and like them: that shows that probes do not restart
    /// the clock.</summary>
    public bool IsPayloadOnlyProven => IsPayloadOnly && HasControlEndedLike(Known.Payload);

    /// <summary>Whether a connection that was probed all the time outlived the timeout.</summary>
    public bool ProbesCount => !IsPayloadOnly && Timeout.To is { } to
        && ControlAge > (FarEndCloses is null ? (to * 1.05) + s_tolerance : (to * 1.02) + s_closed);

    /// <summary>Whether only packets of the far end are dropped: what this end sends makes the connection known again. The same packets must
    /// have arrived on connections that were idle for less: a far end may also treat connections differently.</summary>
    public bool IsOutsideOnly => Missing >= LeastMissing && _outside.From > TimeSpan.Zero && _outside.Overlap <= Even && _tested.Any.To is null
        && Survived.Any > (_outside.To * 1.03) + (5 * s_clock);

    /// <summary>Whether no single timeout explains the observations.</summary>
    public bool IsContradictory => Timeout.IsContradictory || (IsUneven && !EndThemselves) || AreEndsUnexplained;

    /// <summary>Whether connections ended by themselves, neither at a timeout nor when the far end closes all.</summary>
    private bool AreEndsUnexplained => Timeout.To is null && Of(IdleAnswer.ClosedByItself) + Of(IdleAnswer.ResetByItself) >= LeastEnds && FarEndCloses is null;

    /// <summary>Whether connections were dropped after different times, by more than the observations are uncertain.</summary>
    public bool IsUneven => Timeout is { To: { } to } timeout && timeout.Overlap > Even + (to * 0.005) + (IsLossy ? s_tolerance : TimeSpan.Zero);

    /// <summary>The round trip: packets pass a box at any time of it.</summary>
    public TimeSpan RoundTrip { get; set; }

    /// <summary>The time since payload after which the far end closes by itself, although the balancer knows the connection; null if that was
    /// not seen on two connections at different times, or others were closed after other times.</summary>
    public TimeSpan? FarEndCloses => !IsPayloadOnly && FarEndEnd is { } closes
        && _all.Where(seen => seen.EndedByItself).ToList() is var ended && AreAt(ended, closes)
        ? ended.Concat(_controlEnds).Where(seen => seen.EndedByItself && IsAt(seen.SincePayload, closes)).Min(seen => seen.SincePayload) : null;

    /// <summary>Whether connections end by themselves, rather than when they are tested.</summary>
    public bool EndThemselves { get; private set; }

    private TimeSpan Even => s_even + (RoundTrip * 2);

    private (Bracket Any, Bracket Payload) Known => EndThemselves ? _ended : _tested;

    private TimeSpan? FarEndEnd => _controlEnds.Find(end => end.EndedByItself && _controlEnds.Exists(other => other.EndedByItself
        && (other.At - end.At).Duration() > TimeSpan.FromSeconds(1) && IsAt(other.SincePayload, end.SincePayload))) is { EndedByItself: true } found ? found.SincePayload : null;

    public int Of(IdleAnswer answer) => _answers[(int)answer];

    /// <summary>First tests of connections since a time: how many were known after at least an idle time, and how many were dropped after at least
    /// another. Those that were tested before have passed a box that lets them pass.</summary>
    public (int Known, int Dropped) FirstTests(TimeSpan since, TimeSpan known, TimeSpan dropped)
    {
        var isPayloadOnly = IsPayloadOnly;
        var first = _all.Where(seen => seen.IsFirst && seen.At >= since && !IsAfterFarEnd(in seen)).ToList();
        return (first.Count(seen => seen.Answer == IdleAnswer.Alive && (isPayloadOnly ? seen.SincePayload : seen.SinceAny) >= known),
            first.Count(seen => seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent && Most(seen, isPayloadOnly ? static one => one.SincePayload : static one => one.SinceAny, isPayloadOnly) >= dropped));
    }

    /// <summary>Tests within the bracket.</summary>
    public int Within(Bracket bracket)
    {
        var isPayloadOnly = IsPayloadOnly;
        return _all.Count(seen => !seen.EndedByItself && !IsAfterFarEnd(in seen)
            && (isPayloadOnly ? seen.SincePayload : seen.SinceAny) is var idle && idle >= bracket.From && idle <= bracket.To + s_clock);
    }

    /// <summary>Adds an observation of a connection that was left idle.</summary>
    public void Add(in Observation seen)
    {
        _all.Add(seen);
        Recount();
    }

    /// <summary>Adds the end of a connection that was probed every second.</summary>
    public void AddControl(in Observation seen)
    {
        _controlEnds.Add(seen);
        Recount();
    }

    /// <summary>Adds a packet that the far end sent after an idle time.</summary>
    /// <param name="arrived">Whether it arrived. If it did not, connections that are probed received one at the same age.</param>
    /// <param name="idle">The idle time.</param>
    public void AddOutside(bool arrived, TimeSpan idle)
    {
        _outsideSeen.Add((arrived, idle));
        Missing += arrived ? 0 : 1;
        _outside = Bracket.Of([.. _outsideSeen.Where(one => one.Arrived).Select(one => one.Idle)], [.. _outsideSeen.Where(one => !one.Arrived).Select(one => one.Idle)]);
        Recount();
    }

    /// <summary>Removes what was observed after a time: the far end was not there any more, or the way to it was another.</summary>
    public void ForgetSince(TimeSpan at)
    {
        _all.RemoveAll(seen => seen.At >= at);
        _controlEnds.RemoveAll(seen => seen.At >= at);
        Recount();
    }

    /// <summary>Whether a connection must still be known by all that was observed before a time: others survived more, and none was dropped
    /// sooner.</summary>
    public bool IsSafe(TimeSpan sinceAny, TimeSpan sincePayload, TimeSpan before)
    {
        var (any, payload) = (TimeSpan.Zero, TimeSpan.Zero);
        foreach (var seen in _all)
        {
            if (seen.At >= before)
            {
                continue;
            }
            if (seen.Answer == IdleAnswer.Alive)
            {
                any = seen.SinceAny > any ? seen.SinceAny : any;
                payload = seen.SincePayload > payload ? seen.SincePayload : payload;
            }
            else if (sinceAny > (seen.SinceAny - seen.Blur) * 0.9)
            {
                return false;
            }
        }
        return sinceAny < any * 0.9 && sincePayload < payload * 0.9;
    }

    /// <summary>The idle time that counts for the timeout.</summary>
    public TimeSpan Idle(TimeSpan sinceAny, TimeSpan sincePayload) => IsPayloadOnly ? sincePayload : sinceAny;

    /// <summary>The ways to expire that agree with how forgotten connections answered. There are several if they cannot be distinguished, and
    /// none if nothing was forgotten.</summary>
    /// <param name="opensAnew">Whether a SYN between the same ports was answered; null if that was not tried.</param>
    public IReadOnlyList<ExpiryClass> Classes(bool? opensAnew)
    {
        var (reset, silent) = (Of(IdleAnswer.Reset), Of(IdleAnswer.Silent));
        if (IsOutsideOnly)
        {
            return [ExpiryClass.InsideRevives];
        }
        if (Timeout.To is null)
        {
            return [];
        }
        if (EndThemselves)
        {
            return [Of(IdleAnswer.ClosedByItself) >= Of(IdleAnswer.ResetByItself) ? ExpiryClass.FinBoth : ExpiryClass.ResetBoth];
        }
        // Boxes limit how many resets they send. Where packets are lost, those that come by themselves are lost, too.
        ExpiryClass[] resets = [.. reset > 0 ? (ExpiryClass[])[ExpiryClass.ResetOnNextPacket] : [], .. IsLossy && Of(IdleAnswer.ResetByItself) > 0 ? (ExpiryClass[])[ExpiryClass.ResetBoth] : []];
        return silent == 0 || reset > silent * 4 || (IsLossy && reset >= silent) ? resets
            : [.. resets, .. opensAnew switch
            {
                true => (ExpiryClass[])[ExpiryClass.DropUntilSyn],
                false => [ExpiryClass.SilentDrop],
                null => [ExpiryClass.SilentDrop, ExpiryClass.DropUntilSyn],
            }];
    }

    /// <summary>Whether a test was of a connection that was idle when the far end sent something, and did not receive it.</summary>
    public bool IsAfterFarEnd(in Observation seen) => FarEndEvent is { } what && seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent
        && seen.SincePayload > (NextEvent(in seen, what) * 0.98) - (5 * s_clock);

    /// <summary>How long it had been idle when the far end sent something.</summary>
    public TimeSpan IdleAtEvent(in Observation seen) => FarEndEvent is { } what ? seen.SinceAny - (seen.SincePayload - NextEvent(in seen, what)) : default;

    /// <summary>A far end that probes does so again and again; one that greets does so once.</summary>
    private static TimeSpan NextEvent(in Observation seen, FarEndEvent what) => what.IsOnce && seen.Heard.Any(what.IsIt) ? TimeSpan.MaxValue / 2
        : what.IsOnce ? what.After
        : what.After * (Math.Floor((seen.SincePayload - seen.SinceAny + (5 * s_clock)) / what.After) + 1);

    private void Recount()
    {
        Array.Clear(_answers);
        AfterFarEnd = 0;
        List<Observation> counted = [];
        foreach (var seen in _all)
        {
            if (IsAfterFarEnd(in seen))
            {
                AfterFarEnd++;
            }
            else
            {
                counted.Add(seen);
                _answers[(int)seen.Answer]++;
            }
        }
        EndThemselves = DoEndThemselves(counted);
        _tested = (TestedBy(counted, seen => seen.SinceAny, isPayload: false), TestedBy(counted, seen => seen.SincePayload, isPayload: true));
        _ended = (EndedBy(counted, seen => seen.SinceAny, isPayload: false), EndedBy(counted, seen => seen.SincePayload, isPayload: true));
        Survived = (Longest(counted, seen => seen.SinceAny), Longest(counted, seen => seen.SincePayload));
    }

    /// <summary>Connections that end by themselves later than others were found dropped are the far end's: a balancer in between dropped the
    /// others. It hides the end from them, too.</summary>
    private bool DoEndThemselves(List<Observation> counted)
    {
        var (ended, dropped) = (counted.Where(seen => seen.EndedByItself).ToList(), counted.Where(seen => seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent).ToList());
        if (ended.Count + _controlEnds.Count(end => end.EndedByItself) < LeastEnds || ended.Count <= dropped.Count)
        {
            return false;
        }
        var soonest = ended.Min(seen => seen.SincePayload - seen.Blur);
        return !(dropped.Count >= LeastDropped && dropped.Min(seen => seen.SincePayload) < (soonest * 0.97) - (5 * s_clock))
            && (AfterFarEnd + Missing <= (IsLossy ? ended.Count / 2 : ended.Count / 5) || FarEndEnd is not { } closes || !AreAt(ended, closes));
    }

    private Bracket TestedBy(List<Observation> counted, Func<Observation, TimeSpan> idle, bool isPayload) => Bracket.Of(
        [.. counted.Where(seen => seen.Answer == IdleAnswer.Alive || seen.EndedByItself).Select(seen => Least(seen, idle))],
        [.. counted.Where(seen => seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent).Select(seen => Most(seen, idle, isPayload))]);

    private Bracket EndedBy(List<Observation> counted, Func<Observation, TimeSpan> idle, bool isPayload)
    {
        var ends = counted.Where(seen => seen.EndedByItself).ToList();
        List<TimeSpan> known = [.. counted.Where(seen => seen.Answer == IdleAnswer.Alive).Select(seen => Least(seen, idle))];
        if (ends.Count > 0)
        {
            // One that ends by itself was known a moment before. A FIN that was lost comes late, but not all are lost.
            known.AddRange(IsLossy ? [ends.Min(seen => Least(seen, idle))] : ends.Select(seen => Least(seen, idle)));
        }
        return Bracket.Of(known, [.. ends.Select(seen => Most(seen, idle, isPayload))]);
    }

    private static TimeSpan Longest(List<Observation> counted, Func<Observation, TimeSpan> idle) =>
        counted.Where(seen => seen.Answer == IdleAnswer.Alive || seen.EndedByItself).Select(seen => Least(seen, idle)).DefaultIfEmpty(TimeSpan.Zero).Max();

    private static TimeSpan Least(Observation seen, Func<Observation, TimeSpan> idle) => idle(seen) - seen.Blur - s_clock;

    private TimeSpan Most(Observation seen, Func<Observation, TimeSpan> idle, bool isPayload) => idle(seen) + s_clock
        + (!isPayload || !IsLossy ? TimeSpan.Zero : seen.Answer == IdleAnswer.Silent ? s_lostAnswers : seen.EndedByItself ? seen.Late : TimeSpan.Zero);

    /// <summary>Whether a connection that was probed all the time ended at a time of the bracket, in the way in which idle ones did.</summary>
    private bool HasControlEndedLike(Bracket payload) => payload.To is { } to && _controlEnds.Exists(end => IsLike(end.Answer)
        && IsNear(end.SincePayload, payload.From, to, end.Answer == IdleAnswer.ClosedByItself && !IsLossy ? s_closed : s_tolerance));

    private bool IsLike(IdleAnswer control) => EndThemselves
        ? control == (Of(IdleAnswer.ClosedByItself) >= Of(IdleAnswer.ResetByItself) ? IdleAnswer.ClosedByItself : IdleAnswer.ResetByItself)
        : control switch
        {
            IdleAnswer.Silent => Of(IdleAnswer.Silent) > 0 || IsLossy,
            // A reset answers one of the probes of a control.
            IdleAnswer.Reset or IdleAnswer.ResetByItself => Of(IdleAnswer.Reset) > 0,
            _ => false,
        };

    private bool AreAt(List<Observation> ended, TimeSpan closes) => ended.Count(seen => !IsAt(seen.SincePayload, closes)) * 5 <= ended.Count;

    private static bool IsNear(TimeSpan age, TimeSpan least, TimeSpan most, TimeSpan tolerance) => age > (least * 0.95) - tolerance && age < (most * 1.05) + tolerance;

    private bool IsAt(TimeSpan age, TimeSpan other) => IsNear(age, other, other, IsLossy ? s_tolerance : s_closed);
}

/// <summary>Something that the far end does by itself: it sends, or closes.</summary>
/// <param name="After">The time since payload.</param>
/// <param name="IsOnce">Whether it does not do so again on the same connection, as far as is known.</param>
internal sealed record FarEndEvent(TimeSpan After, bool IsOnce)
{
    /// <summary>How much later than on one connection the same may come on another.</summary>
    public TimeSpan Late => (After * 0.05) + TimeSpan.FromSeconds(1);

    /// <summary>Whether something at a time since payload is this.</summary>
    public bool IsIt(TimeSpan after) => (after - After).Duration() < Late;
}
