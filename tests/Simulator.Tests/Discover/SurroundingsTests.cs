using Keepalive.Config.Balancers;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>Whole measurements in virtual time, where something else than one box with one timeout is at work. A verdict is right or unknown,
/// never wrong.</summary>
public sealed class SurroundingsTests(ITestOutputHelper output)
{
    /// <summary>One message is no interval, and no proof of a box that drops it elsewhere.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(10)]
    public void FarEnd_GreetsOnce_IsNoTimeout(double after)
    {
        foreach (var sends in (bool[])[false, true])
        {
            var measured = sends
                ? Measure(1, clock => new SimulatedWay(clock, 1) { Answers = (after, after) }, 25, payload: true)
                : Measure(1, clock => new SimulatedWay(clock, 1) { Greets = [after] }, 25);

            Assert.True(measured is { IsMeasured: false, FarEndProbes: null, IsUncertain: false }, Text(measured));
            Assert.True(measured.Timeout.From.TotalSeconds > 20, Text(measured));
        }
    }

    [Fact]
    public void FarEnd_SendsTwiceAndIsQuiet_IsNoTimeout()
    {
        var measured = Measure(2, clock => new SimulatedWay(clock, 2) { Greets = [3, 6] }, 25);

        Assert.True(measured is { IsMeasured: false, FarEndProbes: null, IsUncertain: false }, Text(measured));
        Assert.True(measured.Timeout.From.TotalSeconds > 18, Text(measured));
    }

    /// <summary>The message shifts the idle time, and hides no box.</summary>
    [Theory]
    [InlineData(ExpiryClass.SilentDrop)]
    [InlineData(ExpiryClass.DropUntilSyn)]
    [InlineData(ExpiryClass.ResetOnNextPacket)]
    [InlineData(ExpiryClass.FinBoth)]
    public void Box_FarEndGreetsOnce_IsMeasured(ExpiryClass expiry)
    {
        foreach (var (greets, timeout) in ((double, double)[])[(2, 5), (3, 5), (3, 8), (1, 4)])
        {
            AssertBox(timeout, expiry, Refresh.AnyPacket, Measure(3, clock => new SimulatedWay(clock, 3) { Timeout = timeout, Expiry = expiry, Greets = [greets] }, 25));
        }
    }

    /// <summary>No connection has lived for long when everything ends: that is no timeout.</summary>
    [Theory]
    [InlineData(0.7)]
    [InlineData(1.0)]
    [InlineData(1.3)]
    [InlineData(1.6)]
    [InlineData(2.5)]
    public void FarEnd_RestartsSoon_IsAChangeAndNoTimeout(double at)
    {
        foreach (var back in (double[])[0, 0.3, 1000])
        {
            var measured = Measure(4, clock => new SimulatedWay(clock, 4), 25, way => way.StopFarEnd(at, at + back));

            Assert.True(measured is { IsMeasured: false, IsUncertain: true }, Text(measured));
            Assert.InRange(measured.ChangedAt!.Value.TotalSeconds, at - 0.3, at + 0.3);
            Assert.True(measured.Took < TimeSpan.FromSeconds(10), Text(measured));
        }
    }

    /// <summary>New connections are refused for a while, and those that are open live on.</summary>
    [Fact]
    public void FarEnd_RefusesForAWhile_IsTriedAgain()
    {
        var measured = Measure(5, clock => new SimulatedWay(clock, 5) { Timeout = 8, Expiry = ExpiryClass.ResetOnNextPacket, Refuses = (0.45, 4) }, 25);

        AssertBox(8, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket, measured);
        Assert.True(measured.Timeout.Width.TotalSeconds < 0.6, Text(measured));
    }

