using Keepalive.Agent.Audit;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Top;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Top;

/// <summary>The sums of a survey, from the records of passes.</summary>
public sealed class SurveyedSocketsTests
{
    private const ulong Node = 1;
    private const ulong Pod = 2;

    private static readonly KeepaliveOptions s_off = new(false, 7200, 75, 9);
    private static readonly KeepaliveOptions s_on = new(true, 60, 10, 4);

    private readonly SurveyedSockets _sockets = new(new AuditYardstick(null, 350, TimeSpan.Zero), pid => $"process {pid}");

    [Fact]
    public void AddUp_ConnectionsOfOneWorkload_AreOneGroupForEachFarEnd()
    {
        Pass(Node,
            Record(1, 40_001, 443, s_off), Record(2, 40_002, 443, s_on) with { Timer = TcpTimer.Keepalive, TimerExpires = 30_000, RoundTrip = 1200 },
            Record(3, 40_003, 443, s_on) with { Timer = TcpTimer.Keepalive, TimerExpires = 5_000, Unanswered = 2, RoundTrip = 700, Pid = 9 },
            Record(4, 40_004, 80, s_off));

        var groups = _sockets.AddUp(out var local);

        Assert.Equal(0, local);
        var busy = Assert.Single(groups, group => group.Destination == "10.0.0.2:443");
        Assert.Equal((3, 1, 1, 2, 4), (busy.Connections, busy.Unprotected, busy.Probing, busy.Unanswered, busy.EndsAfter));
        Assert.Equal((5_000L, 10_000L, 1.2), (busy.NextProbeMs, busy.ProbeWaitMs, busy.RttMs));
        Assert.Equal(("process 7", true), (busy.Command, busy.MoreProcesses));
        Assert.Equal(1, Assert.Single(groups, group => group.Destination == "10.0.0.2:80").Unprotected);
    }

    [Fact]
    public void AddUp_AfterAnotherPass_HasOnlyItsConnections()
    {
        Pass(Node, Record(1, 40_001, 443, s_off), Record(2, 40_002, 443, s_off));
        Pass(Pod, Record(3, 40_003, 443, s_off) with { Namespace = Pod });
        Pass(Node, Record(2, 40_002, 443, s_off));
        Assert.Equal(2, Assert.Single(_sockets.AddUp(out _)).Connections);

        _sockets.NamespaceGone(Pod);
        Assert.Equal(1, Assert.Single(_sockets.AddUp(out _)).Connections);
    }

    /// <summary>A pass reports a socket again if its values have changed since the namespace was listed.</summary>
    [Fact]
    public void Socket_ReportedAfterItsNamespace_ReplacesWhatWasKnown()
    {
        Pass(Node, Record(1, 40_001, 443, s_off), Record(2, 40_002, 443, s_off));
        _sockets.Socket(Record(1, 40_001, 443, s_on));
        _sockets.Socket(Record(5, 40_005, 443, s_on));
        _sockets.Socket(Record(5, 40_005, 443, s_off));

        var group = Assert.Single(_sockets.AddUp(out _));
        Assert.Equal((3, 2), (group.Connections, group.Unprotected));
    }

    [Fact]
    public void AddUp_AcceptedAndLocal_AreToldApart()
    {
        Pass(Node,
            Record(1, 443, 40_001, s_off), Record(2, 40_002, 443, s_off) with { IsLocal = true },
            Record(3, 443, 0, s_off) with { State = TcpState.Listen }, Record(4, 40_004, 443, s_off) with { State = TcpState.SynSent });

        var group = Assert.Single(_sockets.AddUp(out var local));
        Assert.Equal((":443", true, 1, 1), (group.Destination, group.Accepted, group.Connections, local));
    }

    /// <summary>One end that probes is enough.</summary>
    [Fact]
    public void AddUp_OtherEndOnThisNodeProbes_IsProtected()
    {
        Pass(Node, Record(1, 40_001, 443, s_off), Record(2, 40_002, 443, s_off));
        Pass(Pod, Record(3, 40_001, 443, s_on) with { Namespace = Pod, Local = End(2, 443), Remote = End(1, 40_001) });

        Assert.Equal(1, _sockets.AddUp(out _).Sum(group => group.Unprotected));
        var listed = _sockets.List(new Focus("uid:0", "10.0.0.2:443")).Connections;
        Assert.Equal([false, true], listed.OrderBy(one => one.Cookie).Select(one => one.Unprotected));
    }

    [Fact]
    public void List_Many_HasThoseInTroubleFirstAndCountsTheOthers()
    {
        Pass(Node, [.. Enumerable.Range(0, 700).Select(i => Record((ulong)i, (ushort)(30_000 + i), 443, i == 600 ? s_off : s_on) with { Unanswered = i == 650 ? 1 : 0 })]);

        var list = _sockets.List(new Focus(null, "10.0.0.2:443"));

        Assert.Equal((500, 200), (list.Connections.Count, list.LeftOut));
        Assert.Equal([650UL, 600UL, 0UL, 1UL], list.Connections.Take(4).Select(one => one.Cookie));
        Assert.Empty(_sockets.List(new Focus("another", null)).Connections);
    }

    private void Pass(ulong inode, params SocketRecord[] records)
    {
        _sockets.BeginNamespace(inode);
        foreach (ref readonly var record in records.AsSpan())
        {
            _sockets.Socket(in record);
        }
        _sockets.EndNamespace(inode);
    }

    private static SocketRecord Record(ulong cookie, ushort port, ushort far, KeepaliveOptions values) => new()
    {
        Namespace = Node,
        Cookie = cookie,
        Local = End(1, port),
        Remote = End(2, far),
        State = TcpState.Established,
        Workload = "uid:0",
        Current = values,
        Pid = 7,
    };

    private static SocketEndpoint End(uint host, ushort port) => new(0, 0xFFFF_0A00_0000UL + host, port);
}
