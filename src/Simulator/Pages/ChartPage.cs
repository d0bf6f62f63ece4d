using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Keepalive.Probes.Pages;

namespace Keepalive.Simulator.Pages;

/// <summary>Writes a <see cref="ChartReport"/> as a page that a browser opens from a file.</summary>
internal static class ChartPage
{
    /// <summary>The most rows of a table.</summary>
    public const int MaxRows = 2_000;

    /// <summary>The longest text, characters; a picture and a file's text may be longer.</summary>
    private const int MaxText = 600;
    private const int MaxCode = 20_000;

    /// <summary>The most bytes of data.</summary>
    private const int MaxBytes = 4_800_000;

    // The default encoder escapes < > & ' " + and everything beyond ASCII, U+2028 and U+2029 among it.
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.Default };

    /// <summary>Writes the page.</summary>
    public static string Write(ChartReport report)
    {
        using var data = new MemoryStream();
        WriteJson(report, data, MaxRows);
        // Pictures are bounded; rows with long texts may be too much.
        for (var rows = MaxRows / 4; data.Length > MaxBytes && rows > 0; rows /= 4)
        {
            data.SetLength(0);
            WriteJson(report, data, rows);
        }
        using var page = new MemoryStream();
        SelfContainedPage.Write("charts", ["page", "charts"], ["page", "charts"], data.GetBuffer().AsSpan(0, (int)data.Length), page, typeof(ChartPage).Assembly);
        return System.Text.Encoding.UTF8.GetString(page.GetBuffer().AsSpan(0, (int)page.Length));
    }

    /// <summary>Writes the data of the page.</summary>
    /// <param name="report">The report.</param>
    /// <param name="output">Receives the data.</param>
    /// <param name="rows">The most rows of a table.</param>
    public static void WriteJson(ChartReport report, Stream output, int rows)
    {
        var leftOut = new List<string>(report.LeftOut);
        using var json = new Utf8JsonWriter(output, s_options);
        json.WriteStartObject();
        Text(json, "title", report.Title);
        Text(json, "source", report.Source);
        Text(json, "program", $"{BuildInformation.Program} {BuildInformation.Version}");
        Text(json, "verdict", report.Verdict);
        json.WriteNumber("good", report.IsGood switch { true => 1, false => -1, null => 0 });
        Rows(json, "facts", report.Facts.Select(static fact => (IReadOnlyList<string>)[fact.Name, fact.Value]));
        Rows(json, "settings", report.Settings.Select(static setting =>
            (IReadOnlyList<string>)[setting.Group, setting.Name, setting.Value, setting.Note, setting.IsDecisive ? "1" : ""]));
        json.WriteStartArray("sections");
        foreach (var section in report.Sections)
        {
            json.WriteStartObject();
            Text(json, "title", section.Title);
            Text(json, "words", section.Words);
            json.WriteStartArray("charts");
            foreach (var chart in section.Charts)
            {
                Write(json, chart);
            }
            json.WriteEndArray();
            if (section.Table is { } table)
            {
                Write(json, table, rows);
                if (table.Rows.Count > rows)
                {
                    leftOut.Add(string.Create(CultureInfo.InvariantCulture, $"{table.Rows.Count - rows:N0} of {table.Rows.Count:N0} rows of the table \"{table.Name}\"."));
                }
            }
            if (section.Code is { } code)
            {
                json.WriteString("code", Limited(code, MaxCode));
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        Rows(json, "leftOut", leftOut.Select(static text => (IReadOnlyList<string>)[text]));
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, Chart chart)
    {
        var (width, height) = chart.IsSmall ? (300, 220) : (440, 290);
        var svg = SvgForPage.Convert(ChartDrawing.ForPage(chart, width, height, out var points));
        json.WriteStartObject();
        Text(json, "title", chart.Title);
        Text(json, "words", chart.Words);
        json.WriteBoolean("small", chart.IsSmall);
        json.WriteNumber("width", width);
        json.WriteNumber("height", height);
        json.WriteString("svg", svg);
        json.WriteStartArray("points");
        foreach (var point in points)
        {
            json.WriteStartArray();
            json.WriteNumberValue(point.X);
            json.WriteNumberValue(point.Y);
            json.WriteStringValue(Limited(point.Text!, MaxText));
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ReportTable table, int rows)
    {
        json.WriteStartObject("table");
        Text(json, "name", table.Name);
        json.WriteBoolean("folded", table.IsFolded);
        json.WriteNumber("texts", table.TextColumns);
        Texts(json, "heads", table.Heads);
        Rows(json, "rows", table.Rows.Take(rows).Select(static row => row.Cells));
        json.WriteStartArray("marks");
        foreach (var row in table.Rows.Take(rows))
        {
            json.WriteNumberValue(row.IsGood switch { true => 1, false => -1, null => 0 });
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Rows(Utf8JsonWriter json, string name, IEnumerable<IReadOnlyList<string>> rows)
    {
        json.WriteStartArray(name);
        foreach (var row in rows)
        {
            json.WriteStartArray();
            foreach (var text in row)
            {
                json.WriteStringValue(Limited(text, MaxText));
            }
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void Texts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(Limited(text, MaxText));
        }
        json.WriteEndArray();
    }

    private static void Text(Utf8JsonWriter json, string name, string text) => json.WriteString(name, Limited(text, MaxText));

    private static string Limited(string text, int length) => text.Length <= length ? text : string.Concat(text.AsSpan(0, length), "…");
}
