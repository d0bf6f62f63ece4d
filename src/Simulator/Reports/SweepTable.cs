using System.Globalization;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>The rows of a grid for people.</summary>
internal static class SweepTable
{
    public static void Write(GridHead grid, IReadOnlyList<SweepRow> rows, TextWriter output)
    {
        var waits = grid.Waits;
        string[] header =
        [
            .. grid.Parameters.Select(parameter => parameter.Path), "FAILED", "EXPECTED", "503", "504", .. waits ? ["LOST WAITING"] : Array.Empty<string>(),
            "PROBES/CONN-HOUR", "NOTICED p50", "p99",
        ];
        TextTable.Write(output, [header, .. rows.Select(row => Cells(row, waits))]);
    }

    private static string[] Cells(SweepRow row, bool waits) =>
    [
        .. row.Values, Percent(row.FailureRate), Percent(Figure(row, "expectedFailureRate")), Number(Figure(row, "status503")), Number(Figure(row, "status504")),
        .. waits ? [Number(Figure(row, "lostWaiting"))] : Array.Empty<string>(), Number(row.ProbesPerHour), Seconds(Figure(row, "noticeP50Seconds")), Seconds(Figure(row, "noticeP99Seconds")),
    ];

    private static double Figure(SweepRow row, string name) => row.Figures[SweepRow.Names.IndexOf(name)];

    private static string Percent(double value) => double.IsNaN(value) ? "-" : Words.Percent(value, 4);

    private static string Number(double value) => string.Create(CultureInfo.InvariantCulture, $"{value:0.##}");

    private static string Seconds(double value) => double.IsNaN(value) ? "-" : string.Create(CultureInfo.InvariantCulture, $"{value:0.0} s");
}
