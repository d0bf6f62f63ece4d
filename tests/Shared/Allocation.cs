namespace Keepalive.Testbed;

/// <summary>What code allocates.</summary>
internal static class Allocation
{
    private const int MaxRuns = 5;

    /// <summary>The bytes that an action allocates on this thread: the least of its runs, of which the first without any is the last.</summary>
    /// <remarks>When another thread collects garbage during a run, the rest of this thread's allocation buffer, up to 8 KB, counts as allocated.</remarks>
    public static long Of(Action action)
    {
        var least = long.MaxValue;
        for (int run = 0; run < MaxRuns && least > 0; run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
