using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>When clients make their requests.</summary>
internal sealed class ArrivalClock(Scenario scenario)
{
    /// <summary>Pauses in a row without a request between two looks at whether the run was cancelled.</summary>
    private const int PausesBetweenChecks = 4096;

    private readonly Arrival _arrival = scenario.Requests;
    private readonly long _mean = (scenario.Requests.MeanGap ?? TimeSpan.Zero).Ticks;
    private readonly long _end = scenario.Duration.Ticks;

    /// <summary>When its next request begins, the one before being over at <paramref name="now"/>; the first, when that is 0.</summary>
    /// <param name="client">It.</param>
    /// <param name="number">Which it is, from 0.</param>
    /// <param name="now">Ticks.</param>
    /// <param name="cancellation">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public long Next(ref VirtualClient client, int number, long now, CancellationToken cancellation)
    {
        switch (_arrival)
        {
            case PoissonArrival:
                return Later(now, client.Random.Exponential(_mean));
            case FixedArrival:
                // Clients do not march in step: the first gap is as much of one as is left at a random time within it.
                return client.Requests == 0 ? (long)(client.Random.Next() * _mean) : Later(now, _mean);
            case OnOffArrival onOff:
                var time = now;
                for (var pauses = 1; ; pauses++)
                {
                    var next = Later(time, client.Random.Exponential(onOff.Mean.Ticks));
                    // With gaps much longer than the busy times there may be no request before the end.
                    if (next < client.BusyUntil || time >= _end)
                    {
                        return next;
                    }
                    if (pauses % PausesBetweenChecks == 0)
                    {
                        cancellation.ThrowIfCancellationRequested();
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
