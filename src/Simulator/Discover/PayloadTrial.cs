namespace Keepalive.Simulator.Discover;

/// <summary>Tries whether payload restarts the clock: some connections send it every third of the timeout for one and a half times as
/// long. If they end as early as the others, no traffic keeps them: they have a maximum age.</summary>
internal sealed class PayloadTrial(Bracket timeout, byte[] payload, TimeSpan began) : IDisposable
{
    private const int Connections = 3;
    private const int Sends = 4;

    private readonly List<ProbedConnection> _all = [];
    private readonly Dictionary<ProbedConnection, int> _sent = [];
    private readonly TimeSpan _most = timeout.To!.Value;
    private int _kept;
    private int _ended;
    private int _other;

    /// <summary>When it is over at the latest.</summary>
    public TimeSpan Deadline => began + (_most * 1.6) + TimeSpan.FromSeconds(15);

    /// <summary>When it is over if nothing is lost.</summary>
    public TimeSpan End => (_all.Count < Connections ? began + TimeSpan.FromSeconds(1) : _all.Max(one => one.BeganAt)) + (_most * 1.5);

    public bool NeedsConnection => _all.Count < Connections;

    public bool IsOver(TimeSpan now) => _kept + _ended + _other >= Connections || now > Deadline;

    /// <summary>Whether payload restarts the clock; null if it did not show.</summary>
    public bool? PayloadCounts => _kept > _ended + _other ? true : _ended > _kept + _other ? false : null;

    public void Add(ProbedConnection one) => _all.Add(one);

    public void Poll(TimeSpan now, in WayState way)
    {
        foreach (var one in _all)
        {
            if (one.Phase == ProbedPhase.Ended)
            {
                continue;
            }
            _ = one.Poll(in way);
            if (one.Phase == ProbedPhase.Connecting)
            {
                continue;
            }
            var age = now - one.OpenedAt;
            if (one.Phase == ProbedPhase.Ended)
            {
                _ = one.Failure is null && Fits(age) ? _ended++ : _other++;
                one.Dispose();
            }
            else if (age > _most * 1.5)
            {
                // A send that got no acknowledgement for long: dropped in silence.
                _ = one.IsAcknowledged ? _kept++ : _ended++;
                one.Abort();
            }
            else if (_sent.GetValueOrDefault(one) is var count && count <= Sends && age >= _most / 3 * count)
            {
                _sent[one] = count + 1;
                one.Send(payload);
            }
        }
    }

    public void Dispose() => _all.ForEach(one => one.Dispose());

    private bool Fits(TimeSpan age) => age > (timeout.From * 0.95) - TimeSpan.FromSeconds(0.3) && age < (_most * 1.05) + TimeSpan.FromSeconds(1.5);
}
