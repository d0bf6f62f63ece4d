namespace Keepalive.Simulator.Discover;

/// <summary>How connections are opened: the round trip, and which ones lost packets, so that it is unknown when the clock of a box started.</summary>
internal sealed class Handshakes(DiscoverRequest request)
{
    private static readonly TimeSpan s_leastWidth = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_once = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan s_slow = TimeSpan.FromSeconds(5);

    private readonly List<TimeSpan> _answers = [];
    private readonly HashSet<ProbedConnection> _answered = [];
    private readonly List<TimeSpan> _roundTrips = [];

    /// <summary>The median round trip of connections that lost nothing.</summary>
    public TimeSpan RoundTrip { get; private set; }

    /// <summary>Whether one was ever open.</summary>
    public bool IsAnyOpen { get; private set; }

    /// <summary>When the last was opened.</summary>
    public TimeSpan Last { get; private set; }

    /// <summary>Takes notice of a connection that is open, and sends the payload on it.</summary>
    public void Opened(ProbedConnection one)
    {
        (IsAnyOpen, Last) = (true, one.OpenedAt);
        if (one.RoundTrip is { } trip)
        {
            _roundTrips.Add(trip);
            RoundTrip = _roundTrips.Order().ElementAt(_roundTrips.Count / 2);
        }
        if (request.Payload.Length > 0)
        {
            one.Send(request.Payload);
        }
    }

    /// <summary>Whether its first SYN may have passed without an answer: it is then unknown when a balancer's clock started.</summary>
    public static bool IsDoubtful(ProbedConnection one) => one.RoundTrip is null && one.OpenedAt - one.BeganAt > s_once;

    /// <summary>Whether payload was lost when it was opened: it is then unknown when a clock started that payload restarts.</summary>
    public bool IsLate(ProbedConnection one)
    {
        if (one.Phase != ProbedPhase.Idle || one.AnsweredAfter is not { } after || !_answered.Add(one))
        {
            return one.Phase == ProbedPhase.Idle && request.Payload.Length > 0 && one.HasRetransmitted;
        }
        _answers.Add(after);
        // As long as it is not known how long an answer takes, a slow one is taken for one that was lost.
        var usual = _answers.Count > 2 ? _answers.Order().ElementAt(_answers.Count / 2) * 2 : RoundTrip * 4;
        return after > usual + s_leastWidth && after < s_slow;
    }
}
