using Keepalive.Simulator.Pages;
using Xunit;

namespace Keepalive.Simulator.Tests.Pages;

public sealed class ChartScaleTests
{
    [Theory]
    [InlineData(0, 1, 1)]
    [InlineData(3, 3, 1)]
    [InlineData(0.37, 0.4, 0.1)]
    [InlineData(49.4, 50, 10)]
    [InlineData(97, 100, 20)]
    [InlineData(1234, 1500, 500)]
    [InlineData(171_123, 200_000, 50_000)]
    public void Numbers_AnyMost_EndAtARoundTick(double most, double end, double step)
    {
        var scale = ChartScale.Numbers("n", most);

        Assert.Equal((0, end, step), (scale.Least, Math.Round(scale.Most, 9), Math.Round(scale.Step, 9)));
    }

    [Theory]
    [InlineData(0, 700, "t, s", 1, 800)]
    [InlineData(0, 3600, "t, min", 60, 60)]
    [InlineData(0, 86_400, "t, h", 3600, 24)]
    [InlineData(0, 30 * 86_400, "t, days", 86_400, 30)]
    [InlineData(600, 700, "t, s", 1, 700)]
    public void Time_AnySpan_HasTheUnitThatIsEasyToRead(double least, double most, string name, double unit, double end)
    {
        var scale = ChartScale.Time("t", least, most, out var seconds);

        Assert.Equal((name, unit, end), (scale.Name, seconds, Math.Round(scale.Most, 9)));
        Assert.True(scale.Least <= least / unit);
        Assert.InRange((scale.Most - scale.Least) / scale.Step, 2, 12);
    }

    [Fact]
    public void Text_Values_AreWordsOrNumbers()
    {
        var words = ChartScale.Of("w", ["aws-nlb", "azure-lb"]);

        Assert.Equal(["aws-nlb", "azure-lb", "", ""], new[] { 0.0, 1, 0.5, 2 }.Select(words.Text));
        Assert.Equal(["0.3", "12,000"], new[] { 0.1 + 0.2, 12_000 }.Select(ChartScale.Numbers("n", 1).Text));
    }
}
