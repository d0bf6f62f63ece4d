using System.Globalization;
using System.Net;
using System.Text;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>Draws failure rate and probe cost over the first parameter that changes, a line for each combination of the others: one SVG, nothing loaded.</summary>
internal static class SweepPicture
{
    private const int Width = 1000, PanelHeight = 260, Left = 90, Right = 230, Top = 50, Between = 70, MaxSeries = 12;

    private static readonly string[] s_colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b", "#7f7f7f", "#bcbd22", "#17becf", "#9467bd"];

    /// <summary>Draws it.</summary>
    /// <param name="grid">The grid.</param>
    /// <param name="rows">All of its rows.</param>
    /// <param name="lost">A remark about omitted lines; null if all are drawn.</param>
    public static string Draw(GridHead grid, IReadOnlyList<SweepRow> rows, out string? lost)
    {
        var axis = Math.Max(0, grid.Parameters.ToList().FindIndex(parameter => parameter.Values.Length > 1));
        var others = Enumerable.Range(0, grid.Parameters.Length).Where(i => i != axis && grid.Parameters[i].Values.Length > 1).ToList();
        var all = rows.GroupBy(row => string.Join(", ", others.Select(i => $"{grid.Parameters[i].Path}={row.Values[i]}"))).ToList();
        var series = all.Take(MaxSeries).ToList();
        lost = series.Count < all.Count ? $"only the first {series.Count} of {all.Count} lines are drawn" : null;
        var ticks = grid.Parameters[axis].Values.ToArray();
        var height = Top + (2 * PanelHeight) + Between + 60;
        var svg = new StringBuilder();
        Add(svg, $"""<svg xmlns="http://www.w3.org/2000/svg" width="{Width}" height="{height}" viewBox="0 0 {Width} {height}" font-family="sans-serif" font-size="12">""");
        Add(svg, $"""<rect width="100%" height="100%" fill="white"/><text x="{Left}" y="24" font-size="16">{Escape(Path.GetFileNameWithoutExtension(grid.Scenario))}</text>""");
        Panel(svg, Top, "failed requests, %", axis, ticks, series, row => 100 * row.FailureRate);
        Panel(svg, Top + PanelHeight + Between, "probes of a connection in an hour", axis, ticks, series, row => row.ProbesPerHour);
        Add(svg, $"""<text x="{Left + ((Width - Left - Right) / 2)}" y="{height - 12}" text-anchor="middle">{Escape(grid.Parameters[axis].Path)}</text>""");
        for (var i = 0; i < series.Count && series[i].Key.Length > 0; i++)
        {
            Add(svg, $"""<rect x="{Width - Right + 20}" y="{Top + (20 * i)}" width="12" height="12" fill="{s_colours[i]}"/><text x="{Width - Right + 38}" y="{Top + 10 + (20 * i)}">{Escape(series[i].Key)}</text>""");
        }
        if (lost is not null)
        {
            Add(svg, $"""<text x="{Width - Right + 20}" y="{Top + 10 + (20 * series.Count)}" font-weight="bold">{Escape(lost)}</text>""");
        }
        return svg.Append("</svg>\n").ToString();
    }

    private static void Panel(StringBuilder svg, int top, string name, int axis, string[] ticks, List<IGrouping<string, SweepRow>> series, Func<SweepRow, double> figure)
    {
        var most = Math.Max(1e-9, series.SelectMany(one => one).Max(figure)) * 1.05;
        double X(int i) => Left + (ticks.Length == 1 ? 0.5 : (double)i / (ticks.Length - 1)) * (Width - Left - Right);
        double Y(double value) => top + (PanelHeight * (1 - (value / most)));
        for (var i = 0; i <= 4; i++)
        {
            var value = most * i / 4;
            Add(svg, $"""<line x1="{Left}" x2="{Width - Right}" y1="{Y(value):0.#}" y2="{Y(value):0.#}" stroke="#ddd"/><text x="{Left - 6}" y="{Y(value) + 4:0.#}" text-anchor="end">{value:0.###}</text>""");
        }
        var step = Math.Max(1, (ticks.Length + 9) / 10);
        for (var i = 0; i < ticks.Length; i += step)
        {
            Add(svg, $"""<text x="{X(i):0.#}" y="{top + PanelHeight + 16}" text-anchor="middle">{Escape(ticks[i])}</text>""");
        }
        Add(svg, $"""<text x="{Left}" y="{top - 8}">{Escape(name)}</text>""");
        for (var i = 0; i < series.Count; i++)
        {
            var points = series[i].Select(row => (X: X(Array.IndexOf(ticks, row.Values[axis])), Y: Y(figure(row)))).OrderBy(point => point.X).ToList();
            Add(svg, $"""<polyline fill="none" stroke="{s_colours[i]}" stroke-width="2" points="{string.Join(' ', points.Select(point => Text($"{point.X:0.#},{point.Y:0.#}")))}"/>""");
            foreach (var (x, y) in points)
            {
                Add(svg, $"""<circle cx="{x:0.#}" cy="{y:0.#}" r="3" fill="{s_colours[i]}"/>""");
            }
        }
    }

    private static void Add(StringBuilder svg, FormattableString text) => svg.Append(Text(text)).Append('\n');

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
