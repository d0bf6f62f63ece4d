namespace Keepalive.Simulator.Discover;

/// <summary>When the far end sends something by itself again and again on connections that are idle.</summary>
/// <param name="Least">The shortest time before it did, but for a tenth of all.</param>
/// <param name="Typical">The time in the middle.</param>
/// <param name="Most">The longest time, but for a tenth of all.</param>
internal readonly record struct FarEndSpeech(TimeSpan Least, TimeSpan Typical, TimeSpan Most)
{
    private static readonly TimeSpan s_tolerance = TimeSpan.FromSeconds(0.5);

    /// <summary>The interval; null if it is none.</summary>
    public TimeSpan? Every => Most - Least <= (Typical * 0.25) + s_tolerance ? Typical : null;

    /// <summary>Sums up the times before it sent something; null if there are none.</summary>
    public static FarEndSpeech? Of(IReadOnlyCollection<TimeSpan> after)
    {
        TimeSpan[] sorted = [.. after.Order()];
        var rare = sorted.Length / 10;
        return sorted.Length == 0 ? null : new FarEndSpeech(sorted[rare], sorted[sorted.Length / 2], sorted[^(rare + 1)]);
    }
}
