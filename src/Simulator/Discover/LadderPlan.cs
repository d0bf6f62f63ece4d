namespace Keepalive.Simulator.Discover;

/// <summary>Decides which connection is tested at which idle time: the ladder, the gap, and others to see that all behave alike.</summary>
internal sealed class LadderPlan(DiscoverRequest request, IReadOnlyList<ProbedConnection> idle, Evidence evidence, FarEndMessages messages)
{
    /// <summary>So many connections have to be young enough to fill the gap.</summary>
    private const int Filling = 18;

    /// <summary>So many are timed for what the far end sends.</summary>
    private const int Timing = 12;

    /// <summary>So many have to agree on each side of the timeout: connections to one address may pass different boxes.</summary>
    private const int Agreeing = 5;

    /// <summary>The part of a long timeout that others have time to show that they behave alike: after it, those that were young enough did.</summary>
    private const double LongAgreeing = 0.15;

    /// <summary>So many tests between the ends of the bracket show that it does not get narrower.</summary>
    private const int Enough = 16;

    /// <summary>The factor between two idle times, with those between the rungs.</summary>
    private const double SmallStep = 1.12;

    /// <summary>Smaller steps of the ladder have nothing between them.</summary>
    private const double LargeStep = 1.25;

    /// <summary>So many have to be about as old before one is tested between two rungs: the others fill the gap.</summary>
    private const int LeftOver = 3;

    private static readonly TimeSpan s_leastWidth = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_close = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_planEvery = TimeSpan.FromMilliseconds(100);

    /// <summary>Up to this timeout, new connections are opened to see that all behave alike.</summary>
    private static readonly TimeSpan s_short = TimeSpan.FromSeconds(30);

    private readonly HashSet<ProbedConnection> _timed = [];
    private TimeSpan _planned;
    private (Bracket Timeout, TimeSpan Since, TimeSpan Until)? _agreeing;
    private TimeSpan? _outsideUntil;

    /// <summary>The rungs of the ladder.</summary>
    public int Rungs { get; } = Math.Max(2, (request.Connections - 1) * 3 / 8);

    /// <summary>The width to reach.</summary>
    public TimeSpan Precision(TimeSpan roundTrip)
    {
        var least = s_leastWidth + (roundTrip * 2);
        return evidence.Slack + (evidence.Timeout.To is { } to && to * request.Precision > least ? to * request.Precision : least);
    }

    /// <summary>Whether more connections are needed beside those that wait.</summary>
    public bool NeedsConnection(ConnectionBudget budget, TimeSpan roundTrip, TimeSpan now)
    {
        var opened = budget.Opened - 1;
        var fillers = request.Connections - 1 - Rungs;
        if (evidence.IsOutsideOnly)
        {
            return _outsideUntil is not null && idle.Count(one => !messages.IsCompared(one)) < Timing && now < _outsideUntil - (evidence.FarEndEvent?.After ?? default);
        }
        if (evidence.Timeout is not { To: { } to } timeout)
        {
            return opened < Rungs || (opened - Rungs < fillers && now >= TestPlan.Opening(opened - Rungs, fillers, request.Until));
        }
        var young = idle.Count(one => one.Phase == ProbedPhase.Connecting || (one.Phase == ProbedPhase.Idle && Age(one, now) < to));
        var isFilling = timeout.Width > Precision(roundTrip) && !evidence.IsUneven;
        var isComparing = _agreeing is not null && to <= s_short
            && idle.Count(one => one.Tests == 0 && (one.Phase == ProbedPhase.Connecting || Age(one, now) < Below(timeout))) < Lack().Below + Lack().Above;
        return !evidence.EndThemselves && (isFilling ? young < Filling : isComparing);
    }

    /// <summary>The shortest idle time of the ladder that was neither survived nor is waited for; null if there is none.</summary>
    public TimeSpan? NextRung()
    {
        // If the far end sends or closes by itself, that hides connections that were dropped before. So there is a test just before.
        TimeSpan? last = evidence.FarEndEvent is { } what && (what.After * 0.96) - s_leastWidth is var before && before > TestPlan.Shortest ? before : null;
        for (var number = 0; number < Rungs; number++)
        {
            var rung = TestPlan.Rung(number, Rungs, request.Until);
            if (last is { } between && rung > between)
            {
                last = null;
                if (IsOpen(between))
                {
                    return between;
                }
            }
            if (IsOpen(rung))
            {
                return rung;
            }
        }
        return null;
    }

