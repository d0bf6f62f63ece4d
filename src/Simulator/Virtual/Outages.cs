using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>When which endpoint is away; settled before anything runs.</summary>
internal sealed class Outages
{
    private const int RandomKind = 3;

    /// <summary>More than anyone looks at; keeps a failure every millisecond for a year from filling the memory.</summary>
    private const int MaxOfAnEndpoint = 1_000_000;

    private readonly Outage[][] _ofEndpoints;

    public Outages(Scenario scenario)
    {
        _ofEndpoints = new Outage[scenario.Endpoints][];
        for (var endpoint = 0; endpoint < scenario.Endpoints; endpoint++)
        {
            _ofEndpoints[endpoint] = Merge(scenario.Failures
                .SelectMany((failure, number) => failure.Endpoint == endpoint ? Occurrences(scenario, failure, number) : []));
        }
    }

    /// <summary>The outage an endpoint is in, if any.</summary>
    public Outage? At(int endpoint, long time)
    {
        var all = _ofEndpoints[endpoint];
        if (all.Length == 0)
        {
            return null;
        }
        var after = FirstAfter(all, time);
        return after > 0 && time < all[after - 1].To ? all[after - 1] : null;
    }

    /// <summary>The next time an endpoint fails, later than <paramref name="time"/>; null when it does not.</summary>
    public Outage? Next(int endpoint, long time)
    {
        var all = _ofEndpoints[endpoint];
        var after = FirstAfter(all, time);
        return after < all.Length ? all[after] : null;
    }

    private static int FirstAfter(Outage[] all, long time)
    {
        var (low, high) = (0, all.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = all[middle].From <= time ? (middle + 1, high) : (low, middle);
        }
        return low;
    }

    private static IEnumerable<Outage> Occurrences(Scenario scenario, Failure failure, int number)
    {
        if (failure.At is { } at)
        {
            yield return new Outage(at.Ticks, at.Ticks + failure.Lasts.Ticks, failure.IsSilent);
            yield break;
        }
        var random = new RandomStream(scenario.Seed, RandomKind, number);
        var time = 0L;
        for (var count = 0; count < MaxOfAnEndpoint; count++)
        {
            time += random.Exponential(failure.Every!.Value.Ticks);
            if (time >= scenario.Duration.Ticks)
            {
                yield break;
            }
            yield return new Outage(time, time + failure.Lasts.Ticks, failure.IsSilent);
            time += failure.Lasts.Ticks;
        }
    }

    private static Outage[] Merge(IEnumerable<Outage> outages)
    {
        var merged = new List<Outage>();
        foreach (var outage in outages.OrderBy(outage => outage.From))
        {
            if (merged.Count > 0 && outage.From <= merged[^1].To)
            {
                merged[^1] = merged[^1] with { To = Math.Max(merged[^1].To, outage.To) };
            }
            else
            {
                merged.Add(outage);
            }
        }
        return [.. merged];
    }
}

/// <summary>A time an endpoint is away.</summary>
/// <param name="From">Ticks.</param>
/// <param name="To">Ticks; from then on it answers again, and knows none of its connections.</param>
/// <param name="IsSilent">Whether it answers nothing, rather than with resets.</param>
internal readonly record struct Outage(long From, long To, bool IsSilent);
