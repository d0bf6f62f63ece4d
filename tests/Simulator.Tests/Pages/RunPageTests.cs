using System.Globalization;
using Keepalive.Simulator.Pages;
using Keepalive.Simulator.Tests.Virtual;
using Keepalive.Simulator.Virtual;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

public sealed class RunPageTests
{
    private const string Outage = """
        balancer: aws-nlb
        connections: 500
        requests: {arrival: poisson, mean: 500s}
        duration: 24h
        """;

    [Fact]
    public void Of_Outage_ShowsFailuresBesideTheClosedForm()
    {
        var result = VirtualRun.Of(Outage);
        var page = new ReportPage(RunPage.Of(result));
        var failures = page.Chart("Failed requests");

        var expected = Math.Exp(-350 / 500.0) * (1 - (350 / 86_400.0));
        Assert.Contains($"gives {(100 * expected).ToString("0.##", CultureInfo.InvariantCulture)} %", page.Words("Failed requests"), StringComparison.Ordinal);
        Assert.Contains("closed form", ReportPage.Labels(failures));
        Assert.Contains("503", ReportPage.Labels(failures));
        Assert.DoesNotContain("504", ReportPage.Labels(failures));
        Assert.Equal(VirtualTotals.Bins, ReportPage.Said(failures).Count);
        Assert.All(ReportPage.Said(failures).Skip(1), text => Assert.Matches(@"^503: (4[5-9]|5[0-4])\.\d+ %\n[\d,]+ of [\d,]+ requests\n\d+ to \d+ h$", text));
        // The dashed line is as high as the points beside it, which it is computed without.
        var points = failures.GetProperty("points").EnumerateArray().Skip(1).Select(point => point[1].GetDouble()).ToList();
        var label = ReportPage.Picture(failures).Descendants().Single(element => element.Value == "closed form" && !element.HasElements);
        var height = double.Parse(label.Attribute("transform")!.Value[10..^1].Split(',')[1], CultureInfo.InvariantCulture);
        Assert.InRange(height, points.Average() - 12, points.Average() + 25);
        Assert.StartsWith("49", page.Data.GetProperty("verdict").GetString(), StringComparison.Ordinal);
        Assert.Contains("nothing probes idle connections", page.Data.GetProperty("verdict").GetString(), StringComparison.Ordinal);
        Assert.Equal(2, page.Data.GetProperty("settings").EnumerateArray().Count(row => row[4].GetString() == "1"));
    }

    [Fact]
    public void Of_Policy_ShowsProbesAndNoFailure()
    {
        var page = new ReportPage(RunPage.Of(VirtualRun.Of(Outage + "\nkeepalive: {time: 60s, interval: 10s, probes: 6}\n")));

        Assert.StartsWith("None of ", page.Data.GetProperty("verdict").GetString(), StringComparison.Ordinal);
        Assert.Equal(1, page.Data.GetProperty("good").GetInt32());
        // About 60 an hour, less the requests.
        Assert.All(ReportPage.Said(page.Chart("Keepalive probes")), text => Assert.Matches(@"^5\d(\.\d+)? probes per connection and hour\n", text));
        Assert.Contains("500 of 500 connections had no failed request", page.Words("Failures by connection"), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_DeadEndpoint_ShowsHowLongItTookToNotice()
    {
        var result = VirtualRun.Of("""
            balancer: aws-nlb
            connections: 200
            requests: {arrival: poisson, mean: 300s}
            duration: 2h
            keepalive: {time: 20s, interval: 5s, probes: 3}
            endpoints: 2
            failures: [{endpoint: 1, at: 30m, lasts: 20m, how: silent}]
            """);
        var page = new ReportPage(RunPage.Of(result));

        Assert.True(result.Totals.Notices.Count > 50);
        Assert.EndsWith($"{RunResult.Percentile(result.Totals.Notices, 1)!.Value.ToString("0.0", CultureInfo.InvariantCulture)} s; {result.Totals.Notices.Count} in all.", page.Words("Time to notice a dead endpoint"), StringComparison.Ordinal);
        Assert.Contains("closed form, 35.0 s", ReportPage.Labels(page.Chart("Last packet to dead")));
        Assert.Equal("100 %", ReportPage.Said(page.Chart("Time to notice a dead endpoint"))[^1].Split(" within ")[0]);
    }

    [Fact]
    public void Of_NoRequests_IsStillAPage()
    {
        var page = new ReportPage(RunPage.Of(VirtualRun.Of("balancer: aws-nlb\nrequests: {arrival: poisson, mean: 80000h}\nduration: 1m\n")));

        Assert.Equal("No request was made.", page.Data.GetProperty("verdict").GetString());
        Assert.Equal(4, page.Charts.Count);
    }
}
