using Keepalive.Probes.Classify;
using Keepalive.Probes.Tests.Capture;
using Xunit;

namespace Keepalive.Probes.Tests.Classify;

public sealed class BrokenConnectionsTests
{
    /// <summary>A request and its answer at 1 s: both ends are known, and everything is acknowledged.</summary>
    private const string Exchange = """
        1.000 > AP 0:0 l=100
        1.010 < AP 0:100 l=200 ttl=60
        1.011 > A  100:200
        """;

    [Fact]
    public void Reset_AfterDataThatEndsASilence_IsBroken()
    {
        var broken = Assert.Single(Play("""
            601.011 > AP 100:200 l=100
            601.012 < R  200:0 ttl=254
            """));

        Assert.Equal(600, Seconds(broken.Silence.Length));
        Assert.Equal((4, 5, SilenceEnd.Data), (broken.Silence.Frame, broken.ResetFrame, broken.Silence.EndedBy));
        Assert.Equal(("10.0.0.1:40000", "10.0.0.2:443"), (broken.From.ToString(), broken.To.ToString()));
        Assert.Equal((254, 60, true), (broken.HopLimit, broken.HopLimitBefore, broken.IsForged));
        Assert.False(broken.IsAfterClose || broken.IsGivenUp);
    }

    [Fact]
    public void Reset_WithTheHopLimitOfItsEnd_IsNotForged() => Assert.False(Assert.Single(Play("""
        601.011 > AP 100:200 l=100
        601.012 < R  200:0 ttl=60
        """)).IsForged);

    [Fact]
    public void Reset_OfAProbe_IsBroken() => Assert.Equal(SilenceEnd.Probe, Assert.Single(Play("""
        661.011 > A  99:200          probe
        661.012 < R  200:0
        """)).Silence.EndedBy);

    /// <summary>A device that tells both ends when its time is over.</summary>
    [Fact]
    public void Reset_ThatComesByItselfAfterASilence_IsBroken()
    {
        var broken = Assert.Single(Play("301.011 < R  200:0"));

        Assert.Equal((SilenceEnd.Reset, 300.0), (broken.Silence.EndedBy, Seconds(broken.Silence.Length)));
        Assert.Equal("10.0.0.2:443", broken.From.ToString());
    }

    [Fact]
    public void Reset_ByAnEndThatHasClosed_IsAfterClose() => Assert.True(Assert.Single(Play("""
        601.011 < FA 200:100
        601.012 > A  100:201
        921.012 > AP 100:201 l=100
        921.024 < R  201:0
        """)).IsAfterClose);

    [Fact]
    public void Reset_WithoutASilence_IsNotBroken() => Assert.Empty(Play("""
        5.000 > AP 100:200 l=100
        5.001 < R  200:0
        """));

    /// <summary>Data that was not captured came in between: there was no silence.</summary>
    [Theory]
    [InlineData("601.011 > AP 300:200 l=100")]
    [InlineData("601.011 > AP 100:900 l=100")]
    public void Reset_AfterDataThatWasNotCaptured_IsNotBroken(string data) => Assert.Empty(Play($"""
        {data}
        601.012 < R  200:0
        """));

    /// <summary>With a number that the other end's kernel ignores, or believes only if something was not captured: it goes on.</summary>
    [Theory]
    [InlineData("50:0")]
    [InlineData("5000:0")]
    public void Reset_AfterWhichTheConnectionGoesOn_IsNotBroken(string number) => Assert.DoesNotContain(
        Play($"""
            601.011 > AP 100:200 l=100
            601.012 < R  {number}
            601.030 > AP 200:200 l=100
            601.031 < A  200:300
            """),
        static broken => !broken.IsRefuted);

    [Fact]
    public void NoAnswer_ToDataThatIsSentAgain_IsBroken()
    {
        var broken = Assert.Single(Play("""
            601.011 > AP 100:200 l=100
            601.220 > AP 100:200 l=100
            601.640 > AP 100:200 l=100
            604.500 > AP 100:200 l=100
            """));

        Assert.Equal((0, 4, 600.0), (broken.ResetFrame, broken.Silence.Sent, Seconds(broken.Silence.Length)));
    }

    [Fact]
    public void NoAnswer_ToProbesUntilTheResetOfTheirSender_IsGivenUp()
    {
        var broken = Assert.Single(Play("""
            601.011 > A  99:200          probe
            616.011 > A  99:200          probe
            631.011 > RA 100:200
            """));

        Assert.True(broken.IsGivenUp);
        Assert.Equal((6, 600.0), (broken.ResetFrame, Seconds(broken.Silence.Length)));
    }

    /// <summary>There was no time for an answer, or nothing asked for one.</summary>
    [Theory]
    [InlineData("601.011 > AP 100:200 l=100")]
    [InlineData("601.011 > AP 100:200 l=100\n602.011 > AP 100:200 l=100")]
    [InlineData("601.011 > A 100:200")]
    public void NoAnswer_ThatMayStillCome_IsNotBroken(string text) => Assert.Empty(Play(text));

    [Fact]
    public void NoAnswer_BeforeANewConnectionOfTheSamePorts_IsNotItsOwn() => Assert.Empty(Play("""
        601.011 > AP 100:200 l=100
        640.000 > S  9000:
        640.010 < SA 7000:9001
        640.020 > A  9001:7001
        """));

    [Fact]
    public void Silence_ThatIsAnswered_IsSurvived()
    {
        var (_, _, scan) = Timeline.Play(Exchange + "\n" + """
            581.011 > AP 100:200 l=100
            581.020 < A  200:200
            """);

        Assert.Empty(scan.Broken.All.ToArray());
        Assert.Equal(580, Seconds(scan.Classifier.Flows.All[0].Silence.Survived));
    }

