using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Keepalive.Config;
using Keepalive.Simulator.Advice;

namespace Keepalive.Simulator.Reports;

/// <summary>The part of advice that is about an application: its own settings with values that do what the policy would.</summary>
internal static class ApplicationReport
{
    /// <summary>The settings for values that were found.</summary>
    public static IEnumerable<ApplicationAdvice> For(string name, AdviceRequest request, KeepaliveSettings advised) => ApplicationSettings.Of(name)
        .Select(setting => new ApplicationAdvice(setting, Advisor.Fit(request, time => setting.Values(time, advised)), HeartbeatEach: null));

    /// <summary>The ways of an application to send payload, where TCP keepalive cannot help.</summary>
    public static IEnumerable<ApplicationAdvice> Instead(string name, AdviceRequest request) => ApplicationSettings.Of(name)
        .Select(setting => new ApplicationAdvice(setting, Values: null, Math.Max(1, (int)(request.Rule.IdleTimeout.TotalSeconds / 3))));

    /// <summary>As lines of text.</summary>
    /// <param name="advice">The settings.</param>
    /// <param name="advised">The values of the policy; null where there is none.</param>
    /// <param name="harms">Whether keepalive ends healthy connections.</param>
    public static IEnumerable<string> Lines(ApplicationAdvice advice, KeepaliveSettings? advised, bool harms)
    {
        var setting = advice.Setting;
        yield return $"{setting.Where}:";
        foreach (var line in Settings(advice, harms))
        {
            yield return $"  {line}";
        }
        if (Outcome(advice, advised, harms) is { } outcome)
        {
            yield return $"  {outcome}";
        }
        if (setting.Remark.Length > 0)
        {
            yield return $"  {setting.Remark}";
        }
        yield return $"  {setting.Source}";
    }

    public static void Write(Utf8JsonWriter writer, IEnumerable<ApplicationAdvice> advice, KeepaliveSettings? advised, bool harms)
    {
        writer.WriteStartArray("applications");
        foreach (var one in advice)
        {
            writer.WriteStartObject();
            writer.WriteString("where", one.Setting.Where);
            writer.WriteStartArray("settings");
            foreach (var line in Settings(one, harms))
            {
                writer.WriteStringValue(line);
            }
            writer.WriteEndArray();
            if (one is { Values: { } values, Setting.IsHeartbeat: false })
            {
                writer.WriteNumber("time", values.Time!.Value);
                writer.WriteNumber("interval", values.Interval!.Value);
                writer.WriteNumber("probes", values.Probes!.Value);
            }
            writer.WriteString("outcome", Outcome(one, advised, harms));
            writer.WriteString("remark", one.Setting.Remark);
            writer.WriteString("source", one.Setting.Source);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static ImmutableArray<string> Settings(ApplicationAdvice advice, bool harms)
    {
        if (advice.Values is { } values)
        {
            return advice.Setting.Lines(values);
        }
        var heartbeat = advice.HeartbeatEach is { } seconds ? advice.Setting.Heartbeat?.Invoke(seconds) ?? [] : [];
        return harms && advice.Setting.Off is { } off ? [off, .. heartbeat] : heartbeat;
    }

    /// <summary>The effect of the setting where it is not the advised one; null where it is.</summary>
    private static string? Outcome(ApplicationAdvice advice, KeepaliveSettings? advised, bool harms)
    {
        if (advice.HeartbeatEach is not null)
        {
            return Settings(advice, harms).IsEmpty
                ? "It has no setting that sends payload: let the application do it, or let its pool close idle connections."
                : harms && advice.Setting.Off is not null ? "This switches TCP keepalive off."
                : null;
        }
        if (advice.Setting.IsHeartbeat || advice.Values == advised)
        {
            return null;
        }
        return advice.Values is { } values
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"Its sockets then probe after {values.Time}s, each {values.Interval}s, {Words.Count(values.Probes!.Value, "probe")}.")
            : "None of its values meets the requirements.";
    }
}

/// <summary>A setting with its values.</summary>
/// <param name="Setting">The setting.</param>
/// <param name="Values">The values that its sockets get; null where none meets the requirements.</param>
/// <param name="HeartbeatEach">Seconds between messages where only payload counts; else null.</param>
internal sealed record ApplicationAdvice(ApplicationSetting Setting, KeepaliveSettings? Values, int? HeartbeatEach);
