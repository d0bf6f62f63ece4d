using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Which keepalive helps against which balancer: real sockets, the kernel's own probes, all cases at once.</summary>
[Collection(LiveLab.Labs)]
public sealed class KeepaliveAcrossTheLabTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2.5);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);
    private static readonly bool[] s_families = [false, true];

    /// <summary>Shorter than the timeout, in whole seconds.</summary>
    private const int Short = 1;

    /// <summary>Twice the timeout, as the guide's 700 s are twice 350 s.</summary>
    private const int Long = 5;

    [Fact]
    public async Task Keepalive_AgainstEachKindOfClock_HelpsWhereAProbeCounts()
    {
        Live.Require("tcpdump");
        var tests = new Action[] { AnyPacket, PayloadOnly, PerDirectionAnswered, PerDirectionUnanswered };

        await Task.WhenAll(tests.Select(test => Task.Factory.StartNew(test, TaskCreationOptions.LongRunning)));
    }

    private static void AnyPacket()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("reset-on-next-packet")!.Value, s_timeout);
        var kept = Open(lab, Short);
        var late = Open(lab, Long);
        var without = Open(lab, null);
        var began = lab.Running.Elapsed;
        foreach (var connection in late.Concat(without))
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            AssertExpiredInTime(connection);
            Assert.Equal(0, connection.Count(LabEventKind.Refreshed));
        }
        // The late probe finds an expired connection.
        late.ForEach(connection => Assert.Equal("reset", connection.WaitForReaction(FlowEnd.Client)));
        Assert.All(late, connection => Assert.InRange(
            lab.Events.First(what => what.Kind == LabEventKind.Reset && connection.Is(what)).Time - began,
            TimeSpan.FromSeconds(Long - 0.5),
            TimeSpan.FromSeconds(Long + 2)));
        AssertLives(kept, began);
        Assert.All(kept, connection => Assert.True(connection.Count(LabEventKind.Refreshed) >= 4, $"{connection}"));
        var sent = Nstat.Read(lab.Client, Nstat.KeepaliveProbes);
        var told = kept.Sum(connection => connection.Count(LabEventKind.Refreshed)) + late.Sum(connection => connection.Count(LabEventKind.Swallowed));
        // The kernel's own count, ± one on its way.
        Assert.InRange(sent - told, -1, 2);
    }

    private static void PayloadOnly()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("payload-only")!.Value, s_timeout, capture: false);
        foreach (var connection in Open(lab, Short))
        {
            connection.WaitFor(LabEventKind.Expired, s_patience);
            AssertExpiredInTime(connection);
            Assert.True(connection.Count(LabEventKind.Probed) >= 1, $"{connection}: no probe");
            Assert.Equal(0, connection.Count(LabEventKind.Refreshed));
            Assert.Equal("eof", connection.WaitForReaction(FlowEnd.Client));
            Assert.Equal("eof", connection.WaitForReaction(FlowEnd.Server));
        }
    }

    private static void PerDirectionAnswered()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("per-direction")!.Value, s_timeout, capture: false);
        var kept = Open(lab, Short);
        var began = lab.Running.Elapsed;

        AssertLives(kept, began);
    }

    /// <summary>The server's machine no longer answers: its clock runs out while the client's probes and data continue.</summary>
    private static void PerDirectionUnanswered()
    {
        using var lab = new LiveLab(IdleBehaviour.Find("per-direction")!.Value, s_timeout);
        var probing = Open(lab, Short);
        var sending = Open(lab, null);
        lab.Server.Run("ip", "link", "set", LabNetwork.ServerLink, "down");
        var all = probing.Concat(sending).ToList();
        Eventually.True(
            () =>
            {
                sending.ForEach(connection => lab.Client.Send(connection.Client, 10));
                return all.TrueForAll(connection => connection.Count(LabEventKind.Expired) == 1);
            },
            s_patience);
        foreach (var connection in all)
        {
            AssertExpiredInTime(connection);
            var last = connection.SeenBy(FlowEnd.Server, FlowEnd.Server).Max(segment => segment.Time);
            // The client was not idle: it sent within the last second and a half before the end.
            Assert.Contains(
                connection.SeenBy(FlowEnd.Client, FlowEnd.Client),
                segment => segment.Time > last + (s_timeout.TotalSeconds / 3) && segment.Time < last + s_timeout.TotalSeconds);
        }
        Assert.All(probing, connection => Assert.True(connection.Count(LabEventKind.Refreshed) >= 1));
    }

    private static List<Connection> Open(LiveLab lab, int? keepalive)
    {
        var connections = s_families.Select(isIPv6 => lab.Connect(isIPv6)).ToList();
        foreach (var connection in connections)
        {
            connection.Carry(FlowEnd.Client, 10);
            connection.Carry(FlowEnd.Server, 10);
            if (keepalive is { } seconds)
            {
                lab.Client.EnableKeepalive(connection.Client, seconds, interval: 1, count: 9);
            }
        }
        return connections;
    }

    private static void AssertExpiredInTime(Connection connection)
    {
        var expired = connection.Lab.Events.First(what => what.Kind == LabEventKind.Expired && connection.Is(what));
        Assert.InRange(expired.Idle, s_timeout, s_timeout + TimeSpan.FromSeconds(1));
    }

    /// <summary>Idle for more than three timeouts, and then the same socket carries data.</summary>
    private static void AssertLives(List<Connection> connections, TimeSpan began)
    {
        var lab = connections[0].Lab;
        var cookies = connections.ConvertAll(connection => lab.Client.Cookie(connection.Client));
        Eventually.Remains(
            () => connections.TrueForAll(connection => connection.Count(LabEventKind.Expired) == 0),
            (s_timeout * 3.2) - (lab.Running.Elapsed - began));
        foreach (var connection in connections)
        {
            connection.Carry(FlowEnd.Client, 10);
            connection.Carry(FlowEnd.Server, 10);
            Assert.Equal("nothing", connection.Reaction(FlowEnd.Client));
            Assert.Equal((1, 0), (connection.Count(LabEventKind.Opened), connection.Count(LabEventKind.Expired)));
        }
        Assert.Equal(cookies, connections.ConvertAll(connection => lab.Client.Cookie(connection.Client)));
        Assert.InRange(lab.Running.Elapsed - began, s_timeout * 3, TimeSpan.FromSeconds(60));
    }
}
