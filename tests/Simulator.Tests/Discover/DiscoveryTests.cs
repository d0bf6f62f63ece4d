using Keepalive.Config.Balancers;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>Whole measurements in virtual time. A verdict is right or unknown, never wrong.</summary>
public sealed class DiscoveryTests(ITestOutputHelper output)
{
    /// <summary>What the box does, and whether payload alone restarts its clock.</summary>
    public static TheoryData<ExpiryClass, bool, double> Boxes => [.. from expiry in (ExpiryClass[])[ExpiryClass.SilentDrop, ExpiryClass.ResetOnNextPacket,
            ExpiryClass.ResetBoth, ExpiryClass.FinBoth, ExpiryClass.DropUntilSyn]
        from payloadOnly in (bool[])[false, true] from loss in (double[])[0, 0.05, 0.15] select new TheoryDataRow<ExpiryClass, bool, double>(expiry, payloadOnly, loss)];

    [Theory]
    [MemberData(nameof(Boxes))]
    public void Box_AnyTimeoutAndLoss_IsRightOrUnknown(ExpiryClass expiry, bool payloadOnly, double loss)
    {
        var known = 0;
        var runs = loss == 0 ? 4 : 12;
        for (var seed = 0; seed < runs; seed++)
        {
            var timeout = 3 + (new Random(seed).NextDouble() * 30);
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed)
            {
                Timeout = timeout,
                Expiry = expiry,
                IsPayloadOnly = payloadOnly,
                Loss = loss,
                RoundTrip = 0.001 * Math.Pow(10, seed % 3),
            }, 60);
            if (!measured.IsMeasured)
            {
                continue;
            }
            known++;
            var text = $"{timeout} s, seed {seed}: {Text(measured)}";
            Assert.True(measured.Timeout.From.TotalSeconds <= timeout + 0.1 && measured.Timeout.To!.Value.TotalSeconds >= timeout - 0.1, text);
            Assert.True(loss > 0 || (measured.Timeout.From.TotalSeconds <= timeout + 0.01 && measured.Timeout.To!.Value.TotalSeconds >= timeout - 0.01), text);
            // Answers that were lost come too late where probes restart nothing.
            Assert.True(measured.Timeout.Width.TotalSeconds <= Math.Max(0.5, timeout * 0.05) + (payloadOnly ? loss * 50 : 0) || loss > 0.1, text);
            Assert.True(measured.Classes.Contains(expiry), text);
            Assert.True(measured.Refreshes.Count == 0 || measured.Refreshes.Contains(payloadOnly ? Refresh.PayloadOnly : Refresh.AnyPacket), text);
        }
        Assert.True(known >= (loss > 0.1 ? runs / 2 : runs - 1), $"{known} of {runs} known");
    }

    /// <summary>A far end that was there, and accepts again: everything is closed in one moment.</summary>
    [Theory]
    [InlineData(8, true)]
    [InlineData(8, false)]
    [InlineData(15, true)]
    [InlineData(15, false)]
    public void FarEnd_Restarts_IsAChangeAndNoTimeout(double at, bool comesBack)
    {
        var measured = Measure(1, clock => new SimulatedWay(clock, 1), 20, way => way.RestartFarEnd(at, comesBack));

        Assert.False(measured.IsMeasured, Text(measured));
        Assert.InRange(measured.ChangedAt!.Value.TotalSeconds, at - 2, at + 0.1);
        Assert.InRange(measured.Timeout.From.TotalSeconds, at * 0.5, at);
    }

    [Theory]
    [InlineData(ExpiryClass.SilentDrop)]
    [InlineData(ExpiryClass.ResetOnNextPacket)]
    public void Box_ForgetsEverythingAtOnce_IsAChangeAndNoTimeout(ExpiryClass expiry)
    {
        foreach (var at in (double[])[7, 9, 14])
        {
            var measured = Measure(2, clock => new SimulatedWay(clock, 2) { Timeout = 1000, Expiry = expiry }, 20, way => way.RestartBox(at));

            Assert.False(measured.IsMeasured, Text(measured));
            Assert.InRange(measured.ChangedAt!.Value.TotalSeconds, at - 2.5, at + 0.1);
            Assert.InRange(measured.Timeout.From.TotalSeconds, at * 0.4, at);
        }
    }

    [Fact]
    public void Box_TimeoutWasMeasuredBeforeTheChange_IsKept()
    {
        var measured = Measure(3, clock => new SimulatedWay(clock, 3) { Timeout = 6, Expiry = ExpiryClass.ResetOnNextPacket }, 60, way => way.RestartBox(7.2));

        Assert.True(measured.Timeout.To is null || (measured.Timeout.From.TotalSeconds <= 6.05 && measured.Timeout.To.Value.TotalSeconds >= 5.95), Text(measured));
    }

    /// <summary>An outage is over before anything can be concluded from it.</summary>
    [Theory]
    [InlineData(1.5)]
    [InlineData(3)]
    [InlineData(8)]
    public void Way_Outage_IsNoTimeout(double lasting)
    {
        for (var seed = 0; seed < 5; seed++)
        {
            var from = 7 + seed;
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Outage = (from, from + lasting) }, 20);

            Assert.False(measured.IsMeasured, Text(measured));
        }
    }

    /// <summary>A router with nf_conntrack_tcp_loose: this end's next packet makes the connection known again, the far end's own does not, and
    /// resets it.</summary>
    [Theory]
    [InlineData("probes")]
    [InlineData("sends")]
    [InlineData("closes")]
    public void InsideRevives_FarEndSpeaksAfterTheTimeout_IsNoTimeoutOfThatLength(string does)
    {
        foreach (var (timeout, spoken) in ((double, double)[])[(6, 9), (6, 10), (5, 12), (8, 8.5)])
        {
            foreach (var resets in (bool[])[true, false])
            {
                var measured = Measure(4, clock => new SimulatedWay(clock, 4)
                {
                    Timeout = timeout,
                    Expiry = ExpiryClass.InsideRevives,
                    ResetsFarEnd = resets,
                    FarEndProbes = does == "probes" ? spoken : null,
                    FarEndSends = does == "sends" ? spoken : null,
                    Closes = does == "closes" ? spoken : null,
                }, 30);

                var text = $"{timeout} s, {spoken} s, {resets}: {Text(measured)}";
                Assert.True(!measured.IsMeasured || (measured.Classes is [ExpiryClass.InsideRevives] && measured.Timeout.From.TotalSeconds <= timeout && measured.Timeout.To!.Value.TotalSeconds >= timeout), text);
                Assert.True(measured.IsMeasured || spoken < 10 || does != "closes", text);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void MaximumAge_WithoutPayload_IsNotDistinguished_WithPayload_IsFound(bool sends)
    {
        // Counted from the answer, it would be shorter.
        var measured = Measure(5, clock => new SimulatedWay(clock, 5) { MaximumAge = 6, Answers = (0.3, 0.3) }, 30, payload: sends);

        if (sends)
        {
            Assert.InRange(6, measured.MaximumAge!.Value.From.TotalSeconds, measured.MaximumAge.Value.To!.Value.TotalSeconds);
            Assert.False(measured.IsMeasured);
        }
        else
        {
            Assert.Equal([Refresh.PayloadOnly], measured.Refreshes);
            Assert.False(measured.IsPayloadTried);
            Assert.Contains(new DiscoveryVerdict(new DiscoveryTarget("a", 1), measured, null).Unknown, text => text.Contains("maximum age", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void PayloadOnly_WithPayload_IsTriedAndCounts()
    {
        foreach (var expiry in (ExpiryClass[])[ExpiryClass.FinBoth, ExpiryClass.SilentDrop, ExpiryClass.ResetOnNextPacket])
        {
            var measured = Measure(6, clock => new SimulatedWay(clock, 6) { Timeout = 6, Expiry = expiry, IsPayloadOnly = true, Answers = (0.01, 0.01) }, 30, payload: true);

            Assert.True(measured is { IsPayloadTried: true, MaximumAge: null, Refreshes: [Refresh.PayloadOnly] }, Text(measured));
            Assert.True(measured.Took < TimeSpan.FromSeconds(60), Text(measured));
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void FarEnd_ProbesOrSendsSoonerThanTheTimeout_IsUnknownAndEnds(double every)
    {
        foreach (var sends in (bool[])[false, true])
        {
            var measured = Measure(7, clock => new SimulatedWay(clock, 7) { Timeout = 8, FarEndProbes = sends ? null : every, FarEndSends = sends ? every : null }, 20);

            Assert.False(measured.IsMeasured, Text(measured));
            Assert.Equal(every, measured.FarEndProbes!.Value.TotalSeconds, 0.3);
            Assert.True(measured.Took < TimeSpan.FromSeconds(30), Text(measured));
        }
    }

    /// <summary>Regression: payload that came before the controls had outlived the timeout by enough kept it waiting to the end.</summary>
    [Theory]
    [InlineData(7, true)]
    [InlineData(6, false)]
    public void FarEnd_SendsAgainAndAgainAfterTheTimeout_EndsWhenNoMoreCanBeKnown(double every, bool isRefreshKnown)
    {
        foreach (var expiry in (ExpiryClass[])[ExpiryClass.SilentDrop, ExpiryClass.ResetOnNextPacket])
        {
            var measured = Measure(17, clock => new SimulatedWay(clock, 17) { Timeout = 5, Expiry = expiry, FarEndSends = every }, 25);

            Assert.InRange(5, measured.Timeout.From.TotalSeconds, measured.Timeout.To!.Value.TotalSeconds);
            Assert.Equal(isRefreshKnown ? [Refresh.AnyPacket, Refresh.PerDirection] : [], measured.Refreshes);
            // The gap is filled after some 20 s. Then others are tested on both sides of it.
            Assert.True(measured.Took < TimeSpan.FromSeconds(38) && measured.Cut is null, Text(measured));
        }
    }

    /// <summary>Regression: as long as connections were still tested, it did not end.</summary>
    [Fact]
    public void Observations_Contradictory_EndSoon()
    {
        for (var seed = 0; seed < 6; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Timeout = 8 }, 25, way => way.RestartBox(2.2));

            Assert.True(measured.Took < TimeSpan.FromSeconds(35), Text(measured));
        }
    }

    /// <summary>The time left that a terminal shows is about right at any time.</summary>
    [Theory]
    [InlineData(null, nameof(ExpiryClass.SilentDrop), false, false)]
    [InlineData(6.0, nameof(ExpiryClass.ResetOnNextPacket), false, false)]
    [InlineData(6.0, nameof(ExpiryClass.SilentDrop), false, false)]
    [InlineData(6.0, nameof(ExpiryClass.FinBoth), true, false)]
    [InlineData(6.0, nameof(ExpiryClass.FinBoth), true, true)]
    [InlineData(6.0, nameof(ExpiryClass.SilentDrop), true, true)]
    public void Outlook_Left_IsAboutRight(double? timeout, string expiry, bool payloadOnly, bool payload)
    {
        var shown = new List<(TimeSpan At, Outlook Outlook, bool IsFound)>();
        var measured = Measure(
            18, clock => new SimulatedWay(clock, 18) { Timeout = timeout, Expiry = Enum.Parse<ExpiryClass>(expiry), IsPayloadOnly = payloadOnly, Answers = (0.001, 0.001) }, 25, payload: payload,
            progress: one => shown.Add((one.Elapsed, one.Outlook, one.Timeout.To is not null)));

        // Until something was dropped, it takes as long as --until.
        foreach (var (at, outlook, isFound) in shown.Where(one => one.IsFound || timeout is null))
        {
            var left = measured.Took - at;
            // Each silent connection takes some seconds, and how many more it takes is not known.
            var (part, seconds) = expiry == nameof(ExpiryClass.SilentDrop) && timeout is not null ? (0.8, 6) : (0.5, 3);
            Assert.True(
                outlook.Left.TotalSeconds > (left.TotalSeconds * (1 - part)) - seconds && outlook.Left.TotalSeconds < (left.TotalSeconds * (1 + part)) + seconds,
                $"{at.TotalSeconds:0.0} s: {outlook.Left.TotalSeconds:0.0} s left, {outlook.Doing}; took {measured.Took.TotalSeconds:0.0} s");
        }
        Assert.Contains(shown, one => one.IsFound == timeout is not null);
        Assert.Equal(payload, shown.Exists(one => one.Outlook.Doing == "trying if payload restarts the clock"));
    }

    /// <summary>The measured timeout and what the far end sends are not in each other's way.</summary>
    [Fact]
    public void FarEnd_SpeaksLaterThanTheTimeout_IsMeasuredWithoutContradiction()
    {
        var measured = Measure(8, clock => new SimulatedWay(clock, 8) { Timeout = 6, FarEndProbes = 9 }, 30);

        Assert.InRange(6, measured.Timeout.From.TotalSeconds, measured.Timeout.To!.Value.TotalSeconds);
        Assert.DoesNotContain(new DiscoveryVerdict(new DiscoveryTarget("a", 1), measured, null).Unknown, text => text.Contains("longer timeouts", StringComparison.Ordinal));
    }

    /// <summary>Lost acknowledgements of handshakes make the far end send its SYN again.</summary>
    [Fact]
    public void Way_LosesPackets_IsNoSpeakingFarEndAndNoLongerRoundTrip()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Loss = 0.05, Jitter = 0.01 }, 20);

            Assert.True(measured is { IsMeasured: false, FarEndProbes: null, Cut: null, IsContradictory: false }, Text(measured));
            Assert.True(measured.RoundTrip < TimeSpan.FromMilliseconds(50) && measured.Timeout.From > TimeSpan.FromSeconds(18), Text(measured));
        }
    }

    [Fact]
    public void FarEnd_ClosesAtOnce_EndsAtOnce()
    {
        var measured = Measure(9, clock => new SimulatedWay(clock, 9) { Limit = 0 }, 1200);

        Assert.Contains("closes connections at once", measured.Cut!, StringComparison.Ordinal);
        Assert.True(measured.Took < TimeSpan.FromSeconds(5), Text(measured));
    }

    [Theory]
    [InlineData(20)]
    [InlineData(4)]
    public void FarEnd_ClosesFurtherConnections_MeasuresWithTheOthers(int limit)
    {
        var measured = Measure(10, clock => new SimulatedWay(clock, 10) { Limit = limit, Timeout = 6 }, 30);

        Assert.NotNull(measured.Limited);
        Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 6 && measured.Timeout.To!.Value.TotalSeconds >= 6), Text(measured));
        Assert.True(measured.IsMeasured || limit < 10, Text(measured));
        Assert.True(measured.Took < TimeSpan.FromSeconds(63), Text(measured));
    }

    /// <summary>The last word comes a moment before the FIN: it does not restart the idle time.</summary>
    [Fact]
    public void FarEnd_SaysGoodbyeBeforeItCloses_IsMeasured()
    {
        var measured = Measure(15, clock => new SimulatedWay(clock, 15) { Closes = 5, HasBanner = true, SaysGoodbye = true }, 30);

        Assert.InRange(5, measured.Timeout.From.TotalSeconds - 0.1, measured.Timeout.To!.Value.TotalSeconds + 0.1);
        Assert.True(measured.Took < TimeSpan.FromSeconds(20), Text(measured));
    }

    /// <summary>A SYN that is dropped because of the limit is no sign of a connection that is dropped for good.</summary>
    [Fact]
    public void Box_DropsFurtherConnections_LeavesUnknownIfASynOpensAnew()
    {
        foreach (var most in (int[])[3, 10, 25])
        {
            var measured = Measure(16, clock => new SimulatedWay(clock, 16) { MostKnown = most, Timeout = 6, Expiry = ExpiryClass.DropUntilSyn }, 30);

            Assert.NotEqual([ExpiryClass.SilentDrop], measured.Classes);
            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 6.05 && measured.Timeout.To!.Value.TotalSeconds >= 5.95), Text(measured));
        }
    }

    [Theory]
    [InlineData(20)]
    [InlineData(40)]
    public void FarEnd_ClosesTheOldest_IsUnknownAndEnds(int oldest)
    {
        var measured = Measure(11, clock => new SimulatedWay(clock, 11) { Oldest = oldest }, 20);

        Assert.False(measured.IsMeasured, Text(measured));
        Assert.True(measured.Took < TimeSpan.FromSeconds(49), Text(measured));
    }

    [Fact]
    public void FarEnd_ClosesAtRandomAges_IsUnknownAndEnds()
    {
        for (var seed = 0; seed < 10; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { ClosesAbout = 6 }, 30);

            Assert.False(measured.IsMeasured, Text(measured));
            Assert.True(measured.Took < TimeSpan.FromSeconds(63), Text(measured));
        }
    }

    /// <summary>An answer that was lost comes late, and must not shorten the timeout.</summary>
    [Fact]
    public void FarEnd_ClosesAfterPayloadAndWayLosesPackets_IsRightOrUnknown()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Closes = 6, Answers = (0.001, 0.001), Loss = 0.05 }, 20, payload: true);

            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 6.05 && measured.Timeout.To!.Value.TotalSeconds >= 5.95), Text(measured));
            Assert.Null(measured.MaximumAge);
        }
    }

    /// <summary>If the end of the handshake is lost, the far end accepts, and starts its clock, a second later.</summary>
    [Fact]
    public void FarEnd_ClosesAndWayLosesPackets_IsRightOrUnknown()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Closes = 6, Loss = 0.1 }, 20);

            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 6.01 && measured.Timeout.To!.Value.TotalSeconds >= 5.99), Text(measured));
        }
    }

    /// <summary>The clock of a busy box has run for a while when a connection is open.</summary>
    [Fact]
    public void Box_StartsItsClockBeforeTheHandshakeEnds_IsRight()
    {
        for (var seed = 0; seed < 8; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Timeout = 3, Expiry = ExpiryClass.FinBoth, IsPayloadOnly = true, Handshake = 0.5 }, 20);

            Assert.True(measured.Timeout.From.TotalSeconds <= 3 && measured.Timeout.To!.Value.TotalSeconds >= 3, Text(measured));
        }
    }

    /// <summary>The answers of a busy far end take as long as those that were lost and sent again.</summary>
    [Fact]
    public void FarEnd_ClosesAfterSlowAnswersAndWayLosesPackets_IsRightOrUnknown()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var measured = Measure(seed, clock => new SimulatedWay(clock, seed) { Closes = 6, Answers = (0.15, 0.15), Loss = 0.05 }, 20, payload: true);

            Assert.True(!measured.IsMeasured || (measured.Timeout.From.TotalSeconds <= 6 && measured.Timeout.To!.Value.TotalSeconds >= 6), Text(measured));
            Assert.Null(measured.MaximumAge);
        }
    }

    [Theory]
    [InlineData(4, 9)]
    [InlineData(9, 4)]
    public void FarEnd_BannerAndItsOwnTimeout_TheShorterIsMeasured(double timeout, double closes)
    {
        var measured = Measure(12, clock => new SimulatedWay(clock, 12) { Timeout = timeout, HasBanner = true, Closes = closes }, 30);
        var expected = Math.Min(timeout, closes);

        Assert.InRange(expected, measured.Timeout.From.TotalSeconds - 0.1, measured.Timeout.To!.Value.TotalSeconds + 0.1);
        Assert.Equal(closes < timeout ? ExpiryClass.FinBoth : ExpiryClass.SilentDrop, measured.Classes[0]);
        Assert.Equal(closes > timeout, measured.FarEndCloses is not null);
    }

    /// <summary>Only the first connection is slow, or receives something: that is no rule.</summary>
    [Fact]
    public void FarEnd_FirstAnswerIsSlow_IsNoDroppedPacket()
    {
        var measured = Measure(13, clock => new SimulatedWay(clock, 13) { Answers = (1.3, 0.001) }, 15, payload: true);

        Assert.False(measured.IsMeasured, Text(measured));
        Assert.True(measured.Timeout.From > TimeSpan.FromSeconds(13), Text(measured));
    }

    /// <summary>Such as AWS Global Accelerator: connections end, and probes show nothing.</summary>
    [Theory]
    [InlineData(5.0)]
    [InlineData(null)]
    public void Box_AnswersNoProbes_IsMeasuredByConnectionsThatEnd(double? timeout)
    {
        var measured = Measure(14, clock => new SimulatedWay(clock, 14) { Timeout = timeout, Expiry = ExpiryClass.FinBoth, IsPayloadOnly = true, AnswersProbes = false }, 20);

        Assert.True(measured.Took < TimeSpan.FromSeconds(49), Text(measured));
        Assert.False(measured.AreProbesAnswered);
        Assert.Equal(timeout is not null, measured.IsMeasured);
        if (timeout is { } expected)
        {
            Assert.Equal([ExpiryClass.FinBoth], measured.Classes);
            Assert.InRange(expected, measured.Timeout.From.TotalSeconds - 0.1, measured.Timeout.To!.Value.TotalSeconds + 0.1);
        }
    }

    /// <summary>Any timeout takes about as long as itself and the gap of the ladder around it. Regression: 350 s took 690 s.</summary>
    [Theory]
    [InlineData(60)]
    [InlineData(350)]
    public void Measurement_UpToTwentyMinutes_TakesTheTimeoutAndALittle(double timeout) => AssertSoon(timeout);

    [Theory]
    [InlineData(12)]
    [InlineData(240)]
    [InlineData(900)]
    [InlineData(1100)]
    [Trait("Discover", "long")]
    public void Measurement_OfOtherTimeouts_TakesTheTimeoutAndALittle(double timeout) => AssertSoon(timeout);

    private void AssertSoon(double timeout)
    {
        foreach (var payloadOnly in (bool[])[false, true])
        {
            foreach (var expiry in (ExpiryClass[])[ExpiryClass.SilentDrop, ExpiryClass.ResetOnNextPacket, ExpiryClass.FinBoth])
            {
                var measured = Measure(4, clock => new SimulatedWay(clock, 4) { Timeout = timeout, Expiry = expiry, IsPayloadOnly = payloadOnly }, 1200);

                Assert.True(measured.Cut is null, Text(measured));
                Assert.InRange(timeout, measured.Timeout.From.TotalSeconds - 0.01, measured.Timeout.To!.Value.TotalSeconds + 0.01);
                // The probes of a test are spread over 0.1 s.
                Assert.True(measured.Timeout.Width.TotalSeconds < (timeout * 0.0203) + 0.25, Text(measured));
                // Silent ones are waited for. A connection that was opened later shows which traffic restarts the clock.
                var most = expiry == ExpiryClass.FinBoth ? (timeout * 1.05) + 20 : (timeout * 1.32) + (expiry == ExpiryClass.SilentDrop ? 35 : 15);
                Assert.True(measured.Took.TotalSeconds < most, $"{timeout} s, {expiry}: {Text(measured)}");
            }
        }
    }

    private Measurement Measure(int seed, Func<WaitingClock, SimulatedWay> create, int until, Action<SimulatedWay>? more = null, bool payload = false, Action<Discovery>? progress = null) =>
        VirtualMeasurement.Run(output, seed, create, until, more, payload, progress);

    private static string Text(Measurement measured) => VirtualMeasurement.Text(measured);
}
