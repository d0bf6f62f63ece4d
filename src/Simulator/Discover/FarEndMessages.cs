namespace Keepalive.Simulator.Discover;

/// <summary>The messages that the far end sends by itself on idle connections: how often, and on which connections it arrives.</summary>
internal sealed class FarEndMessages(Evidence evidence)
{
    /// <summary>So many connections have to hear the far end by itself.</summary>
    private const int LeastSpeaking = 4;

    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    private readonly HashSet<ProbedConnection> _compared = [];
    private readonly Dictionary<ProbedConnection, TimeSpan> _spoke = [];
    private readonly List<TimeSpan> _intervals = [];
    private readonly List<TimeSpan> _quietLives = [];
    private readonly List<(bool Arrived, TimeSpan Idle, TimeSpan After)> _outside = [];
    private int _payloads;

    /// <summary>Whether the far end sends payload by itself; if not, keepalive probes.</summary>
    public bool IsPayload => _payloads * 2 > _intervals.Count;

    /// <summary>Takes notice of a look at a connection.</summary>
    public void Look(ProbedConnection one, TimeSpan now)
    {
        if (one.FarEndSpoke >= now && one.SpokeAfter is { } after)
        {
            // Once is no interval.
            _spoke[one] = now;
            _intervals.Add(after);
            _payloads += one.SpokePayload ? 1 : 0;
        }
        if (one.Phase == ProbedPhase.Ended)
        {
            _quietLives.Add(one.Failure is null ? now - Later(one.OpenedAt, one.FarEndSpoke ?? default) : TimeSpan.Zero);
        }
    }

    /// <summary>How often the far end sends something by itself on idle connections; null if it does not, or not on most.</summary>
    public TimeSpan? Interval(IEnumerable<ProbedConnection> idle, TimeSpan now)
    {
        if (_spoke.Count < LeastSpeaking)
        {
            return null;
        }
        var every = _intervals.Order().ElementAt(_intervals.Count / 2);
        var most = (every * 1.25) + s_second;
        var speaking = _spoke.Count(one => one.Key.Phase == ProbedPhase.Ended || now - one.Value <= most);
        var quiet = _quietLives.Count(life => life > most)
            + idle.Count(one => one.Phase == ProbedPhase.Idle && now - Later(one.OpenedAt, one.FarEndSpoke ?? default) > most);
        return speaking >= LeastSpeaking && speaking > 2 * quiet ? every : null;
    }

    /// <summary>When the far end does so; null if it does not, or not on most.</summary>
    public FarEndSpeech? Speech(IEnumerable<ProbedConnection> idle, TimeSpan now) => Interval(idle, now) is null ? null : FarEndSpeech.Of(_intervals);

    /// <summary>Whether it is known if a connection received what the controls received.</summary>
    public bool IsCompared(ProbedConnection one) => _compared.Contains(one);

    /// <summary>Takes notice of a test that found a connection dropped after the far end had sent something.</summary>
    public void NotReceived(ProbedConnection one, in Observation seen)
    {
        _compared.Add(one);
        _outside.Add((false, evidence.IdleAtEvent(in seen), evidence.FarEndEvent!.After));
    }

    /// <summary>Compares what the far end sent on an idle connection with what it sent on the controls.</summary>
    public void Compare(ProbedConnection one, Controls controls, TimeSpan now)
    {
        if (one is { Phase: ProbedPhase.Ended, CameAfter: { } last } && _compared.Add(one))
        {
            _outside.Add((true, one.CameAfterIdle, last));
        }
        if (!controls.IsEventConfirmed || controls.Event is not { } what)
        {
            return;
        }
        foreach (var (arrived, idle, _) in _outside.Where(seen => what.IsIt(seen.After)))
        {
            evidence.AddOutside(arrived, idle);
        }
        _outside.Clear();
        if (_compared.Contains(one))
        {
            return;
        }
        if (one.CameAfter is { } came && what.IsIt(came))
        {
            _compared.Add(one);
            evidence.AddOutside(arrived: true, one.CameAfterIdle);
        }
        else if (one.Heard.Any(what.IsIt))
        {
            // It came soon after another packet: that it arrived says nothing.
            _compared.Add(one);
        }
        else if (one.Phase == ProbedPhase.Idle && one.SincePayload(now) > what.After + what.Late)
        {
            _compared.Add(one);
            var idle = one.SincePacket(now) - (one.SincePayload(now) - what.After);
            if (idle > TimeSpan.Zero)
            {
                evidence.AddOutside(arrived: false, idle);
            }
        }
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
