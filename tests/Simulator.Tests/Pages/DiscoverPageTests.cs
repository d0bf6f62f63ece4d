using Keepalive.Config.Balancers;
using Keepalive.Simulator.Discover;
using Keepalive.Simulator.Pages;
using Keepalive.Simulator.Tests.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

public sealed class DiscoverPageTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(ExpiryClass.ResetOnNextPacket, "reset (")]
    [InlineData(ExpiryClass.SilentDrop, "no answer (")]
    [InlineData(ExpiryClass.FinBoth, "closed by itself (")]
    public void Of_MeasuredBalancer_ShowsEachTestAndTheBracketThatNarrows(ExpiryClass expiry, string label)
    {
        var measured = VirtualMeasurement.Run(output, 1, clock => new SimulatedWay(clock, 1) { Timeout = 12.3, Expiry = expiry }, 60);
        var page = new ReportPage(DiscoverPage.Of([new DiscoveryVerdict(new DiscoveryTarget("db.example.org", 5432), measured, null)], "kind: ConnectionPolicy"));
        var tests = page.Chart("Idle times tested, and how connections answered");
        var narrowing = ReportPage.Said(page.Chart("How the idle timeout became known"));

        Assert.Contains(ReportPage.Labels(tests), text => text.StartsWith("still known (", StringComparison.Ordinal));
        Assert.Contains(ReportPage.Labels(tests), text => text.StartsWith(label, StringComparison.Ordinal));
        Assert.Equal(measured.Observations.Count, ReportPage.Said(tests).Count);
        // Both bounds end where the result is.
        Assert.Contains(narrowing, text => text.StartsWith($"at most {Seconds(measured.Timeout.To!.Value)}\n", StringComparison.Ordinal));
        Assert.Contains(narrowing, text => text.StartsWith($"at least {Seconds(measured.Timeout.From)}\n", StringComparison.Ordinal));
        Assert.True(measured.Narrowing.Count > 5, $"{measured.Narrowing.Count} steps");
        Assert.Equal(measured.Timeout, measured.Narrowing[^1].Timeout);
        Assert.StartsWith($"Idle connections are dropped after {Seconds(measured.Timeout.From)[..^2]} to ", page.Data.GetProperty("verdict").GetString(), StringComparison.Ordinal);
        Assert.Equal("kind: ConnectionPolicy", page.Data.GetProperty("sections").EnumerateArray().Last().GetProperty("code").GetString());
    }

    [Fact]
    public void Of_NothingForgotten_HasNoUpperBound()
    {
        var measured = VirtualMeasurement.Run(output, 1, clock => new SimulatedWay(clock, 1) { Timeout = 500 }, 20);
        var page = new ReportPage(DiscoverPage.Of([new DiscoveryVerdict(new DiscoveryTarget("h", 1), measured, null)], ""));

        Assert.DoesNotContain("at most", ReportPage.Labels(page.Chart("How the idle timeout became known")));
        Assert.EndsWith("no connection was dropped.", page.Words("How the idle timeout became known"), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_FarEndThatNeverAnswered_IsAPageWithTheReason()
    {
        var measured = VirtualMeasurement.Run(output, 1, clock => new SimulatedWay(clock, 1) { Timeout = 500 }, 20) with
        {
            Cut = "connection refused",
            IsEverOpened = false,
            Observations = [],
            Narrowing = [],
            Timeout = default,
        };
        var page = new ReportPage(DiscoverPage.Of([new DiscoveryVerdict(new DiscoveryTarget("h", 1), measured, null)], ""));

        Assert.Equal("Not measured: connection refused.", page.Data.GetProperty("verdict").GetString());
        Assert.Empty(page.Charts);
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.00", System.Globalization.CultureInfo.InvariantCulture) + " s";
}