    /// <summary>Gives each waiting connection the idle time at which to test it.</summary>
    public void Plan(ConnectionBudget budget, TimeSpan roundTrip, TimeSpan now)
    {
        if (now - _planned < s_planEvery)
        {
            return;
        }
        _planned = now;
        if (evidence.IsOutsideOnly)
        {
            TimeOutside(roundTrip, now);
            return;
        }
        ProbedConnection[] waiting = [.. idle.Where(one => one.Phase == ProbedPhase.Idle)];
        if (evidence.Timeout is not { To: { } most } timeout)
        {
            ClimbFurther(waiting, budget, now);
            return;
        }
        var precision = Precision(roundTrip);
        var isFilled = timeout.Width <= precision || evidence.IsUneven;
        var targets = isFilled ? new TimeSpan?[waiting.Length] : Fill([.. waiting.Select(one => Age(one, now))], timeout, most, precision);
        for (var i = 0; i < waiting.Length; i++)
        {
            waiting[i].Target = targets[i];
        }
        if (isFilled && !evidence.EndThemselves)
        {
            if (_agreeing is not { } agreeing || agreeing.Timeout != timeout)
            {
                _agreeing = (timeout, now, now + (most <= s_short ? (most * 1.1) + TimeSpan.FromSeconds(3) : most * LongAgreeing));
            }
            Compare(waiting, timeout, most, now);
        }
    }

    private TimeSpan?[] Fill(TimeSpan[] ages, Bracket timeout, TimeSpan most, TimeSpan precision) => most <= s_short
        ? TestPlan.Fill(ages, timeout.From, most - evidence.Slack, precision - evidence.Slack)
        : TestPlan.Divide(
            ages, idle.Where(one => one.Phase == ProbedPhase.Testing).Select(one => Age(one, one.TestedAt)),
            timeout.From, most - evidence.Slack, precision - evidence.Slack);

    /// <summary>Plans anew at once.</summary>
    public void Replan() => _planned = TimeSpan.Zero;

    /// <summary>Whether the bracket is as narrow as it gets, and enough connections agree.</summary>
    public bool IsPrecise(TimeSpan roundTrip, TimeSpan now)
    {
        var timeout = evidence.Timeout;
        if (timeout.To is null || (timeout.Width > Precision(roundTrip) && !evidence.IsUneven))
        {
            return timeout.Overlap > TimeSpan.Zero && evidence.Within(timeout) >= Enough;
        }
        return evidence.EndThemselves || (_agreeing is { } agreeing && agreeing.Timeout == timeout && (now > agreeing.Until || Lack() == (0, 0)));
    }

    /// <summary>Whether what the far end sends by itself has shown the timeout as precisely as it can.</summary>
    public bool IsOutsidePrecise(TimeSpan roundTrip, TimeSpan now)
    {
        if (evidence.FarEndEvent is not { } what)
        {
            return true;
        }
        _outsideUntil ??= now + (what.After * 2) + what.Late + TimeSpan.FromSeconds(2);
        return evidence.Timeout.Width <= Precision(roundTrip) || now > _outsideUntil;
    }

    private TimeSpan Age(ProbedConnection one, TimeSpan now) => evidence.Idle(one.SincePacket(now), one.SincePayload(now));

    private bool IsOpen(TimeSpan rung) => rung > evidence.Survived.Any + s_leastWidth
        && !idle.Any(one => one.Target is { } target && (target - rung).Duration() < s_leastWidth / 2);

    /// <summary>If a connection of the ladder could not be opened, others wait for its idle time. Those that are left over make its steps
    /// smaller.</summary>
    private void ClimbFurther(ProbedConnection[] waiting, ConnectionBudget budget, TimeSpan now)
    {
        if ((budget.Opened <= Rungs && budget.Limited is null) || messages.Interval(idle, now) is not null)
        {
            return;
        }
        List<ProbedConnection> free = [.. waiting.Where(one => one.Target is null)];
        if (NextRung() is not { } rung)
        {
            ClimbBetween(free, now);
            return;
        }
        free = [.. free.Where(one => IsBeforeFarEnd(one, rung, now))];
        if (free.FindAll(one => one.SincePacket(now) < rung) is { Count: > 0 } younger)
        {
            // Few connections take longer steps, or the sum of all would be too long.
            var longer = waiting.Length < 8 ? rung * 1.5 : rung;
            younger.MaxBy(one => one.SincePacket(now))!.Target = longer < request.Until ? longer : request.Until;
        }
        else if (budget.Limited is not null && free.MinBy(one => one.SincePacket(now)) is { } older)
        {
            // There may be no other for long.
            older.Target = older.SincePacket(now);
        }
    }