    [Fact]
    public void Silence_WithoutTimes_IsNone() => Assert.Empty(Timeline.Play("""
        - > AP 0:0 l=100
        - < AP 0:100 l=200
        - > AP 100:200 l=100
        - < R  200:0
        """).Scan.Broken.All.ToArray());

    [Fact]
    public void Records_BeyondTheLimit_AreCounted()
    {
        const int connections = BrokenConnections.Limit + 10;
        var scan = new ProbeScan(new NoSink());
        for (var at = 0; at < 3; at++)
        {
            for (var i = 0; i < connections; i++)
            {
                var client = $"10.0.{i >> 8}.{i & 255}:40000";
                var frame = at == 1
                    ? new Frame { Source = "192.0.2.1:443", Destination = client, Acknowledged = 100, Sequence = 1000 }
                    : new Frame { Source = client, Destination = "192.0.2.1:443", Sequence = at == 0 ? 0u : 100, Acknowledged = 1000, Payload = new byte[100] };
                Take(scan, frame, at == 2 ? 100 : at);
            }
        }
        Take(scan, new Frame { Source = "192.0.2.7:443", Destination = "192.0.2.8:999" }, 110);
        scan.End();

        Assert.Equal((BrokenConnections.Limit, 10), (scan.Broken.All.Length, scan.Broken.Forgotten));
    }

    /// <summary>The range of one idle timeout: longer than what was survived, and no longer than what broke a connection. A close by the server is no part of it.</summary>
    [Fact]
    public void IdleTimeout_OfAServer_LiesBetweenWhatWasSurvivedAndWhatWasNot()
    {
        var (_, _, scan) = Timeline.Play(Exchange + "\n" + """
            581.011 > AP 100:200 l=100
            581.020 < A  200:200
            1191.020 > AP 200:200 l=100
            1191.021 < R  200:0 ttl=254
            """);

        var timeout = Assert.Single(IdleTimeout.Of(scan));
        Assert.Equal(("10.0.0.2:443", 1, 610.0, 580.0, true), (timeout.Server.ToString(), timeout.Broken, Seconds(timeout.BrokenLeast), Seconds(timeout.SurvivedMost), timeout.IsOne));
    }

    [Fact]
    public void IdleTimeout_ThatDoesNotExplainAll_IsNotOne() => Assert.False(Assert.Single(IdleTimeout.Of(Timeline.Play(Exchange + "\n" + """
        581.011 > AP 100:200 l=100
        581.020 < A  200:200
        681.020 > AP 200:200 l=100
        681.021 < R  200:0
        """).Scan)).IsOne);

    /// <summary>Nothing shows yet that they are dead: nobody has sent anything.</summary>
    [Theory]
    [InlineData("", 1)]
    [InlineData("1300.000 > FA 100:200", 0)]
    [InlineData("1300.000 < R 200:0", 0)]
    [InlineData("1300.000 > AP 100:200 l=100\n1300.010 < A 200:200", 0)]
    public void IdleTimeout_ConnectionSilentUntilTheEnd_IsCounted(string then, int silent)
    {
        var scan = new ProbeScan(new NoSink());
        Timeline.Play(Exchange + "\n" + then, scan);
        foreach (var (seconds, sent) in new (int Seconds, uint Sent)[] { (2, 100), (1302, 200) })
        {
            Take(scan, new Frame { Source = "10.0.0.9:40000", Destination = "10.0.0.2:443", Sequence = sent, Acknowledged = 1000, Payload = new byte[100] }, seconds);
            Take(scan, new Frame
            {
                Source = "10.0.0.2:443",
                Destination = "10.0.0.9:40000",
                Sequence = 1000,
                Acknowledged = sent + 100,
                Flags = seconds == 2 ? Keepalive.Linux.Packets.TcpFlags.Ack : Keepalive.Linux.Packets.TcpFlags.Rst,
            }, seconds);
        }
        scan.End();

        var timeout = Assert.Single(IdleTimeout.Of(scan));
        Assert.Equal((true, silent), (timeout.IsOne, timeout.SilentAtEnd));
    }

    /// <summary>An end that closes idle connections with a reset is no device on the way, and no keepalive prevents it.</summary>
    [Theory]
    [InlineData("301.011 < R  200:0 ttl=60", 1)]
    [InlineData("301.011 < R  200:0 ttl=254", 0)]
    [InlineData("301.011 > AP 100:200 l=100\n301.012 < R 200:0 ttl=60", 0)]
    public void IdleTimeout_ResetThatNothingAskedFor_MayBeTheEndsOwn(string then, int own)
    {
        var timeout = Assert.Single(IdleTimeout.Of(Timeline.Play(Exchange + "\n" + then).Scan));

        Assert.Equal((1, own), (timeout.Broken, timeout.Own));
        var text = Keepalive.Probes.Reports.BrokenTable.Conclusion(timeout);
        Assert.Equal(own == 0, text.Contains("something on the way had", StringComparison.Ordinal));
        Assert.Equal(own == 1, text.Contains("1 reset that nothing asked for", StringComparison.Ordinal));
    }

    private static double Seconds(long nanoseconds) => nanoseconds / 1e9;

    private static BrokenConnection[] Play(string text) => Timeline.Play(Exchange + "\n" + text).Scan.Broken.All.ToArray();

    private static void Take(ProbeScan scan, Frame frame, int seconds)
    {
        var bytes = frame.ToBytes();
        scan.Take(new Keepalive.Linux.Packets.CapturedPacket(1, seconds * 1_000_000_000L, frame.Link, bytes, bytes.Length));
    }

    private sealed class NoSink : IFindingSink
    {
        public void Found(in Finding finding)
        {
        }
    }
}
