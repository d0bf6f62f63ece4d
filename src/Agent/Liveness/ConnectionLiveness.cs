using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>The known state of a connection's other end.</summary>
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

    /// <summary>TCP_KEEPCNT probes were unanswered, or no answer came for the time of TCP_USER_TIMEOUT.</summary>
    Probes,

    /// <summary>The other end, or a device on the path, reset the connection.</summary>
    Reset,

    /// <summary>The kernel stopped retransmitting data (tcp_retries2, TCP_USER_TIMEOUT).</summary>
    Timeout,
}

/// <summary>An event of a connection, as seen on the wire or in the kernel's table.</summary>
internal enum LivenessEvent : byte
{
    /// <summary>The kernel sent a keepalive probe.</summary>
    ProbeSent,

    /// <summary>A segment came that the kernel accepts as a sign of life.</summary>
    Heard,

    /// <summary>The kernel or the application of this end reset the connection.</summary>
    ResetHere,

    /// <summary>A reset came from the other end.</summary>
    ResetThere,

    /// <summary>The next probe, or the end of the connection, is long overdue.</summary>
    Overdue,

    /// <summary>The connection is gone from the kernel's table, and its end was not seen.</summary>
    Vanished,

    /// <summary>The connection is gone from the kernel's table, and its data was being retransmitted.</summary>
    VanishedRetransmitting,
}

/// <summary>When the kernel ends a connection whose probes are unanswered.</summary>
/// <param name="Probes">The least number of unanswered probes: TCP_KEEPCNT, or fewer with TCP_USER_TIMEOUT, which decides instead of
/// it.</param>
internal readonly record struct DeathLimit(int Probes)
{
    /// <summary>The limit of a connection with these values; null if they are unknown.</summary>
    public static DeathLimit Of(KeepaliveOptions? values, int userTimeout) => (values, userTimeout) switch
    {
        ({ } known, _) => new DeathLimit(UserTimeout.LeastLostProbes(userTimeout, known.Time, known.Interval, known.Probes)),
        (null, > 0) => new DeathLimit(1),
        _ => new DeathLimit(int.MaxValue),
    };

    public bool IsReached(int unanswered) => unanswered > 0 && unanswered >= Probes;
}

/// <summary>The state of one connection, and its changes by events. An immutable value without side effects.</summary>
/// <remarks>
/// <code>
///            probe sent            probe sent: n + 1
///   Idle ───────────────► Probing(n) ◄────────┐
///                          │  │  ▲            │
///                   heard  │  │  └── probe ── Alive
///                          │  └── reset here, overdue or vanished, n ≥ limit ──► Dead (probes)
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

        // With fewer unanswered probes, the application ended the connection: it closed it with unread data, or asked for a reset.
        (LivenessPhase.Probing, _) when limit.IsReached(Unanswered) => Dead(DeathCause.Probes),
        _ => this,
    };

    private ConnectionLiveness Dead(DeathCause cause) => new(LivenessPhase.Dead, Unanswered, cause);
}
