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
/// </remarks>
internal sealed class Evidence
{
    /// <summary>So many packets of the far end have to be missing before a balancer is thought to drop them.</summary>
    private const int LeastMissing = 3;

    private static readonly TimeSpan s_tolerance = TimeSpan.FromSeconds(1.5);

    /// <summary>The kernel's times have the resolution of its ticks, here and on the balancer.</summary>
    private static readonly TimeSpan s_clock = TimeSpan.FromMilliseconds(20);

    private readonly List<Observation> _all = [];
    private readonly int[] _answers = new int[Enum.GetValues<IdleAnswer>().Length];
    private (Bracket Any, Bracket Payload) _tested, _ended;
    private Bracket _outside;
    private Observation? _controlEnd;
    private int _missing;

    /// <summary>The longest time since payload that a connection survived which was probed every second.</summary>
    public TimeSpan ControlAge { get; set; }

    /// <summary>The timeout, as far as it is known.</summary>
    public Bracket Timeout => IsOutsideOnly ? _outside : IsPayloadOnly ? Known.Payload : Known.Any;

    /// <summary>Whether probes do not restart the clock.</summary>
    public bool IsPayloadOnly => !IsOutsideOnly && ((Known.Any.IsContradictory && !Known.Payload.IsContradictory)
        || (_controlEnd is { } end && Known.Payload is { IsContradictory: false, To: { } to } payload && IsNear(end.SincePayload, payload.From, to)));

    /// <summary>Whether a connection that was probed all the time outlived the timeout.</summary>
    public bool ProbesCount => !IsPayloadOnly && Timeout.To is { } to && ControlAge > (to * 1.05) + s_tolerance;

    /// <summary>Whether only packets of the far end are dropped: what this end sends makes the connection known again. The same packets must
    /// have arrived on connections that were idle for less: a far end may also treat connections differently.</summary>
    public bool IsOutsideOnly => _missing >= LeastMissing && _outside.Least > TimeSpan.Zero && !_outside.IsContradictory && _tested.Any.To is null;

    /// <summary>Whether no single timeout explains the observations.</summary>
    public bool IsContradictory => !IsPayloadOnly && Timeout.IsContradictory;

    /// <summary>The time since payload after which the far end closes by itself, although the balancer knows the connection; null if that was
    /// not seen.</summary>
    public TimeSpan? FarEndCloses => _controlEnd is { EndedByItself: true } end && !IsPayloadOnly ? end.SincePayload : null;

    private (Bracket Any, Bracket Payload) Known => EndThemselves ? _ended : _tested;

    private bool EndThemselves => Of(IdleAnswer.ClosedByItself) + Of(IdleAnswer.ResetByItself) > Of(IdleAnswer.Silent) + Of(IdleAnswer.Reset);

    public int Of(IdleAnswer answer) => _answers[(int)answer];

    /// <summary>Adds an observation of a connection that was left idle.</summary>
    public void Add(in Observation seen)
    {
        _all.Add(seen);
        Count(in seen);
    }

    /// <summary>Adds the end of a connection that was probed every second.</summary>
    public void AddControl(in Observation seen) => _controlEnd ??= seen;

    /// <summary>Adds a packet that the far end sent after an idle time.</summary>
    /// <param name="arrived">Whether it arrived. If it did not, a connection that is probed received one at the same age.</param>
    /// <param name="idle">The idle time.</param>
    public void AddOutside(bool arrived, TimeSpan idle)
    {
        _missing += arrived ? 0 : 1;
        _outside = arrived ? _outside.Survived(idle) : _outside.Forgotten(idle);
    }

    /// <summary>Removes what was observed after a time: the far end was not there any more.</summary>
    public void ForgetSince(TimeSpan at)
    {
        _all.RemoveAll(seen => seen.At >= at);
        Array.Clear(_answers);
        (_tested, _ended) = (default, default);
        foreach (var seen in _all)
        {
            Count(in seen);
        }
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

    private void Count(in Observation seen)
    {
        _answers[(int)seen.Answer]++;
        if (seen.Answer == IdleAnswer.Alive || seen.EndedByItself)
        {
            // One that ends by itself was known a moment before.
            _tested = Survived(_tested, in seen);
            _ended = Survived(_ended, in seen);
        }
        if (seen.EndedByItself)
        {
            _ended = Forgotten(_ended, in seen);
        }
        else if (seen.Answer != IdleAnswer.Alive)
        {
            _tested = Forgotten(_tested, in seen);
        }
    }

    private static (Bracket Any, Bracket Payload) Survived((Bracket Any, Bracket Payload) brackets, in Observation seen) =>
        (brackets.Any.Survived(seen.SinceAny - seen.Blur - s_clock), brackets.Payload.Survived(seen.SincePayload - seen.Blur - s_clock));

    private static (Bracket Any, Bracket Payload) Forgotten((Bracket Any, Bracket Payload) brackets, in Observation seen) =>
        (brackets.Any.Forgotten(seen.SinceAny + s_clock), brackets.Payload.Forgotten(seen.SincePayload + s_clock));

    private static bool IsNear(TimeSpan age, TimeSpan least, TimeSpan most) => age > (least * 0.95) - s_tolerance && age < (most * 1.05) + s_tolerance;
}
