using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Reports;

/// <summary>The result of one scenario of a grid.</summary>
/// <param name="Values">Of the parameters, as written.</param>
/// <param name="Figures">In the order of <see cref="Names"/>.</param>
internal sealed record SweepRow(ImmutableArray<string> Values, ImmutableArray<double> Figures)
{
    private const int FailureRateFigure = 0;
    private const int ProbesFigure = 1;
    private const int NoticeFigure = 3;
    private const int ExpectedFigure = 4;

    private static readonly string[] s_leading = ["failureRate", "probesPerConnectionHour", "noticeP50Seconds", "noticeP99Seconds", "expectedFailureRate"];

    /// <summary>The columns behind the parameters.</summary>
    public static ImmutableArray<string> Names { get; } =
    [
        .. s_leading, "requests", "ok", "status503", "status504", "retried", "probes", "clientProbes", "serverProbes", "replies", "probeBytes", "expiries", "forgotten", "revived",
        "resetsToClient", "resetsToServer", "fins", "opened", "connectFailures", "endedIdle", "keepaliveDeaths", "retransmissions", "removals", "expiredWaiting", "lostWaiting",
    ];

    public string Key => string.Join(',', Values);

    public double FailureRate => Figures[FailureRateFigure];

    public double ProbesPerHour => Figures[ProbesFigure];

    /// <summary>Seconds; NaN where nothing was to be noticed.</summary>
    public double NoticeP99 => Figures[NoticeFigure];

    /// <summary>By the closed form; NaN where there is none.</summary>
    public double ExpectedFailureRate => Figures[ExpectedFigure];

    /// <summary>A figure by its name in JSON.</summary>
    public double Of(string name) => Figures[Names.IndexOf(name)];

    public static SweepRow Of(GridPoint point, RunResult result) => new(point.Values,
    [
        result.FailureRate, result.ProbesPerHour,
        RunResult.Percentile(result.Totals.Notices, 0.5) ?? double.NaN, RunResult.Percentile(result.Totals.Notices, 0.99) ?? double.NaN,
        ClosedForm.FailureRate(point.Scenario)?.Expected ?? double.NaN,
        .. RunReport.Figures(result).Select(figure => (double)figure.Value),
    ]);

    public static string CsvHeader(GridHead grid) => string.Join(',', ["fingerprint", .. grid.Parameters.Select(parameter => parameter.Path), .. Names]);

    /// <summary>The first fields of each row in JSON.</summary>
    public static string JsonBegin(GridHead grid) => $"{{\"fingerprint\":\"{grid.Fingerprint}\"";

    public string ToCsv(string fingerprint) => string.Join(',', [fingerprint, .. Values, .. Figures.Select(Text)]);

    public string ToJson(GridHead grid) => SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteString("fingerprint", grid.Fingerprint);
        writer.WriteStartObject("set");
        for (var i = 0; i < Values.Length; i++)
        {
            writer.WriteString(grid.Parameters[i].Path, Values[i]);
        }
        writer.WriteEndObject();
        for (var i = 0; i < Figures.Length; i++)
        {
            if (double.IsNaN(Figures[i]))
            {
                writer.WriteNull(Names[i]);
            }
            else
            {
                writer.WriteNumber(Names[i], Figures[i]);
            }
        }
    });

    /// <summary>Reads a line that <see cref="ToCsv"/> or <see cref="ToJson"/> wrote; null when it is none of this grid's.</summary>
    public static SweepRow? Parse(string line, bool isCsv, GridHead grid)
    {
        try
        {
            return isCsv ? ParseCsv(line, grid) : ParseJson(line, grid);
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }

    private static SweepRow? ParseCsv(string line, GridHead grid)
    {
        var fields = line.Split(',');
        var parameters = grid.Parameters.Length;
        return fields.Length == 1 + parameters + Names.Length && fields[0] == grid.Fingerprint
            ? Checked(new SweepRow([.. fields[1..(1 + parameters)]], [.. fields[(1 + parameters)..].Select(Figure)]))
            : null;

        // "NaN" is no figure: it is written as nothing.
        static double Figure(string field) => field.Length == 0 ? double.NaN
            : double.Parse(field, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture) is var figure && double.IsNaN(figure) ? double.PositiveInfinity : figure;
    }

    /// <summary>The row; null if a figure is none: a negative one, infinite, missing where there is always one, or the part of an event.</summary>
    private static SweepRow? Checked(SweepRow row)
    {
        for (var i = 0; i < row.Figures.Length; i++)
        {
            var figure = row.Figures[i];
            if (i < s_leading.Length ? !double.IsNaN(figure) && figure is not (>= 0 and <= double.MaxValue) : figure is not (>= 0 and <= long.MaxValue) || figure != Math.Floor(figure))
            {
                return null;
            }
        }
        return row;
    }

    private static SweepRow? ParseJson(string line, GridHead grid)
    {
        using var document = JsonDocument.Parse(line);
        var root = document.RootElement;
        if (root.GetProperty("fingerprint").GetString() != grid.Fingerprint)
        {
            return null;
        }
        var set = root.GetProperty("set");
        return Checked(new SweepRow(
            [.. grid.Parameters.Select(parameter => set.GetProperty(parameter.Path).GetString()!)],
            [.. Names.Select(name => root.GetProperty(name) is var figure && figure.ValueKind == JsonValueKind.Null ? double.NaN : figure.GetDouble())]));
    }

    private static string Text(double figure) => double.IsNaN(figure) ? "" : figure.ToString("R", CultureInfo.InvariantCulture);
}
