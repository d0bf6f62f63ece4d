namespace Keepalive.Simulator.Discover;

/// <summary>The idle times at which connections are tested.</summary>
/// <remarks>
/// First a ladder: each connection waits longer than the one before by the same factor, until one is forgotten. Then the connections that
/// are still younger fill the gap between the longest idle time that was survived and the shortest that was not.
/// </remarks>
internal static class TestPlan
{
    /// <summary>The shortest idle time that a probe can test: TCP_KEEPIDLE has whole seconds.</summary>
    public static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1.1);

    /// <summary>So many connections at a time are tested because their idle time divides the gap now.</summary>
    private const int AtOnce = 3;

    /// <summary>A rung of the ladder, 0..<paramref name="rungs"/>−1, or a part of the way to the next; the last is
    /// <paramref name="until"/>.</summary>
    public static TimeSpan Rung(double number, int rungs, TimeSpan until) =>
        rungs == 1 ? until : Shortest * Math.Pow(until / Shortest, number / (rungs - 1));

    /// <summary>When to open a connection that will fill the gap. Their ages are spread as evenly, whenever the ladder ends.</summary>
    public static TimeSpan Opening(int number, int count, TimeSpan until)
    {
        var first = TimeSpan.FromSeconds(0.3);
        return first * Math.Pow(until / 2 / first, number / (double)Math.Max(1, count - 1));
    }

    /// <summary>Returns the idle times at which to test connections, so that the results leave the smallest gap soonest.</summary>
    /// <param name="idle">The idle times of the connections now.</param>
    /// <param name="least">The longest idle time survived.</param>
    /// <param name="most">The shortest idle time not survived.</param>
    /// <param name="precision">The width of the gap to reach.</param>
    /// <returns>The idle time for each connection; null for those that are too old, or are not needed.</returns>
    public static TimeSpan?[] Fill(IReadOnlyList<TimeSpan> idle, TimeSpan least, TimeSpan most, TimeSpan precision)
    {
        var targets = new TimeSpan?[idle.Count];
        var gap = most - least;
        int[] young = [.. Enumerable.Range(0, idle.Count).Where(i => idle[i] < most).OrderByDescending(i => idle[i])];
        // Those that reach the gap within its own width; if there are none, all have to wait for as long as it takes.
        int[] soon = [.. young.Where(i => idle[i] > least - gap)];
        var used = soon.Length > 0 ? soon : young;
        var points = Math.Min((int)Math.Ceiling(gap / precision), used.Length);
        var next = 0;
        for (var point = points; point > 0; point--)
        {
            var at = least + (gap * point / (points + 1));
            while (next < used.Length && idle[used[next]] > at)
            {
                next++;
            }
            if (next < used.Length)
            {
                targets[used[next++]] = at;
            }
        }
        if (targets.All(target => target is null) && used.Length > 0)
        {
            // All in the gap are above its highest point.
            targets[used[^1]] = idle[used[^1]];
        }
        return targets;
    }

    /// <summary>The same for a long timeout, where each test counts: a connection needs as long to be as old again.</summary>
    /// <param name="idle">The idle times of the connections now.</param>
    /// <param name="testing">The idle times of those that are tested now: their answers will divide the gap.</param>
    /// <param name="least">The longest idle time survived.</param>
    /// <param name="most">The shortest idle time not survived.</param>
    /// <param name="precision">The width of the gap to reach.</param>
    /// <returns>The idle time for each connection; null for those that are too old, or are not needed.</returns>
    public static TimeSpan?[] Divide(
        IReadOnlyList<TimeSpan> idle, IEnumerable<TimeSpan> testing, TimeSpan least, TimeSpan most, TimeSpan precision)
    {
        var targets = new TimeSpan?[idle.Count];
        var gap = most - least;
        List<TimeSpan> divided = [least, .. testing.Where(at => at > least && at < most).Order(), most];
        int[] young = [.. Enumerable.Range(0, idle.Count).Where(i => idle[i] < most).OrderByDescending(i => idle[i])];
        // Those that reach the gap within its own width; if there are none, all have to wait for as long as it takes.
        List<int> used = [.. young.Where(i => idle[i] > least - gap)];
        used = used.Count > 0 ? used : [.. young];
        // One whose time divides the gap well answers now. All of one moment would be too many: the first answers make most needless.
        while (divided.Count < AtOnce + 2 && used.Count > 0)
        {
            var best = used.MaxBy(i => Distance(divided, idle[i]));
            if (Distance(divided, idle[best]) < precision / 2 || Distance(divided, idle[best]) * 4 < Interval(divided, idle[best]))
            {
                break;
            }
            targets[best] = idle[best];
            divided.Insert(divided.FindIndex(at => at > idle[best]), idle[best]);
            used.Remove(best);
        }
        // The others reach times that divide it further, each the next one above its own.
        var (isTesting, undivided) = (divided.Count > 2, new HashSet<TimeSpan>());
        while (used.Count > 0)
        {
            var widest = Enumerable.Range(1, divided.Count - 1).Where(i => !undivided.Contains(divided[i - 1])).DefaultIfEmpty()
                .MaxBy(i => i == 0 ? default : divided[i] - divided[i - 1]);
            if (widest == 0 || divided[widest] - divided[widest - 1] <= precision)
            {
                break;
            }
            var at = (divided[widest] + divided[widest - 1]) / 2;
            if (used.FindIndex(i => idle[i] <= at) is var next && next < 0)
            {
                undivided.Add(divided[widest - 1]);
                continue;
            }
            targets[used[next]] = at;
            used.RemoveAt(next);
            divided.Insert(widest, at);
        }
        if (!isTesting && divided.Count == 2 && used.Count > 0)
        {
            // All in the gap are above its middle.
            targets[used[^1]] = idle[used[^1]];
        }
        return targets;
    }

    /// <summary>How far a time is from the next of those that divide the gap; zero outside.</summary>
    private static TimeSpan Distance(List<TimeSpan> divided, TimeSpan time) => divided.FindIndex(at => at > time) is var above && above > 0
        ? TimeSpan.FromTicks(Math.Min((divided[above] - time).Ticks, (time - divided[above - 1]).Ticks)) : TimeSpan.Zero;

    private static TimeSpan Interval(List<TimeSpan> divided, TimeSpan time) => divided.FindIndex(at => at > time) is var above && above > 0
        ? divided[above] - divided[above - 1] : TimeSpan.MaxValue;
}
