using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>Which packets the network loses.</summary>
/// <remarks>
/// Independently, or in bursts: then the path of a connection is either good or loses everything, for exponentially distributed times
/// (Gilbert's model in continuous time). Only the time between two packets counts then, not how many there were, so that it is enough to
/// look when one is sent.
/// </remarks>
internal readonly struct PathLoss(Scenario scenario)
{
    private readonly double _loss = scenario.Loss;

    /// <summary>How fast the state is forgotten, per tick: 1/good + 1/bad.</summary>
    private readonly double _rate = scenario.LossBurst > TimeSpan.Zero ? 1 / (scenario.LossBurst.Ticks * (1 - scenario.Loss)) : 0;

    /// <summary>Whether there is any.</summary>
    public bool Exists => _loss > 0;

    /// <summary>Whether a packet is lost.</summary>
    /// <param name="path">The state of its path.</param>
    /// <param name="random">The connection's.</param>
    /// <param name="now">When it is sent, ticks.</param>
    public bool Takes(ref PathState path, ref RandomStream random, long now)
    {
        if (_loss <= 0)
        {
            return false;
        }
        if (_rate == 0)
        {
            return random.Next() < _loss;
        }
        var remembered = path.IsKnown ? Math.Exp(-_rate * Math.Max(0, now - path.SeenAt)) : 0;
        path = new PathState(random.Next() < _loss + (((path.IsBad ? 1 : 0) - _loss) * remembered), Math.Max(now, path.SeenAt), true);
        return path.IsBad;
    }
}

/// <summary>The state a path was in when it was last looked at.</summary>
internal readonly record struct PathState(bool IsBad, long SeenAt, bool IsKnown);
