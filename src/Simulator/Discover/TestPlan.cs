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

    /// <summary>A rung of the ladder, 0..<paramref name="rungs"/>−1; the last is <paramref name="until"/>.</summary>
    public static TimeSpan Rung(int number, int rungs, TimeSpan until) =>
        rungs == 1 ? until : Shortest * Math.Pow(until / Shortest, number / (double)(rungs - 1));

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
}
