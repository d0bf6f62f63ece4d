using System.Text.Json;
using System.Xml.Linq;
using Keepalive.Simulator.Pages;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

/// <summary>A page of charts, taken apart.</summary>
internal sealed class ReportPage
{
    public ReportPage(ChartReport report)
        : this(ChartPage.Write(report))
    {
    }

    public ReportPage(string text)
    {
        const string begin = "<script type=\"application/json\" id=\"data\">", end = "</script>";
        Text = text;
        var at = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        Json = text[at..text.IndexOf(end, at, StringComparison.Ordinal)];
        Around = text[..at] + text[(at + Json.Length)..];
        Data = JsonDocument.Parse(Json).RootElement;
    }

    public string Text { get; }

    /// <summary>The data as it is written.</summary>
    public string Json { get; }

    /// <summary>All but the data.</summary>
    public string Around { get; }

    public JsonElement Data { get; }

    public IReadOnlyList<JsonElement> Charts => [.. Data.GetProperty("sections").EnumerateArray().SelectMany(section => section.GetProperty("charts").EnumerateArray())];

    public JsonElement Chart(string title) => Assert.Single(Charts, chart => chart.GetProperty("title").GetString() == title);

    public string Words(string title) => Chart(title).GetProperty("words").GetString()!;

    public static XElement Picture(JsonElement chart) => XElement.Parse(chart.GetProperty("svg").GetString()!);

    /// <summary>What is written in a picture.</summary>
    public static IReadOnlyList<string> Labels(JsonElement chart) => [.. Picture(chart).Descendants().Where(element => element.Name.LocalName == "text").Select(element => element.Value)];

    public static IReadOnlyList<string> Said(JsonElement chart) => [.. chart.GetProperty("points").EnumerateArray().Select(point => point[2].GetString()!)];
}
