using System.Diagnostics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Tracking;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class SpreadPaceTests
{
    [Theory]
    [InlineData(0, 1)]
    [InlineData(250, 2)]
    [InlineData(1000, 10)]
    [InlineData(5000, 16)]
    public void Slices_OfATime_HaveTheExpectedNumber(int milliseconds, int slices) =>
        Assert.Equal(slices, SpreadPace.Slices(new PassScope { SpreadOver = TimeSpan.FromMilliseconds(milliseconds) }));

    /// <summary>Regression: the time of the slices was added to the waits, which on a busy machine took 1.5 s in place of 0.5 s.</summary>
    [Fact]
    public void WaitFor_SlowSlices_AddNoWait()
    {
        var pace = new SpreadPace(TimeProvider.System, new PassScope { SpreadOver = TimeSpan.FromMilliseconds(400) }, slices: 4);
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < 4; i++)
        {
            pace.WaitFor(i);
            Assert.True(clock.ElapsedMilliseconds >= 100 * i, $"{clock.ElapsedMilliseconds} ms");
            Thread.Sleep(150);
        }
        Assert.Equal(TimeSpan.Zero, pace.Waited);
    }
}
