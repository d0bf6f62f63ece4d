using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks durations the way Istio's webhook does: Go's grammar, at least 1ms, whole milliseconds.</summary>
internal static class DurationValidator
{
    /// <summary>Reports what is wrong and returns the nanoseconds, or null when there is an error or no duration.</summary>
    public static long? Validate(Positioned<string>? duration, string field, ResourceReport report, bool zeroAllowed = false)
    {
        if (duration is not { } text)
        {
            return null;
        }

        var error = GoDuration.Parse(text.Value, out var nanoseconds);
        if (error != GoDurationError.None)
        {
            var (message, fix) = Explain(text.Value, error);
            report.Report(DiagnosticCatalog.BadDuration, text.Position, field, message, fix);
            return null;
        }

        if (nanoseconds < GoDuration.Millisecond && !(zeroAllowed && nanoseconds == 0))
        {
            report.Report(DiagnosticCatalog.DurationRange, text.Position, field,
                $"{(nanoseconds < 0 ? "is negative:" : "must be at least 1ms, but is")} {Quoting.Shorten(text.Value)}",
                nanoseconds < 0 ? "remove the sign" : "write 1s or more");
            return null;
        }

        if (nanoseconds % GoDuration.Millisecond != 0)
        {
            report.Report(DiagnosticCatalog.DurationRange, text.Position, field,
                $"must be whole milliseconds, but is {Quoting.Shorten(text.Value)}", "write whole seconds");
            return null;
        }

        return nanoseconds;
    }

    /// <summary>Checks the two durations of a <c>tcpKeepalive</c>.</summary>
    public static void ValidateKeepalive(TcpKeepalive keepalive, string field, ResourceReport report)
    {
        ValidateKernelSeconds(keepalive.Time, $"{field}.{keepalive.Names.Time}", KeepaliveSettings.MaxTime, report);
        ValidateKernelSeconds(keepalive.Interval, $"{field}.{keepalive.Names.Interval}", KeepaliveSettings.MaxInterval, report);
    }

    /// <summary>Checks a keepalive duration: also that it fits the kernel, and whether cutting it to seconds changes it.</summary>
    /// <param name="duration">As written.</param>
    /// <param name="field">Its path.</param>
    /// <param name="maxSeconds">The largest value the kernel takes.</param>
    /// <param name="report">Where problems go.</param>
    public static void ValidateKernelSeconds(Positioned<string>? duration, string field, int maxSeconds, ResourceReport report)
    {
        if (duration is not { } text || Validate(duration, field, report) is not { } nanoseconds)
        {
            return;
        }

        var seconds = KernelSeconds.From(nanoseconds);
        if (seconds > maxSeconds)
        {
            var written = text.Value == $"{seconds}s" ? text.Value : $"{Quoting.Shorten(text.Value)} = {seconds}s";
            report.Report(DiagnosticCatalog.DurationRange, text.Position, field,
                $"is {written}, but Linux takes at most {maxSeconds}s",
                $"write {maxSeconds}s ({GoDuration.FormatSeconds(maxSeconds)}) or less");
        }
        else if (seconds * GoDuration.Second != nanoseconds)
        {
            report.Report(DiagnosticCatalog.DurationTruncated, text.Position, field,
                $"is {Quoting.Shorten(text.Value)}, but the kernel counts whole seconds: {seconds}s is set", $"write {seconds}s");
        }
    }

    private static (string Message, string Fix) Explain(string text, GoDurationError error)
    {
        var quoted = Quoting.Quote(text);
        var compact = text.Replace(" ", "", StringComparison.Ordinal);
        if (compact != text && GoDuration.TryParse(compact, out var meant) && meant >= GoDuration.Millisecond)
        {
            return ($"is not a duration: {quoted} has a space in it", $"write \"{Quoting.Shorten(compact)}\"");
        }

        if (text.EndsWith('d') && int.TryParse(text[..^1], out var days) && days is > 0 and < 10_000)
        {
            return ($"is not a duration: {quoted} counts days, which have no unit", $"write \"{days * 24}h\"");
        }

        const string fix = "write it like \"700s\", \"1m30s\" or \"1.5h\"; units are ns, us, ms, s, m, h";
        return error switch
        {
            GoDurationError.MissingUnit when !text.AsSpan().ContainsAnyExceptInRange('0', '9') =>
                ($"is not a duration: {quoted} has no unit", $"write \"{Quoting.Shorten(text)}s\" for seconds"),
            GoDurationError.MissingUnit => ($"is not a duration: {quoted} has a number without a unit", fix),
            GoDurationError.UnknownUnit => ($"is not a duration: {quoted} has an unknown unit", fix),
            GoDurationError.Overflow => ($"is too long: {quoted}", fix),
            _ => ($"is not a duration: {quoted}", fix),
        };
    }
}
