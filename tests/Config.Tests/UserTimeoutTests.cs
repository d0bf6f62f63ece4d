using Xunit;

namespace Keepalive.Config.Tests;

public sealed class UserTimeoutTests
{
    [Theory]
    // time 4 s, interval 2 s, probes 6: probes at 4, 6, 8, 10, 12 and 14 s, the end at 16 s.
    [InlineData(0, 4, 2, 6, false, 6)]
    [InlineData(1, 4, 2, 6, true, 1)]
    [InlineData(3_000, 4, 2, 6, true, 1)]
    [InlineData(6_000, 4, 2, 6, true, 1)]
    [InlineData(6_001, 4, 2, 6, true, 2)]
    [InlineData(9_000, 4, 2, 6, true, 3)]
    [InlineData(14_000, 4, 2, 6, true, 5)]
    // Only the last probe is in doubt: a timer may be late.
    [InlineData(15_999, 4, 2, 6, true, 5)]
    [InlineData(16_000, 4, 2, 6, false, 6)]
    [InlineData(int.MaxValue, 4, 2, 6, false, 6)]
    // The kernel always waits for one probe.
    [InlineData(1_000, 4, 2, 1, false, 1)]
    [InlineData(20_000, 700, 10, 20, true, 1)]
    [InlineData(899_999, 700, 10, 20, true, 19)]
    [InlineData(900_000, 700, 10, 20, false, 20)]
    // The longest values of a socket are beyond the longest user timeout.
    [InlineData(int.MaxValue, 32767, 32767, 127, false, 127)]
    [InlineData(int.MaxValue - 1, 32767, 32767, 127, true, 65)]
    // Sysctls may have any value.
    [InlineData(1_000, 0, 0, 9, false, 9)]
    [InlineData(1_000, 0, 1, 9, true, 1)]
    [InlineData(1_000, int.MaxValue, int.MaxValue, int.MaxValue, true, 1)]
    public void IsShort_TimeoutAndValues_TellsTheLostProbes(int timeout, int time, int interval, int probes, bool isShort, int lost)
    {
        Assert.Equal((isShort, lost), (UserTimeout.IsShort(timeout, time, interval, probes), UserTimeout.LostProbes(timeout, time, interval, probes)));
        Assert.True(UserTimeout.LeastLostProbes(timeout, time, interval, probes) <= lost);
    }

    [Theory]
    [InlineData(0, 4, 2, 6, 6)]
    [InlineData(3_000, 4, 2, 6, 1)]
    [InlineData(16_000, 4, 2, 6, 5)]
    [InlineData(900_000, 700, 10, 20, 9)]
    [InlineData(60_000, 4, 2, 6, 6)]
    [InlineData(60_000, 4, 2, 1, 1)]
    public void LeastLostProbes_TimersAsLateAsTheyCanBe_IsNeverTooMany(int timeout, int time, int interval, int probes, int least)
    {
        Assert.Equal(least, UserTimeout.LeastLostProbes(timeout, time, interval, probes));
        if (timeout > 0 && probes > 1)
        {
            foreach (var hz in TimerWheel.CommonHz)
            {
                var wheel = new TimerWheel(hz);
                var (probe, elapsed) = (1, wheel.Longest(time));
                for (elapsed += wheel.Longest(interval); elapsed.TotalMilliseconds < timeout && probe < probes; elapsed += wheel.Longest(interval))
                {
                    probe++;
                }
                Assert.True(least <= probe, $"{probe} at {hz} Hz");
            }
        }
    }

    [Theory]
    [InlineData(4, 2, 6, 16_000)]
    [InlineData(700, 10, 20, 900_000)]
    [InlineData(32767, 32767, 127, int.MaxValue)]
    [InlineData(0, 0, 0, 1)]
    public void Covering_Values_IsTheTimeOfAllProbes(int time, int interval, int probes, int milliseconds) =>
        Assert.Equal(milliseconds, UserTimeout.Covering(time, interval, probes));

    [Theory]
    [InlineData("keep", UserTimeoutMode.Keep, 0, "keep")]
    [InlineData("raise", UserTimeoutMode.Raise, 0, "raise")]
    [InlineData("skip", UserTimeoutMode.Skip, 0, "skip")]
    [InlineData("30s", UserTimeoutMode.Set, 30_000, "30s")]
    [InlineData("1ms", UserTimeoutMode.Set, 1, "1ms")]
    [InlineData("1m5s500ms", UserTimeoutMode.Set, 65_500, "65500ms")]
    [InlineData("2147483647ms", UserTimeoutMode.Set, int.MaxValue, "2147483647ms")]
    public void Choice_Valid_IsRead(string text, UserTimeoutMode mode, int milliseconds, string written)
    {
        Assert.True(UserTimeoutChoice.TryParse(text, out var choice));
        Assert.Equal((new UserTimeoutChoice(mode, milliseconds), written), (choice, choice.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Keep")]
    [InlineData("0")]
    [InlineData("0s")]
    [InlineData("-1s")]
    [InlineData("1500us")]
    [InlineData("2147483648ms")]
    [InlineData("30")]
    public void Choice_Invalid_IsRefused(string text)
    {
        Assert.False(UserTimeoutChoice.TryParse(text, out var choice));
        Assert.Equal(default, choice);
    }
}
