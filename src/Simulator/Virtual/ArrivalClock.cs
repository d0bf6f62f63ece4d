using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>When clients make their requests.</summary>
internal sealed class ArrivalClock(Scenario scenario)
{
    private readonly Arrival _arrival = scenario.Requests;
    private readonly long _mean = (scenario.Requests.MeanGap ?? TimeSpan.Zero).Ticks;

    /// <summary>When a client opens its connections.</summary>
    public long Begins(ref VirtualClient client) => _arrival is FixedArrival ? (long)(client.Random.Next() * _mean) : 0;

    /// <summary>When its next request begins, the one before, or its beginning, being over at <paramref name="now"/>.</summary>
    /// <param name="client">It.</param>
    /// <param name="number">Which it is, from 0.</param>
    /// <param name="now">Ticks.</param>
    public long Next(ref VirtualClient client, int number, long now)
    {
        switch (_arrival)
        {
            case PoissonArrival:
                return Later(now, client.Random.Exponential(_mean));
            case FixedArrival:
                return Later(now, _mean);
            case OnOffArrival onOff:
                var time = now;
                for (; ; )
                {
                    var next = Later(time, client.Random.Exponential(onOff.Mean.Ticks));
                    if (next < client.BusyUntil || next >= Block.Never)
                    {
                        return next;
                    }
                    time = Later(Math.Max(time, client.BusyUntil), client.Random.Exponential(onOff.Off.Ticks));
                    client.BusyUntil = Later(time, client.Random.Exponential(onOff.On.Ticks));
                }
            case TraceArrival trace:
                var times = number < trace.Times.Length ? trace.Times[number] : [];
                return client.Requests < times.Length ? Math.Max(now, times[client.Requests].Ticks) : Block.Never;
            default:
                throw new InvalidOperationException($"no clock for {_arrival}");
        }
    }

    private static long Later(long now, long wait) => Math.Min(Block.Never, now + wait);
}
