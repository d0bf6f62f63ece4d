using System.Text;
using System.Xml.Linq;
using Keepalive.Simulator.Pages;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

/// <summary>The page as a file: its data cannot leave its element, its pictures have no style of their own, and it has a limit.</summary>
public sealed class ChartPageTests
{
    private const string Hostile = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028&amp;\"'\u0001\ud800";

    [Fact]
    public void Write_HostileNamesEverywhere_StayInsideTheirElement()
    {
        var page = new ReportPage(Report(Hostile));

        Assert.DoesNotMatch("[<>&\u2028\u2029\u007f-\uffff]", page.Json);
        Assert.DoesNotContain("alert", page.Around, StringComparison.Ordinal);
        Assert.Equal(Hostile.Replace('\ud800', '\ufffd'), page.Data.GetProperty("title").GetString());
        // In a picture it is text, and nothing else.
        var picture = ReportPage.Picture(page.Charts[0]);
        Assert.All(picture.DescendantsAndSelf(), element => Assert.Contains(element.Name.LocalName, (string[])["svg", "g", "rect", "ellipse", "polyline", "polygon", "path", "text"]));
        Assert.Contains(ReportPage.Labels(page.Charts[0]), label => label.StartsWith("</script><script>", StringComparison.Ordinal));
    }

    [Fact]
    public void Write_Picture_HasClassesInsteadOfColours()
    {
        var picture = ReportPage.Picture(new ReportPage(Report("name")).Charts[0]);
        var attributes = picture.DescendantsAndSelf().SelectMany(element => element.Attributes()).ToList();

        Assert.DoesNotContain(attributes, attribute => attribute.Name.LocalName is "style" or "href" or "font-family" or "id" or "clip-path");
        Assert.DoesNotContain(attributes, attribute => attribute.Value.Contains("rgb(", StringComparison.Ordinal) || attribute.Value is "black");
        Assert.Contains(attributes, attribute => attribute is { Name.LocalName: "class", Value: "s-series1" });
        Assert.Contains(attributes, attribute => attribute is { Name.LocalName: "class", Value: "f-safe" });
        Assert.Equal("0 0 440 290", picture.Attribute("viewBox")!.Value);
    }

    [Fact]
    public void Write_Labels_AreAtTheEndsOfTheirLinesAndDoNotOverlap()
    {
        var chart = new Chart
        {
            Title = "t",
            Words = "w",
            X = ChartScale.Numbers("x", 10),
            Y = ChartScale.Numbers("y", 10),
            Lines = [.. Enumerable.Range(0, 6).Select(i => new ChartLine($"line {i}", ChartDrawing.Series(i), ChartShape.Points, [new(0, i), new(10, 9.9)]))],
            Marks = [new(9.9, IsVertical: false, "computed", ChartColour.Ink)],
        };
        var page = new ReportPage(new ChartReport { Title = "t", Source = "s", Verdict = "v", Sections = [new("s", "") { Charts = [chart] }] });

        var labels = ReportPage.Picture(page.Charts[0]).Descendants().Where(element => element.Name.LocalName == "text" && (element.Value.StartsWith("line", StringComparison.Ordinal) || element.Value == "computed"))
            .Select(element => element.Attribute("transform")!.Value[10..^1].Split(',').Select(part => double.Parse(part, System.Globalization.CultureInfo.InvariantCulture)).ToArray()).ToList();
        Assert.Equal(7, labels.Count);
        Assert.Single(labels.Select(place => place[0]).Distinct());
        var heights = labels.Select(place => place[1]).Order().ToList();
        Assert.All(heights.Zip(heights.Skip(1)), pair => Assert.InRange(pair.Second - pair.First, 13.5, 15));
        Assert.InRange(heights[0], 20, 36);
    }

    [Fact]
    public void Write_MoreThanAPageHolds_IsLimitedAndSaysSo()
    {
        var row = new ReportRow([.. Enumerable.Repeat(new string('\u4e2d', 500), 20)], true);
        var page = new ReportPage(Report("name") with { LeftOut = [], Sections = [new("s", "") { Table = new("Rows", ["a"], [.. Enumerable.Repeat(row, 10_000)]) }] });

        Assert.InRange(Encoding.UTF8.GetByteCount(page.Text), 500_000, 5_000_000);
        Assert.Matches(@"^9,\d\d\d of 10,000 rows of the table ""Rows""\.$", Assert.Single(page.Data.GetProperty("leftOut").EnumerateArray())[0].GetString());
    }

    [Fact]
    public void Picture_OfPanels_IsAFileThatLoadsNothing()
    {
        var chart = Report("name").Sections[0].Charts[0];
        var picture = XElement.Parse(ChartDrawing.Picture([chart, chart], "<script>", 900, 600));

        Assert.DoesNotContain(picture.Descendants().Attributes(), attribute => attribute.Name.LocalName is "href" or "src");
        Assert.Contains(picture.Descendants(), element => element.Name.LocalName == "text" && element.Value == "<script>");
    }

    private static ChartReport Report(string name) => new()
    {
        Title = name,
        Source = name,
        Verdict = name,
        IsGood = false,
        Facts = [new(name, name)],
        Settings = [new(name, name, name, name, true)],
        Sections =
        [
            new(name, name)
            {
                Charts =
                [
                    new Chart
                    {
                        Title = name, Words = name, X = ChartScale.Of(name, [name, name]), Y = ChartScale.Numbers(name, 3),
                        Lines = [new(name, ChartColour.Series1, ChartShape.Points, [new(0, 1, name), new(1, 2, name)]), new(name, ChartColour.Series2, ChartShape.Bars, [new(0, 3)])],
                        Bands = [new(0, 1, name)],
                        Marks = [new(0.5, IsVertical: true, name, ChartColour.Bad)],
                    },
                ],
                Table = new(name, [name], [new([name], true)]),
                Code = name,
            },
        ],
        LeftOut = [name],
    };
}
