using System.Globalization;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Pages;

/// <summary>The page of a grid: failed requests as small multiples with the safe region shaded, and what probes cost.</summary>
internal static class SweepPage
{
    /// <summary>Values at which at most this part of the requests failed are called safe.</summary>
    public const double Safe = 1e-4;

    private const int MaxPanels = 24;
    private const int MaxLines = 12;

    /// <summary>The most points of a line; of more, some are left out.</summary>
    private const int MaxPoints = 400;

    /// <summary>Puts the page together.</summary>
    public static ChartReport Of(GridHead grid, IReadOnlyList<SweepRow> rows)
    {
        var axis = new SweepAxis(grid);
        var groups = axis.Groups(rows);
        var safe = rows.Where(IsSafe).ToList();
        var cheapest = safe.OrderBy(static row => row.ProbesPerHour).FirstOrDefault();
        var leftOut = new List<string>();
        if (groups.Count > MaxPanels)
        {
            leftOut.Add($"{groups.Count - MaxPanels} of {groups.Count} combinations of {axis.OtherNames}: the first {MaxPanels} have a chart. The table has all.");
        }
        if (groups.Count > MaxLines)
        {
            leftOut.Add($"Lines of probes: the first {MaxLines} of {groups.Count} are drawn.");
        }
        if (axis.Count > MaxPoints)
        {
            leftOut.Add($"Of {axis.Count:N0} values of {axis.Name}, {MaxPoints} have a point.");
        }
        var sections = new List<ReportSection>
        {
            new("Failed requests", $"Shaded: the safe region, where at most {Words.Percent(Safe, 2)} of the requests failed."
                + (rows.Any(static row => !double.IsNaN(row.ExpectedFailureRate)) ? " Dashed: the closed form, where there is one." : ""))
            {
                Charts = [.. groups.Take(MaxPanels).Select(group => Failures(axis, group, rows, groups.Count > 1))],
            },
            new("What probes cost", "") { Charts = [Probes(axis, groups)] },
        };
        if (rows.Any(static row => !double.IsNaN(row.NoticeP99)))
        {
            sections.Add(new("Time to notice a dead endpoint", "") { Charts = [Notices(axis, groups)] });
        }
        sections.Add(new("All points", "") { Table = Table(grid, rows) });
        return new ChartReport
        {
            Title = $"Sweep of {Path.GetFileNameWithoutExtension(grid.Scenario)}",
            Source = "keepalive-sim sweep",
            Verdict = Verdict(grid, rows, safe.Count, cheapest),
            IsGood = safe.Count == rows.Count ? true : safe.Count == 0 ? false : null,
            Facts =
            [
                new("points", Number(rows.Count)),
                new("safe points", Number(safe.Count)),
                new("failed requests", Between(Words.Percent(rows.Min(static row => row.FailureRate), 2), Words.Percent(rows.Max(static row => row.FailureRate), 2))),
                new("probes per connection and hour", Between(Text($"{rows.Min(static row => row.ProbesPerHour):0.##}"), Text($"{rows.Max(static row => row.ProbesPerHour):0.##}"))),
            ],
            Settings = [.. grid.Parameters.Select(static parameter => new ReportSetting("Fields that are set", parameter.Path, Values(parameter)))],
            Sections = sections,
            LeftOut = leftOut,
        };
    }

    /// <summary>Draws failed requests and probes, a line for each combination of the other fields, as a file.</summary>
    /// <param name="grid">The grid.</param>
    /// <param name="rows">All of its rows.</param>
    /// <param name="lost">A remark about omitted lines; null if all are drawn.</param>
    public static string Picture(GridHead grid, IReadOnlyList<SweepRow> rows, out string? lost)
    {
        var axis = new SweepAxis(grid);
        var groups = axis.Groups(rows);
        lost = groups.Count > MaxLines ? $"only the first {MaxLines} of {groups.Count} lines are drawn" : null;
        var (failures, probes) = (Together(axis, groups), Probes(axis, groups));
        var title = Path.GetFileNameWithoutExtension(grid.Scenario) + (lost is null ? "" : $" ({lost})");
        return ChartDrawing.Picture([failures, probes], title, 1000, 680);
    }

    /// <summary>Whether values are safe.</summary>
    public static bool IsSafe(SweepRow row) => row.FailureRate <= Safe;