    /// <summary>Tests between two rungs, where several connections are about as old.</summary>
    private void ClimbBetween(List<ProbedConnection> free, TimeSpan now)
    {
        var step = Math.Pow(request.Until / TestPlan.Shortest, 1.0 / (Rungs - 1));
        var parts = step < LargeStep ? 1 : (int)Math.Round(Math.Log(step) / Math.Log(SmallStep));
        for (var part = 1; part < (Rungs - 1) * parts; part++)
        {
            var at = TestPlan.Rung(part / (double)parts, Rungs, request.Until);
            if (part % parts == 0 || !IsOpen(at))
            {
                continue;
            }
            var old = free.FindAll(one => one.SincePacket(now) < at && one.SincePacket(now) > at / SmallStep && IsBeforeFarEnd(one, at, now));
            if (old.Count < LeftOver)
            {
                return;
            }
            old.MaxBy(one => one.SincePacket(now))!.Target = at;
            free.Remove(old.MaxBy(one => one.SincePacket(now))!);
        }
    }

    /// <summary>Whether a connection is as old before the far end sends or closes by itself.</summary>
    private bool IsBeforeFarEnd(ProbedConnection one, TimeSpan at, TimeSpan now) => evidence.FarEndEvent is not { } what || at >= what.After
        || one.SincePayload(now) + at - one.SincePacket(now) <= what.After * 0.98;

    /// <summary>Tests others on both sides of the timeout, such as were not tested before.</summary>
    private void Compare(ProbedConnection[] waiting, Bracket timeout, TimeSpan most, TimeSpan now)
    {
        var (lackBelow, lackAbove) = Lack();
        List<ProbedConnection> free = [.. waiting.Where(one => one.Tests == 0).OrderByDescending(one => Age(one, now))];
        foreach (var one in free.FindAll(one => Age(one, now) >= most).Take(lackAbove))
        {
            one.Target = Age(one, now);
            lackAbove--;
        }
        foreach (var one in free.FindAll(one => Age(one, now) < Below(timeout)).Take(lackBelow + lackAbove))
        {
            var target = lackBelow-- > 0 ? Below(timeout) : most + s_close;
            one.Target = most <= s_short || target - Age(one, now) < most * LongAgreeing ? target : null;
        }
    }

    /// <summary>The idle time just below the bracket: if some are dropped already then, that shows.</summary>
    private TimeSpan Below(Bracket timeout) => timeout.From - evidence.Slack - (s_close * 3) - (timeout.From * 0.01);

    /// <summary>How many tests are lacking just below and above the timeout, since it was as precise as now.</summary>
    private (int Below, int Above) Lack()
    {
        if (_agreeing is not { Timeout: { To: { } to } timeout } agreeing)
        {
            return (Agreeing, Agreeing);
        }
        var (known, dropped) = evidence.FirstTests(agreeing.Since, Below(timeout), to);
        return (Math.Max(0, Agreeing - known), Math.Max(0, Agreeing - dropped));
    }

    /// <summary>Tests connections at such times that each has been idle for another time of the gap when the far end sends something.</summary>
    private void TimeOutside(TimeSpan roundTrip, TimeSpan now)
    {
        if (evidence.FarEndEvent is not { } what || evidence.Timeout is not { To: { } most } timeout || timeout.Width <= Precision(roundTrip))
        {
            return;
        }
        foreach (var one in idle.Where(one => one.Phase == ProbedPhase.Idle && !messages.IsCompared(one) && one.Target is null && !_timed.Contains(one)))
        {
            var part = ((_timed.Count * 5) % Timing) + 1;
            var at = what.After - (timeout.From + ((most - timeout.From) * part / (Timing + 1)));
            if (at > one.SincePayload(now) && one.SincePacket(now) + at - one.SincePayload(now) > TestPlan.Shortest)
            {
                one.Target = one.SincePacket(now) + at - one.SincePayload(now);
                _timed.Add(one);
            }
        }
    }
}
