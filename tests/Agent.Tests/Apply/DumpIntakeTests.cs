using System.Diagnostics.CodeAnalysis;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Config;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The treatment of the sockets of a dump, for both datapaths.</summary>
[SuppressMessage("Design", "CA1001", Justification = "It is of no namespace that could be let go of.")]
public sealed class DumpIntakeTests : ISocketSink
{
    private static readonly SocketEndpoint s_here = IPv4(0x0A4D0001, 40_000);
    private static readonly SocketEndpoint s_there = IPv4(0x0A4D0002, 443);
    private static readonly SocketEndpoint s_elsewhere = IPv4(0x0A4D0909, 443);
    private static readonly KeepaliveOptions s_set = new(true, 700, 10, 20);

    private readonly PolicySnapshot _policy = Rig.PolicyFor("10.77.0.2", PolicyText.GuideValues);
    private readonly SocketWorkloads _workloads = new(new ProcessTable(), new CgroupOwners(TimeProvider.System, mount: null, isAlone: true));
    private readonly WatchedNamespace _watched = new(1, null!) { Owner = ProcessOwner.Of("0::/kubepods/pod8f1c", 0) };
    private readonly InheritedSockets _inherited = [];
    private readonly List<SocketRecord> _reported = [];
    private readonly List<TrackedSocket> _tracked = [];

    [Fact]
    public void Take_SelectedSocket_IsTrackedAndNotReportedYet()
    {
        var socket = Take(Seen(s_there))!;
        Assert.Same(socket, Assert.Single(_watched.Sockets));
        Assert.Equal([socket], _tracked);
        Assert.True(socket.Standing.IsUnsettled);
        Assert.Equal("bookinfo/tcp-keepalive", socket.Standing.Rule?.Policy);
        Assert.Empty(_reported);
    }

    [Fact]
    public void Take_OtherSocket_IsReportedWithItsValues()
    {
        Assert.Null(Take(Seen(s_elsewhere), new SocketReading(s_set, OwnValues.Known | OwnValues.Time, 30_000), pid: 12));
        var record = Assert.Single(_reported);
        Assert.Equal((SocketOutcome.Unmanaged, s_set, OwnValues.Known | OwnValues.Time, 30_000, 12), (record.Outcome, record.Current!.Value, record.Own, record.UserTimeout, record.Pid));
        Assert.Equal((7UL, s_elsewhere, TcpState.Established, 1500U), (record.Cookie, record.Remote, record.State, record.Idle!.Value));
        Assert.Empty(_watched.Sockets);
    }

    [Fact]
    public void Take_OtherSocketWithRequestedValues_IsTracked() => Assert.NotNull(Take(Seen(s_elsewhere), scope: new PassScope { ReadAll = true }));

    [Fact]
    public void Take_ListeningSocketOfADestination_IsNotSelected() => Assert.Null(Take(Seen(s_there) with { State = TcpState.Listen }));

    [Fact]
    public void Take_ClosedByItsApplication_CountsAsNotSeen()
    {
        var socket = Take(Seen(s_there))!;
        _watched.Dumps++;
        Assert.Null(Take(Seen(s_there) with { State = TcpState.FinWait2, HasFile = false }));
        Assert.NotEqual(_watched.Dumps, socket.SeenInDump);
        Assert.Single(_reported);

        // A socket in the accept queue has no file either.
        Assert.NotNull(Take(Seen(s_there) with { HasFile = false }));
        Assert.Equal(_watched.Dumps, socket.SeenInDump);
    }

    [Fact]
    public void Take_InheritedSocket_IsTrackedOnceWithoutARule()
    {
        var memory = SocketMemory.OfAgent(new KeepaliveOptions(false, 7200, 75, 9), s_set);
        _inherited[(1, 7)] = memory;
        Assert.Equal(memory, Take(Seen(s_elsewhere))?.Standing.Memory);
        Assert.Empty(_inherited);
    }

    [Fact]
    public void Take_ValuesSetByAPredecessorOnEstablishment_AreTracked()
    {
        _inherited.Arriving.Add(new KeepaliveSettings(700, 10, 20));
        Assert.Null(Take(Seen(s_elsewhere), new SocketReading(s_set with { Time = 701 }, OwnValues.Known, 0)));
        Assert.Null(Take(Seen(s_elsewhere), new SocketReading(s_set with { Enabled = false }, OwnValues.Known, 0)));
        Assert.NotNull(Take(Seen(s_elsewhere), new SocketReading(s_set, OwnValues.Known, 0)));
    }

    [Fact]
    public void Take_SetOnEstablishment_IsTrackedWithoutARule() => Assert.NotNull(Take(Seen(s_elsewhere) with { IsSetAtOnce = true }));

    [Fact]
    public void Take_ConnectedToAnotherPeer_IsJudgedAgain()
    {
        var socket = Settled();
        Assert.Same(socket, Take(Seen(s_elsewhere)));
        Assert.True(socket.Standing.IsUnsettled);
        Assert.Null(socket.Standing.Rule);
        Assert.Equal(s_elsewhere, socket.Remote);
    }

