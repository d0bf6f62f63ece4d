using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>The results of one idle connection.</summary>
/// <param name="Connection">The connection.</param>
/// <param name="Speaker">The end that sent first after expiry.</param>
internal sealed record IdledOut(Connection Connection, FlowEnd Speaker)
{
    /// <summary>The state of each end before any end had sent.</summary>
    public Dictionary<FlowEnd, string> AtExpiry { get; } = [];

    /// <summary>The state of each end at the end of the test.</summary>
    public Dictionary<FlowEnd, string> Afterwards { get; } = [];

    /// <summary>Bytes that arrived at either end after expiry.</summary>
    public Dictionary<FlowEnd, long> Arrived { get; } = new() { [FlowEnd.Client] = 0, [FlowEnd.Server] = 0 };

    /// <summary>Bytes that the server sent without effect at first, and that arrived after the client had sent.</summary>
    public long ArrivedInTheEnd { get; set; }

    /// <summary>The number of expirations before any end had sent.</summary>
    public int Expirations { get; set; }

    /// <summary>When the speaker sent, in seconds since 1970.</summary>
    public double Spoke { get; set; }
}

/// <summary>A lab for each of the eight classes, all at once. Connections over IPv4 and IPv6 idle out, and then one end sends.</summary>
public sealed class ExpiredLabs : IDisposable
{
    internal static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    public ExpiredLabs()
    {
        if (LiveSupport.Missing("tcpdump") is not null)
        {
            return;
        }
        var runs = IdleBehaviour.Classes
            .Select(entry => Task.Factory.StartNew(() => Run(entry.Name, entry.Behaviour), TaskCreationOptions.LongRunning));
        Task.WaitAll([.. runs]);
    }

    internal Dictionary<string, (LiveLab Lab, List<IdledOut> Connections)> Labs { get; } = [];

    public void Dispose()
    {
        foreach (var (lab, _) in Labs.Values)
        {
            lab.Dispose();
        }
    }

    private void Run(string name, IdleBehaviour behaviour)
    {
        var lab = new LiveLab(behaviour, Timeout);
        var connections = new List<IdledOut>();
        lock (Labs)
        {
            Labs[name] = (lab, connections);
        }
        FlowEnd[] ends = [FlowEnd.Client, FlowEnd.Server];
        foreach (var isIPv6 in new[] { false, true })
        {
            foreach (var speaker in ends)
            {
                var connection = lab.Connect(isIPv6);
                connection.Carry(FlowEnd.Client, 100);
                connection.Carry(FlowEnd.Server, 50);
                connections.Add(new IdledOut(connection, speaker));
            }
        }
        connections.ForEach(one => one.Connection.WaitFor(LabEventKind.Expired, s_patience));
        // Segments at expiry are already on their way. For a class that sends nothing there is no event to wait for, only time.
        Eventually.Remains(() => true, TimeSpan.FromSeconds(0.5));
        foreach (var one in connections)
        {
            one.Expirations = one.Connection.Count(LabEventKind.Expired);
            foreach (var end in ends)
            {
                one.AtExpiry[end] = one.Connection.Reaction(end);
            }
        }
        foreach (var one in connections)
        {
            one.Spoke = (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds;
            if (one.AtExpiry[one.Speaker] != "reset")
            {
                Assert.Equal(10, one.Connection.Application(one.Speaker).Send(one.Connection.Id(one.Speaker), 10));
            }
        }
        // Long enough for several retransmissions: after 0.2, 0.6 and 1.4 s.
        Eventually.Remains(() => true, TimeSpan.FromSeconds(2));
        foreach (var one in connections)
        {
            foreach (var end in ends)
            {
                var arrived = 0L;
                one.Afterwards[end] = one.AtExpiry[end] == "reset" ? "reset" : one.Connection.Reaction(end, out arrived);
                one.Arrived[end] = arrived;
            }
        }
        if (connections[0].Connection.Count(LabEventKind.Revived) == 0)
        {
            return;
        }
        foreach (var one in connections.Where(one => one.Speaker == FlowEnd.Server))
        {
            // The client sends repeatedly: the server retries less and less often, and an idle connection would expire again.
            Eventually.True(
                () => lab.Client.Send(one.Connection.Client, 1) == 1
                    && (one.ArrivedInTheEnd += lab.Client.Receive(one.Connection.Client).Bytes) >= 10,
                s_patience);
        }
    }
}

[Collection(LiveLab.Labs)]
public sealed class ExpiryClassTests(ExpiredLabs labs) : IClassFixture<ExpiredLabs>
{
    private static readonly FlowEnd[] s_ends = [FlowEnd.Client, FlowEnd.Server];

