namespace Keepalive.Agent.Liveness;

/// <summary>What is known of a connection's other end.</summary>
internal enum LivenessPhase : byte
{
    /// <summary>No probe has been sent.</summary>
    Idle,

    /// <summary>Probes are unanswered.</summary>
    Probing,

    /// <summary>The last probe was answered.</summary>
    Alive,

    /// <summary>The connection has ended because its other end is gone.</summary>
    Dead,
}

/// <summary>Why a connection is dead: the values of the <c>cause</c> label.</summary>
internal enum DeathCause : byte
{
    None,

    /// <summary>As many probes as TCP_KEEPCNT, or TCP_USER_TIMEOUT long, without an answer.</summary>
    Probes,

    /// <summary>The other end, or something on the way to it, reset the connection.</summary>
    Reset,

    /// <summary>The kernel gave up sending data again (tcp_retries2, TCP_USER_TIMEOUT).</summary>
    Timeout,
}

/// <summary>Something that happened to a connection, as seen on the wire or in the kernel's table.</summary>
internal enum LivenessEvent : byte
{
    /// <summary>The kernel sent a keepalive probe.</summary>
    ProbeSent,

    /// <summary>Something came that the kernel takes as a sign of life.</summary>
    Heard,

    /// <summary>The kernel reset the connection, or its application did.</summary>
    ResetHere,

    /// <summary>A reset came.</summary>
    ResetThere,

    /// <summary>The next probe, or the end, is long overdue.</summary>
    Overdue,

    /// <summary>It is gone from the kernel's table without an end having been seen.</summary>
    Vanished,

    /// <summary>The same while data was being sent again.</summary>
    VanishedRetransmitting,
}

/// <summary>When the kernel gives a connection up.</summary>
/// <param name="Probes">TCP_KEEPCNT.</param>
/// <param name="HasUserTimeout">Whether TCP_USER_TIMEOUT decides instead: any probe may be the last.</param>
internal readonly record struct DeathLimit(int Probes, bool HasUserTimeout)
{
    public bool IsReached(int unanswered) => unanswered > 0 && (HasUserTimeout || unanswered >= Probes);
}

/// <summary>The state of one connection, and how what happens changes it. A value, and nothing but arithmetic.</summary>
/// <remarks>
/// <code>
///            probe sent            probe sent: n + 1
///   Idle ───────────────► Probing(n) ◄────────┐
///                          │  │  ▲            │
///                   heard  │  │  └── probe ── Alive
///                          │  └── reset here, overdue or vanished, n ≥ TCP_KEEPCNT ──► Dead (probes)
///                          └─────► Alive
///   any: reset there ──► Dead (reset)          any: vanished while retransmitting ──► Dead (timeout)
/// </code>
/// </remarks>
internal readonly record struct ConnectionLiveness(LivenessPhase Phase, int Unanswered, DeathCause Cause)
{
    public static ConnectionLiveness Probing(int unanswered) =>
        unanswered == 0 ? default : new ConnectionLiveness(LivenessPhase.Probing, unanswered, DeathCause.None);

    public ConnectionLiveness After(LivenessEvent what, DeathLimit limit) => (Phase, what) switch
    {
        (LivenessPhase.Dead, _) => this,
        (_, LivenessEvent.ProbeSent) => Probing(Unanswered + 1),
        (LivenessPhase.Probing, LivenessEvent.Heard) => new ConnectionLiveness(LivenessPhase.Alive, 0, DeathCause.None),
        (_, LivenessEvent.Heard) => this,
        (_, LivenessEvent.ResetThere) => Dead(DeathCause.Reset),
        (_, LivenessEvent.VanishedRetransmitting) => Dead(DeathCause.Timeout),

        // With fewer probes than that, it was the application: it closed with data unread, or wanted it so.
        (LivenessPhase.Probing, _) when limit.IsReached(Unanswered) => Dead(DeathCause.Probes),
        _ => this,
    };

    private ConnectionLiveness Dead(DeathCause cause) => new(LivenessPhase.Dead, Unanswered, cause);
}
