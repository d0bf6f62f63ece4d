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
    public void Slices_OfATime_AreSomeApart(int milliseconds, int slices) =>
        Assert.Equal(slices, SpreadPace.Slices(new PassScope { SpreadOver = TimeSpan.FromMilliseconds(milliseconds) }));

    /// <summary>Before, what the slices took came on top: with a busy machine a second and a half in the place of half a one.</summary>
    [Fact]
    public void WaitFor_SlicesThatTakeLong_AreNotWaitedForAsWell()
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
