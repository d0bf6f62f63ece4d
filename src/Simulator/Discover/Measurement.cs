using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>What was measured about one far end.</summary>
internal sealed record Measurement
{
    public required DiscoverRequest Request { get; init; }

    /// <summary>The least and the most that the idle timeout can be; most is null if nothing was forgotten.</summary>
    public required Bracket Timeout { get; init; }

    /// <summary>The ways to expire that agree with what was seen; none if nothing was forgotten.</summary>
    public required IReadOnlyList<ExpiryClass> Classes { get; init; }

    /// <summary>What restarts the clock; several if it cannot be distinguished, none if it is unknown.</summary>
    public required IReadOnlyList<Refresh> Refreshes { get; init; }

    /// <summary>Whether no single timeout explains what was seen.</summary>
    public bool IsContradictory { get; init; }

    /// <summary>How soon a connection was dropped, and how long another was known, where no single timeout explains both; null if that is not the reason.</summary>
    public (TimeSpan Dropped, TimeSpan Known)? Several { get; init; }

    /// <summary>Whether connections were closed after different times: the timeout is an interval that has all of them, not one value.</summary>
    public bool IsUneven { get; init; }

    /// <summary>The time after which connections are closed, whatever flows; null if that was not proven. There is then no idle timeout up to it.</summary>
    public Bracket? MaximumAge { get; init; }

    /// <summary>Whether it was tried if payload restarts the clock. If it was not, a clock that only payload restarts looks like a maximum age.</summary>
    public bool IsPayloadTried { get; init; }

    /// <summary>Whether anything answers probes.</summary>
    public bool AreProbesAnswered { get; init; } = true;

    /// <summary>Whether connections were found dead only after the far end had sent something that did not arrive.</summary>
    public bool IsFarEndInTheWay { get; init; }

    /// <summary>When everything that was open was gone at once; null if that did not happen.</summary>
    public TimeSpan? ChangedAt { get; init; }

    /// <summary>How often the far end sends something by itself on idle connections; null if it does not.</summary>
    public TimeSpan? FarEndProbes { get; init; }

    /// <summary>What the far end sends by itself; null if nothing, or not on most connections.</summary>
    public FarEndSpeech? FarEndSpeech { get; init; }

    /// <summary>Whether it sends payload; if not, keepalive probes.</summary>
    public bool FarEndSendsPayload { get; init; }

    /// <summary>When the far end closes by itself, later than the balancer forgets; null if it was not seen to.</summary>
    public TimeSpan? FarEndCloses { get; init; }

    /// <summary>Why no more connections could be opened; null if they could.</summary>
    public string? Limited { get; init; }

    /// <summary>The round trip; zero if it was not measured.</summary>
    public required TimeSpan RoundTrip { get; init; }

    /// <summary>Whether probes or their answers were lost.</summary>
    public bool LostPackets { get; init; }

    /// <summary>Whether any connection was established.</summary>
    public bool IsEverOpened { get; init; } = true;

    /// <summary>Connections that were opened.</summary>
    public required int Connections { get; init; }

    public required TimeSpan Took { get; init; }

    /// <summary>The tests of idle connections, as they count.</summary>
    public IReadOnlyList<Observation> Observations { get; init; } = [];

    /// <summary>The ends of connections that were probed every second.</summary>
    public IReadOnlyList<Observation> ControlEnds { get; init; } = [];

    /// <summary>What was known of the timeout, each time that it became more or other.</summary>
    public IReadOnlyList<(TimeSpan At, Bracket Timeout)> Narrowing { get; init; } = [];

    /// <summary>The idle times of the ladder.</summary>
    public IReadOnlyList<TimeSpan> Ladder { get; init; } = [];

    /// <summary>Why the measurement ended before its end; null if it did not.</summary>
    public string? Cut { get; init; }

    /// <summary>Whether the result is unknown or not certain: the exit code says so.</summary>
    public bool IsUncertain => Cut is not null || IsContradictory || IsUneven;

    /// <summary>Whether something forgets idle connections.</summary>
    public bool IsMeasured => Timeout.To is not null;

    /// <summary>Whether probes do not restart the clock.</summary>
    public bool IsPayloadOnly => Refreshes is [Refresh.PayloadOnly];

    /// <summary>Whether connections are closed, rather than dropped: a proxy ends TCP here, or the far end itself does. A reset shows it only where probes do
    /// not count: firewalls reset connections, too.</summary>
    public bool EndsTcp => Classes is [ExpiryClass.FinBoth] || (IsPayloadOnly && Classes is [ExpiryClass.ResetBoth]);
}
