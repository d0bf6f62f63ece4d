namespace Keepalive.Simulator.Virtual;

/// <summary>Random numbers of one client or connection, a stream of its own: who else draws, and when, does not matter.</summary>
/// <remarks>SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): 8 bytes of state.</remarks>
internal struct RandomStream
{
    private const ulong Increment = 0x9E3779B97F4A7C15;

    private ulong _state;

    /// <summary>The stream of a number within a kind, for a seed.</summary>
    public RandomStream(long seed, int kind, long number) =>
        _state = Mix(Mix(Mix((ulong)seed + Increment) + (ulong)kind + Increment) + (ulong)number + Increment);

    /// <summary>From 0 up to but not including 1.</summary>
    public double Next()
    {
        _state += Increment;
        return (Mix(_state) >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>From 0 up to but not including <paramref name="count"/>.</summary>
    public int Next(int count) => (int)(Next() * count);

    /// <summary>An exponentially distributed time.</summary>
    /// <param name="mean">Its mean, ticks.</param>
    public long Exponential(long mean)
    {
        var ticks = -mean * Math.Log(1 - Next());
        return (long)ticks;
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
