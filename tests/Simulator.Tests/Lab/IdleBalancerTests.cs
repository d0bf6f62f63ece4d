using Keepalive.Config.Balancers;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>The balancer in virtual time, with handwritten frames.</summary>
public sealed class IdleBalancerTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_tick = TimeSpan.FromTicks(1);

    [Fact]
    public void Expire_IdleConnection_ExpiresExactlyAtTheDeadline()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();
        wire.At(3).Client(payload: 10);
        wire.At(4).Server();

        Assert.Equal(TimeSpan.FromSeconds(14), wire.Balancer.NextDue());
        wire.Balancer.Expire(TimeSpan.FromSeconds(14) - s_tick);
        Assert.Equal(0, wire.Balancer.Totals.Expired);
        wire.Balancer.Expire(TimeSpan.FromSeconds(14));
        Assert.Equal(1, wire.Balancer.Totals.Expired);
        Assert.Equal([(LabEventKind.Opened, 0.0), (LabEventKind.Expired, 14.0)], wire.Kinds);
        Assert.Equal(s_timeout, wire.Events[^1].Idle);
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(0, false)]
    public void Process_PacketAroundTheDeadline_IsInTimeOnlyBeforeIt(int ticks, bool passes)
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();

        Assert.Equal(passes, wire.At(TimeSpan.FromSeconds(10) + TimeSpan.FromTicks(ticks)).Client());
        Assert.Equal(passes ? 0 : 1, wire.Balancer.Totals.Expired);
    }

    [Fact]
    public void Expire_ManyConnections_EachAtItsOwnDeadlineInAnyOrder()
    {
        foreach (var refresh in Enum.GetValues<Refresh>())
        {
            var random = new Random(5);
            var wire = new Wire(new IdleBehaviour(ExpiryClass.SilentDrop, refresh));
            var last = new Dictionary<int, (double Client, double Server)>();
            for (var port = 1; port <= 50; port++)
            {
                wire.Port = port;
                wire.Handshake();
                last[port] = (0, 0);
            }
            for (var i = 1; i <= 400; i++)
            {
                // No gap is long enough for an expiry. 128ths of a second are whole ticks.
                wire.Port = random.Next(1, 51);
                var now = i / 128.0;
                wire.At(now);
                var (client, server) = last[wire.Port];
                last[wire.Port] = random.Next(2) == 0 ? (wire.Client(payload: 5) ? now : -1, server) : (client, wire.Server(payload: 5) ? now : -1);
            }

            while (wire.Balancer.NextDue() is { } due && wire.Balancer.Totals.Expired < 50)
            {
                wire.Balancer.Expire(due - s_tick);
                var before = wire.Balancer.Totals.Expired;
                wire.Balancer.Expire(due);
                Assert.True(wire.Balancer.Totals.Expired > before, "due, and nothing happened");
            }

            var expired = wire.Events.Where(what => what.Kind == LabEventKind.Expired)
                .ToDictionary(what => (int)what.Flow.ClientPort, what => what.Time);
            Assert.Equal(50, expired.Count);
            Assert.All(last, entry =>
            {
                var (client, server) = entry.Value;
                var counts = refresh == Refresh.PerDirection ? Math.Min(client, server) : Math.Max(client, server);
                Assert.Equal(TimeSpan.FromSeconds(10 + counts), expired[entry.Key]);
            });
        }
    }

    [Fact]
    public void DropsProbes_Probe_IsNotForwardedAndReportedAndTheConnectionExpires()
    {
        var wire = new Wire(new IdleBehaviour(ExpiryClass.FinBoth, Refresh.PayloadOnly) { DropsProbes = true });
        wire.Handshake();

        Assert.False(wire.At(3).Probe(FlowEnd.Client));
        Assert.False(wire.At(4).Probe(FlowEnd.Server));
        Assert.True(wire.At(5).Client(payload: 1));
        wire.Balancer.Expire(TimeSpan.FromSeconds(15));

        Assert.Equal([LabEventKind.Opened, LabEventKind.Ignored, LabEventKind.Ignored, LabEventKind.Expired], wire.Kinds.Select(what => what.Item1).Take(4));
        Assert.Equal((1, 1, 0, 0), (wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ServerProbes, wire.Balancer.Totals.ProbesAnswered, wire.Balancer.Totals.Refreshes));
    }

    [Fact]
    public void PerDirection_OneEndSendsWithoutAnswers_ExpiresAfterTheOthersLastPacket()
    {
        var wire = new Wire("per-direction");
        wire.Handshake();
        for (var second = 1; second < 10; second++)
        {
            Assert.True(wire.At(second).Client(payload: 1));
        }

        Assert.False(wire.At(10).Client(payload: 1));
        Assert.Equal(TimeSpan.FromSeconds(10), wire.Events.Single(what => what.Kind == LabEventKind.Expired).Time);
    }

    [Fact]
    public void PerDirection_ProbesThatAreAnswered_KeepItOpen()
    {
        var wire = new Wire("per-direction");
        wire.Handshake();
        for (var second = 8; second <= 80; second += 8)
        {
            Assert.True(wire.At(second).Probe(FlowEnd.Client));
            Assert.True(wire.Server());
        }

        var totals = wire.Balancer.Totals;
        Assert.Equal((10, 0, 10, 10, 0), (totals.ClientProbes, totals.ServerProbes, totals.ProbesAnswered, totals.Refreshes, totals.Expired));
    }

    [Fact]
    public void PayloadOnly_RetransmissionsProbesAndAcknowledgements_DoNotCount()
    {
        var wire = new Wire("payload-only");
        wire.Handshake();
        Assert.True(wire.At(1).Client(payload: 100));
        wire.At(2).Server();
        // All of the data again, part of it again, its last byte as in an old host's keepalive, a probe, a window update.
        Assert.True(wire.At(3).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 100, Payload = 100 }));
        Assert.True(wire.At(4).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 50, Payload = 50 }));
        Assert.True(wire.At(5).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 1, Payload = 1 }));
        Assert.True(wire.At(6).Probe(FlowEnd.Client));
        Assert.True(wire.At(7).Probe(FlowEnd.Server));
        Assert.True(wire.At(8).Send(wire.Next(FlowEnd.Server) with { Window = 900 }));

        Assert.Equal(TimeSpan.FromSeconds(11), wire.Balancer.NextDue());
        wire.Balancer.Expire(TimeSpan.FromSeconds(11));
        var totals = wire.Balancer.Totals;
        Assert.Equal((1, 2, 1, 0), (totals.Expired, totals.ClientProbes, totals.ServerProbes, totals.Refreshes));
        Assert.Equal(3, wire.Events.Count(what => what.Kind == LabEventKind.Probed));
    }

    [Fact]
    public void PayloadOnly_RetransmissionWithOneNewByte_Counts()
    {
        var wire = new Wire("payload-only");
        wire.Handshake();
        wire.At(1).Client(payload: 100);

        wire.At(5).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 100, Payload = 101 });

        Assert.Equal(TimeSpan.FromSeconds(15), wire.Balancer.NextDue());
    }

    [Fact]
    public void Probe_WhileTheReceiversWindowIsClosed_IsAWindowProbe()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();
        wire.Client(payload: 100);
        wire.Send(wire.Next(FlowEnd.Server) with { Window = 0 });

        wire.At(1).Probe(FlowEnd.Client);
        wire.Send(wire.Next(FlowEnd.Server) with { Window = 0 });
        Assert.Equal((0, 0), (wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ProbesAnswered));
        // It restarts the clock as any packet does.
        Assert.Equal(TimeSpan.FromSeconds(11), wire.Balancer.NextDue());

        wire.Send(wire.Next(FlowEnd.Server) with { Window = 500 });
        wire.At(2).Probe(FlowEnd.Client);
        wire.Server();
        Assert.Equal((1, 1), (wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ProbesAnswered));
    }

    [Fact]
    public void Probe_DataNotYetAcknowledged_IsARetransmission()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();
        wire.Client(payload: 1);

        wire.At(1).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 1, Payload = 1 });

        Assert.Equal(0, wire.Balancer.Totals.ClientProbes);
    }

    [Fact]
    public void Probe_AfterExpiry_IsCountedAndReported()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(11));

        Assert.False(wire.At(15).Probe(FlowEnd.Client));
        Assert.False(wire.At(16).Client(payload: 5));

        var totals = wire.Balancer.Totals;
        Assert.Equal((1, 0, 0, 2), (totals.ClientProbes, totals.ProbesAnswered, totals.Refreshes, totals.Swallowed));
        Assert.Equal([true, false], wire.Events.Where(what => what.Kind == LabEventKind.Swallowed).Select(what => what.IsProbe));
    }

    [Fact]
    public void Probe_Unanswered_IsCountedAndItsRepetitionToo_AnAnswerOnce()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();
        wire.At(1).Probe(FlowEnd.Server);
        wire.At(2).Probe(FlowEnd.Server);
        wire.Client();
        wire.Client();

        var totals = wire.Balancer.Totals;
        Assert.Equal((0, 2, 1), (totals.ClientProbes, totals.ServerProbes, totals.ProbesAnswered));
    }

    [Fact]
    public void Probe_OneByteOfGarbage_IsAProbe()
    {
        var wire = new Wire("silent-drop");
        wire.Handshake();

        wire.At(1).Send(wire.Next(FlowEnd.Client) with { Sequence = wire.ClientNext - 1, Payload = 1 });
        wire.Server();

        Assert.Equal((1, 1), (wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ProbesAnswered));
    }

    [Theory]
    [InlineData(0xffffffffu)]
    [InlineData(0xfffffff0u)]
    [InlineData(0x7ffffff0u)]
    public void ResetBoth_SequenceNumbersThatWrap_AreExactlyWhatEachEndExpects(uint initial)
    {
        var wire = new Wire("reset-both", initial, initial - 5);
        wire.Handshake();
        for (var i = 0; i < 40; i++)
        {
            wire.Client(payload: 1400);
            wire.Server(payload: 1000);
        }
        wire.At(1).Client();

        wire.Balancer.Expire(TimeSpan.FromSeconds(11));

        Assert.Equal([(FlowEnd.Client, wire.ServerNext), (FlowEnd.Server, wire.ClientNext)], wire.Sent.Select(sent => (sent.To, sent.Segment.Sequence)));
        Assert.All(wire.Sent, sent => Assert.Equal(
            (TcpFlags.Rst | TcpFlags.Ack, sent.To == FlowEnd.Client ? wire.ClientNext : wire.ServerNext),
            (sent.Segment.Flags, sent.Segment.Acknowledgment)));
        Assert.True(wire.ClientNext < initial || initial == 0x7ffffff0u);
        Assert.Equal((2, 0), (wire.Balancer.Totals.Resets, wire.Balancer.Totals.Swallowed));
    }

    [Fact]
    public void ResetBoth_SentDataNeverArrived_HasTheAcknowledgedNumber()
    {
        var wire = new Wire("reset-both");
        wire.Handshake();
        var taken = wire.ClientNext;
        wire.At(1).Client(payload: 100);
        // Its window was closed: it repeats the number that it expects.
        wire.At(2).Send(wire.Next(FlowEnd.Server) with { Acknowledgment = taken, Window = 0 });

        wire.Balancer.Expire(TimeSpan.FromSeconds(12));

        Assert.Equal(taken, wire.Sent.Single(sent => sent.To == FlowEnd.Server).Segment.Sequence);
    }

    [Fact]
    public void ResetBoth_OneWasOff_TheChallengeIsAnsweredOnceEvenWithAProbeUnanswered()
    {
        var wire = new Wire("reset-both");
        wire.Handshake();
        wire.At(1).Probe(FlowEnd.Client);
        wire.Balancer.Expire(TimeSpan.FromSeconds(11));
        wire.Sent.Clear();

        var expects = wire.ServerNext + 7;
        Assert.False(wire.At(12).Send(wire.Next(FlowEnd.Client) with { Acknowledgment = expects }));
        Assert.False(wire.At(13).Send(wire.Next(FlowEnd.Client) with { Acknowledgment = expects }));

        var (to, answer) = Assert.Single(wire.Sent);
        Assert.Equal((FlowEnd.Client, TcpFlags.Rst, expects), (to, answer.Flags, answer.Sequence));
    }

    [Fact]
    public void ResetOnNextPacket_NextSender_GetsAResetWithItsOwnAcknowledgmentNumber()
    {
        var wire = new Wire("reset-on-next-packet");
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));
        Assert.Empty(wire.Sent);

        Assert.False(wire.At(11).Client(payload: 5));
        Assert.False(wire.At(12).Probe(FlowEnd.Server));
        Assert.False(wire.At(13).Send(wire.Next(FlowEnd.Server) with { Flags = TcpFlags.Rst }));

        Assert.Equal(
            [(FlowEnd.Client, TcpFlags.Rst, wire.ServerNext), (FlowEnd.Server, TcpFlags.Rst, wire.Next(FlowEnd.Server).Acknowledgment)],
            wire.Sent.Select(sent => (sent.To, sent.Segment.Flags, sent.Segment.Sequence)));
        Assert.Equal((2, 3), (wire.Balancer.Totals.Resets, wire.Balancer.Totals.Swallowed));
    }

    [Fact]
    public void FinBoth_AfterTheFin_ActsAsAClosedConnectionOfItsOwn()
    {
        var wire = new Wire("fin-both");
        wire.Handshake();
        var (client, server) = (wire.ClientNext, wire.ServerNext);
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));
        Assert.Equal(
            [(FlowEnd.Client, TcpFlags.Fin | TcpFlags.Ack, server, client), (FlowEnd.Server, TcpFlags.Fin | TcpFlags.Ack, client, server)],
            wire.Sent.Select(sent => (sent.To, sent.Segment.Flags, sent.Segment.Sequence, sent.Segment.Acknowledgment)));
        wire.Sent.Clear();

        // Both ends acknowledge. This is neither reported nor forwarded.
        Assert.False(wire.At(10.1).Send(wire.Next(FlowEnd.Client) with { Acknowledgment = server + 1 }));
        Assert.False(wire.Send(wire.Next(FlowEnd.Server) with { Acknowledgment = client + 1 }));
        Assert.Empty(wire.Sent);

        // A probe gets its answer, a FIN its acknowledgement, payload a reset.
        wire.At(11).Send(wire.Next(FlowEnd.Client) with { Sequence = client - 1, Acknowledgment = server + 1 });
        wire.At(12).Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Fin | TcpFlags.Ack, Acknowledgment = server + 1 });
        wire.At(13).Send(wire.Next(FlowEnd.Server) with { Payload = 4, Acknowledgment = client + 1 });
        Assert.Equal(
            [
                (FlowEnd.Client, TcpFlags.Ack, server + 1, client),
                (FlowEnd.Client, TcpFlags.Ack, server + 1, client + 1),
                (FlowEnd.Server, TcpFlags.Rst, client + 1, 0u),
            ],
            wire.Sent.Select(sent => (sent.To, sent.Segment.Flags, sent.Segment.Sequence, sent.Segment.Acknowledgment)));
    }

    [Fact]
    public void FinBoth_ConnectionHalfClosed_NoEndGetsASecondFin()
    {
        var wire = new Wire("fin-both");
        wire.Handshake();
        wire.At(1).Client(TcpFlags.Fin | TcpFlags.Ack);
        wire.Server();

        wire.Balancer.Expire(TimeSpan.FromSeconds(11));

        Assert.Equal([FlowEnd.Client], wire.Sent.Select(sent => sent.To));
        Assert.Equal(1, wire.Balancer.Totals.Fins);
    }

    [Fact]
    public void Close_BothFins_IsReportedOnceAndLaterRemoved()
    {
        var wire = new Wire("reset-both");
        wire.Handshake();
        wire.At(1).Client(TcpFlags.Fin | TcpFlags.Ack);
        wire.Server(TcpFlags.Fin | TcpFlags.Ack);
        Assert.True(wire.At(2).Client());

        Assert.Equal([(LabEventKind.Opened, 0.0), (LabEventKind.Closed, 1.0)], wire.Kinds);
        wire.Balancer.Expire(TimeSpan.FromSeconds(2) + LabFlowTable.ClosedTime - s_tick);
        Assert.Equal(1, wire.Balancer.FlowCount);
        wire.Balancer.Expire(TimeSpan.FromSeconds(2) + LabFlowTable.ClosedTime);
        Assert.Equal((0, 0, 0), (wire.Balancer.FlowCount, wire.Balancer.Totals.Expired, wire.Sent.Count));
        Assert.Null(wire.Balancer.NextDue());
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(-1, false)]
    public void Reset_OfAnEnd_EndsTheConnectionOnlyIfTheOtherAcceptsIt(int off, bool ends)
    {
        var wire = new Wire("reset-both");
        wire.Handshake();
        wire.At(1).Client(payload: 10);
        wire.Server();

        Assert.True(wire.At(5).Send(wire.Next(FlowEnd.Server) with { Flags = TcpFlags.Rst, Sequence = wire.ServerNext + (uint)off }));

        Assert.Equal(ends, wire.Events.Any(what => what.Kind == LabEventKind.Aborted));
        wire.Balancer.Expire(TimeSpan.FromSeconds(15));
        Assert.Equal(ends ? 0 : 1, wire.Balancer.Totals.Expired);
        // A wrong number does not change the known numbers.
        Assert.Equal(ends ? [] : [wire.ServerNext, wire.ClientNext], wire.Sent.Select(sent => sent.Segment.Sequence));
    }

    [Fact]
    public void Reset_InAnswerToASyn_IsARefusal()
    {
        var wire = new Wire("reset-both");
        wire.Send(new Segment(FlowEnd.Client, TcpFlags.Syn, 100, 0));
        wire.Send(new Segment(FlowEnd.Server, TcpFlags.Rst | TcpFlags.Ack, 0, 101));

        Assert.Equal([LabEventKind.Refused], wire.Events.Select(what => what.Kind));
        Assert.Equal(0, wire.Balancer.Totals.Opened);
    }

    /// <summary>Both ends have given up the previous connection, and the server's reset for it comes after the SYN of the next.</summary>
    [Fact]
    public void Reset_OfThePreviousConnection_DoesNotEndTheNewOne()
    {
        var wire = new Wire("drop-until-syn");
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));
        var late = wire.Next(FlowEnd.Server) with { Flags = TcpFlags.Rst | TcpFlags.Ack };
        wire.At(11).Restart(5_000_000, 6_000_000);

        wire.Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Syn, Sequence = wire.ClientNext - 1, Acknowledgment = 0 });
        Assert.True(wire.Send(late));
        wire.Handshake();
        wire.Client(payload: 10);

        Assert.Equal([LabEventKind.Opened, LabEventKind.Expired, LabEventKind.Opened], wire.Events.Select(what => what.Kind));
        Assert.Equal(2, wire.Balancer.Totals.Opened);
    }

    [Theory]
    [InlineData("silent-drop", false)]
    [InlineData("per-direction", false)]
    [InlineData("drop-until-syn", true)]
    [InlineData("reset-on-next-packet", true)]
    [InlineData("reset-both", true)]
    [InlineData("fin-both", true)]
    [InlineData("inside-revives", true)]
    [InlineData("payload-only", true)]
    public void Syn_BetweenThePortsOfAnExpiredConnection_OpensANewOneIfTheClassAllows(string name, bool opens)
    {
        var wire = new Wire(name);
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));
        wire.Sent.Clear();

        wire.At(11).Restart(5_000_000, 6_000_000);
        Assert.Equal(opens, wire.Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Syn, Sequence = wire.ClientNext - 1, Acknowledgment = 0 }));
        Assert.Equal(1, wire.Balancer.FlowCount);
        if (opens)
        {
            wire.Handshake();
            Assert.Equal(2, wire.Balancer.Totals.Opened);
            Assert.Equal(TimeSpan.FromSeconds(21), wire.Balancer.NextDue());
        }
        else
        {
            // After both ends have stopped retransmitting, the balancer has removed the connection.
            wire.Balancer.Expire(TimeSpan.FromSeconds(11) + LabFlowTable.ExpiredTime);
            Assert.Equal(0, wire.Balancer.FlowCount);
            Assert.True(wire.At(150).Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Syn, Acknowledgment = 0 }));
        }
    }

    [Fact]
    public void Syn_BetweenThePortsOfAClosedConnection_ResetsSequenceNumbers()
    {
        var wire = new Wire("reset-both", 3_000_000_000, 2_900_000_000);
        wire.Handshake();
        wire.Client(TcpFlags.Fin | TcpFlags.Ack);
        wire.Server(TcpFlags.Fin | TcpFlags.Ack);
        wire.At(1).Restart(1_000, 2_000);
        wire.Handshake();

        wire.Balancer.Expire(TimeSpan.FromSeconds(11));

        Assert.Equal([wire.ServerNext, wire.ClientNext], wire.Sent.Select(sent => sent.Segment.Sequence));
    }

    [Fact]
    public void Revive_KnownConnection_ReportsItsIdleTimeAndRecognizesAProbe()
    {
        var wire = new Wire("inside-revives");
        wire.Handshake();
        wire.At(1).Client(payload: 10);
        wire.Server();
        wire.Balancer.Expire(TimeSpan.FromSeconds(11));

        Assert.False(wire.At(15).Server(payload: 5));
        Assert.True(wire.At(21).Probe(FlowEnd.Client));
        var revived = wire.Events.Single(what => what.Kind == LabEventKind.Revived);
        Assert.Equal(TimeSpan.FromSeconds(20), revived.Idle);

        Assert.True(wire.Server());
        Assert.True(wire.At(25).Probe(FlowEnd.Client));
        Assert.True(wire.Server());
        Assert.Equal((1, 2, 2), (wire.Balancer.Totals.Revived, wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ProbesAnswered));
        Assert.Equal(TimeSpan.FromSeconds(35), wire.Balancer.NextDue());
    }

    [Fact]
    public void Revive_UnknownConnectionByAProbe_RecognizesTheNextProbe()
    {
        var wire = new Wire("inside-revives");
        Assert.True(wire.Probe(FlowEnd.Client));
        Assert.True(wire.Server());

        Assert.True(wire.At(5).Probe(FlowEnd.Client));
        Assert.True(wire.Server());

        Assert.Equal((1, 1, 1), (wire.Balancer.Totals.Revived, wire.Balancer.Totals.ClientProbes, wire.Balancer.Totals.ProbesAnswered));
    }

    [Fact]
    public void Revive_ByAReset_EndsTheConnection()
    {
        var wire = new Wire("inside-revives");
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));

        Assert.True(wire.At(12).Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Rst }));

        Assert.Equal(LabEventKind.Aborted, wire.Events[^1].Kind);
        wire.Balancer.Expire(TimeSpan.FromSeconds(60));
        Assert.Equal((1, 0), (wire.Balancer.Totals.Expired, wire.Balancer.FlowCount));
    }

    [Fact]
    public void TableFull_Syn_IsDroppedWhetherItsPortsAreKnownOrNot()
    {
        var wire = new Wire(IdleBehaviour.Find("drop-until-syn")!.Value, capacity: 2);
        wire.Port = 1;
        wire.Handshake();
        wire.Balancer.Expire(TimeSpan.FromSeconds(10));
        wire.At(11);
        foreach (var port in new[] { 2, 3 })
        {
            wire.Port = port;
            wire.Handshake();
        }

        foreach (var port in new[] { 4, 1 })
        {
            wire.Port = port;
            Assert.False(wire.Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Syn, Acknowledgment = 0 }));
        }
        Assert.Equal(2, wire.Balancer.Totals.TableFull);
        // The expired connection stays expired.
        Assert.False(wire.Client());

        // There is room again once a connection is removed.
        wire.Balancer.Expire(TimeSpan.FromSeconds(30));
        Assert.True(wire.At(30).Send(wire.Next(FlowEnd.Client) with { Flags = TcpFlags.Syn, Acknowledgment = 0 }));
    }

    [Fact]
    public void Process_NotASegment_IsForwarded()
    {
        var wire = new Wire("silent-drop");
        byte[] arp = [.. Segment.ClientHardware, .. Segment.ServerHardware, 0x08, 0x06, .. new byte[46]];
        Assert.True(wire.Balancer.Process(FlowEnd.Client, arp, TimeSpan.Zero));
        Assert.True(wire.Balancer.Process(FlowEnd.Client, [], TimeSpan.Zero));
        Assert.Equal(0, wire.Balancer.FlowCount);
    }

    /// <summary>Two ends that track their sequence numbers, and the results of their segments.</summary>
    private sealed class Wire
    {
        private uint _client;
        private uint _server;
        private TimeSpan _now;

        public Wire(string name, uint client = 1_000, uint server = 90_000)
            : this(IdleBehaviour.Find(name)!.Value) => (_client, _server) = (client, server);

        public Wire(IdleBehaviour behaviour, int capacity = 1000)
        {
            (_client, _server) = (1_000, 90_000);
            Balancer = new IdleBalancer(
                new BalancerRule(s_timeout, behaviour),
                (to, frame) =>
                {
                    Assert.True(Frames.HasCorrectChecksums(frame));
                    Sent.Add((to, Segment.Read(frame)));
                },
                Events.Add,
                capacity);
        }

        public IdleBalancer Balancer { get; }

        public List<LabEvent> Events { get; } = [];

        public List<(FlowEnd To, Segment Segment)> Sent { get; } = [];

        public IEnumerable<(LabEventKind, double)> Kinds => Events.Select(what => (what.Kind, what.Time.TotalSeconds));

        public uint ClientNext => _client;

        public uint ServerNext => _server;

        public int Port { get; set; } = 40000;

        public Wire At(double seconds) => At(TimeSpan.FromSeconds(seconds));

        public Wire At(TimeSpan now)
        {
            _now = now;
            return this;
        }

        public void Restart(uint client, uint server) => (_client, _server) = (client, server);

        public void Handshake()
        {
            Assert.True(Send(new Segment(FlowEnd.Client, TcpFlags.Syn, _client - 1, 0) { ClientPort = Port }));
            Assert.True(Send(new Segment(FlowEnd.Server, TcpFlags.Syn | TcpFlags.Ack, _server - 1, _client) { ClientPort = Port }));
            Assert.True(Client());
        }

        public bool Client(TcpFlags flags = TcpFlags.Ack, int payload = 0) => Next(FlowEnd.Client, flags, payload, ref _client);

        public bool Server(TcpFlags flags = TcpFlags.Ack, int payload = 0) => Next(FlowEnd.Server, flags, payload, ref _server);

        public bool Probe(FlowEnd from) => Send(Next(from) with { Sequence = Next(from).Sequence - 1 });

        /// <summary>The current acknowledgement of the end.</summary>
        public Segment Next(FlowEnd from)
        {
            var (own, other) = from == FlowEnd.Client ? (_client, _server) : (_server, _client);
            return new Segment(from, TcpFlags.Ack, own, other) { ClientPort = Port };
        }

        public bool Send(Segment segment) => Balancer.Process(segment.From, segment.ToFrame(), _now);

        private bool Next(FlowEnd from, TcpFlags flags, int payload, ref uint next)
        {
            var passes = Send(Next(from) with { Flags = flags, Payload = payload });
            next += (uint)payload + ((flags & TcpFlags.Fin) != 0 ? 1u : 0u);
            return passes;
        }
    }
}
