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
            if (GoDuration.TryParse(text, out var nanoseconds) && TimeSpan.FromMicroseconds(nanoseconds / 1000) is var duration && duration >= least && duration <= most)
            {
                return duration;
            }
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} takes a duration like 5s, from {least.TotalSeconds}s to {most.TotalSeconds}s, not '{text}'"));
            return default;
        },
    };
}
