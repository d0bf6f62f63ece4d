using Keepalive.Simulator.Demo;
using Xunit;

namespace Keepalive.Simulator.Tests.Demo;

public sealed class TimelineTests : IDisposable
{
    private readonly StringWriter _output = new();

    public void Dispose() => _output.Dispose();

    [Fact]
    public void Claim_ThatDoesNotHold_IsCountedAndSaysSo()
    {
        var timeline = new Timeline(_output, colours: false);

        timeline.Claim(true, "first");
        timeline.Claim(false, "second");

        Assert.Equal(1, timeline.Broken);
        Assert.Equal(["✓ first", "✗ NOT SO: second"], Lines());
    }

    [Fact]
    public void Steps_AreNumberedInOrder()
    {
        var timeline = new Timeline(_output, colours: false);

        timeline.Step("first");
        timeline.Step("second");

        Assert.Equal(["0.0 s  1. first", "0.0 s  2. second"], Lines());
    }

    [Fact]
    public void Colours_OnlyWhereWanted()
    {
        new Timeline(_output, colours: false).Claim(true, "plain");
        Assert.DoesNotContain('\e', _output.ToString());

        new Timeline(_output, colours: true).Claim(true, "painted");
        Assert.Contains('\e', _output.ToString());
    }

    private IEnumerable<string> Lines() => _output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim());
}
