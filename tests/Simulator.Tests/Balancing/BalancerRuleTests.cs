using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Xunit;

namespace Keepalive.Simulator.Tests.Balancing;

/// <summary>The action of each of the eight classes on each packet, as a table.</summary>
public sealed class BalancerRuleTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_then = TimeSpan.FromSeconds(100);
    private static readonly TimeSpan s_now = TimeSpan.FromSeconds(105);

    private static readonly PacketTraits[] s_packets = [PacketTraits.Opening, PacketTraits.None, PacketTraits.NewPayload, PacketTraits.Reset];

    // F forward, - drop, R reset to its sender, C answered by the balancer's own closed connection, O opens, V revives.
    // Columns: SYN, acknowledgement, payload, RST, each from the client and from the server.
    [Theory]
    [InlineData("silent-drop", "open", "FF FF FF FF")]
    [InlineData("silent-drop", "expired", "-- -- -- --")]
    [InlineData("silent-drop", "closed", "OO FF FF FF")]
    [InlineData("silent-drop", "unknown", "OO -- -- --")]
    [InlineData("reset-on-next-packet", "open", "FF FF FF FF")]
    [InlineData("reset-on-next-packet", "expired", "OO RR RR --")]
    [InlineData("reset-on-next-packet", "closed", "OO FF FF FF")]
    [InlineData("reset-on-next-packet", "unknown", "OO RR RR --")]
    [InlineData("reset-both", "open", "FF FF FF FF")]
    [InlineData("reset-both", "expired", "OO -- -- --")]
    [InlineData("reset-both", "closed", "OO FF FF FF")]
    [InlineData("reset-both", "unknown", "OO -- -- --")]
    [InlineData("fin-both", "open", "FF FF FF FF")]
    [InlineData("fin-both", "expired", "OO CC CC --")]
    [InlineData("fin-both", "closed", "OO FF FF FF")]
    [InlineData("fin-both", "unknown", "OO CC CC --")]
    [InlineData("drop-until-syn", "open", "FF FF FF FF")]
    [InlineData("drop-until-syn", "expired", "OO -- -- --")]
    [InlineData("drop-until-syn", "closed", "OO FF FF FF")]
    [InlineData("drop-until-syn", "unknown", "OO -- -- --")]
    [InlineData("inside-revives", "open", "FF FF FF FF")]
    [InlineData("inside-revives", "expired", "OO V- V- V-")]
    [InlineData("inside-revives", "closed", "OO FF FF FF")]
    [InlineData("inside-revives", "unknown", "OO V- V- V-")]
    [InlineData("per-direction", "open", "FF FF FF FF")]
    [InlineData("per-direction", "expired", "-- -- -- --")]
    [InlineData("per-direction", "closed", "OO FF FF FF")]
    [InlineData("per-direction", "unknown", "OO -- -- --")]
    [InlineData("payload-only", "open", "FF FF FF FF")]
    [InlineData("payload-only", "expired", "OO CC CC --")]
    [InlineData("payload-only", "closed", "OO FF FF FF")]
    [InlineData("payload-only", "unknown", "OO CC CC --")]
    public void OnPacket_EachClassPhasePacketAndEnd_AsTheTableSays(string name, string phase, string expected)
    {
        var rule = Rule(name);

        FlowEnd[] ends = [FlowEnd.Client, FlowEnd.Server];
        var actual = string.Join(' ', s_packets.Select(packet => string.Concat(ends.Select(from => Letter(Decide(from, packet))))));

        Assert.Equal(expected, actual);

        PacketAction Decide(FlowEnd from, PacketTraits packet)
        {
            if (phase == "unknown")
            {
                return rule.OnUnknown(from, packet);
            }
            var flow = Clock(Enum.Parse<FlowPhase>(phase, ignoreCase: true));
            var action = rule.OnPacket(ref flow, from, packet, s_now);
            if (action is PacketAction.Open or PacketAction.Revive)
            {
                Assert.Equal(FlowClock.StartedAt(s_now), flow);
            }
            else if (action != PacketAction.Forward)
            {
                // A dropped packet restarts no clock.
                Assert.Equal(Clock(FlowPhase.Expired), flow);
            }
            return action;
        }
    }

    [Fact]
    public void Classes_AreEight_AndTheTableHasThemAll() =>
        Assert.Equal(
            ["drop-until-syn", "fin-both", "inside-revives", "payload-only", "per-direction", "reset-both", "reset-on-next-packet", "silent-drop"],
            IdleBehaviour.Classes.Select(entry => entry.Name).Order());

    // The clocks that the packet restarts: c the client's, s the server's, - none.
    [Theory]
    [InlineData(Refresh.AnyPacket, "client", "ack", "c")]
    [InlineData(Refresh.AnyPacket, "server", "ack", "s")]
    [InlineData(Refresh.AnyPacket, "client", "data", "c")]
    [InlineData(Refresh.AnyPacket, "server", "rst", "s")]
    [InlineData(Refresh.PerDirection, "client", "ack", "c")]
    [InlineData(Refresh.PerDirection, "server", "ack", "s")]
    [InlineData(Refresh.PayloadOnly, "client", "ack", "-")]
    [InlineData(Refresh.PayloadOnly, "server", "ack", "-")]
    [InlineData(Refresh.PayloadOnly, "client", "rst", "-")]
    [InlineData(Refresh.PayloadOnly, "client", "data", "c")]
    [InlineData(Refresh.PayloadOnly, "server", "data", "s")]
    [InlineData(Refresh.PayloadOnly, "client", "syn", "c")]
    public void OnPacket_OpenConnection_MovesTheClockOfItsSender(Refresh refresh, string sender, string packet, string moved)
    {
        var rule = new BalancerRule(s_timeout, new IdleBehaviour(ExpiryClass.SilentDrop, refresh));
        var flow = Clock(FlowPhase.Open);

        var from = sender == "client" ? FlowEnd.Client : FlowEnd.Server;
        var traits = packet switch
        {
            "ack" => PacketTraits.None,
            "data" => PacketTraits.NewPayload,
            "rst" => PacketTraits.Reset,
            _ => PacketTraits.Opening,
        };
        rule.OnPacket(ref flow, from, traits, s_now);

        Assert.Equal(FlowPhase.Open, flow.Phase);
        Assert.Equal(moved == "c" ? s_now : s_then, flow.Client);
        Assert.Equal(moved == "s" ? s_now : s_then, flow.Server);
    }

    [Theory]
    [InlineData(Refresh.AnyPacket, 7, 3, 17)]
    [InlineData(Refresh.AnyPacket, 3, 7, 17)]
    [InlineData(Refresh.PayloadOnly, 3, 7, 17)]
    [InlineData(Refresh.PerDirection, 7, 3, 13)]
    [InlineData(Refresh.PerDirection, 3, 7, 13)]
    public void Deadline_TwoClocks_TheLaterOneCountsUnlessEachDirectionHasItsOwn(Refresh refresh, int client, int server, int expected)
    {
        var rule = new BalancerRule(s_timeout, new IdleBehaviour(ExpiryClass.SilentDrop, refresh));

        Assert.Equal(
            TimeSpan.FromSeconds(expected),
            rule.Deadline(new FlowClock { Client = TimeSpan.FromSeconds(client), Server = TimeSpan.FromSeconds(server) }));
    }

    [Theory]
    [InlineData("silent-drop", nameof(ExpiryAction.Nothing))]
    [InlineData("reset-on-next-packet", nameof(ExpiryAction.Nothing))]
    [InlineData("reset-both", nameof(ExpiryAction.ResetBoth))]
    [InlineData("fin-both", nameof(ExpiryAction.FinBoth))]
    [InlineData("drop-until-syn", nameof(ExpiryAction.Nothing))]
    [InlineData("inside-revives", nameof(ExpiryAction.Nothing))]
    [InlineData("per-direction", nameof(ExpiryAction.Nothing))]
    [InlineData("payload-only", nameof(ExpiryAction.FinBoth))]
    public void Expire_EachClass_SendsItsSegments(string name, string action)
    {
        var flow = Clock(FlowPhase.Open);

        Assert.Equal(action, Rule(name).Expire(ref flow).ToString());
        Assert.Equal(Clock(FlowPhase.Expired), flow);
    }

    private static BalancerRule Rule(string name) => new(s_timeout, IdleBehaviour.Find(name)!.Value);

    private static FlowClock Clock(FlowPhase phase) => new() { Phase = phase, Client = s_then, Server = s_then };

    private static char Letter(PacketAction action) => action switch
    {
        PacketAction.Forward => 'F',
        PacketAction.Drop => '-',
        PacketAction.ResetSender => 'R',
        PacketAction.AnswerAsClosed => 'C',
        PacketAction.Open => 'O',
        PacketAction.Revive => 'V',
        _ => '?',
    };
}
