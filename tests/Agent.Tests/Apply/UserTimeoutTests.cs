using System.Diagnostics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The treatment of the application's TCP_USER_TIMEOUT, on real sockets.</summary>
public abstract class UserTimeoutTests : IDisposable
{
    // The probes take 10 s.
    private const string Values = "time: 2s, interval: 1s, probes: 8";
    private const int Covering = 10_000;
    private const int Short = 1_500;

    private static readonly KeepaliveValues s_set = new(true, 2, 1, 8);
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);

    private readonly Lab _lab;
    private readonly Rig _rig;
    private readonly int _port;

    private protected UserTimeoutTests(Func<DatapathFactory> create)
    {
        Live.Require();
        var datapath = create();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _rig = new Rig(_lab.Client.NetnsPath, datapath);
    }

    [Theory]
    [InlineData("keep", 0, true, 0)]
    [InlineData("keep", Short, true, Short)]
    [InlineData("raise", 0, true, 0)]
    [InlineData("raise", Short, true, Covering)]
    [InlineData("raise", 20_000, true, 20_000)]
    [InlineData("skip", 0, true, 0)]
    [InlineData("skip", Short, false, Short)]
    [InlineData("skip", Covering, true, Covering)]
    [InlineData("30s", 0, true, 30_000)]
    [InlineData("30s", Short, true, 30_000)]
    [InlineData("30s", 60_000, true, 30_000)]
    public void Pass_Choice_IsCarriedOutAndRestored(string choice, int before, bool isSet, int after)
    {
        var id = Connect(before);
        Apply(choice);
        Assert.Equal((isSet ? s_set : s_untouched, after), State(id));
        var record = _rig.Records[_lab.Client.Cookie(id)];
        Assert.Equal(isSet ? (SocketOutcome.Managed, null) : (SocketOutcome.Kept, FailureReasons.UserTimeout), (record.Outcome, record.Reason));
        Assert.Equal((after, after != before ? before : (int?)null), (record.UserTimeout, record.ReplacedUserTimeout));
        Assert.Equal(isSet && after == Short, record.HasShortUserTimeout);
        Assert.True(record.HasNewUserTimeout);
        Assert.DoesNotContain(_rig.AllOfNextPass(), one => one.Changed || one.HasNewUserTimeout);

        // The next agent knows what was found.
        _rig.Restart();
        Assert.DoesNotContain(_rig.AllOfNextPass(), one => one.Changed);
        Assert.Equal((isSet ? s_set : s_untouched, after), State(id));
        _rig.Restart();
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal((s_untouched, before), State(id));
    }

    /// <summary>Two probes are lost, and the peer answers again.</summary>
    [Theory]
    [InlineData("keep", true)]
    [InlineData("raise", false)]
    [InlineData("skip", false)]
    [InlineData("30s", false)]
    public void Outage_TwoProbesLost_OnlyAShortTimeoutEndsTheConnection(string choice, bool ends)
    {
        // On a busy machine the first probe may be sent before the peer is gone, or while it goes: then with another connection.
        var (id, answered) = CutOff(choice);
        for (var attempts = 1; Probes() != answered; attempts++)
        {
            Assert.InRange(attempts, 1, 9);
            _lab.Restore();
            _lab.Client.Abort(id);
            (id, answered) = CutOff(choice);
        }
        var clock = Stopwatch.StartNew();
        if (ends)
        {
            // The second probe's time. All of them would take 10 s.
            Eventually.True(() => IsOver(id), TimeSpan.FromSeconds(7));
        }
        else
        {
            Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(4.3), TimeSpan.FromSeconds(10));
            Assert.False(IsOver(id));
        }
        var lost = Probes() - answered;
        Assert.Equal(choice == "skip" ? 0 : ends ? 1 : Math.Max(2, lost), lost);
        _lab.Restore();
        if (!ends)
        {
            _lab.Client.Send(id, 1);
            Eventually.True(() => Ss.Read(_lab.Client, id) is { Timer: null or "keepalive", Unanswered: 0 }, TimeSpan.FromSeconds(5));
            Assert.False(IsOver(id));
        }
    }

    /// <summary>The peer is cut off while data is in flight: keepalive does not apply, the user timeout does.</summary>
    [Theory]
    [InlineData("keep", Short, 1.4, 4)]
    [InlineData("raise", Short, 9.8, 13.5)]
    [InlineData("skip", Short, 1.4, 4)]
    [InlineData("5s", 0, 4.8, 8)]
    public void DataInFlight_PeerCutOff_EndsAfterTheUserTimeout(string choice, int before, double least, double most)
    {
        var id = Connect(before);
        Apply(choice);
        _lab.BlackHole();
        _lab.Client.Send(id, 1);
        var clock = Stopwatch.StartNew();
        var probes = Probes();
        Eventually.True(() => IsOver(id), TimeSpan.FromSeconds(20));
        Assert.InRange(clock.Elapsed.TotalSeconds, least, most);
        Assert.Equal(probes, Probes());
    }

    [Fact]
    public void ApplicationChangesItLater_ItIsTheApplications()
    {
        var (raised, first) = (Connect(Short), Connect(0));
        Apply("raise");
        _lab.Client.Set(raised, HolderOption.UserTimeoutMilliseconds, 5_000);
        _lab.Client.Set(first, HolderOption.UserTimeoutMilliseconds, Short);
        Assert.DoesNotContain(_rig.AllOfNextPass(), one => one.Changed);
        Assert.Equal(((s_set, 5_000), (s_set, Short)), (State(raised), State(first)));
        Assert.True(_rig.Records[_lab.Client.Cookie(first)].HasShortUserTimeout);
        _rig.Restart();
        Apply("30s");
        Assert.Equal(((s_set, 5_000), (s_set, Short)), (State(raised), State(first)));
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(((s_untouched, 5_000), (s_untouched, Short)), (State(raised), State(first)));
    }

    [Theory]
    [InlineData("keep", true, Short)]
    [InlineData("skip", false, Short)]
    [InlineData("30s", true, 30_000)]
    public void PolicyChanges_WhatWasRaised_FollowsTheNewChoice(string next, bool isSet, int timeout)
    {
        var id = Connect(Short);
        Apply("raise");
        Assert.Equal((s_set, Covering), State(id));
        Apply(next);
        Assert.Equal((isSet ? s_set : s_untouched, timeout), State(id));
        Apply("raise");
        Assert.Equal((s_set, Covering), State(id));
    }

    [Fact]
    public void ApplicationShortensIt_SkipRestoresTheSocketAndSetsItAgain()
    {
        var id = Connect(0);
        Apply("skip");
        _lab.Client.Set(id, HolderOption.UserTimeoutMilliseconds, Short);
        _rig.Pass(new PassScope { Full = true });
        Assert.Equal((s_untouched, Short), State(id));
        _lab.Client.Set(id, HolderOption.UserTimeoutMilliseconds, 0);
        _rig.Pass(new PassScope { Full = true });
        Assert.Equal((s_set, 0), State(id));
    }

    [Fact]
    public void ProbesUnanswered_NothingIsWritten()
    {
        var id = Connect(60_000);
        Apply("keep");
        _lab.BlackHole();
        Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered >= 1, TimeSpan.FromSeconds(10));
        Apply("30s");
        Assert.Equal((s_set, 60_000), State(id));
        Assert.Equal(SocketOutcome.Deferred, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        _lab.Restore();
        Eventually.True(
            () =>
            {
                _rig.Pass();
                return State(id) == (s_set, 30_000);
            },
            TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void DryRun_OnlyTellsWhatWouldBeSet()
    {
        var id = Connect(Short);
        Apply("raise", dryRun: true);
        Assert.Equal((s_untouched, Short), State(id));
        var record = _rig.Records[_lab.Client.Cookie(id)];
        Assert.Equal((SocketOutcome.WouldApply, Covering, Short, Short), (record.Outcome, record.UserTimeout, record.ReplacedUserTimeout, record.ActualUserTimeout));
        Assert.Equal((new KeepaliveOptions(true, 2, 1, 8), new KeepaliveOptions(false, 7200, 75, 9)), (record.Current!.Value, record.Actual!.Value));
    }

    public void Dispose()
    {
        _rig.Dispose();
        _lab.Dispose();
        GC.SuppressFinalize(this);
    }

    private int Connect(int userTimeout)
    {
        _lab.Client.ConnectWithUserTimeout(userTimeout);
        return _lab.Client.Connect(Lab.ServerAddress, _port);
    }

    private void Apply(string choice, bool dryRun = false)
    {
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, Values, userTimeout: choice);
        _rig.Pass(new PassScope { DryRun = dryRun });
    }

    /// <summary>A connection with a short user timeout, whose peer is gone after the pass, and the number of probes that were sent before.</summary>
    private (int Id, long Probes) CutOff(string choice)
    {
        var id = Connect(Short);
        Apply(choice);
        var probes = Probes();
        _lab.BlackHole();
        return (id, probes);
    }

    private (KeepaliveValues Values, int UserTimeout) State(int id) => (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id));

    private bool IsOver(int id) => _lab.Client.PendingError(id).Over;

    private long Probes() => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
}

/// <summary>Through the descriptors of the applications.</summary>
public sealed class PidfdUserTimeoutTests() : UserTimeoutTests(() => Datapaths.Pidfd);

/// <summary>Through iterators in the kernel.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfUserTimeoutTests() : UserTimeoutTests(() => Datapaths.Bpf);
