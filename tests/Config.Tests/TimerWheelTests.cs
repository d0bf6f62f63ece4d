using FsCheck;
using FsCheck.Fluent;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class TimerWheelTests
{
    private static readonly Gen<int> s_anyHz = Gen.Elements(24, 100, 128, 250, 300, 1000, 1024, 1200);

    [Theory]
    [InlineData(250, 3, 0.256)]
    [InlineData(250, 16, 0.256)]
    [InlineData(250, 17, 2.048)]
    [InlineData(250, 129, 2.048)]
    [InlineData(250, 130, 16.384)]
    [InlineData(250, 1032, 16.384)]
    [InlineData(250, 1033, 131.072)]
    [InlineData(1000, 33, 4.096)]
    [InlineData(1000, 258, 4.096)]
    [InlineData(1000, 259, 32.768)]
    [InlineData(1000, 2064, 32.768)]
    [InlineData(300, 109, 13.6533334)]
    [InlineData(300, 860, 13.6533334)]
    [InlineData(100, 41, 5.12)]
    [InlineData(100, 322, 5.12)]
    [InlineData(100, 328, 40.96)]
    public void Granule_OfAWait_IsThatOfItsLevel(int hz, int wait, double expected) =>
        Assert.Equal(TimeSpan.FromSeconds(expected), new TimerWheel(hz).Granule(wait));

    /// <summary>Regression: the product of jiffies and ticks overflowed, and a simulation of a few connections over decades never ended.</summary>
    [Theory]
    [InlineData(1000, 5)]
    [InlineData(100, 2)]
    [InlineData(24, 3)]
    public void ToTime_OfCenturies_IsNotNegative(int hz, long rest)
    {
        const long seconds = 500L * 365 * 86400;
        Assert.Equal(
            (seconds * TimeSpan.TicksPerSecond) + ((rest * TimeSpan.TicksPerSecond) + hz - 1) / hz, new TimerWheel(hz).ToTime((seconds * hz) + rest).Ticks);
    }

    [Fact]
    public void GranuleOf_WhereALevelEnds_IsEightTimesAsLong()
    {
        Assert.Equal(1, TimerWheel.GranuleOf(0));
        long end = 63;
        for (long granule = 1; granule <= 1 << 21; granule *= 8, end *= 8)
        {
            Assert.Equal(granule, TimerWheel.GranuleOf(end - 1));
            Assert.Equal(granule * 8, TimerWheel.GranuleOf(end));
        }
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Fires_AtAnyTimeForAnyWait_IsLateByMoreThanNothingAndAtMostAGranule()
    {
        var gen = from now in Gen.Choose(0, int.MaxValue)
                  from bits in Gen.Choose(0, 26)
                  from wait in Gen.Choose(0, 1 << bits)
                  select (Now: (long)now, Wait: (long)wait);
        Prop.ForAll(gen.ToArbitrary(), test =>
        {
            var late = TimerWheel.Fires(test.Now, test.Wait) - (test.Now + test.Wait);
            return late >= 1 && late <= TimerWheel.GranuleOf(test.Wait);
        }).Check(Fuzz.Property(10_000));
    }

    [Fact]
    public void Fires_ThroughoutAGranule_IsOnceLateByAllOfIt()
    {
        const long wait = 20 * 250;
        var late = Enumerable.Range(0, (int)TimerWheel.GranuleOf(wait)).Select(now => TimerWheel.Fires(now, wait) - now - wait).ToList();

        Assert.Equal(1, late.Min());
        Assert.Equal(TimerWheel.GranuleOf(wait), late.Max());
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Longest_OfAnyKeepaliveValue_IsAtMostAnEighthOver()
    {
        var gen = from hz in s_anyHz
                  from wait in Gen.Choose(3, KeepaliveSettings.MaxTime)
                  select (Wheel: new TimerWheel(hz), wait);
        Prop.ForAll(gen.ToArbitrary(), test =>
        {
            var (nominal, longest) = (TimeSpan.FromSeconds(test.wait), test.Wheel.Longest(test.wait));
            return longest > nominal && longest <= nominal * (1 + 8.0 / 63) + TimeSpan.FromTicks(1)
                && longest < test.Wheel.Longest(test.wait + 1);
        }).Check(Fuzz.Property(5_000));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(23)]
    [InlineData(1201)]
    public void Wheel_OfNoKernel_IsRefused(int hz) => Assert.Throws<ArgumentOutOfRangeException>(() => new TimerWheel(hz));

    [Fact]
    public void Default_IsTheDefaultKernels() => Assert.Equal(TimerWheel.DefaultHz, default(TimerWheel).Hz);
}