    /// <summary>Half of the connections pass a box with another timeout: no number is narrow and certain.</summary>
    [Theory]
    [InlineData(4, 8, ExpiryClass.ResetOnNextPacket)]
    [InlineData(4, 5, ExpiryClass.ResetOnNextPacket)]
    [InlineData(3, 12, ExpiryClass.ResetOnNextPacket)]
    [InlineData(4, 8, ExpiryClass.SilentDrop)]
    [InlineData(4, 20, ExpiryClass.SilentDrop)]
    [InlineData(4, 8, ExpiryClass.FinBoth)]
    public void Boxes_OfTwoTimeouts_AreUncertainOrBothInTheInterval(double one, double other, ExpiryClass expiry)
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Timeout = one, OtherTimeout = other, Expiry = expiry }, 25);

            Assert.True(measured.IsUncertain, Text(measured));
            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= one + 0.05 && measured.Timeout.To!.Value.TotalSeconds >= other - 0.05), Text(measured));
        }
    }

    /// <summary>The box drops first, and the far end closes those that it still knows.</summary>
    [Theory]
    [InlineData(ExpiryClass.ResetOnNextPacket)]
    [InlineData(ExpiryClass.SilentDrop)]
    [InlineData(ExpiryClass.DropUntilSyn)]
    public void Box_FarEndClosesSoonAfter_IsMeasured(ExpiryClass expiry)
    {
        foreach (var (timeout, closes) in ((double, double)[])[(4, 5), (4, 5.7), (4, 6), (4, 6.3), (3, 4.5), (3, 5), (5, 7.5), (5, 8), (6, 9), (8, 9), (8, 12)])
        {
            foreach (var resets in (bool[])[false, true])
            {
                var measured = Measure(6, clock => new SimulatedWay(clock, 6) { Timeout = timeout, Expiry = expiry, Closes = closes, ResetsFarEnd = resets }, 25);

                AssertBox(timeout, expiry, Refresh.AnyPacket, measured);
            }
        }
    }

    /// <summary>The same with a banner, and with payload, where other ages are seen.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Box_FarEndAnswersAndClosesSoonAfter_IsRightOrUnknown(bool sends)
    {
        var known = 0;
        for (var seed = 0; seed < 8; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed)
            {
                Timeout = 4,
                Expiry = ExpiryClass.ResetOnNextPacket,
                Closes = 5 + (seed * 0.3),
                SaysGoodbye = seed % 2 == 0,
                HasBanner = !sends,
                Answers = sends ? (0.001, 0.001) : null,
            }, 25, payload: sends);
            known += measured.IsMeasured ? 1 : 0;
            if (measured.IsMeasured)
            {
                AssertBox(4, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket, measured);
            }
        }
        Assert.True(known >= 6, $"{known} known");
    }

    /// <summary>The FIN of the far end shows where it arrives: the interval is as narrow as that of others.</summary>
    [Fact]
    public void InsideRevives_FarEndCloses_IsNarrow()
    {
        foreach (var (timeout, closes) in ((double, double)[])[(4, 9), (5, 10), (7, 12), (4, 8)])
        {
            var measured = Measure(7, clock => new SimulatedWay(clock, 7) { Timeout = timeout, Expiry = ExpiryClass.InsideRevives, Closes = closes }, 30);

            Assert.Equal([ExpiryClass.InsideRevives], measured.Classes);
            Assert.InRange(timeout, measured.Timeout.From.TotalSeconds - 0.01, measured.Timeout.To!.Value.TotalSeconds + 0.01);
            Assert.True(measured.Timeout.Width.TotalSeconds < 0.3, Text(measured));
        }
    }

    /// <summary>Connections that end at any age are no change of the way, and no rule.</summary>
    [Theory]
    [InlineData(4.8, 6)]
    [InlineData(4.5, 5.5)]
    [InlineData(1, 10)]
    [InlineData(3, 20)]
    public void FarEnd_ClosesAtAnyAge_IsNoChange(double from, double to)
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { ClosesBetween = (from, to) }, 25);

            Assert.Null(measured.ChangedAt);
            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= from + 0.3 && measured.Timeout.To!.Value.TotalSeconds >= to - 0.3), Text(measured));
            Assert.True(measured.FarEndCloses is null, Text(measured));
        }
    }

    /// <summary>A far end that looks for idle connections now and then.</summary>
    [Fact]
    public void FarEnd_Sweeps_IsNoChange()
    {
        for (var seed = 0; seed < 4; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Closes = 5, Sweeps = 3 }, 25);

            Assert.True(measured is { ChangedAt: null, IsUncertain: true }, Text(measured));
            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 5.2 && measured.Timeout.To!.Value.TotalSeconds >= 7.5), Text(measured));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void FarEnd_ClosesOneOrTwo_IsNoRule(int count)
    {
        var measured = Measure(8, clock => new SimulatedWay(clock, 8), 25, way => way.CloseSome(9, count));

        Assert.True(measured is { IsMeasured: false, FarEndCloses: null, ChangedAt: null }, Text(measured));
        Assert.True(measured.Timeout.From.TotalSeconds > 20, Text(measured));
    }

    [Fact]
    public void FarEnd_ProbesOrSends_IsToldApart()
    {
        Assert.False(Measure(9, clock => new SimulatedWay(clock, 9) { FarEndProbes = 3 }, 25).FarEndSendsPayload);
        Assert.True(Measure(9, clock => new SimulatedWay(clock, 9) { FarEndSends = 3 }, 25).FarEndSendsPayload);
    }

    /// <summary>Where a box limits its resets, many connections seem to be dropped in silence.</summary>
    [Fact]
    public void Box_LimitsItsResets_IsOneOfTheSet()
    {
        for (var seed = 0; seed < 4; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Timeout = 5, Expiry = ExpiryClass.ResetOnNextPacket, ResetsPerSecond = 1 }, 25);

            Assert.Contains(ExpiryClass.ResetOnNextPacket, measured.Classes);
            Assert.InRange(5, measured.Timeout.From.TotalSeconds - 0.01, measured.Timeout.To!.Value.TotalSeconds + 0.01);
        }
    }

    [Fact]
    public void Way_LosesManyPackets_IsRightOrUnknownForThatReason()
    {
        for (var seed = 0; seed < 8; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Timeout = 5, Loss = 0.22 }, 25);

            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 5.05 && measured.Timeout.To!.Value.TotalSeconds >= 4.95), Text(measured));
            Assert.DoesNotContain("nothing has answered", measured.Cut ?? "", StringComparison.Ordinal);
        }
    }

    /// <summary>SYNs beyond a limit are dropped: those that are open have to do.</summary>
    [Theory]
    [InlineData(10)]
    [InlineData(20)]
    public void Box_DropsSynsBeyondALimit_MeasuresWithTheOthers(int most)
    {
        var measured = Measure(10, clock => new SimulatedWay(clock, 10) { Timeout = 7, MostKnown = most }, 25);

        Assert.NotNull(measured.Limited);
        Assert.InRange(7, measured.Timeout.From.TotalSeconds, measured.Timeout.To!.Value.TotalSeconds);
        Assert.True(measured.Timeout.Width.TotalSeconds < 4, Text(measured));
    }

    /// <summary>Nothing is dropped, and few connections are possible: a short answer says that it is none.</summary>
    [Fact]
    public void Box_DropsSynsBeyondALimit_LongerThanSaysSo()
    {
        var measured = Measure(11, clock => new SimulatedWay(clock, 11) { MostKnown = 5 }, 25);

        Assert.True(measured.Timeout.From.TotalSeconds > 20 || measured.IsUncertain, Text(measured));
    }

    private static void AssertBox(double timeout, ExpiryClass expiry, Refresh refresh, Measurement measured)
    {
        Assert.True(measured is { IsMeasured: true, IsUncertain: false }, Text(measured));
        Assert.True(measured.Timeout.From.TotalSeconds <= timeout + 0.01 && measured.Timeout.To!.Value.TotalSeconds >= timeout - 0.01, Text(measured));
        Assert.True(measured.Classes is [var only] && only == expiry, Text(measured));
        Assert.True(measured.Refreshes.Count == 0 || measured.Refreshes.Contains(refresh), Text(measured));
    }

    private Measurement Measure(int seed, Func<WaitingClock, SimulatedWay> create, int until, Action<SimulatedWay>? more = null, bool payload = false) =>
        VirtualMeasurement.Run(output, seed, create, until, more, payload);

    private static string Text(Measurement measured) => VirtualMeasurement.Text(measured);
}