    [Theory]
    [InlineData("time: 700s, interval: 10s, probes: 20", null, false)]
    [InlineData("time: 60s, interval: 10s, probes: 20", null, true)]
    [InlineData("time: 700s, interval: 10s, probes: 20", "replace", true)]
    public void Take_NewPolicy_OnlyARuleWithAnotherEffectIsJudgedAgain(string keepalive, string? existing, bool isJudged)
    {
        var socket = Settled();
        var next = Rig.PolicyFor("10.77.0.2", keepalive, existing);
        Take(Seen(s_there), policy: next);
        Assert.Equal(isJudged, socket.Standing.IsUnsettled);
        Assert.Contains(socket.Standing.Rule, next.Policy.Rules);
    }

    [Fact]
    public void Take_NewPolicyWithAnotherExistingMode_IsJudgedAgain()
    {
        var socket = Settled();
        Take(Seen(s_there), policy: _policy with { Existing = ExistingMode.Replace });
        Assert.True(socket.Standing.IsUnsettled);
    }

    [Fact]
    public void Take_SamePolicy_StaysSettledUntilAFullPass()
    {
        var socket = Settled();
        Take(Seen(s_there));
        Assert.False(socket.Standing.IsUnsettled);
        Take(Seen(s_there), scope: new PassScope { Full = true });
        Assert.True(socket.Standing.IsUnsettled);
    }

    /// <summary>The fallback selects no connection that a proxy in the same namespace has accepted; what it has set there is restored.</summary>
    [Fact]
    public void End_ConnectionThatTurnsOutToBeLocal_LosesTheFallback()
    {
        var fallback = _policy with { Policy = _policy.Policy.WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive 240s/20s/4") };
        var (application, proxy) = (Seen(s_elsewhere), Seen(s_here) with { Cookie = 8, Local = IPv4(0x7F000001, 15001) });
        var context = new PassContext(1, fallback, new PassScope(), this);
        var first = Dump();
        Assert.True(first.Standing is { IsUnsettled: true, Rule.IsFallback: true });

        var local = Dump(proxy);
        Assert.Same(first, local);
        Assert.True(local.IsLocal);
        Assert.True(local.Standing is { Rule: null, IsUnsettled: false, Outcome: SocketOutcome.Unmanaged });
        // It was set before the proxy's end was seen.
        local.Standing.Remember(SocketMemory.OfAgent(new KeepaliveOptions(false, 7200, 75, 9), s_set));
        _watched.ComparedWith = null;
        Assert.True(Dump(proxy).Standing is { Rule: null, IsUnsettled: true });
        Assert.True(Dump().Standing is { IsUnsettled: true, Rule.IsFallback: true });

        TrackedSocket Dump(params SeenSocket[] others)
        {
            _watched.LocalEnds.Begin();
            _watched.Dumps++;
            var intake = new DumpIntake(_watched, context, _inherited, _workloads, _tracked.Add);
            intake.Take(application);
            foreach (var other in others)
            {
                intake.Take(in other);
            }
            _watched.LocalEnds.End(end => end == proxy.Local);
            intake.End();
            return _watched.Sockets.Single(socket => socket.Cookie == application.Cookie);
        }
    }

    /// <summary>Without the cluster's policies, the rule by which a socket was set is not known. Its values stay.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Take_FallbackBeforeThePoliciesAreComplete_KeepsWhatAnAgentHasSet(bool isInherited, bool isSelected)
    {
        if (isInherited)
        {
            _inherited[(1, 7)] = SocketMemory.OfAgent(new KeepaliveOptions(false, 7200, 75, 9), s_set);
        }
        var incomplete = _policy with { Policy = _policy.Policy.WithFallback(new KeepaliveSettings(240, 20, 4), ""), IsComplete = false };
        ref var standing = ref Take(Seen(s_elsewhere), policy: incomplete)!.Standing;
        Assert.Equal((isSelected, !isSelected), (standing.Rule is not null, standing.IsUndecided));
        Assert.NotNull(Take(Seen(s_elsewhere), policy: incomplete with { IsComplete = true })!.Standing.Rule);
    }

    void ISocketSink.BeginNamespace(ulong inode)
    {
    }

    void ISocketSink.Socket(in SocketRecord record) => _reported.Add(record);

    void ISocketSink.EndNamespace(ulong inode)
    {
    }

    void ISocketSink.NamespaceGone(ulong inode)
    {
    }

    private TrackedSocket Settled()
    {
        var socket = Take(Seen(s_there))!;
        socket.Standing.Settle(SocketOutcome.Managed);
        _watched.ComparedWith = _policy;
        return socket;
    }

    private TrackedSocket? Take(SeenSocket seen, SocketReading? reading = null, int pid = 0, PassScope? scope = null, PolicySnapshot? policy = null)
    {
        var intake = new DumpIntake(_watched, new PassContext(1, policy ?? _policy, scope ?? new PassScope(), this), _inherited, _workloads, _tracked.Add);
        var socket = intake.Take(in seen, in reading, pid);
        intake.End();
        return socket;
    }

    private static SeenSocket Seen(SocketEndpoint remote) =>
        new() { Cookie = 7, Local = s_here, Remote = remote, State = TcpState.Established, Idle = 1500, HasFile = true };

    private static SocketEndpoint IPv4(uint address, ushort port) => new((UInt128)0xFFFF_0000_0000 | address, port);
}
