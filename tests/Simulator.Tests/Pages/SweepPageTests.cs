using System.Collections.Immutable;
using System.Xml.Linq;
using Keepalive.Simulator.Pages;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

public sealed class SweepPageTests
{
    private static readonly GridHead s_grid = Grid(("network.loss", ["0", "5%"]), ("keepalive.time", ["100s", "200s", "300s", "400s"]));

    [Fact]
    public void Of_Grid_HasAPanelForEachCombinationWithItsSafeRegion()
    {
        // Along the first field, network.loss, all is safe up to 200 s.
        var page = new ReportPage(SweepPage.Of(s_grid, Rows(s_grid, row => row.Values[1] is "100s" or "200s" ? 0 : 0.2)));
        var panels = page.Charts.Where(chart => chart.GetProperty("small").GetBoolean()).ToList();

        Assert.Equal(["keepalive.time=100s", "keepalive.time=200s", "keepalive.time=300s", "keepalive.time=400s"], panels.Select(panel => panel.GetProperty("title").GetString()));
        Assert.Equal([1, 1, 0, 0], panels.Select(panel => ReportPage.Picture(panel).Descendants().Count(element => element.Attribute("class")?.Value == "f-safe")));
        Assert.Contains("2 of 2 values of network.loss are safe: 0 to 5%", panels[0].GetProperty("words").GetString(), StringComparison.Ordinal);
        Assert.Equal("4 of 8 points are safe. Of these, network.loss=0, keepalive.time=200s takes the fewest probes: 18 per connection and hour.", page.Data.GetProperty("verdict").GetString());
        Assert.Equal(8, page.Data.GetProperty("sections").EnumerateArray().Last().GetProperty("table").GetProperty("rows").GetArrayLength());
    }

    [Fact]
    public void Of_SafeValuesWithAGap_AreTwoRegions()
    {
        var grid = Grid(("keepalive.time", ["10s", "20s", "30s", "40s", "50s"]));
        var page = new ReportPage(SweepPage.Of(grid, Rows(grid, row => row.Values[0] == "30s" ? 0.5 : 0)));
        var panel = page.Chart("over keepalive.time");
        var regions = ReportPage.Picture(panel).Descendants().Where(element => element.Attribute("class")?.Value == "f-safe").ToList();
        var points = panel.GetProperty("points").EnumerateArray().Select(point => point[0].GetDouble()).ToList();

        Assert.Equal(2, regions.Count);
        Assert.Contains("10s to 20s, 40s to 50s", panel.GetProperty("words").GetString(), StringComparison.Ordinal);
        // The point that is not safe is in neither.
        Assert.All(regions, region => Assert.False(Left(region) <= points[2] && points[2] <= Left(region) + double.Parse(region.Attribute("width")!.Value, System.Globalization.CultureInfo.InvariantCulture)));
    }

