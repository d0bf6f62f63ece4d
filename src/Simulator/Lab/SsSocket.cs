using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace Keepalive.Simulator.Lab;

/// <summary>One line of <c>ss -tno</c>.</summary>
/// <remarks>
/// Timer: keepalive, on (retransmission), timewait or persist; null when none runs. Left: until it fires, cut by ss to whole seconds from
/// 10 s on and to whole minutes from 10 min on. Unanswered: probes, or retransmissions, without an answer.
/// </remarks>
internal sealed partial record SsSocket(string State, IPEndPoint Local, IPEndPoint Remote, string? Timer, TimeSpan Left, int Unanswered)
{
    /// <summary>The sockets in an output of ss; its heading is passed over.</summary>
    public static IReadOnlyList<SsSocket> ParseAll(string output) =>
        [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !line.StartsWith("State", StringComparison.Ordinal)).Select(Parse)];

    public static SsSocket Parse(string line)
    {
        var match = Line().Match(line);
        if (!match.Success)
        {
            throw new FormatException($"not a line of ss: {line}");
        }
        var timer = match.Groups["timer"].Success;
        return new SsSocket(
            match.Groups["state"].Value,
            IPEndPoint.Parse(match.Groups["local"].Value),
            IPEndPoint.Parse(match.Groups["remote"].Value),
            timer ? match.Groups["timer"].Value : null,
            timer ? ParseTime(match.Groups["left"].Value) : TimeSpan.Zero,
            timer ? int.Parse(match.Groups["count"].Value, CultureInfo.InvariantCulture) : 0);
    }

    /// <summary>Reads <c>712ms</c>, <c>9.712ms</c> (9.712 s), <c>59sec</c>, <c>1min54sec</c>, <c>11min</c>, and nothing, which is zero.</summary>
    public static TimeSpan ParseTime(string text)
    {
        var match = Time().Match(text);
        if (!match.Success)
        {
            throw new FormatException($"not a time of ss: {text}");
        }
        return TimeSpan.FromMinutes(Number("minutes")) + TimeSpan.FromSeconds(Number("seconds")) + TimeSpan.FromMilliseconds(Number("milliseconds"));

        int Number(string group) => match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : 0;
    }

    [GeneratedRegex(@"^(?<state>[A-Z0-9-]+)\s+\d+\s+\d+\s+(?<local>\S+)\s+(?<remote>\S+)(?:\s+timer:\((?<timer>[a-z]+),(?<left>[^,]*),(?<count>\d+)\))?\s*$")]
    private static partial Regex Line();

    [GeneratedRegex(@"^(?:(?<minutes>\d+)min)?(?:(?<seconds>\d+)(?:sec|\.(?=\d{3}ms)))?(?:(?<milliseconds>\d{3})ms)?$")]
    private static partial Regex Time();
}
