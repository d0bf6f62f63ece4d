using System.Globalization;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A part of a grid: one of several that are simulated apart and merged.</summary>
/// <param name="Index">From 0, as JOB_COMPLETION_INDEX counts.</param>
/// <param name="Count">The number of shards.</param>
internal readonly record struct Shard(int Index, int Count)
{
    public const int MaxCount = 100_000;

    /// <summary>Reads <c>I/N</c>.</summary>
    public static Shard? Parse(string text) =>
        text.Split('/') is [var index, var count]
            && int.TryParse(index, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
            && int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            && n is > 0 and <= MaxCount && i < n
                ? new Shard(i, n)
                : null;

    /// <summary>The shard of a point. Each run of as many points as there are shards has one for each; it begins with another shard each time, since
    /// neighbours differ in the last parameter, and one of its values may cost more than the others.</summary>
    public static int Of(int point, int count) => (int)((point + ((long)point / count)) % count);

    public bool Owns(int point) => Of(point, Count) == Index;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");
}
