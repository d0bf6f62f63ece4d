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
        .Select(setting => new ApplicationAdvice(
            setting, Advisor.Fit(request, time => setting.Values(time, advised)), HeartbeatEach: null, CloseAfter: null,
            setting.Default is { } byItself ? Advisor.Meets(request, byItself) : null));

    /// <summary>The ways of an application to send payload, where TCP keepalive cannot help.</summary>
    public static IEnumerable<ApplicationAdvice> Instead(string name, AdviceRequest request) => ApplicationSettings.Of(name)
        .Select(setting => new ApplicationAdvice(
            setting, Values: null, Math.Max(1, (int)(request.Rule.IdleTimeout.TotalSeconds / 3)), Math.Max(1, (int)(request.Rule.IdleTimeout.TotalSeconds * 4 / 5)),
            IsDefaultFine: setting.Default is null ? null : false));

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
        if (ByItself(advice, harms) is { } byItself)
        {
            yield return $"  {byItself}";
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
            writer.WriteString("default", ByItself(one, harms));
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
        heartbeat = heartbeat.IsEmpty && advice.CloseAfter is { } idle ? advice.Setting.CloseIdle?.Invoke(idle) ?? [] : heartbeat;
        return harms && advice.Setting.Off is { } off ? [off, .. heartbeat] : heartbeat;
    }

    private const string Closes = "It sends no payload by itself: its pool closes idle connections before the balancer does.";

    private static bool ClosesIdle(ApplicationAdvice advice) => advice is { HeartbeatEach: not null, Setting: { Heartbeat: null, CloseIdle: not null } };

    /// <summary>The default values of its sockets; null where they do not probe, or nothing is known.</summary>
    private static string? ByItself(ApplicationAdvice advice, bool harms)
    {
        if (advice.Setting.Default is not { } values || advice.IsDefaultFine is not { } isFine)
        {
            return null;
        }
        var text = string.Create(CultureInfo.InvariantCulture, $"By itself it probes after {values.Time}s, each {values.Interval}s, {Words.Count(values.Probes!.Value, "probe")}");
        return advice.HeartbeatEach is not null
            ? text + (harms ? ", which ends healthy connections here." : ", which this balancer does not count.")
            : text + (isFine ? ", which meets the requirements too: nothing has to be set." : ", which is too late here.");
    }

    /// <summary>The effect of the setting where it is not the advised one; null where it is.</summary>
    private static string? Outcome(ApplicationAdvice advice, KeepaliveSettings? advised, bool harms)
    {
        if (advice.HeartbeatEach is not null)
        {
            return Settings(advice, harms).IsEmpty
                ? "It has no setting that sends payload: let the application do it, or let its pool close idle connections."
                : harms && advice.Setting.Off is not null ? "This switches TCP keepalive off." + (ClosesIdle(advice) ? $" {Closes}" : "")
                : ClosesIdle(advice) ? Closes
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
/// <param name="CloseAfter">Seconds after which a pool has to close idle connections there; else null.</param>
/// <param name="IsDefaultFine">Whether what it does by itself meets the requirements; null where it does not probe by itself.</param>
internal sealed record ApplicationAdvice(ApplicationSetting Setting, KeepaliveSettings? Values, int? HeartbeatEach, int? CloseAfter, bool? IsDefaultFine);
