namespace Keepalive.Simulator.Virtual;

/// <summary>Counts by parts of the time. Probes are the most frequent of all events, so that no number is divided for one.</summary>
/// <param name="counts">The counts, of which the last has all that is later.</param>
/// <param name="length">How long a part is, ticks.</param>
internal readonly struct TimeBins(long[] counts, long length)
{
    private readonly double _part = 1.0 / length;

    /// <summary>Counts one.</summary>
    public void Add(long time) => counts[Of(time)]++;

    /// <summary>Counts several at equal distances.</summary>
    /// <param name="first">The time of the first.</param>
    /// <param name="distance">From one to the next.</param>
    /// <param name="count">How many.</param>
    public void Add(long first, long distance, long count)
    {
        while (true)
        {
            var bin = Of(first);
            var end = (bin + 1) * length;
            if (bin == counts.Length - 1 || first + ((count - 1) * distance) < end)
            {
                counts[bin] += count;
                return;
            }
            var within = ((end - 1 - first) / distance) + 1;
            counts[bin] += within;
            first += within * distance;
            count -= within;
        }
    }

    private int Of(long time)
    {
        // The product may be one too large or too small where a part ends.
        var bin = (long)(time * _part);
        bin += time >= (bin + 1) * length ? 1 : time < bin * length ? -1 : 0;
        return (int)Math.Min(counts.Length - 1, bin);
    }
}
