namespace Keepalive.Simulator.Discover;

/// <summary>A suspicion that the way to the far end, or the far end itself, has changed: everything that was open is then gone, whatever its
/// age.</summary>
/// <remarks>
/// Others have survived more than the canaries: connections that were quiet for a short time. If they are dead too, it is not their idle
/// time that killed them.
/// </remarks>
internal sealed class PathChange(TimeSpan since, TimeSpan now)
{
    private const int Canaries = 3;

    private static readonly TimeSpan s_search = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_instant = TimeSpan.FromSeconds(1.5);

    private readonly HashSet<ProbedConnection> _canaries = [];
    private int _alive;
    private int _dead;
    private readonly List<TimeSpan> _controls = [];

    /// <summary>The change happened after this.</summary>
    public TimeSpan Since => since;

    /// <summary>Whether it has changed; null while that is unknown.</summary>
    public bool? Verdict { get; private set; }

    /// <summary>Tests some connections that must be known, and decides when they have answered.</summary>
    /// <param name="idle">The idle connections.</param>
    /// <param name="evidence">The observations.</param>
    /// <param name="at">The time.</param>
    public void Decide(IReadOnlyList<ProbedConnection> idle, Evidence evidence, TimeSpan at)
    {
        foreach (var one in idle.Where(one => one.Phase == ProbedPhase.Idle && one.OpenedAt < since && one.SincePacket(at) >= TestPlan.Shortest
            && evidence.IsSafe(one.SincePacket(at), one.SincePayload(at), since)).OrderBy(one => one.SincePacket(at)).Take(Canaries - _canaries.Count))
        {
            _canaries.Add(one);
            one.Test(at);
        }
        var isPending = idle.Any(one => _canaries.Contains(one) && one.Phase == ProbedPhase.Testing);
        Verdict = _alive > 0 ? false
            : isPending || (_dead + _controls.Count < Canaries && at < now + s_search) ? null
            : _dead > 1 || (_controls.Count > 1 && _controls.Max() - _controls.Min() < s_instant);
    }

    /// <summary>Takes notice of a connection that answered or ended.</summary>
    public void Observe(ProbedConnection one, in Observation seen, Evidence evidence)
    {
        if (seen.Answer == IdleAnswer.Alive)
        {
            _alive += _canaries.Contains(one) ? 1 : 0;
        }
        else if (!seen.EndedByItself && seen.At >= since && one.OpenedAt < since && (_canaries.Contains(one) || evidence.IsSafe(seen.SinceAny, seen.SincePayload, since)))
        {
            _dead++;
        }
    }

    /// <summary>Takes notice of a control that ended.</summary>
    /// <param name="heard">When the far end last answered on it. They were opened at different times, so they do not end together of their age.</param>
    public void ControlEnded(TimeSpan heard) => _controls.Add(heard);
}
