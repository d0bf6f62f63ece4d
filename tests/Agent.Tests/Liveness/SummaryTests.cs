using System.Buffers.Binary;
using System.Net;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>The connections added up for the live view, without a capture.</summary>
public sealed class SummaryTests
{
    private const ulong Namespace = 4026531840;
    private static readonly KeepaliveOptions s_off = new(false, 7200, 75, 9);
    private static readonly KeepaliveOptions s_on = new(true, 60, 10, 4);

    private static readonly SocketRecord s_record = new()
    {
        Namespace = Namespace,
        Cookie = 1,
        Local = Endpoint("10.0.0.1:40000"),
        Remote = Endpoint("10.0.0.2:443"),
        State = TcpState.Established,
        Workload = "unit:a.service",
        Timer = TcpTimer.Keepalive,
        Outcome = SocketOutcome.Managed,
        Current = s_on,
        Idle = 20_000,
        RoundTrip = 1500,
        Pid = 30,
        Rule = Rig.PolicyFor("10.0.0.2", "time: 60s, interval: 10s, probes: 4").Policy.Rules[0],
    };

    private readonly TestClock _clock = new();
    private readonly LivenessMonitor _monitor;

    public SummaryTests() => _monitor = new LivenessMonitor(new LivenessLog(NullLogger.Instance), _clock, captures: false);

    [Fact]
    public void Summary_OfConnections_IsByWorkloadAndRule()
    {
        Pass(
            s_record,
            s_record with { Cookie = 2, Local = Endpoint("10.0.0.1:40001"), Idle = 50_000, RoundTrip = 900, Pid = 20 },
            s_record with { Cookie = 3, Local = Endpoint("10.0.0.1:40002"), Outcome = SocketOutcome.Failed, Reason = "EPERM", Current = s_off, Timer = TcpTimer.None },
            s_record with { Cookie = 4, Local = Endpoint("10.0.0.1:40003"), Workload = "unit:b.service" });

        var groups = _monitor.Summarize().Groups;

        Assert.Equal(["unit:a.service", "unit:b.service"], groups.Select(one => one.Workload).Order());
        var group = groups.Single(one => one.Workload == "unit:a.service");
        Assert.Equal((3, 2, 1, 1, "EPERM"), (group.Connections, group.Managed, group.Failed, group.Unprotected, group.Reason));
        // The second one has been quiet for 50 of its 60 seconds.
        Assert.Equal((10_000_000_000, 60_000_000_000), group.NextProbe);
        Assert.Equal((1500, 20, true), (group.RoundTrip, group.Pid, group.HasMorePids));
    }

    [Fact]
    public void Summary_UnansweredProbes_CountDownToTheNextOne()
    {
        Pass(s_record);
        _clock.Advance(TimeSpan.FromSeconds(45));
        Pass(s_record with { Unanswered = 2, Idle = 65_000 });
        _clock.Advance(TimeSpan.FromSeconds(3));

        var group = Assert.Single(_monitor.Summarize().Groups);

        Assert.Equal((1, 2, 4), (group.Probing, group.Unanswered, group.EndsAfter));
        Assert.Equal((7_000_000_000, 10_000_000_000), group.NextProbe);
    }

    [Theory]
    [InlineData(299, 1)]
    [InlineData(301, 0)]
    public void Summary_SetConnection_IsRecentForFiveMinutes(int seconds, int recent)
    {
        Pass(s_record with { Changed = true, Replaced = s_off });
        _clock.Advance(TimeSpan.FromSeconds(seconds));

        var (groups, events) = _monitor.Summarize();

        Assert.Equal(recent, Assert.Single(groups).RecentlySet);
        var set = Assert.Single(events);
        Assert.Equal((EventKind.Set, "unit:a.service", s_off, s_on, 1), (set.Key.Kind, set.Key.Workload, set.Key.From, set.Key.To, set.Count));
        Assert.Equal(seconds * 1_000_000_000L, set.Ago);
    }

    [Fact]
    public void Summary_RestoredAndDead_AreEvents()
    {
        Pass(s_record, s_record with { Cookie = 2, Local = Endpoint("10.0.0.1:40001") });
        _monitor.Socket(s_record with { Rule = null, Changed = true, Replaced = s_on, Current = s_off, Outcome = SocketOutcome.Restored });
        _clock.Advance(TimeSpan.FromSeconds(60));
        Pass(s_record with { Cookie = 2, Local = Endpoint("10.0.0.1:40001"), Unanswered = 4, Idle = 100_000 });
        Pass();

        Assert.Equal([EventKind.Dead, EventKind.Restored], _monitor.Summarize().Events.Select(one => one.Key.Kind));
        Assert.Equal(DeathCause.Probes, _monitor.Summarize().Events[0].Key.Cause);
    }

    [Fact]
    public void Connections_OfAWorkload_HaveTroubleFirstAndALimit()
    {
        Pass([.. Enumerable.Range(1, 5).Select(i => s_record with { Cookie = (ulong)i, Local = Endpoint($"10.0.0.1:{40000 + i}"), Unanswered = i == 4 ? 1 : 0 })]);

        var rows = _monitor.ListConnections("unit:a.service", null, most: 3, out var left);

        Assert.Equal([4UL, 1, 2], rows.Select(row => row.Row.Cookie));
        Assert.Equal(2, left);
        Assert.Empty(_monitor.ListConnections("unit:other.service", null, 3, out _));
        Assert.Equal(5, _monitor.ListConnections(null, s_record.Rule!.Destination, 9, out _).Count);
    }

    /// <summary>Tenants choose how many different events there are.</summary>
    [Fact]
    public void Events_OfManyKinds_AreBoundedAndEqualOnesCountTogether()
    {
        var events = new RecentEvents();
        for (var i = 0; i < 1000; i++)
        {
            events.Add(new EventKey(EventKind.Set, $"uid:{i}", "p", "d"), 1);
        }
        Assert.Equal(RecentEvents.Most, events.List(2).Count);
        for (var i = 0; i < 1000; i++)
        {
            events.Add(new EventKey(EventKind.Set, i % 2 == 0 ? "uid:x" : "uid:y", "p", "d"), 2);
        }
        Assert.Equal([("uid:y", 500), ("uid:x", 500)], events.List(3).Take(2).Select(row => (row.Key.Workload, row.Count)));
        Assert.Equal(RecentEvents.Most, events.List(3).Count);
        Assert.Empty(events.List(RecentEvents.Kept + 3));
    }

    private void Pass(params SocketRecord[] records)
    {
        _monitor.BeginNamespace(Namespace);
        foreach (var record in records)
        {
            _monitor.Socket(in record);
        }
        _monitor.EndNamespace(Namespace);
        _monitor.EndPass();
    }

    private static SocketEndpoint Endpoint(string text)
    {
        var end = IPEndPoint.Parse(text);
        return new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(end.Address.MapToIPv6().GetAddressBytes()), (ushort)end.Port);
    }
}
