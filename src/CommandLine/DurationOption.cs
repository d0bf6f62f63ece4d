using System.CommandLine;
using System.Globalization;
using Keepalive.Config;

namespace Keepalive.CommandLine;

/// <summary>Options that take a duration within a range.</summary>
public static class DurationOption
{
    /// <summary>A positive duration like <c>5s</c>, <c>500ms</c>, <c>1m30s</c>; zero where not given.</summary>
    public static Option<TimeSpan> Create(string name, string description, TimeSpan least, TimeSpan most) => new(name)
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (TryParse(text, least, most, out var duration))
            {
                return duration;
            }
            result.AddError($"{name} takes {Expected(least, most)}, not '{text}'");
            return default;
        },
    };

    /// <summary>Reads a duration within a range.</summary>
    public static bool TryParse(string text, TimeSpan least, TimeSpan most, out TimeSpan duration)
    {
        duration = GoDuration.TryParse(text, out var nanoseconds) ? TimeSpan.FromMicroseconds(nanoseconds / 1000) : TimeSpan.MinValue;
        return duration >= least && duration <= most;
    }

    /// <summary><c>a duration like 5s, from 1s to 2592000s</c>.</summary>
    public static string Expected(TimeSpan least, TimeSpan most) =>
        string.Create(CultureInfo.InvariantCulture, $"a duration like 5s, from {least.TotalSeconds}s to {most.TotalSeconds}s");
}
