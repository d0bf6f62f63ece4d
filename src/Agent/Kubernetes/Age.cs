using System.Globalization;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Ages for people.</summary>
internal static class Age
{
    /// <summary>Returns an age in its largest unit, such as <c>3 h</c>.</summary>
    public static string Text(TimeSpan age)
    {
        var (value, unit) = age switch
        {
            { TotalDays: >= 2 } => (age.TotalDays, "days"),
            { TotalHours: >= 2 } => (age.TotalHours, "h"),
            { TotalMinutes: >= 2 } => (age.TotalMinutes, "min"),
            _ => (Math.Max(0, age.TotalSeconds), "s"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(value)} {unit}");
    }
}
