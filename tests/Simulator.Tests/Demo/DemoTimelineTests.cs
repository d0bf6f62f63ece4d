using Keepalive.Simulator.Demo;
using Xunit;

namespace Keepalive.Simulator.Tests.Demo;

public sealed class DemoTimelineTests : IDisposable
{
    private readonly StringWriter _output = new();

    public void Dispose() => _output.Dispose();

    [Fact]
    public void Claim_False_IsCountedAndPrinted()
    {
        var timeline = new DemoTimeline(_output, colours: false, () => default);

        timeline.Claim(true, "first");
        timeline.Claim(false, "second");

        Assert.Equal(1, timeline.Broken);
        Assert.Equal(["✓ first", "✗ NOT SO: second"], Lines());
    }

    [Fact]
    public void Lines_All_HaveTimeAndSource()
    {
        var timeline = new DemoTimeline(_output, colours: false, () => TimeSpan.FromSeconds(12.34));

        timeline.Line("client", "asks");
        timeline.Line("balancer", "forgot", time: TimeSpan.FromSeconds(4));

        Assert.Equal(["12.3 s  client    asks", "4.0 s  balancer  forgot"], Lines());
    }

    [Fact]
    public void Colours_OnlyWhereWanted()
    {
        new DemoTimeline(_output, colours: false, () => default).Claim(true, "plain");
        Assert.DoesNotContain('\e', _output.ToString());

        new DemoTimeline(_output, colours: true, () => default).Claim(true, "painted");
        Assert.Contains('\e', _output.ToString());
    }

    private IEnumerable<string> Lines() => _output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim());
}