    private static string Verdict(GridHead grid, IReadOnlyList<SweepRow> rows, int safe, SweepRow? cheapest) =>
        safe == 0 ? $"No point is safe: everywhere more than {Words.Percent(Safe, 2)} of the requests failed."
        : $"{(safe == rows.Count ? "All points are" : $"{Number(safe)} of {Number(rows.Count)} points are")} safe. Of these, {Named(grid, cheapest!)} takes the fewest probes: {Text($"{cheapest!.ProbesPerHour:0.##}")} per connection and hour.";

    private static string Named(GridHead grid, SweepRow row) => string.Join(", ", grid.Parameters.Select((parameter, i) => (parameter, i)).Where(static one => one.parameter.Values.Length > 1).Select(one => $"{one.parameter.Path}={row.Values[one.i]}"));

    private static string Values(ParameterRange parameter) => parameter.Values.Length <= 8
        ? string.Join(", ", parameter.Values)
        : $"{parameter.Values.Length:N0} values from {parameter.Values[0]} to {parameter.Values[^1]}";

    private static Chart Failures(SweepAxis axis, SweepLine group, IReadOnlyList<SweepRow> all, bool isSmall)
    {
        var most = 100 * Math.Max(all.Max(static row => row.FailureRate), all.Max(static row => double.IsNaN(row.ExpectedFailureRate) ? 0 : row.ExpectedFailureRate));
        var simulated = new ChartLine("", ChartColour.Series1, ChartShape.Points, axis.Points(group, MaxPoints, static row => 100 * row.FailureRate, row =>
            $"{Words.Percent(row.FailureRate, 4)} failed\n{axis.Name} = {row.Values[axis.Index]}{(group.Name.Length > 0 ? $", {group.Name}" : "")}"
            + (double.IsNaN(row.ExpectedFailureRate) ? "" : $"\nclosed form: {Words.Percent(row.ExpectedFailureRate, 4)}") + $"\n{Text($"{row.ProbesPerHour:0.##}")} probes per connection and hour"));
        var computed = axis.Points(group, MaxPoints, static row => 100 * row.ExpectedFailureRate, static _ => null);
        var safe = group.Rows.Count(IsSafe);
        return new Chart
        {
            Title = group.Name.Length > 0 ? group.Name : $"over {axis.Name}",
            Words = $"{safe} of {group.Rows.Count} values of {axis.Name} are safe{(safe > 0 ? $": {axis.Safe(group, IsSafe)}" : "")}. The most failed: {Words.Percent(group.Rows.Max(static row => row.FailureRate), 2)}.",
            X = axis.Scale(5),
            Y = ChartScale.Numbers("failed, %", most > 0 ? Math.Min(100, most * 1.05) : 1),
            Lines = [.. computed.Count > 0 ? [new ChartLine("", ChartColour.Ink, ChartShape.Dashed, computed)] : Array.Empty<ChartLine>(), simulated],
            Bands = axis.Bands(group, IsSafe),
            IsSmall = isSmall,
        };
    }

    private static Chart Together(SweepAxis axis, IReadOnlyList<SweepLine> groups) => new()
    {
        Title = "Failed requests",
        Words = "",
        X = axis.Scale(10),
        Y = ChartScale.Numbers("failed requests, %", Math.Max(0.001, groups.Take(MaxLines).SelectMany(static group => group.Rows).Max(static row => 100 * row.FailureRate))),
        Lines = Lines(axis, groups, static row => 100 * row.FailureRate, static _ => null),
    };

    private static Chart Probes(SweepAxis axis, IReadOnlyList<SweepLine> groups)
    {
        var rows = groups.SelectMany(static group => group.Rows).ToList();
        var (fewest, most) = (rows.MinBy(static row => row.ProbesPerHour)!, rows.MaxBy(static row => row.ProbesPerHour)!);
        return new()
        {
            Title = "Keepalive probes",
            Words = $"From {Text($"{fewest.ProbesPerHour:0.##}")} per connection and hour ({axis.Name} = {fewest.Values[axis.Index]}) to {Text($"{most.ProbesPerHour:0.##}")} ({axis.Name} = {most.Values[axis.Index]}).",
            X = axis.Scale(7),
            Y = ChartScale.Numbers("probes per connection and hour", Math.Max(0.01, groups.Take(MaxLines).SelectMany(static group => group.Rows).Max(static row => row.ProbesPerHour))),
            Lines = Lines(axis, groups, static row => row.ProbesPerHour, row => $"{Text($"{row.ProbesPerHour:0.##}")} probes per connection and hour\n{axis.Described(row)}\n{Words.Percent(row.FailureRate, 4)} failed"),
        };
    }

    private static Chart Notices(SweepAxis axis, IReadOnlyList<SweepLine> groups)
    {
        var noticed = groups.SelectMany(static group => group.Rows).Where(static row => !double.IsNaN(row.NoticeP99)).ToList();
        var longest = noticed.MaxBy(static row => row.NoticeP99)!;
        return new()
        {
            Title = "99 % noticed within",
            Words = $"At the latest after {Text($"{longest.NoticeP99:0.0}")} s, with {axis.Name} = {longest.Values[axis.Index]}; at the soonest after {Text($"{noticed.Min(static row => row.NoticeP99):0.0}")} s.",
            X = axis.Scale(7),
            Y = ChartScale.Time("99 % noticed within", 0, longest.NoticeP99, out var unit),
            Lines = Lines(axis, groups, row => row.NoticeP99 / unit, row => $"99 % noticed within {Text($"{row.NoticeP99:0.0}")} s\n{axis.Described(row)}"),
        };
    }

    private static ChartLine[] Lines(SweepAxis axis, IReadOnlyList<SweepLine> groups, Func<SweepRow, double> figure, Func<SweepRow, string?> text) =>
        [.. groups.Take(MaxLines).Select((group, i) => new ChartLine(group.Name, ChartDrawing.Series(i), ChartShape.Points, axis.Points(group, MaxPoints, figure, text)) { Mark = i + (i / 6) })];

    private static ReportTable Table(GridHead grid, IReadOnlyList<SweepRow> rows) => new(
        "All points",
        [.. grid.Parameters.Select(static parameter => parameter.Path), "Safe", "Failed", "Closed form", "503", "504", "Probes an hour", "Noticed p50", "p99"],
        [
            .. rows.Select(static row => new ReportRow(
            [
                .. row.Values, IsSafe(row) ? "yes" : "no", Words.Percent(row.FailureRate, 4), double.IsNaN(row.ExpectedFailureRate) ? "–" : Words.Percent(row.ExpectedFailureRate, 4), Text($"{row.Of("status503"):#,0}"),
                Text($"{row.Of("status504"):#,0}"), Text($"{row.ProbesPerHour:0.##}"), Seconds(row.Of("noticeP50Seconds")), Seconds(row.NoticeP99),
            ],
            IsSafe(row))),
        ])
    { TextColumns = grid.Parameters.Length + 1, IsFolded = true };

    private static string Seconds(double seconds) => double.IsNaN(seconds) ? "–" : Text($"{seconds:0.0} s");

    private static string Between(string least, string most) => least == most ? least : $"{least} to {most}";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
