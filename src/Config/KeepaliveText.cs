using System.Globalization;
using System.Diagnostics.CodeAnalysis;

namespace Keepalive.Config;

/// <summary>Keepalive values in one word: <c>240s/20s/4</c> is time, interval and probes.</summary>
public static class KeepaliveText
{
    /// <summary>Reads values.</summary>
    /// <param name="text">All three values; time and interval are durations in whole seconds.</param>
    /// <param name="settings">The values.</param>
    /// <param name="problem">Why it is not valid; reads on after the name of an option.</param>
    public static bool TryParse(string text, out KeepaliveSettings settings, [NotNullWhen(false)] out string? problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        settings = default;
        var count = 0;
        if (text.Split('/') is not [var time, var interval, var probes])
        {
            problem = $"takes TIME/INTERVAL/PROBES like 240s/20s/4, not '{Quoting.Shorten(text)}'";
            return false;
        }
        var wrongTime = Seconds("a time", time, KeepaliveSettings.MaxTime, out var timeSeconds);
        var wrongInterval = Seconds("an interval", interval, KeepaliveSettings.MaxInterval, out var intervalSeconds);
        problem = wrongTime ?? wrongInterval ?? Count(probes, out count);
        settings = new KeepaliveSettings(timeSeconds, intervalSeconds, count);
        return problem is null;
    }

    /// <summary>The values as <see cref="TryParse"/> reads them.</summary>
    public static string Format(KeepaliveSettings settings) =>
        string.Create(CultureInfo.InvariantCulture, $"{settings.Time}s/{settings.Interval}s/{settings.Probes}");

    private static string? Seconds(string what, string text, int most, out int seconds)
    {
        seconds = 0;
        const long second = 1_000_000_000;
        if (!GoDuration.TryParse(text, out var nanoseconds) || nanoseconds % second != 0 || nanoseconds < second || nanoseconds / second > most)
        {
            return $"takes {what} of whole seconds like 20s, from 1s to {most}s, not '{Quoting.Shorten(text)}'";
        }
        seconds = (int)(nanoseconds / second);
        return null;
    }

    private static string? Count(string text, out int count) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= 1 && count <= KeepaliveSettings.MaxProbes
            ? null
            : $"takes 1 to {KeepaliveSettings.MaxProbes} probes, not '{Quoting.Shorten(text)}'";
}
