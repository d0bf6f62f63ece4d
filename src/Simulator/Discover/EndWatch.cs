namespace Keepalive.Simulator.Discover;

/// <summary>Holds back connections that ended by themselves, for a moment: if all that were open end at one instant, whatever their age, that
/// is no rule. The far end or the way to it has changed.</summary>
internal sealed class EndWatch
{
    private const int LeastEnds = 3;

    private static readonly TimeSpan s_instant = TimeSpan.FromSeconds(0.3);
    private static readonly TimeSpan s_opening = TimeSpan.FromSeconds(0.05);

    /// <summary>A FIN that was lost is sent again after 0.2 s, 0.6 s and 1.4 s.</summary>
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(2);

    private readonly List<(ProbedConnection One, Observation Seen)> _held = [];

    /// <summary>Whether some are held back.</summary>
    public bool IsHolding => _held.Count > 0;

    public void Add(ProbedConnection one, in Observation seen) => _held.Add((one, seen));

    /// <summary>When everything ended; null if it did not.</summary>
    /// <param name="open">The connections that live.</param>
    /// <param name="roundTrip">The round trip.</param>
    public TimeSpan? Change(IEnumerable<ProbedConnection> open, TimeSpan roundTrip)
    {
        if (_held.Count < LeastEnds)
        {
            return null;
        }
        var first = _held.Min(end => end.Seen.At);
        var together = _held.Where(end => end.Seen.At <= first + s_instant + (roundTrip * 2)).ToList();
        var (youngest, oldest) = (together.Min(end => end.Seen.Age), together.Max(end => end.Seen.Age));
        // A balancer whose clock ticks ends many at once, too, but none that is young.
        var isWhateverAge = youngest < oldest * 0.6 && oldest - youngest > s_instant + (roundTrip * 2);
        return together.Count >= LeastEnds && together.Count >= _held.Count * 0.8 && isWhateverAge
            && !open.Any(one => IsOlder(one, first, roundTrip)) ? first : null;
    }

    /// <summary>Removes and returns those that have been held for long enough.</summary>
    /// <param name="open">The connections that live.</param>
    /// <param name="roundTrip">The round trip.</param>
    /// <param name="now">The time.</param>
    public IReadOnlyList<(ProbedConnection One, Observation Seen)> Release(IEnumerable<ProbedConnection> open, TimeSpan roundTrip, TimeSpan now)
    {
        if (_held.Count == 0)
        {
            return [];
        }
        var first = _held.Min(end => end.Seen.At);
        var instant = s_instant + (roundTrip * 2);
        if (now <= first + instant || (now < first + s_again && _held.Count > LeastEnds && _held.Count > 4 * open.Count(one => IsOlder(one, first, roundTrip))))
        {
            return [];
        }
        List<(ProbedConnection, Observation)> released = [.. _held.Where(end => end.Seen.At < now - instant)];
        _held.RemoveAll(end => end.Seen.At < now - instant);
        return released;
    }

    private static bool IsOlder(ProbedConnection one, TimeSpan first, TimeSpan roundTrip) =>
        one.Phase is ProbedPhase.Idle or ProbedPhase.Testing && one.OpenedAt < first - s_opening - roundTrip;
}