    // Columns: the segment at expiry (- none, R reset, F FIN) and the ends' state, then the answer to the first sender and the state of
    // both ends.
    [Theory]
    [InlineData("silent-drop", "-", "nothing", "-", "nothing", "nothing")]
    [InlineData("reset-on-next-packet", "-", "nothing", "R", "reset", "nothing")]
    [InlineData("reset-both", "R", "reset", "-", "reset", "reset")]
    [InlineData("fin-both", "F", "eof", "R", "broken pipe", "eof")]
    [InlineData("drop-until-syn", "-", "nothing", "-", "nothing", "nothing")]
    [InlineData("per-direction", "-", "nothing", "-", "nothing", "nothing")]
    [InlineData("payload-only", "F", "eof", "R", "broken pipe", "eof")]
    public void IdleConnection_EachClass_BothEndsBehaveAsSpecified(
        string name, string atExpiry, string noticed, string afterwards, string speakerNoticed, string listenerNoticed)
    {
        Live.Require("tcpdump");
        Assert.Equal(4, labs.Labs[name].Connections.Count);
        foreach (var one in labs.Labs[name].Connections)
        {
            foreach (var end in s_ends)
            {
                Assert.Equal((one, end, noticed), (one, end, one.AtExpiry[end]));
                Assert.Equal((one, end, end == one.Speaker ? speakerNoticed : listenerNoticed), (one, end, one.Afterwards[end]));
                Assert.Equal(0, one.Arrived[end]);

                var forged = Forged(one, end);
                var expected = (atExpiry + (end == one.Speaker ? afterwards : "-")).Replace("-", "", StringComparison.Ordinal);
                Assert.Equal(expected, string.Concat(forged.Select(segment => segment.Flags[0])));
                AssertMoment(one, forged.Where(_ => atExpiry != "-").Take(1));
                Assert.All(forged.Skip(atExpiry == "-" ? 0 : 1), segment => Assert.InRange(segment.Time - one.Spoke, 0, 1));
                Assert.All(forged, segment => AssertExact(one, end, segment));
            }
        }
    }

    [Fact]
    public void IdleConnection_EachClass_ExpiresBetweenTheTimeoutAndASecondLater()
    {
        Live.Require("tcpdump");
        foreach (var (lab, connections) in labs.Labs.Values)
        {
            foreach (var one in connections)
            {
                var expired = lab.Events.First(what => what.Kind == LabEventKind.Expired && one.Connection.Is(what));
                Assert.InRange(expired.Idle, ExpiredLabs.Timeout, ExpiredLabs.Timeout + TimeSpan.FromSeconds(1));
                Assert.Equal(1, one.Expirations);
            }
        }
    }

    [Theory]
    [InlineData("silent-drop")]
    [InlineData("drop-until-syn")]
    [InlineData("per-direction")]
    public void IdleConnection_ClassThatDrops_SpeakerRetransmitsAndNothingArrives(string name)
    {
        Live.Require("tcpdump");
        foreach (var one in labs.Labs[name].Connections)
        {
            var sent = one.Connection.SeenBy(one.Speaker, one.Speaker).Where(segment => segment.Length == 10).ToList();
            Assert.True(sent.Count >= 3, $"{one}: sent {sent.Count} times");
            Assert.Single(sent.Select(segment => segment.Sequence).Distinct());
            Assert.DoesNotContain(one.Connection.SeenBy(one.Speaker.Other(), one.Speaker), segment => segment.Length == 10);
            Assert.Equal("ESTAB", State(one, one.Speaker));
        }
    }

    [Fact]
    public void DropUntilSyn_SynBetweenTheSamePorts_MakesANewConnection()
    {
        Live.Require("tcpdump");
        var (lab, connections) = labs.Labs["drop-until-syn"];
        foreach (var isIPv6 in new[] { false, true })
        {
            var old = connections.First(one => one.Connection.IsIPv6 == isIPv6).Connection;
            // Neither end receives the other's reset: the balancer drops it.
            lab.Client.Abort(old.Client);
            lab.Server.Abort(old.Server);

            var connection = lab.Connect(isIPv6, port: old.ClientPort);

            connection.Carry(FlowEnd.Client, 20);
            connection.Carry(FlowEnd.Server, 20);
            Assert.Equal(old.ClientPort, connection.ClientPort);
            Eventually.True(() => connection.Count(LabEventKind.Opened) == 2, TimeSpan.FromSeconds(5));
        }
    }

    [Fact]
    public void FinBoth_EndCloses_ItsSocketIsGone()
    {
        Live.Require("tcpdump");
        foreach (var name in new[] { "fin-both", "payload-only" })
        {
            foreach (var one in labs.Labs[name].Connections)
            {
                var listener = one.Speaker.Other();
                Assert.Equal("CLOSE-WAIT", State(one, listener));
                one.Connection.Application(listener).Close(one.Connection.Id(listener));
                // The balancer acknowledges the end's own FIN: no socket stays in LAST-ACK.
                Eventually.True(() => State(one, listener) == "", TimeSpan.FromSeconds(5));
            }
        }
    }

