namespace Keepalive.Simulator.Discover;

/// <summary>The connections that are probed every second, so that they are never idle.</summary>
/// <remarks>
/// They show whether the far end is there, whether probes restart the clock, and when the far end sends something or closes by itself.
/// They are opened at different times: if something happens to all at one age, it is a rule; if at one instant, the way has changed.
/// </remarks>
internal sealed class Controls : IDisposable
{
    /// <summary>A new one is needed if none has been heard for so long.</summary>
    private static readonly TimeSpan s_unheard = TimeSpan.FromSeconds(2.5);

    /// <summary>A far end that answers no probe in this time does not answer any.</summary>
    private static readonly TimeSpan s_deaf = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    /// <summary>When to open them: far enough apart, also where a balancer's clock ticks.</summary>
    private static readonly TimeSpan[] s_openings = [.. from seconds in (double[])[0, 3, 12, 48, 192, 768] select TimeSpan.FromSeconds(seconds)];

    private readonly List<ProbedConnection> _open = [];
    private readonly List<ProbedConnection> _all = [];
    private readonly HashSet<ProbedConnection> _rejected = [];
    private TimeSpan _heard;
    private TimeSpan _steadySince;
    private bool _isEverHeard;
    private bool _isDeaf;
    private double _loss;

    /// <summary>Those that live.</summary>
    public IReadOnlyList<ProbedConnection> Open => _open;

    public bool LostPackets => _all.Exists(one => one.LostPackets);

    /// <summary>The message that the far end sends by itself, or its FIN; null if it does not.</summary>
    public FarEndEvent? Event { get; private set; }

    /// <summary>Whether a second one has shown the same.</summary>
    public bool IsEventConfirmed { get; private set; }

    /// <summary>Whether none can become older without payload than they were, since the far end sends some again and again.</summary>
    /// <param name="age">The longest time without payload that one survived.</param>
    public bool IsClockHidden(TimeSpan age) => _open.Exists(one => one.Spoken > 2 && one.FarEndSpoke == one.LastPayload && one.SpokeAfter < age + s_second);

    public WayState Way(TimeSpan roundTrip) => new(_heard, _steadySince, roundTrip, _isDeaf, LostPackets) { Loss = _loss };

    /// <summary>Takes notice of an answer on another connection.</summary>
    public void Note(TimeSpan heard) => _heard = _isEverHeard && heard > _heard ? heard : _heard;

    /// <summary>Whether to open another.</summary>
    public bool IsDue(TimeSpan now) => !_open.Exists(one => one.Phase == ProbedPhase.Connecting && one.Waited(now) < s_unheard)
        && (_open.Count == 0 || (_all.Count < s_openings.Length && now >= s_openings[_all.Count])
            || (!_isDeaf && _open.TrueForAll(one => now - one.HeardAt > s_unheard) && _all.Count < 4 * s_openings.Length));

    public void Add(ProbedConnection one)
    {
        _open.Add(one);
        _all.Add(one);
    }

    /// <summary>Looks at all.</summary>
    /// <param name="time">The time: it is read for each, since the kernel's times are compared with it.</param>
    /// <param name="roundTrip">The round trip.</param>
    /// <param name="opened">Called for one that was opened.</param>
    /// <param name="ended">Called for one that ended, and how.</param>
    public void Poll(Func<TimeSpan> time, TimeSpan roundTrip, Action<ProbedConnection> opened, Action<ProbedConnection, Observation?> ended)
    {
        var way = Way(roundTrip);
        for (var i = _open.Count - 1; i >= 0; i--)
        {
            var (one, now) = (_open[i], time());
            var wasConnecting = one.Phase == ProbedPhase.Connecting;
            var seen = one.Poll(in way);
            if (wasConnecting && one.Phase == ProbedPhase.Idle)
            {
                opened(one);
                one.Busy(now);
            }
            if (one.IsControl && one.HeardAt > _heard)
            {
                _steadySince = one.HeardAt - _heard > WayState.Gap + (roundTrip * 2) ? one.HeardAt : _steadySince;
                _heard = one.HeardAt;
            }
            _isEverHeard |= one.HeardAt > one.OpenedAt + (s_second / 2);
            if (one.Phase == ProbedPhase.Ended)
            {
                _open.RemoveAt(i);
                ended(one, seen);
                one.Dispose();
            }
        }
        var at = time();
        // An average of few would be by chance.
        _loss = _all.Sum(one => one.Lost) / (10 + _all.Where(one => one.IsControl).Sum(one => (one.HeardAt - one.OpenedAt).TotalSeconds));
        _isDeaf = !_isEverHeard && _all.Count(one => one.IsControl && at - one.OpenedAt > s_deaf + (roundTrip * 6)) > 1;
        FindEvent(at);
    }

    public void Dispose() => _open.ForEach(one => one.Dispose());

    /// <summary>Finds something that the far end did at the same age of two.</summary>
    private void FindEvent(TimeSpan now)
    {
        while (_all.Find(one => one.CameAfter > s_second && !_rejected.Contains(one)) is { CameAfter: { } after } first)
        {
            // One that has said nothing for longer than that does not repeat it.
            var found = new FarEndEvent(after, first.Phase == ProbedPhase.Ended || now - first.FarEndSpoke > (after * 1.25) + s_second);
            Event = Event == found ? Event : found;
            if (IsEventConfirmed)
            {
                return;
            }
            var others = _all.Where(one => one.IsControl && (one.OpenedAt - first.OpenedAt).Duration() > s_second).ToList();
            IsEventConfirmed = others.Exists(one => one.CameAfter is { } came && found.IsIt(came));
            if (IsEventConfirmed || !others.Exists(one => one.Phase == ProbedPhase.Ended || one.CameAfter > s_second || (!one.Heard.Any(found.IsIt) && one.SincePayload(now) > after + found.Late)))
            {
                return;
            }
            _rejected.Add(first);
            Event = null;
        }
    }
}
