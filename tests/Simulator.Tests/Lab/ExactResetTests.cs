using System.Text.RegularExpressions;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Resets that a real kernel must accept in difficult states, and one that it must not accept.</summary>
[Collection(LiveLab.Labs)]
public sealed partial class ExactResetTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);
    private static readonly FlowEnd[] s_ends = [FlowEnd.Client, FlowEnd.Server];
    private static readonly bool[] s_families = [false, true];

    [Fact]
    public async Task Reset_AfterSequenceWrapWindowUpdateAndDataInFlight_IsAcceptedByTheKernel()
    {
        Live.Require("tcpdump");
        var tests = new Action[] { AfterWrapAndWindowUpdate, WhileTheWindowIsClosed, WhileDataIsInFlight, WhileABurstIsInFlight };

        await Task.WhenAll(tests.Select(test => Task.Factory.StartNew(test, TaskCreationOptions.LongRunning)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Reset_OneOff_IsChallengedAndTheConnectionContinues(bool isIPv6)
    {
        Live.Require("tcpdump");
        using var lab = new LiveLab(IdleBehaviour.Find("reset-both")!.Value, TimeSpan.FromMinutes(10));
        var connection = lab.Connect(isIPv6);
        connection.Carry(FlowEnd.Client, 100);
        connection.Carry(FlowEnd.Server, 50);
        var (client, server) = lab.Running.Network.Open();
        using (client)
        using (server)
        {
            Eventually.True(() => connection.SeenBy(FlowEnd.Client, FlowEnd.Client).Any(IsLastAcknowledgement), s_patience);
            var expected = connection.SeenBy(FlowEnd.Client, FlowEnd.Client)[^1].Acknowledged!.Value;
            var reset = new Segment(FlowEnd.Server, TcpFlags.Rst, expected, 0)
            {
                IsIPv6 = isIPv6,
                ClientPort = connection.ClientPort,
                ServerPort = connection.ServerPort,
                Window = 0,
                Client = Hardware(lab.Client, LabNetwork.ClientLink),
                Server = Hardware(lab.Server, LabNetwork.ServerLink),
            };
            var challenges = Nstat.Read(lab.Client, "TcpExtTCPChallengeACK");
            var seen = connection.SeenBy(FlowEnd.Client, FlowEnd.Client).Count;

            Send(client, reset with { Sequence = expected + 1 });

            // The challenge is an acknowledgement with the expected numbers (RFC 5961, section 3.2).
            Eventually.True(() => connection.SeenBy(FlowEnd.Client, FlowEnd.Client).Count > seen, s_patience);
            var challenge = connection.SeenBy(FlowEnd.Client, FlowEnd.Client)[seen];
            Assert.Equal((".", expected, 0), (challenge.Flags, challenge.Acknowledged, challenge.Length));
            Assert.Equal(challenges + 1, Nstat.Read(lab.Client, "TcpExtTCPChallengeACK"));
            Assert.Contains(connection.SeenBy(FlowEnd.Client, FlowEnd.Server), segment => segment.Flags == "R" && segment.Sequence == expected + 1);

            // A reset with an old number gets no challenge.
            Send(client, reset with { Sequence = expected - 1 });
            connection.Carry(FlowEnd.Client, 10);
            Assert.Equal("nothing", connection.Reaction(FlowEnd.Client));
            Assert.Equal(challenges + 1, Nstat.Read(lab.Client, "TcpExtTCPChallengeACK"));
            // Proves that the number was the only reason: the same frame with the right number is accepted.
            Send(client, reset);
            Assert.Equal("reset", connection.WaitForReaction(FlowEnd.Client));
            Assert.Equal(0, connection.Count(LabEventKind.Expired) + connection.Count(LabEventKind.Reset));

            bool IsLastAcknowledgement(TcpdumpSegment segment) =>
                segment.Acknowledged is { } number
                && connection.SeenBy(FlowEnd.Client, FlowEnd.Server).Any(data => data.Length == 50 && data.Sequence + 50 == number);
        }
    }

    /// <summary>The balancer recognizes a kernel's own reset as the end of the connection, in every state.</summary>
    [Fact]
    public void Abort_OfAnEnd_EndsTheConnectionForTheBalancerToo()
    {
        Live.Require();
        using var lab = new LiveLab(IdleBehaviour.Find("reset-both")!.Value, TimeSpan.FromMinutes(10), capture: false);
        foreach (var isIPv6 in s_families)
        {
            foreach (var end in s_ends)
            {
                foreach (var isBusy in new[] { false, true })
                {
                    var connection = lab.Connect(isIPv6);
                    connection.Carry(FlowEnd.Client, 100);
                    connection.Carry(FlowEnd.Server, 100);
                    if (isBusy)
                    {
                        // The client has more to send than fits, and the server more to receive than it reads.
                        Fill(connection);
                    }

                    lab.Application(end).Abort(connection.Id(end));

                    connection.WaitFor(LabEventKind.Aborted, s_patience);
                    Assert.Equal(end, lab.Events.Single(what => what.Kind == LabEventKind.Aborted && connection.Is(what)).End);
                    Assert.Equal("reset", connection.WaitForReaction(end.Other()));
                }
            }
        }
    }

    private static void AfterWrapAndWindowUpdate()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("reset-both")!.Value, s_timeout);
        var wrapped = new List<(Connection Connection, FlowEnd Sender)>();
        var updated = new List<Connection>();
        foreach (var isIPv6 in s_families)
        {
            foreach (var by in s_ends)
            {
                // The sequence numbers start just before they wrap.
                var connection = lab.Connect(isIPv6, by, sequence: 0xffff_ff00);
                connection.Carry(by, 3000);
                connection.Carry(by.Other(), 70);
                wrapped.Add((connection, by));
            }
            updated.Add(FillThenRead(lab.Connect(isIPv6)));
        }
        foreach (var connection in wrapped.Select(entry => entry.Connection).Concat(updated))
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            Assert.All(s_ends, end => Assert.Equal((connection, end, "reset"), (connection, end, connection.WaitForReaction(end))));
        }
        lab.Stop();
        foreach (var (connection, sender) in wrapped)
        {
            Assert.Equal(0xffff_ff00u, connection.SeenBy(sender, sender)[0].Sequence);
            var reset = AssertOneExactReset(connection, sender.Other());
            Assert.Equal(3000u + 1 - 0x100, reset.Sequence!.Value);
            AssertOneExactReset(connection, sender);
        }
        foreach (var connection in updated)
        {
            Assert.All(s_ends, end => AssertOneExactReset(connection, end));
        }
    }

    /// <summary>The receiver's window is closed and the sender's data waits: retransmissions and window probes delay nothing.</summary>
    private static void WhileTheWindowIsClosed()
    {
        using var lab = new LiveLab(new IdleBehaviour(ExpiryClass.ResetBoth, Refresh.PayloadOnly), s_timeout);
        var connections = s_families.Select(isIPv6 => lab.Connect(isIPv6)).ToList();
        connections.ForEach(connection => Fill(connection));
        foreach (var connection in connections)
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            Assert.All(s_ends, end => Assert.Equal((connection, end, "reset"), (connection, end, connection.WaitForReaction(end))));
            Assert.Equal(0, connection.Count(LabEventKind.Probed));
        }
        lab.Stop();
        foreach (var connection in connections)
        {
            Assert.All(s_ends, end => AssertOneExactReset(connection, end));
        }
    }

    /// <summary>The server's machine is unreachable, so that the client's data stays in flight.</summary>
    private static void WhileDataIsInFlight()
    {
        using var lab = new LiveLab(new IdleBehaviour(ExpiryClass.ResetBoth, Refresh.PerDirection), s_timeout);
        var connections = s_families.Select(isIPv6 => lab.Connect(isIPv6)).ToList();
        foreach (var connection in connections)
        {
            connection.Carry(FlowEnd.Client, 100);
            connection.Carry(FlowEnd.Server, 50);
        }
        lab.Server.Run("ip", "link", "set", LabNetwork.ServerLink, "down");
        connections.ForEach(connection => lab.Client.Send(connection.Client, 5000));
        foreach (var connection in connections)
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            Assert.Equal("reset", connection.WaitForReaction(FlowEnd.Client));
        }
        lab.Stop();
        foreach (var connection in connections)
        {
            var sent = connection.SeenBy(FlowEnd.Client, FlowEnd.Client).Where(segment => segment.Length > 100).ToList();
            Assert.True(sent.Sum(segment => segment.Length) > 5000, "nothing was retransmitted");
            var reset = AssertOneExactReset(connection, FlowEnd.Client);
            // The client's clock continued, the server's did not.
            var last = connection.SeenBy(FlowEnd.Server, FlowEnd.Server).Max(segment => segment.Time);
            Assert.InRange(reset.Time - last, s_timeout.TotalSeconds - 0.1, s_timeout.TotalSeconds + 1);
        }
    }

    /// <summary>Many segments are sent at once after expiry. Each gets its reset, and all resets are the same.</summary>
    private static void WhileABurstIsInFlight()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("reset-on-next-packet")!.Value, s_timeout);
        var connections = s_families.SelectMany(isIPv6 => s_ends.Select(end => (Connection: lab.Connect(isIPv6), Sender: end))).ToList();
        foreach (var (connection, _) in connections)
        {
            connection.Carry(FlowEnd.Client, 40_000);
            connection.Carry(FlowEnd.Server, 40_000);
        }
        foreach (var (connection, sender) in connections)
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            // The reset may arrive during the call.
            try
            {
                lab.Application(sender).Send(connection.Id(sender), 12_000);
                Assert.Equal("reset", connection.WaitForReaction(sender));
            }
            catch (HolderException e)
            {
                Assert.Equal(104, e.Errno);
            }
        }
        lab.Stop();
        foreach (var (connection, sender) in connections)
        {
            var resets = connection.SeenBy(sender, sender.Other()).Where(segment => segment.Flags.StartsWith('R')).ToList();
            Assert.True(resets.Count > 1, $"{connection}: {resets.Count} resets");
            var expected = connection.SeenBy(sender, sender).Last(segment => segment.Acknowledged is not null).Acknowledged;
            Assert.All(resets, reset => Assert.Equal(("R", expected), (reset.Flags, reset.Sequence)));
            Assert.Equal("nothing", connection.Reaction(sender.Other()));
        }
    }

    /// <summary>Sends until the server's window is closed.</summary>
    private static long Fill(Connection connection)
    {
        var sent = 0L;
        Eventually.True(
            () =>
            {
                sent += connection.Lab.Client.Send(connection.Client, 16_000_000);
                return Ss.Read(connection.Lab.Client).Any(socket => socket.Local.Port == connection.ClientPort && socket.Timer == "persist");
            },
            s_patience);
        return sent;
    }

    private static Connection FillThenRead(Connection connection)
    {
        var sent = Fill(connection);
        var received = 0L;
        Eventually.True(() => (received += connection.Lab.Server.Receive(connection.Server).Bytes) >= sent, s_patience);
        return connection;
    }

    private static TcpdumpSegment AssertOneExactReset(Connection connection, FlowEnd receiver)
    {
        var reset = Assert.Single(connection.SeenBy(receiver, receiver.Other()), segment => segment.Flags.Contains('R', StringComparison.Ordinal));
        var before = connection.SeenBy(receiver, receiver).Last(segment => segment.Time <= reset.Time && segment.Acknowledged is not null);
        Assert.Equal((connection, receiver, before.Acknowledged), (connection, receiver, reset.Sequence));
        Assert.DoesNotContain(connection.SeenBy(receiver.Other(), receiver.Other()), segment => segment.Flags.Contains('R', StringComparison.Ordinal));
        return reset;
    }

    private static void Send(PacketRing ring, Segment segment)
    {
        ring.Queue(segment.ToFrame());
        ring.Flush();
        Assert.Equal(0, ring.NotSent);
    }

    private static byte[] Hardware(Holder inside, string link)
    {
        var address = HardwareAddress().Match(inside.Run("ip", "link", "show", link).Output).Groups[1].Value;
        return Convert.FromHexString(address.Replace(":", "", StringComparison.Ordinal));
    }

    [GeneratedRegex("link/ether ([0-9a-f:]+)")]
    private static partial Regex HardwareAddress();
}
