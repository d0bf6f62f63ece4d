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

    /// <summary>Of a silent connection, whose probes do not restart the clock, the first answers may have been lost, and the next came too late.</summary>
    private static readonly TimeSpan s_lostAnswers = TimeSpan.FromSeconds(1.9);

    private static readonly TimeSpan s_tolerance = TimeSpan.FromSeconds(1.5);

    /// <summary>The kernel's times have the resolution of its ticks, here and on the balancer.</summary>
    private static readonly TimeSpan s_clock = TimeSpan.FromMilliseconds(20);

    private readonly List<Observation> _all = [];
    private readonly List<Observation> _controlEnds = [];
    private readonly int[] _answers = new int[Enum.GetValues<IdleAnswer>().Length];
    private (Bracket Any, Bracket Payload) _tested, _ended;
    private (TimeSpan Any, TimeSpan Payload)? _soonest;
    private Bracket _outside;
    private int _missing;

    /// <summary>The longest time since payload that a connection survived which was probed every second.</summary>
    public TimeSpan ControlAge { get; set; }

    /// <summary>The time since payload after which the far end sends something or closes by itself; null if that was not seen.</summary>
    public TimeSpan? FarEndEvent
    {
        get;
        set
        {
            field = value;
            Recount();
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

    /// <summary>Whether payload restarts the clock, where probes do not; null if that was not tried.</summary>
    public bool? PayloadCounts { get; set; }

    /// <summary>The timeout, as far as it is known.</summary>
    public Bracket Timeout => IsOutsideOnly ? _outside : IsPayloadOnly ? Known.Payload : Known.Any;

    /// <summary>The ages that connections reached, and those at which they had ended.</summary>
    public Bracket Ages
    {
        get
        {
            var ages = default(Bracket);
            TimeSpan? soonest = null;
            foreach (var seen in _all)
            {
                var least = seen.Age - seen.Blur - s_clock;
                if (seen.Answer == IdleAnswer.Alive || (seen.EndedByItself && !IsLossy))
                {
                    ages = ages.Survived(least);
                }
                if (seen.Answer != IdleAnswer.Alive)
                {
                    ages = ages.Forgotten(seen.Age + seen.Opening + seen.Blur + s_clock);
                    soonest = soonest is { } before ? Shorter(least, before) : least;
                }
            }
            return EndThemselves && soonest is { } first ? ages.Survived(first) : ages;
        }
    }

    /// <summary>How much later than a connection was forgotten it may seem to have been.</summary>
    public TimeSpan Slack => EndThemselves || Of(IdleAnswer.Silent) == 0 ? TimeSpan.Zero : IsPayloadOnly && IsLossy ? s_lostAnswers + ProbedConnection.Spread : ProbedConnection.Spread;

    /// <summary>The longest times without any packet and without payload that connections survived.</summary>
    public (TimeSpan Any, TimeSpan Payload) Survived => (_tested.Any.Least, _tested.Payload.Least);

    /// <summary>Whether probes do not restart the clock.</summary>
    public bool IsPayloadOnly => !IsOutsideOnly && Known.Payload is { IsContradictory: false, To: { } to } payload
        && ControlAge <= (to * 1.15) + s_tolerance
        && (Known.Any.IsContradictory || _controlEnds.Exists(end => IsNear(end.SincePayload, payload.From, to)));

    /// <summary>Whether a connection that was probed all the time ended as early as others: that shows that probes do not restart the clock.</summary>
    public bool IsPayloadOnlyProven => IsPayloadOnly && Known.Payload is { To: { } to } payload && _controlEnds.Exists(end => IsNear(end.SincePayload, payload.From, to));

    /// <summary>Whether a connection that was probed all the time outlived the timeout.</summary>
    public bool ProbesCount => !IsPayloadOnly && Timeout.To is { } to && ControlAge > (to * 1.05) + s_tolerance;

    /// <summary>Whether only packets of the far end are dropped: what this end sends makes the connection known again. The same packets must
    /// have arrived on connections that were idle for less: a far end may also treat connections differently.</summary>
    public bool IsOutsideOnly => _missing >= LeastMissing && _outside.Least > TimeSpan.Zero && !_outside.IsContradictory && _tested.Any.To is null
        && _tested.Any.Least > (_outside.To * 1.03) + (5 * s_clock);

    /// <summary>Whether no single timeout explains the observations.</summary>
    public bool IsContradictory => !IsPayloadOnly && Timeout.IsContradictory;

    /// <summary>The time since payload after which the far end closes by itself, although the balancer knows the connection; null if that was
    /// not seen on two connections at different times.</summary>
    public TimeSpan? FarEndCloses => !IsPayloadOnly
        && _controlEnds.Find(end => end.EndedByItself && _controlEnds.Exists(other => other.EndedByItself
            && (other.At - end.At).Duration() > TimeSpan.FromSeconds(1) && IsNear(other.SincePayload, end.SincePayload, end.SincePayload))) is { EndedByItself: true } end
        ? end.SincePayload : null;

    /// <summary>Whether connections end by themselves, rather than when they are tested.</summary>
    public bool EndThemselves => Of(IdleAnswer.ClosedByItself) + Of(IdleAnswer.ResetByItself) > Of(IdleAnswer.Silent) + Of(IdleAnswer.Reset);

    private (Bracket Any, Bracket Payload) Known => !EndThemselves ? _tested : IsLossy && _soonest is { } soonest ? (_ended.Any.Survived(soonest.Any), _ended.Payload.Survived(soonest.Payload)) : _ended;

    public int Of(IdleAnswer answer) => _answers[(int)answer];

    /// <summary>Adds an observation of a connection that was left idle.</summary>
    public void Add(in Observation seen)
    {
        _all.Add(seen);
        Count(in seen);
    }

    /// <summary>Adds the end of a connection that was probed every second.</summary>
    public void AddControl(in Observation seen) => _controlEnds.Add(seen);

    /// <summary>Adds a packet that the far end sent after an idle time.</summary>
    /// <param name="arrived">Whether it arrived. If it did not, connections that are probed received one at the same age.</param>
    /// <param name="idle">The idle time.</param>
    public void AddOutside(bool arrived, TimeSpan idle)
    {
        _missing += arrived ? 0 : 1;
        _outside = arrived ? _outside.Survived(idle) : _outside.Forgotten(idle);
    }

    /// <summary>Removes what was observed after a time: the far end was not there any more, or the way to it was another.</summary>
    public void ForgetSince(TimeSpan at)
    {
        _all.RemoveAll(seen => seen.At >= at);
        _controlEnds.RemoveAll(seen => seen.At >= at);
        Recount();
    }

    /// <summary>Whether a connection must still be known by all that was observed before a time: others survived more.</summary>
    public bool IsSafe(TimeSpan sinceAny, TimeSpan sincePayload, TimeSpan before)
    {
        var (any, payload) = (TimeSpan.Zero, TimeSpan.Zero);
        foreach (var seen in _all)
        {
            if (seen.Answer == IdleAnswer.Alive && seen.At < before)
            {
                any = seen.SinceAny > any ? seen.SinceAny : any;
                payload = seen.SincePayload > payload ? seen.SincePayload : payload;
            }
        }
        return sinceAny < any * 0.9 && sincePayload < payload * 0.9;
    }

    /// <summary>The idle time that counts for the timeout.</summary>
    public TimeSpan Idle(TimeSpan sinceAny, TimeSpan sincePayload) => IsPayloadOnly ? sincePayload : sinceAny;

    /// <summary>The ways to expire that agree with how forgotten connections answered. There are several if they cannot be distinguished, and
    /// none if nothing was forgotten.</summary>
    /// <param name="opensAnew">Whether a SYN between the same ports was answered; null if that was not tried.</param>
    public IReadOnlyList<ExpiryClass> Classes(bool? opensAnew) =>
        IsOutsideOnly ? [ExpiryClass.InsideRevives]
        : EndThemselves ? [Of(IdleAnswer.ClosedByItself) >= Of(IdleAnswer.ResetByItself) ? ExpiryClass.FinBoth : ExpiryClass.ResetBoth]
        : Of(IdleAnswer.Reset) + Of(IdleAnswer.Silent) == 0 ? []
        : Of(IdleAnswer.Reset) >= Of(IdleAnswer.Silent) ? [ExpiryClass.ResetOnNextPacket]
        : opensAnew switch
        {
            true => [ExpiryClass.DropUntilSyn],
            false => [ExpiryClass.SilentDrop],
            null => [ExpiryClass.SilentDrop, ExpiryClass.DropUntilSyn],
        };

    /// <summary>Whether a test was of a connection that was idle when the far end sent something, and did not receive it.</summary>
    public bool IsAfterFarEnd(in Observation seen) => FarEndEvent is { } every && seen.Answer is IdleAnswer.Reset or IdleAnswer.Silent
        && seen.SincePayload > (NextEvent(in seen, every) * 0.98) - (5 * s_clock);

    /// <summary>How long it had been idle when the far end sent something.</summary>
    public TimeSpan IdleAtEvent(in Observation seen) => FarEndEvent is { } every ? seen.SinceAny - (seen.SincePayload - NextEvent(in seen, every)) : default;

    /// <summary>A far end that probes does so again and again.</summary>
    private static TimeSpan NextEvent(in Observation seen, TimeSpan every) =>
        every * (Math.Floor((seen.SincePayload - seen.SinceAny + (5 * s_clock)) / every) + 1);

    private void Recount()
    {
        Array.Clear(_answers);
        (_tested, _ended, _soonest) = (default, default, null);
        AfterFarEnd = 0;
        foreach (var seen in _all)
        {
            Count(in seen);
        }
    }

    private void Count(in Observation seen)
    {
        if (IsAfterFarEnd(in seen))
        {
            AfterFarEnd++;
            return;
        }
        _answers[(int)seen.Answer]++;
        if (seen.Answer == IdleAnswer.Alive || seen.EndedByItself)
        {
            // One that ends by itself was known a moment before.
            _tested = Longer(_tested, in seen);
            _ended = seen.EndedByItself && IsLossy ? _ended : Longer(_ended, in seen);
        }
        if (seen.EndedByItself)
        {
            _ended = Forgotten(_ended, in seen);
            var (any, payload) = (seen.SinceAny - seen.Blur - s_clock, seen.SincePayload - seen.Blur - s_clock);
            // A FIN that was lost comes late, but not all are lost.
            _soonest = _soonest is { } soonest ? (Shorter(any, soonest.Any), Shorter(payload, soonest.Payload)) : (any, payload);
        }
        else if (seen.Answer != IdleAnswer.Alive)
        {
            _tested = Forgotten(_tested, in seen);
        }
    }

    private static (Bracket Any, Bracket Payload) Longer((Bracket Any, Bracket Payload) brackets, in Observation seen) =>
        (brackets.Any.Survived(seen.SinceAny - seen.Blur - s_clock), brackets.Payload.Survived(seen.SincePayload - seen.Blur - s_clock));

    private (Bracket Any, Bracket Payload) Forgotten((Bracket Any, Bracket Payload) brackets, in Observation seen) =>
        (brackets.Any.Forgotten(seen.SinceAny + s_clock),
            brackets.Payload.Forgotten(seen.SincePayload + s_clock
                + (!IsLossy ? TimeSpan.Zero : seen.Answer == IdleAnswer.Silent ? s_lostAnswers : seen.EndedByItself ? seen.Late : TimeSpan.Zero)));

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static bool IsNear(TimeSpan age, TimeSpan least, TimeSpan most) => age > (least * 0.95) - s_tolerance && age < (most * 1.05) + s_tolerance;
}