    [Fact]
    public void InsideRevives_ClientSends_EverythingArrives()
    {
        Live.Require("tcpdump");
        foreach (var one in labs.Labs["inside-revives"].Connections)
        {
            Assert.All(s_ends, end => Assert.Equal(("nothing", "nothing"), (one.AtExpiry[end], one.Afterwards[end])));
            Assert.All(s_ends, end => Assert.Empty(Forged(one, end)));
            if (one.Speaker == FlowEnd.Client)
            {
                Assert.Equal((0, 10), (one.Arrived[FlowEnd.Client], one.Arrived[FlowEnd.Server]));
                Assert.Equal(1, one.Connection.Count(LabEventKind.Revived));
                continue;
            }
            // Packets from outside are dropped until the client sends.
            Assert.Equal((0, 0), (one.Arrived[FlowEnd.Client], one.Arrived[FlowEnd.Server]));
            Assert.True(one.Connection.SeenBy(FlowEnd.Server, FlowEnd.Server).Count(segment => segment.Length == 10) >= 3);
            var revived = one.Connection.SeenBy(FlowEnd.Client, FlowEnd.Client).First(segment => segment.Length == 1).Time;
            Assert.DoesNotContain(one.Connection.SeenBy(FlowEnd.Client, FlowEnd.Server), segment => segment.Length == 10 && segment.Time < revived);
            Assert.Equal(10, one.ArrivedInTheEnd);
        }
    }

    [Fact]
    public void Captures_EverySegmentOnBothSides_HasCorrectChecksums()
    {
        Live.Require("tcpdump");
        foreach (var (lab, connections) in labs.Labs.Values)
        {
            foreach (var end in s_ends)
            {
                var checksums = lab.Checksums(end);
                Assert.All(checksums, word => Assert.Equal("correct", word));
                Assert.InRange(checksums.Count, connections.Sum(one => one.Connection.SeenBy(end).Count) / 2, int.MaxValue);
                Assert.True(checksums.Count >= 4 * 8, $"only {checksums.Count} segments");
            }
        }
    }

    /// <summary>Segments that an end received and that the other end had not sent. The other end's own later FIN has the same
    /// number.</summary>
    private static List<TcpdumpSegment> Forged(IdledOut one, FlowEnd end)
    {
        var sent = one.Connection.SeenBy(end.Other(), end.Other());
        return
        [
            .. one.Connection.SeenBy(end, end.Other()).Where(got => got.Flags.AsSpan().ContainsAny('R', 'F')
                && !sent.Any(other => other.Time <= got.Time && (other.Flags, other.Sequence) == (got.Flags, got.Sequence))),
        ];
    }

    /// <summary>The receiver expects its last acknowledged number, as the capture on its own side shows.</summary>
    private static void AssertExact(IdledOut one, FlowEnd receiver, TcpdumpSegment forged)
    {
        var before = one.Connection.SeenBy(receiver, receiver).Last(segment => segment.Time <= forged.Time && segment.Acknowledged is not null);
        Assert.Equal((one, receiver, before.Acknowledged), (one, receiver, forged.Sequence));
        // 100 bytes from the client and 50 from the server, each after a SYN.
        var first = one.Connection.SeenBy(receiver.Other(), receiver.Other())[0].Sequence + 1;
        var isSecond = forged.Flags == "R" && one.AtExpiry[receiver] == "eof" ? 1u : 0u;
        Assert.Equal(first + (receiver == FlowEnd.Client ? 50 : 100) + isSecond, forged.Sequence);
    }

    private static void AssertMoment(IdledOut one, IEnumerable<TcpdumpSegment> forged)
    {
        // The time of sending counts: the other side's capture shows a packet later, by the time to forward it.
        foreach (var segment in forged)
        {
            var last = s_ends.SelectMany(end => one.Connection.SeenBy(end, end)).Where(sent => sent.Time < segment.Time - 1).Max(sent => sent.Time);
            Assert.InRange(segment.Time - last, ExpiredLabs.Timeout.TotalSeconds - 0.1, ExpiredLabs.Timeout.TotalSeconds + 1);
        }
    }

    private static string State(IdledOut one, FlowEnd end) =>
        Ss.Read(one.Connection.Application(end))
            .Where(socket => (socket.Local.Port, socket.Remote.Port) == (end == FlowEnd.Client
                ? (one.Connection.ClientPort, one.Connection.ServerPort)
                : (one.Connection.ServerPort, one.Connection.ClientPort)))
            .Select(socket => socket.State).FirstOrDefault("");
}
