using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A field and the values it takes in a grid: <c>keepalive.time=30s..700s/20</c>, <c>network.loss=0,1%,5%</c>.</summary>
/// <param name="Path">The field.</param>
/// <param name="Values">As they would be written.</param>
internal sealed record ParameterRange(string Path, ImmutableArray<string> Values)
{
    private const int MaxValues = 10_000;

    private const string Grammar = "--set takes FIELD=VALUE, FIELD=VALUE,VALUE… or FIELD=FROM..TO/COUNT";

    /// <summary>Reads it.</summary>
    public static ParameterRange? Parse(string text, out string error)
    {
        error = "";
        var split = text.IndexOf('=', StringComparison.Ordinal);
        var (path, values) = split > 0 ? (text[..split], text[(split + 1)..]) : ("", "");
        if (path.Length == 0 || path.Split('.').Any(string.IsNullOrWhiteSpace) || values.Length == 0)
        {
            error = $"{Grammar}, not '{text}'";
            return null;
        }
        var dots = values.IndexOf("..", StringComparison.Ordinal);
        if (dots < 0)
        {
            var list = values.Split(',', StringSplitOptions.TrimEntries);
            error = list.Any(value => value.Length == 0) ? $"{Grammar}, not '{text}'" : list.Distinct().Count() < list.Length ? $"--set {path} has a value twice" : "";
            return error.Length > 0 ? null : new ParameterRange(path, [.. list]);
        }
        var slash = values.LastIndexOf('/');
        if (slash < dots || !int.TryParse(values[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count is < 2 or > MaxValues)
        {
            error = $"--set {path}: a range needs the number of its values, from 2 to {MaxValues}, like {values.Split('/')[0]}/20";
            return null;
        }
        if (Read(values[..dots]) is not { } from || Read(values[(dots + 2)..slash]) is not { } to || (from.Unit != to.Unit && from.Number != 0 && to.Number != 0))
        {
            error = $"--set {path}: a range goes from one duration, number or percentage to another of its kind, not '{values}'";
            return null;
        }
        var unit = from.Number != 0 ? from.Unit : to.Unit;
        return new ParameterRange(path,
            [.. Enumerable.Range(0, count).Select(i => Write(from.Number + ((to.Number - from.Number) * i / (count - 1)), unit, from.IsWhole && to.IsWhole)).Distinct()]);
    }

    private static (double Number, char Unit, bool IsWhole)? Read(string text)
    {
        var isPercent = text.EndsWith('%');
        if (double.TryParse(isPercent ? text[..^1] : text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            return (number, isPercent ? '%' : ' ', !isPercent && !text.Contains('.', StringComparison.Ordinal));
        }
        return GoDuration.TryParse(text, out var nanoseconds) ? (nanoseconds / (double)GoDuration.Second, 's', false) : null;
    }

    private static string Write(double number, char unit, bool isWhole) => unit switch
    {
        's' => string.Create(CultureInfo.InvariantCulture, $"{number:0.###}s"),
        '%' => string.Create(CultureInfo.InvariantCulture, $"{number:0.######}%"),
        _ when isWhole => Math.Round(number).ToString("0", CultureInfo.InvariantCulture),
        _ => number.ToString("0.#########", CultureInfo.InvariantCulture),
    };
}
