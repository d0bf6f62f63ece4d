using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Pages;
using Keepalive.Probes.Tests.Capture;
using Keepalive.Probes.Tests.Classify;
using Xunit;

namespace Keepalive.Probes.Tests.Pages;

/// <summary>The report about a capture: what it says of each connection, and its bounds.</summary>
public sealed class CapturedPacketsTests
{
    private const string Handshake = """
        0.000 > S  0:
        0.001 < SA 0:1
        0.002 > A  1:1
        0.003 > PA 1:1 l=10
        0.004 < A  1:11

        """;

    [Fact]
    public void Complete_AnsweredProbes_AreJoinedWithTheirReplies()
    {
        var connection = Only(Handshake + """
            60.004 > A 10:1 probe by 7
            60.005 < A 1:11 reply to 6
            """);

        Assert.Equal(Trouble.None, connection.Trouble);
        Assert.Equal("1 keepalive probe, answered.", connection.Verdict);
        Assert.Equal("10.0.0.1:40000", connection.Client);
        var (probe, reply) = (connection.Packets[5], connection.Packets[6]);
        Assert.Equal((PacketKind.Probe, true, 60_000_000_000), (probe.Kind, probe.IsFromClient, probe.Idle));
        Assert.Equal((PacketKind.Reply, false, 6), (reply.Kind, reply.IsFromClient, reply.Answers));
        Assert.Contains(connection.Settings, setting => setting is { Name: "idle before a probe", Value: "60.0 s" });
    }

    [Fact]
    public void Complete_ResetAfterSilence_IsAFailure()
    {
        var connection = Only(Handshake + """
            350.004 > PA 11:1 l=10
            350.005 < R  1:
            """);

        Assert.Equal(Trouble.Failure, connection.Trouble);
        Assert.Equal("A reset that names the server as its sender ended it, after 350.0 s of silence.", connection.Verdict);
    }

    [Fact]
    public void Complete_ResetWithAnotherHopLimit_IsOfADeviceOnTheWay() => Assert.Equal(
        "A reset in the name of the server ended it, after 350.0 s of silence. Its TTL is 254, that of the packets before 64: a device on the way sent it.",
        Only(Handshake + """
            350.004 > PA 11:1 l=10
            350.005 < R  1: ttl=254
            """).Verdict);

    [Fact]
    public void Complete_ResetByAnEndThatHasClosed_IsItsAnswer() => Assert.Equal(
        "The server had closed it. The other end still sent to it, after 320.0 s of silence, and the answer was a reset.",
        Only(Handshake + """
            30.004 < FA 1:11
            30.005 > A  11:2
            350.005 > PA 11:2 l=10
            350.006 < R  2:
            """).Verdict);

    [Fact]
    public void Complete_UnansweredProbes_AreAFailure()
    {
        var connection = Only(Handshake + """
            60.004 > A 10:1 probe
            70.004 > A 10:1 probe
            80.004 > A 10:1 probe
            """);

        Assert.Equal(Trouble.Failure, connection.Trouble);
        Assert.Equal("3 keepalive probes at its end had no answer.", connection.Verdict);
    }

    /// <summary>Regression: a capture with the packets of one end showed every probe as unanswered.</summary>
    [Theory]
    [InlineData("0.000 > S  0:\n0.002 > A  1:1\n60.002 > A 0:1 probe\n120.002 > A 0:1 probe\n180.002 > A 0:1 probe")]
    [InlineData("0.000 > PA 1:1 l=10\n0.002 > A  11:50\n60.002 > A 10:50 probe\n120.002 > A 10:50 probe\n180.002 > A 10:50 probe")]
    public void Complete_OneEndAlone_SaysThatNothingShowsTheAnswers(string packets)
    {
        var connection = Only(packets);

        Assert.Equal(Trouble.Notice, connection.Trouble);
        Assert.Equal(
            "Only packets of the client are in the capture. They acknowledge packets of the server, so nothing shows which of them were answered.", connection.Verdict);
        Assert.Contains(connection.Settings, setting => setting is { Name: "probes", Value: "3", Note: "replies are not in the capture", IsDecisive: false });
    }

    /// <summary>The other end may be dead: its last packets are older than the capture.</summary>
    [Fact]
    public void Complete_ProbesAlone_AreAFailure()
    {
        var connection = Only("""
            0.000 > A 10:1
            60.000 > A 10:1 probe
            70.000 > A 10:1 probe
            80.000 > A 10:1 probe
            """);

        Assert.Equal(Trouble.Failure, connection.Trouble);
    }

    [Theory]
    [InlineData(0L, "0.0 s")]
    [InlineData(4_999_000_000L, "4.999 s")]
    [InlineData(59_979_000_000L, "60.0 s")]
    [InlineData(3_599_960_000_000L, "1 h")]
    [InlineData(5_400_000_000_000L, "1 h 30 min")]
    [InlineData(360_019_011_000_000L, "100 h")]
    public void TextOf_Duration_IsNoMoreExactThanNeeded(long nanoseconds, string expected) => Assert.Equal(expected, PacketReport.TextOf(nanoseconds));

    [Fact]
    public void Complete_DataSwallowed_IsAFailure()
    {
        var connection = Only(Handshake + """
            240.004 > PA 11:1 l=10
            240.204 > PA 11:1 l=10
            240.604 > PA 11:1 l=10
            """);

        Assert.Equal(Trouble.Failure, connection.Trouble);
        Assert.Equal("Data was sent 3 times, and nothing came back; the silence before was 240.0 s.", connection.Verdict);
    }

    [Fact]
    public void Complete_ManyConnections_KeepsThoseWithTroubleAndCountsTheOthers()
    {
        var packets = new CapturedPackets(capacity: 20);
        var scan = new ProbeScan(new Nobody()) { Watch = packets };
        var number = 0L;
        for (var round = 0; round < 3; round++)
        {
            for (var port = 1; port <= 5_000; port++)
            {
                // Number 4000 gets into trouble late: its probes are not answered.
                Take(scan, ++number, round * 60, port, 0, fromClient: true);
                if (port != 4_000)
                {
                    Take(scan, ++number, round * 60, port, 1, fromClient: false);
                }
            }
        }
        scan.End();

        var report = packets.Complete(scan, "test");

        Assert.Equal(20, report.Connections.Count);
        Assert.Equal("10.0.0.1:4000", report.Connections[0].Client);
        Assert.Equal(Trouble.Failure, report.Connections[0].Trouble);
        Assert.Equal(["4980 connections with less trouble than the 20 on this page."], report.LeftOut);
        Assert.Contains(report.Facts, fact => fact is { Name: "connections", Value: "5,000" });
    }

    private static ReportConnection Only(string timeline)
    {
        var packets = new CapturedPackets();
        var scan = new ProbeScan(new Nobody()) { Watch = packets };
        Timeline.Play(timeline, scan);
        scan.End();
        return Assert.Single(packets.Complete(scan, "test").Connections);
    }

    private static void Take(ProbeScan scan, long number, int second, int port, uint ahead, bool fromClient)
    {
        var (client, server) = ($"10.0.0.1:{port}", "10.0.0.2:80");
        var bytes = new Frame
        {
            Source = fromClient ? client : server,
            Destination = fromClient ? server : client,
            Sequence = fromClient ? 999u : 2_000u,
            Acknowledged = fromClient ? 2_000u : 1_000u,
        }.ToBytes();
        scan.Take(new CapturedPacket(number, (second * 1_000_000_000L) + ahead, LinkType.Ethernet, bytes, bytes.Length));
    }

    private sealed class Nobody : IFindingSink
    {
        public void Found(in Finding finding)
        {
        }
    }
}
