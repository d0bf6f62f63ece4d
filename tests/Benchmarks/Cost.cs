using System.Diagnostics;

namespace Keepalive.Benchmarks;

/// <summary>Wall time and processor time.</summary>
internal readonly record struct Cost(TimeSpan Wall, TimeSpan Processor)
{
    public static Cost operator +(Cost one, Cost other) => new(one.Wall + other.Wall, one.Processor + other.Processor);

    public static Cost operator /(Cost cost, int number) => new(cost.Wall / number, cost.Processor / number);

    /// <summary>Measures this process, all its threads included.</summary>
    public static Cost Of(Action work)
    {
        var processor = Environment.CpuUsage.TotalTime;
        var begun = Stopwatch.GetTimestamp();
        work();
        return new Cost(Stopwatch.GetElapsedTime(begun), Environment.CpuUsage.TotalTime - processor);
    }
}
