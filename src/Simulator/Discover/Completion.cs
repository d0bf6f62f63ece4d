namespace Keepalive.Simulator.Discover;

/// <summary>Decides when enough is known, or nothing more can be.</summary>
internal sealed class Completion(DiscoverRequest request, List<ProbedConnection> idle, Controls controls, Evidence evidence, FarEndMessages messages, ConnectionBudget budget, LadderPlan plan, SamePortTrial samePorts)
{
    /// <summary>Connections that end by themselves leave no gap to fill: more of them do not make the result more precise.</summary>
    private const int ManyEnds = 10;

    private static readonly TimeSpan s_leastWidth = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_after = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan s_contradiction = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(5);

    private TimeSpan _contradictory;
    private TimeSpan _contradicted;

    /// <summary>Whether connections live longer than others that ended by themselves.</summary>
    public bool IsOutlived { get; private set; }

    /// <summary>Whether it is known what restarts the clock.</summary>
    public bool KnowsRefresh => evidence.IsPayloadOnlyProven || evidence.ProbesCount || evidence.FarEndCloses is not null || controls.IsClockHidden(evidence.ControlAge);

    /// <summary>Whether it is known if a SYN opens a connection again that does not answer.</summary>
    public bool KnowsSyn => evidence.Of(IdleAnswer.Silent) is var silent && (silent == 0 || silent * 4 < evidence.Of(IdleAnswer.Reset) || samePorts.IsOver || evidence.EndThemselves);

    /// <summary>When it gives up if the observations go on contradicting each other.</summary>
    public TimeSpan ContradictionEnds => _contradicted + s_contradiction + ((Timeout.To ?? default) * 0.25);

    private Bracket Timeout => evidence.Timeout;

    private int Ended => evidence.Of(IdleAnswer.ClosedByItself) + evidence.Of(IdleAnswer.ResetByItself);

    /// <summary>Whether the time that is left is too short for an answer: nothing was dropped, but no connection was idle for nearly long enough.</summary>
    public bool IsTooShort(TimeSpan now, in WayState way) =>
        Timeout.To is null && Timeout.From < request.Until * 0.9 && messages.Interval(idle, now) is null && !way.IsDeaf;

    /// <summary>Whether to end it.</summary>
    /// <param name="roundTrip">The round trip.</param>
    /// <param name="now">The time.</param>
    public bool IsDone(TimeSpan roundTrip, TimeSpan now)
    {
        if (idle.Exists(one => one.Phase == ProbedPhase.Testing) || (controls.Event is { } came && !IsFollowed(came, now)))
        {
            return false;
        }
        if (evidence.IsOutsideOnly)
        {
            IsOutlived = false;
            return plan.IsOutsidePrecise(roundTrip, now);
        }
        IsOutlived = Outliving(now, (Timeout.To * 1.15) + s_after) > Ended / 5;
        if (evidence.IsContradictory || IsOutlived)
        {
            return now > _contradictory + s_contradiction;
        }
        _contradictory = now;
        if (Timeout.To is not null)
        {
            return IsKnown(roundTrip, now);
        }
        var isUnreachable = controls.Open.Count == 0 && idle.Count == 0 && budget.IsRefused;
        return isUnreachable || (now > request.Until && !idle.Exists(one => one.Target is not null) && (plan.NextRung() is null || idle.Count == 0))
            || (messages.Interval(idle, now) is { } every && now > every * 4 && idle.TrueForAll(one => one.Target is null || one.Target > every * 0.9));
    }

    /// <summary>More tests do not resolve a contradiction. Messages of the far end may explain it.</summary>
    public bool IsContradictedForLong(TimeSpan now)
    {
        if (!evidence.IsContradictory)
        {
            _contradicted = now;
            return false;
        }
        return now > ContradictionEnds && (controls.Event is not { } came || IsFollowed(came, now));
    }

    private bool IsKnown(TimeSpan roundTrip, TimeSpan now)
    {
        var isPrecise = plan.IsPrecise(roundTrip, now) || (budget.IsOver && idle.TrueForAll(one => one.Target is null))
            || (evidence.EndThemselves && Ended >= ManyEnds);
        var isEnded = !evidence.EndThemselves || Outliving(now, Timeout.To + (s_leastWidth * 2)) <= Ended / 5;
        return isPrecise && isEnded && KnowsRefresh && KnowsSyn;
    }

    /// <summary>How many live longer than others that ended by themselves.</summary>
    private int Outliving(TimeSpan now, TimeSpan? age) => evidence.EndThemselves
        ? idle.Count(one => one.Phase == ProbedPhase.Idle && evidence.Idle(one.SincePacket(now), one.SincePayload(now)) > age) : 0;

    /// <summary>Other connections must have had the time to receive what the controls received.</summary>
    private bool IsFollowed(FarEndEvent came, TimeSpan now) => controls.IsEventConfirmed
        ? !idle.Exists(one => one.Phase == ProbedPhase.Idle && !messages.IsCompared(one) && one.OpenedAt < s_first && one.SincePayload(now) < came.After + came.Late)
        : controls.Open.Count == 0 || !controls.Open.Any(one => one.IsControl && one.SincePayload(now) < came.After + came.Late);
}
