using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Reads the values scenarios are made of, and checks their ranges.</summary>
internal static class ScenarioFields
{
    /// <summary>Ten years: a count of jiffies that long still fits 63 bits.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(3650);

    /// <summary>A duration within a range; null, reported or absent.</summary>
    public static TimeSpan? Time(ObjectReader reader, string key, TimeSpan least, TimeSpan? most = null) =>
        reader.Duration(key) is { } text ? Time(text, reader.PathOf(key), reader.Report, least, most ?? Longest) : null;

    /// <summary>The same, of text that was read already.</summary>
    public static TimeSpan? Time(Positioned<string> text, string field, ResourceReport report, TimeSpan least, TimeSpan most)
    {
        var error = GoDuration.Parse(text.Value, out var nanoseconds);
        if (error is not (GoDurationError.None or GoDurationError.Overflow))
        {
            report.Report(DiagnosticCatalog.BadDuration, text.Position, field, $"is not a duration: {Quoting.Quote(text.Value)}",
                "write it like \"350s\", \"1m30s\" or \"48h\"");
            return null;
        }
        var time = TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick);
        if (error == GoDurationError.Overflow || time < least || time > most)
        {
            report.Report(DiagnosticCatalog.DurationRange, text.Position, field,
                $"must be {Words.Duration(least)} to {Words.Duration(most)}, but is {Quoting.Shorten(text.Value)}",
                time < least && error == GoDurationError.None ? $"write {Words.Duration(least)} or more" : $"write {Words.Duration(most)} or less");
            return null;
        }
        return time;
    }

    /// <summary>A whole number within a range; null, reported or absent.</summary>
    public static long? Number(ObjectReader reader, string key, long least, long most)
    {
        // It is reported there when it is outside, and returned all the same.
        var number = reader.Integer(key, least, most)?.Value;
        return number >= least && number <= most ? number : null;
    }

    /// <summary>A part of the whole: <c>1%</c> or <c>0.01</c>; null, reported or absent.</summary>
    public static double? Part(ObjectReader reader, string key, double most)
    {
        if (reader.Value(key) is not { } value)
        {
            return null;
        }
        var text = (value as ScalarNode)?.Value ?? "";
        var isPercent = text.EndsWith('%');
        var isNumber = double.TryParse(isPercent ? text[..^1] : text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number);
        number = isPercent ? number / 100 : number;
        if (isNumber && number >= 0 && number <= most)
        {
            return number;
        }
        var limit = string.Create(CultureInfo.InvariantCulture, $"{most * 100:0.##}%");
        reader.Report.Report(isNumber ? DiagnosticCatalog.NumberRange : DiagnosticCatalog.WrongType, value.Position, reader.PathOf(key),
            isNumber ? $"must be 0% to {limit}, but is {Quoting.Shorten(text)}" : $"must be a part of the whole, but it is {value.Description}", "write it like 1% or 0.01");
        return null;
    }

    /// <summary>One of some words; null, reported or absent.</summary>
    public static T? Word<T>(ObjectReader reader, string key, params ReadOnlySpan<(string Word, T Value)> words) where T : struct
    {
        if (reader.String(key) is not { } text)
        {
            return null;
        }
        var names = new List<string>();
        foreach (var (word, value) in words)
        {
            if (word == text.Value)
            {
                return value;
            }
            names.Add(word);
        }
        var meant = DidYouMean.Find(text.Value, names);
        reader.Report.Report(DiagnosticCatalog.BadValue, text.Position, reader.PathOf(key), $"cannot be {Quoting.Quote(text.Value)}",
            meant is null ? $"write one of {string.Join(", ", names)}" : $"did you mean {meant}?");
        return null;
    }
}
