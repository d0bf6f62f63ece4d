namespace Keepalive.Simulator.Discover;

/// <summary>How a connection answered after it had been idle.</summary>
internal enum IdleAnswer
{
    /// <summary>The far end acknowledged.</summary>
    Alive,

    /// <summary>A reset answered.</summary>
    Reset,

    /// <summary>Nothing answered.</summary>
    Silent,

    /// <summary>A reset came by itself, while nothing was sent.</summary>
    ResetByItself,

    /// <summary>A FIN came by itself, while nothing was sent.</summary>
    ClosedByItself,
}

/// <summary>An idle connection at one moment, and how it answered.</summary>
/// <param name="Answer">The answer.</param>
/// <param name="At">When that was.</param>
/// <param name="SinceAny">Time without any packet before, at most.</param>
/// <param name="SincePayload">Time without payload before, at most.</param>
/// <param name="Blur">How much shorter both times may be.</param>
/// <param name="Late">How much longer the time since payload may be for the far end, where packets are lost: its payload may have been
/// sent again, and its clock has run since it was sent first.</param>
internal readonly record struct Observation(IdleAnswer Answer, TimeSpan At, TimeSpan SinceAny, TimeSpan SincePayload, TimeSpan Blur, TimeSpan Late = default)
{
    /// <summary>The time since it was open, at least.</summary>
    public TimeSpan Age { get; init; }

    /// <summary>How long it took to open it.</summary>
    public TimeSpan Opening { get; init; }

    /// <summary>Whether the connection was not tested before: one that was is known to have passed some time.</summary>
    public bool IsFirst { get; init; }

    /// <summary>When the far end sent something by itself before: the times since payload, each counted from the one before.</summary>
    public IReadOnlyList<TimeSpan> Heard { get; init; } = [];

    /// <summary>Whether it ended while nothing was sent on it.</summary>
    public bool EndedByItself => Answer is IdleAnswer.ResetByItself or IdleAnswer.ClosedByItself;
}