    [Fact]
    public void Of_ClosedForm_IsADashedLineBesideThePoints()
    {
        var grid = Grid(("keepalive.time", ["10s", "20s", "30s"]));
        var with = new ReportPage(SweepPage.Of(grid, Rows(grid, _ => 0.1, expected: 0.11)));
        var without = new ReportPage(SweepPage.Of(grid, Rows(grid, _ => 0.1)));

        Assert.Equal([1, 0], new[] { with, without }.Select(page => ReportPage.Picture(page.Chart("over keepalive.time")).Descendants().Count(element => element.Attribute("stroke-dasharray") is not null)));
        Assert.Contains("closed form: 11 %", ReportPage.Said(with.Chart("over keepalive.time"))[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Of_ManyCombinations_SaysWhatIsLeftOut()
    {
        var grid = Grid(("keepalive.time", ["10s", "20s"]), ("seed", [.. Enumerable.Range(1, 40).Select(seed => $"{seed}")]));
        var page = new ReportPage(SweepPage.Of(grid, Rows(grid, _ => 0)));

        Assert.Equal(24, page.Charts.Count(chart => chart.GetProperty("small").GetBoolean()));
        Assert.Equal(["16 of 40 combinations of seed: the first 24 have a chart. The table has all.", "Lines of probes: the first 12 of 40 are drawn."],
            page.Data.GetProperty("leftOut").EnumerateArray().Select(text => text[0].GetString()));
    }

    [Fact]
    public void Of_LargestGrid_IsAPageThatABrowserOpens()
    {
        var grid = Grid(("keepalive.time", [.. Enumerable.Range(1, 1000).Select(seconds => $"{seconds}s")]), ("seed", [.. Enumerable.Range(1, 20).Select(seed => $"{seed}")]));
        var page = new ReportPage(SweepPage.Of(grid, Rows(grid, row => row.Values[0].Length / 10.0)));

        Assert.InRange(page.Text.Length, 500_000, 5_000_000);
        Assert.Contains(page.Data.GetProperty("leftOut").EnumerateArray(), text => text[0].GetString() == "18,000 of 20,000 rows of the table \"All points\".");
        Assert.Contains(page.Data.GetProperty("leftOut").EnumerateArray(), text => text[0].GetString() == "Of 1,000 values of keepalive.time, 400 have a point.");
    }

    [Theory]
    [InlineData("keepalive.time", "keepalive.time, s", "30s", "60s")]
    [InlineData("network.loss", "network.loss, %", "0", "5%")]
    [InlineData("network.rtt", "network.rtt, s", "5ms", "1s")]
    [InlineData("connections", "connections", "10", "20")]
    [InlineData("balancer", "balancer", "aws-nlb", "azure-lb")]
    public void Of_Field_IsAnAxisOfItsUnitOrOfWords(string path, string name, params string[] values)
    {
        var grid = Grid((path, values));
        var labels = ReportPage.Labels(new ReportPage(SweepPage.Of(grid, Rows(grid, _ => 0))).Chart($"over {path}"));

        Assert.Contains(name, labels);
        Assert.Equal(path == "balancer", labels.Contains("azure-lb"));
    }

    [Fact]
    public void Picture_HostileName_IsText()
    {
        var grid = Grid(("balancer", ["<script>alert(1)</script>", "\u0001b"]), ("keepalive.time", ["10s", "20s"])) with { Scenario = "<script>alert(2)" };
        var picture = XElement.Parse(SweepPage.Picture(grid, Rows(grid, _ => 0.1), out var lost));

        Assert.Null(lost);
        Assert.DoesNotContain(picture.Descendants(), element => element.Name.LocalName == "script");
        Assert.Contains(picture.Descendants(), element => !element.HasElements && element.Value.StartsWith("balancer=<script>", StringComparison.Ordinal));
    }

    private static double Left(XElement rectangle) => double.Parse(rectangle.Attribute("x")!.Value, System.Globalization.CultureInfo.InvariantCulture);

    private static GridHead Grid(params (string Path, string[] Values)[] parameters) =>
        new("fleet.yaml", "0", [.. parameters.Select(parameter => new ParameterRange(parameter.Path, [.. parameter.Values]))], Waits: false);

    private static List<SweepRow> Rows(GridHead grid, Func<SweepRow, double> failures, double expected = double.NaN) =>
    [
        .. Enumerable.Range(0, (int)GridHead.Size(grid.Parameters)).Select(point =>
        {
            var row = new SweepRow(GridHead.ValuesAt(grid.Parameters, point), ImmutableArray.Create(new double[SweepRow.Names.Length]));
            var time = row.Values.FirstOrDefault(value => value.EndsWith('s') && double.TryParse(value[..^1], out _)) ?? "100s";
            var figures = row.Figures.ToArray();
            (figures[0], figures[1], figures[2], figures[3], figures[4]) = (failures(row), 3600 / double.Parse(time[..^1], System.Globalization.CultureInfo.InvariantCulture), double.NaN, double.NaN, expected);
            return row with { Figures = [.. figures] };
        }),
    ];
}
