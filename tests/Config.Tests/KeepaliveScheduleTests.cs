using FsCheck;
using FsCheck.Fluent;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class KeepaliveScheduleTests
{
    private static readonly Gen<KeepaliveSchedule> s_any =
        from hz in Gen.Elements(100, 250, 300, 1000)
        from time in Gen.Choose(1, KeepaliveSettings.MaxTime)
        from interval in Gen.OneOf(Gen.Choose(1, 100), Gen.Choose(1, KeepaliveSettings.MaxInterval))
        from probes in Gen.Choose(1, KeepaliveSettings.MaxProbes)
        select new KeepaliveSchedule(new(time, interval, probes), hz);

    [Fact]
    public void Nominal_FirstLaterAndDeath_AddUp()
    {
        var schedule = Schedule(60, 10, 6);

        Assert.Equal(TimeSpan.FromSeconds(60), schedule.Probe(1));
        Assert.Equal(TimeSpan.FromSeconds(110), schedule.Probe(6));
        Assert.Equal(TimeSpan.FromSeconds(120), schedule.Death);
    }

    [Theory]
    [InlineData(250, 3, 3_256)]
    [InlineData(250, 8, 8_256)]
    [InlineData(250, 20, 22_048)]
    [InlineData(250, 340, 356_384)]
    [InlineData(250, 700, 716_384)]
    [InlineData(1000, 340, 372_768)]
    [InlineData(100, 340, 380_960)]
    public void LatestProbe_First_IsOneGranuleLate(int hz, int time, int milliseconds) =>
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), Schedule(time, 1, 3, hz).LatestProbe(1));

    /// <summary>Each unanswered probe adds the lateness of its own timer.</summary>
    [Fact]
    public void LatestProbe_Later_AddsAGranuleForEachWait()
    {
        var schedule = Schedule(60, 10, 6);

        Assert.Equal(TimeSpan.FromMilliseconds(62_048 + 10_256), schedule.LatestProbe(2));
        Assert.Equal(TimeSpan.FromMilliseconds(62_048 + 6 * 10_256), schedule.LatestDeath);
    }

    /// <summary>After an answered probe the timer compares the idle time only an interval later.</summary>
    [Fact]
    public void LatestProbe_IntervalLongerThanTime_WaitsForTheInterval()
    {
        var schedule = Schedule(10, 75, 9);

        Assert.Equal(TimeSpan.FromSeconds(10), schedule.Probe(1));
        Assert.Equal(TimeSpan.FromMilliseconds(77_048), schedule.LatestProbe(1));
        Assert.False(schedule.Survives(TimeSpan.FromSeconds(60), lostProbes: 0));
    }

    [Theory]
    [InlineData(340, 0, 250, false)]
    [InlineData(333, 0, 250, true)]
    [InlineData(333, 0, 1000, false)]
    [InlineData(300, 0, 1000, true)]
    [InlineData(300, 1, 1000, true)]
    [InlineData(300, 2, 1000, false)]
    [InlineData(60, 5, 250, true)]
    [InlineData(60, 6, 250, false)]
    public void Survives_BalancerOf350Seconds_CountsTheLateTimer(int time, int lostProbes, int hz, bool expected) =>
        Assert.Equal(expected, Schedule(time, 10, 6, hz).Survives(TimeSpan.FromSeconds(350), lostProbes));

    [Fact]
    public void Survives_ProbeExactlyAtTheTimeout_IsTooLate()
    {
        var schedule = Schedule(60, 10, 6);

        Assert.False(schedule.Survives(schedule.LatestProbe(1), 0));
        Assert.True(schedule.Survives(schedule.LatestProbe(1) + TimeSpan.FromTicks(1), 0));
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Instants_OfAnySchedule_FollowOneAnotherAndAreNeverEarly()
    {
        Prop.ForAll(s_any.ToArbitrary(), schedule =>
        {
            var numbers = Enumerable.Range(1, schedule.Probes).ToList();
            List<TimeSpan> nominal = [.. numbers.Select(schedule.Probe), schedule.Death];
            List<TimeSpan> latest = [.. numbers.Select(schedule.LatestProbe), schedule.LatestDeath];
            return Rises(nominal) && Rises(latest) && nominal.Zip(latest).All(pair => pair.First < pair.Second);
        }).Check(Fuzz.Property(1_000));
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Instants_WithIntervalWithinTime_AreLateByAGranulePerWait()
    {
        Prop.ForAll(s_any.Where(schedule => schedule.Interval <= schedule.Time).ToArbitrary(), schedule =>
            Enumerable.Range(1, schedule.Probes).All(number =>
            {
                var late = schedule.LatestProbe(number) - schedule.Probe(number);
                var granules = schedule.Wheels[0].Granule(schedule.Time) + (number - 1) * schedule.Wheels[0].Granule(schedule.Interval);
                return late <= granules && late >= granules - TimeSpan.FromTicks(number)
                    && late <= schedule.Probe(number) * (8.0 / 63) + TimeSpan.FromTicks(number);
            })).Check(Fuzz.Property(1_000));
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Survives_LongerTimeoutOrFewerLost_NeverTurnsItFalse()
    {
        var gen = from schedule in s_any
                  from timeout in Gen.Choose(1, 40_000)
                  from more in Gen.Choose(0, 1_000)
                  from lost in Gen.Choose(0, KeepaliveSettings.MaxProbes)
                  from fewer in Gen.Choose(0, lost)
                  select (schedule, timeout: TimeSpan.FromSeconds(timeout), longer: TimeSpan.FromSeconds(timeout + more), lost, fewer);
        Prop.ForAll(gen.ToArbitrary(), test =>
            !test.schedule.Survives(test.timeout, test.lost) || test.schedule.Survives(test.longer, test.fewer))
            .Check(Fuzz.Property(5_000));
    }

    [Theory]
    [InlineData(60, 10, 6)]
    [InlineData(328, 5, 7)]
    [InlineData(311, 75, 9)]
    public void Instants_WhereTheKernelsHzIsNotKnown_AreLateAsOnTheWorst(int time, int interval, int probes)
    {
        var settings = new KeepaliveSettings(time, interval, probes);
        var unknown = new KeepaliveSchedule(settings);
        var known = new[] { 100, 250, 300, 1000 }.Select(hz => new KeepaliveSchedule(settings, hz)).ToList();

        Assert.Equal(known.Max(schedule => schedule.LatestDeath), unknown.LatestDeath);
        Assert.Equal(known.Max(schedule => schedule.LatestProbe(2)), unknown.LatestProbe(2));
        Assert.Equal(known[0].Death, unknown.Death);
        // With HZ 250, 328 s take 349 s at most; with HZ 100, 369 s. 311 s are on a level of the wheel with a smaller lateness.
        Assert.Equal(time != 328, unknown.Survives(TimeSpan.FromSeconds(350), 0));
    }

    /// <summary>The kernel's keepalive timer, simulated in jiffies, never leaves the bounds.</summary>
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Instants_OfASteppedTimer_LieBetweenNominalAndLatest()
    {
        var gen = from schedule in s_any.Where(schedule => schedule.Time < 2_000 && schedule.Interval < 2_000)
                  from armed in Gen.Choose(0, 1 << 20)
                  from waiting in Gen.Elements(true, false)
                  from quiet in Gen.Choose(0, 1_000)
                  select (schedule, armed: (long)armed, waiting, quiet);
        Prop.ForAll(gen.ToArbitrary(), test =>
        {
            var schedule = test.schedule;
            var (time, interval) = (schedule.Wheels[0].ToJiffies(schedule.Time), schedule.Wheels[0].ToJiffies(schedule.Interval));
            // The connection goes quiet while the timer waits: for the time, or for the interval after an answered probe.
            var fires = TimerWheel.Fires(test.armed, test.waiting ? interval : time);
            var quiet = test.armed + (fires - test.armed) * test.quiet / 1_000;
            var unanswered = 0;
            while (true)
            {
                var now = fires;
                if (now - quiet < time)
                {
                    fires = TimerWheel.Fires(now, time - (now - quiet));
                    continue;
                }

                // After the last probe the connection ends.
                var (earliest, latest) = unanswered == schedule.Probes
                    ? (schedule.Death, schedule.LatestDeath)
                    : (schedule.Probe(unanswered + 1), schedule.LatestProbe(unanswered + 1));
                var at = schedule.Wheels[0].ToTime(now - quiet);
                if (at < earliest || at > latest)
                {
                    return false;
                }

                if (unanswered++ == schedule.Probes)
                {
                    return true;
                }

                fires = TimerWheel.Fires(now, interval);
            }
        }).Check(Fuzz.Property(2_000));
    }

    /// <summary>Values of the timer: the interval after a probe, the rest of the time when it fires before the connection is idle for long
    /// enough.</summary>
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void AnsweredProbes_OfAQuietConnection_AreThoseOfTheTimer() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(byte Time, byte Interval, byte RoundTrip, ushort Window)>(), input =>
        {
            var (time, interval) = (1 + (input.Time % 40), 1 + (input.Interval % 40));
            var (roundTrip, window) = (TimeSpan.FromMilliseconds(3 * input.RoundTrip), TimeSpan.FromMilliseconds(input.Window * 10));
            var (count, answered, timer) = (0, TimeSpan.Zero, TimeSpan.Zero);
            var first = TimeSpan.FromSeconds(time);
            for (timer = first; timer <= first + window;)
            {
                var left = TimeSpan.FromSeconds(time) - (timer - answered);
                if (left > TimeSpan.Zero)
                {
                    timer += left;
                    continue;
                }
                count++;
                answered = timer + roundTrip;
                timer += TimeSpan.FromSeconds(interval);
            }
            return count == Schedule(time, interval, 3).AnsweredProbes(window, roundTrip);
        }).Check(Fuzz.Property(2_000));

    [Fact]
    public void AnsweredProbes_WhereTheFirstIsNotReached_AreNone() =>
        Assert.Equal(0, Schedule(60, 10, 6).AnsweredProbes(TimeSpan.FromTicks(-1), TimeSpan.Zero));

    [Fact]
    public void Schedule_WithAMissingValue_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => new KeepaliveSchedule(new(null, 10, 6)));
        Assert.Throws<ArgumentException>(() => new KeepaliveSchedule(new(60, null, 6)));
        Assert.Throws<ArgumentException>(() => new KeepaliveSchedule(new(60, 10, null)));
    }

    [Theory]
    [InlineData(0, 10, 6)]
    [InlineData(32768, 10, 6)]
    [InlineData(60, 0, 6)]
    [InlineData(60, 32768, 6)]
    [InlineData(60, 10, 0)]
    [InlineData(60, 10, 128)]
    public void Schedule_InvalidForTheKernel_IsRefused(int time, int interval, int probes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Schedule(time, interval, probes));

    [Fact]
    public void Probe_BeyondTheLast_IsRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Schedule(60, 10, 6).Probe(7));
        Assert.Throws<ArgumentOutOfRangeException>(() => Schedule(60, 10, 6).LatestProbe(0));
    }

    private static bool Rises(List<TimeSpan> instants) => instants.Zip(instants.Skip(1)).All(pair => pair.First < pair.Second);

    /// <summary>Each tick as late as it can be, or on time, in any mixture of early ticks.</summary>
    [Theory]
    [InlineData(2, 1, 3, 25_000)]
    [InlineData(2, 1, 3, 1)]
    [InlineData(4, 2, 6, 3_000)]
    [InlineData(4, 2, 6, 9_000)]
    [InlineData(60, 10, 6, 71_000)]
    [InlineData(60, 10, 6, 79_000)]
    [InlineData(60, 10, 6, 120_000)]
    [InlineData(60, 10, 1, 85_500)]
    public void Death_UserTimeout_IsTheFirstTickAfterItWithAProbeUnanswered(int time, int interval, int probes, int timeout)
    {
        foreach (var hz in TimerWheel.CommonHz)
        {
            var (schedule, wheel) = (new KeepaliveSchedule(new(time, interval, probes), hz, timeout), new TimerWheel(hz));
            var (end, random) = (TimeSpan.FromMilliseconds(timeout), new Random(hz));
            for (var run = 0; run < 2000; run++)
            {
                var (now, unanswered) = (Late(time), 0);
                while (unanswered == 0 || now < end)
                {
                    now += Late(interval);
                    unanswered++;
                }
                // Each wait is rounded up to 100 ns here.
                Assert.InRange(now, schedule.Death, schedule.LatestDeath + TimeSpan.FromMilliseconds(0.1));
            }

            TimeSpan Late(int wait) => TimeSpan.FromSeconds(wait) + (wheel.Granule(wait) * random.Next(3) / 2);
        }
    }

    [Theory]
    [InlineData(2, 1, 3, 25_000, 23, 25)]
    [InlineData(60, 10, 6, 0, 6, 120)]
    [InlineData(60, 10, 6, 3_000, 1, 70)]
    [InlineData(60, 10, 6, 120_000, 6, 120)]
    [InlineData(60, 10, 1, 120_000, 6, 120)]
    public void LostProbes_UserTimeout_ReplacesTheNumberOfProbes(int time, int interval, int probes, int timeout, int lost, int death)
    {
        var schedule = new KeepaliveSchedule(new(time, interval, probes), userTimeout: timeout);
        Assert.Equal((lost, TimeSpan.FromSeconds(death)), (schedule.LostProbes, schedule.Death));
        Assert.True(schedule.Survives(TimeSpan.FromHours(1), lost - 1));
        Assert.False(schedule.Survives(TimeSpan.FromHours(1), lost));
    }

    private static KeepaliveSchedule Schedule(int time, int interval, int probes, int hz = TimerWheel.DefaultHz) =>
        new(new(time, interval, probes), hz);
}
