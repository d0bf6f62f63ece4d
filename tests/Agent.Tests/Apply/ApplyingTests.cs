using System.Globalization;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.EndToEnd;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The rules of applying, on real sockets of a process that knows nothing of the agent.</summary>
public abstract class ApplyingTests : IDisposable
{
    private const string Elsewhere = "10.77.9.9";

    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);

    private readonly DatapathFactory _create;
    private readonly Lab _lab;
    private readonly Rig _rig;
    private readonly int _port;

    private protected ApplyingTests(Func<Lab, DatapathFactory> create)
    {
        Live.Require("tcpdump");
        _lab = new Lab();
        try
        {
            _lab.AddServerAddress(Elsewhere);
            _port = _lab.Server.Listen();
            _create = create(_lab);
            _rig = new Rig(_lab.Client.NetnsPath, _create);
        }
        catch
        {
            _lab.Dispose();
            throw;
        }
    }

    private protected Lab Lab => _lab;

    private protected Rig Rig => _rig;

    private protected int Port => _port;

    [Theory]
    [InlineData(Testbed.Lab.ServerAddress)]
    [InlineData(Testbed.Lab.ServerAddress6)]
    [InlineData(Testbed.Lab.ServerAddressMapped)]
    public void Pass_ConnectionToDestination_HasThePolicysValuesAndTimer(string address)
    {
        var ids = _lab.Client.ConnectMany(address, _port, 20);
        var other = _lab.Client.Connect(Elsewhere, _port);
        _rig.Policy = Apply.Rig.PolicyFor($"{Testbed.Lab.ServerAddress}, \"{Testbed.Lab.ServerAddress6}\"", PolicyText.GuideValues);
        _rig.Pass();
        for (var id = ids.First; id <= ids.Last; id++)
        {
            Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id));
            var seen = Ss.Read(_lab.Client, id);
            Assert.Equal("keepalive", seen.Timer);
            Assert.InRange(seen.TimeLeft.TotalSeconds, 640, 701);
        }
        Assert.Equal(s_untouched, _lab.Client.Get(other));
        Assert.Null(Ss.Read(_lab.Client, other).Timer);
        var record = _rig.Records[_lab.Client.Cookie(ids.First)];
        Assert.Equal(SocketOutcome.Managed, record.Outcome);
        Assert.True(record.Changed);
        Assert.Equal(new KeepaliveOptions(false, 7200, 75, 9), record.Found);
        Assert.Equal(_lab.Client.Pid, record.Pid);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(3)]
    public void Pass_IdleForLongerThanTime_ProbesImmediately(int? idleAlreadySet)
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        if (idleAlreadySet is { } idle)
        {
            _lab.Client.Set(id, HolderOption.Idle, idle);
        }
        var clock = System.Diagnostics.Stopwatch.StartNew();
        using var capture = new TcpdumpCapture(_lab.Client, Testbed.Lab.ClientInterface, $"tcp port {_port}");
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(3.5), TimeSpan.FromSeconds(10));
        Assert.Equal(0, Nstat.Read(_lab.Client, Nstat.KeepaliveProbes));
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 3s, interval: 20s, probes: 5");
        _rig.Pass();
        var applied = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        Eventually.True(() => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) == 1, TimeSpan.FromSeconds(1));
        Eventually.True(() => capture.Segments.Count >= 2, TimeSpan.FromSeconds(2));
        var segments = capture.Stop();
        Assert.Equal(2, segments.Count);
        Assert.Equal(_port, segments[0].Destination.Port);
        Assert.Equal((".", 0), (segments[0].Flags, segments[0].Length));
        Assert.InRange(segments[0].Time - applied, -0.5, 0.5);
        Assert.Equal(_port, segments[1].Source.Port);
    }

    [Fact]
    public void Pass_MultipathConnections_FailWithTheirReasonInEveryPass()
    {
        _lab.Server.SetMultipath(true);
        _lab.Client.SetMultipath(true);
        var port = _lab.Server.Listen();
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _lab.Client.Connect(Testbed.Lab.ServerAddress, port);
        _rig.Pass();
        Assert.Equal([FailureReasons.Multipath], Reasons());
        _lab.Client.Connect(Testbed.Lab.ServerAddress, port);
        for (var i = 0; i < 3; i++)
        {
            _rig.Pass();
            Assert.Equal([FailureReasons.Multipath, FailureReasons.Multipath], Reasons());
        }

        IEnumerable<string?> Reasons() => _rig.All.Where(record => record.Rule is not null).Select(record => record.Reason);
    }

    [Fact]
    public void Counts_SetRefusedAndRestored_CountEachOnce()
    {
        _lab.Server.SetMultipath(true);
        _lab.Client.SetMultipath(true);
        _lab.Client.Connect(Testbed.Lab.ServerAddress, _lab.Server.Listen());
        _lab.Server.SetMultipath(false);
        _lab.Client.SetMultipath(false);
        _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 20);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        for (var i = 0; i < 3; i++)
        {
            _rig.Pass(new PassScope { Full = true });   // each full pass tries the refused one again
        }
        Assert.Equal((20, 0), (_rig.Counts.Applied, _rig.Counts.Restored));
        Assert.Equal([(FailureReasons.Multipath, 1L)], _rig.Counts.Failures.Select(failure => (failure.Key, failure.Value)));
        Assert.Equal([("bookinfo/tcp-keepalive", (ulong)_lab.Client.NetnsInode, null, 20L)], _rig.Counts.TakeApplied());
        Assert.Empty(_rig.Counts.TakeApplied());

        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal((20, 20), (_rig.Counts.Applied, _rig.Counts.Restored));
    }

    [Fact]
    public void Pass_IdleForHalfTheTime_ProbesAfterTheOtherHalf()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(8), TimeSpan.FromSeconds(15));
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 60s, interval: 10s, probes: 6");
        _rig.Pass();
        Assert.InRange(Ss.Read(_lab.Client, id).TimeLeft.TotalSeconds, 45, 52.5);
    }

    [Fact]
    public void Pass_ProbesUnanswered_NeverRewritesAndTheConnectionLivesItsFullTime()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 1s, interval: 2s, probes: 4");
        _rig.Pass();
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var before = TimeSpan.Zero;
        _lab.BlackHole();
        Eventually.True(
            () =>
            {
                var now = clock.Elapsed;
                var isSent = Ss.Read(_lab.Client, id).Unanswered >= 1;
                before = isSent ? before : now;
                return isSent;
            },
            TimeSpan.FromSeconds(10),
            what: "a probe without an answer");
        var after = clock.Elapsed;
        // On a busy machine one may have been answered already.
        long sent, answered;
        do
        {
            sent = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
            answered = sent - Ss.Read(_lab.Client, id).Unanswered;
        }
        while (Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) != sent);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 1s, interval: 1s, probes: 9");
        var over = false;
        while (!over && clock.Elapsed < TimeSpan.FromSeconds(40))
        {
            // Far more often than an interval: each write of TCP_KEEPIDLE would cause one more unanswered probe.
            _rig.Pass(new PassScope { Full = true });
            var error = _lab.Client.PendingError(id);
            over = error.Over;
            if (!over)
            {
                Assert.Equal(new KeepaliveValues(true, 1, 2, 4), _lab.Client.Get(id));
            }
            else
            {
                Assert.Equal(110, error.Errno);
            }
        }
        // Four probes, two seconds apart. The first was sent between the two readings.
        Assert.InRange(clock.Elapsed.TotalSeconds, before.TotalSeconds + 7.5, after.TotalSeconds + 10.5);
        Assert.Equal(4 + answered, Nstat.Read(_lab.Client, Nstat.KeepaliveProbes));
    }

    [Fact]
    public void Pass_ProbesAnsweredAgain_WritesDeferredValues()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 1s, interval: 1s, probes: 50");
        _rig.Pass();
        _lab.BlackHole();
        Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered >= 1, TimeSpan.FromSeconds(10));
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(SocketOutcome.Deferred, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        _lab.Restore();
        Eventually.True(
            () =>
            {
                _rig.Pass();
                return _lab.Client.Get(id) == new KeepaliveValues(true, 700, 10, 20);
            },
            TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Pass_ApplicationSetsItsOwnAfterwards_IsNotChanged()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        _lab.Client.Set(id, HolderOption.Idle, 30);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 20s", existing: "replace");
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 30, 10, 20), _lab.Client.Get(id));
        Assert.Equal(SocketOutcome.Application, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        _rig.Restart();
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(new KeepaliveValues(true, 30, 10, 20), _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_SysctlsBeyondASocketsRange_StayOrAreRestoredAsFarAsPossible()
    {
        Assert.Equal(0, _lab.Client.Run("sysctl", "-qw", "net.ipv4.tcp_keepalive_time=100000", "net.ipv4.tcp_keepalive_intvl=40000").ExitCode);
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "");
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 100000, 40000, 9), _lab.Client.Get(id));
        Assert.Equal(SocketOutcome.Managed, _rig.Records[_lab.Client.Cookie(id)].Outcome);

        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id));

        _rig.Restart();
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(SocketOutcome.Restored, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        Assert.Equal(new KeepaliveValues(false, 32767, 32767, 9), _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_DryRun_ReportsAndChangesNothing()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass(new PassScope { Full = true, DryRun = true });
        var record = _rig.Records[_lab.Client.Cookie(id)];
        Assert.Equal(SocketOutcome.WouldApply, record.Outcome);
        Assert.False(record.Changed);
        Assert.Equal(new KeepaliveOptions(true, 700, 10, 20), record.Current);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_NothingChanged_DumpsNothing()
    {
        _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(0, _rig.Pass().NamespacesDumped);
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        Assert.Equal(1, _rig.Pass().NamespacesDumped);
        Assert.True(_lab.Client.Get(id).On);
    }

    [Fact]
    public void Pass_DescriptorNumberUsedAgain_NewSocketIsFound()
    {
        var other = _lab.Client.Connect(Elsewhere, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Pass();
        var number = _lab.Client.Descriptor(other);
        _lab.Client.Close(other);
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        Assert.Equal(number, _lab.Client.Descriptor(id));
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_SecondProcessOfTheNamespace_ItsSocketsAreSet()
    {
        using var neighbour = _lab.Client.StartBeside();
        var id = neighbour.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), neighbour.Get(id));
    }

    [Fact]
    public void Pass_SpreadAndProbesDue_IdleBulkIsSetWithinTheTimeInSlices()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 600);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(2.5), TimeSpan.FromSeconds(10));
        var fresh = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, "time: 2s, interval: 10s, probes: 20");
        clock.Restart();
        var summary = _rig.Pass(new PassScope { SpreadOver = TimeSpan.FromSeconds(2) });
        var took = clock.Elapsed.TotalSeconds;
        Assert.InRange(took, 1.8, 4);
        // The work of the slices is a part of the interval, and takes a good part of it on a busy machine.
        Assert.InRange(summary.Waited.TotalSeconds, 0.5, Math.Min(took, 2.5));
        Assert.True(_lab.Client.Get(fresh).On);
        for (var id = ids.First; id <= ids.Last; id++)
        {
            Assert.True(_lab.Client.Get(id).On);
        }
    }

    /// <summary>Regression: a successor waited a whole interval before it had set what was opened since its predecessor ended.</summary>
    [Fact]
    public void Pass_SpreadAndNoProbeDue_AllAreSetAtOnce()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 600);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(1.2), TimeSpan.FromSeconds(10));
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        Assert.Equal(TimeSpan.Zero, _rig.Pass(new PassScope { Full = true, SpreadOver = TimeSpan.FromSeconds(1) }).Waited);
        for (var id = ids.First; id <= ids.Last; id++)
        {
            Assert.True(_lab.Client.Get(id).On);
        }
    }

    [Fact]
    public void Pass_ManySockets_AreKnownToASuccessorAndRestored()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 300);
        for (var id = ids.First; id < ids.First + 20; id++)
        {
            _lab.Client.Set(id, HolderOption.Idle, 3000);
        }
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass(new PassScope { Full = true });
        Assert.All(Enumerable.Range(ids.First, 300), id => Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id)));

        _rig.Restart();
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(300, _rig.Counts.Restored);
        Assert.All(
            Enumerable.Range(ids.First, 300),
            id => Assert.Equal(id < ids.First + 20 ? s_untouched with { Idle = 3000 } : s_untouched, _lab.Client.Get(id)));
        _rig.Restart();
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(0, _rig.Counts.Restored);
    }

    [Fact]
    public void Pass_SideBoth_SetsAcceptedSocketsToo()
    {
        var id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        using var server = new Rig(_lab.Server.NetnsPath, _create);
        server.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        server.Pass();
        Assert.False(_lab.Server.Get(SocketId.Accepted(0)).On);
        server.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues, side: Keepalive.Config.Side.Both);
        server.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Server.Get(SocketId.Accepted(0)));
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Workload_UsersInANamespaceOfTheAdministrator_IsOfEachSocketsUser()
    {
        TestCgroup.AddToRoot(_lab.Client.Pid);
        using var one = _lab.Client.StartBesideAs(61001);
        using var other = _lab.Client.StartBesideAs(61002);
        TestCgroup.AddToRoot(one.Pid);
        TestCgroup.AddToRoot(other.Pid);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        (Holder Holder, string Address, string Expected)[] sockets =
        [
            (one, Testbed.Lab.ServerAddress, "uid:61001"), (other, Testbed.Lab.ServerAddress, "uid:61002"), (other, Elsewhere, "uid:61002"),
            (_lab.Client, Testbed.Lab.ServerAddress, "uid:0"), (_lab.Client, Elsewhere, "uid:0"),
        ];
        var cookies = sockets.Select(socket => socket.Holder.Cookie(socket.Holder.Connect(socket.Address, _port))).ToList();
        _rig.Pass();
        Assert.Equal(sockets.Select(socket => socket.Expected), cookies.Select(cookie => _rig.Records[cookie].Workload));
        BecomeManaged(_rig, cookies[0], cookies[1], cookies[3]);
        Assert.Same(_rig.Records[cookies[1]].Workload, _rig.Records[cookies[2]].Workload);
    }

    [Fact]
    public void Workload_OfScopes_IsTheScopeThatTheSocketWasMadeIn()
    {
        using var one = new TestCgroup(".scope");
        using var other = new TestCgroup(".scope");
        using var client = _lab.Client.StartBesideAs(61001);
        _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        one.Add(client.Pid);
        var first = client.Cookie(client.Connect(Testbed.Lab.ServerAddress, _port));
        other.Add(client.Pid);
        var second = client.Cookie(client.Connect(Testbed.Lab.ServerAddress, _port));
        var unmanaged = client.Cookie(client.Connect(Elsewhere, _port));
        _rig.Pass();
        Assert.Same(_rig.Records[second].Workload, _rig.Records[unmanaged].Workload);
        string[] expected = [$"unit:{one.Name}", $"unit:{other.Name}", $"unit:{other.Name}"];
        Assert.Equal(expected, new[] { first, second, unmanaged }.Select(cookie => _rig.Records[cookie].Workload));
        // The cgroup of the first socket is removed. The workload of the socket stays known.
        one.Dispose();
        _rig.Pass(new PassScope { Full = true });
        Assert.Equal(expected, new[] { first, second, unmanaged }.Select(cookie => _rig.Records[cookie].Workload));
    }

    [Fact]
    public void Workload_OfAUsersSessions_IsTheUser()
    {
        using var cgroup = new TestCgroup();
        var slice = Path.Combine(cgroup.Path, "user-61003.slice");
        string[] sessions = [Path.Combine(slice, "session-3.scope"), Path.Combine(slice, "session-4.scope")];
        using (var client = _lab.Client.StartBesideAs(61001))
        {
            _rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
            var cookies = new List<ulong>();
            foreach (var session in sessions)
            {
                Directory.CreateDirectory(session);
                File.WriteAllText(Path.Combine(session, "cgroup.procs"), $"{client.Pid}");
                cookies.Add(client.Cookie(client.Connect(Testbed.Lab.ServerAddress, _port)));
            }
            _rig.Pass();
            Assert.All(cookies, cookie => Assert.Equal("uid:61003", _rig.Records[cookie].Workload));
        }
        foreach (var directory in sessions.Append(slice))
        {
            Eventually.True(
                () =>
                {
                    try
                    {
                        Directory.Delete(directory);
                        return true;
                    }
                    catch (IOException)
                    {
                        return false;   // its last process is still ending
                    }
                },
                TimeSpan.FromSeconds(10));
        }
    }

    [Fact]
    public void Workload_InANamespaceThatAUserHasMade_IsThatUser()
    {
        using var owner = Holder.StartInNamespaceOf(61001);
        TestCgroup.AddToRoot(owner.Pid);
        using var guest = owner.StartBesideAs(61002);
        TestCgroup.AddToRoot(guest.Pid);
        var port = owner.Listen();
        var (own, others) = (owner.Cookie(owner.Connect("127.0.0.1", port)), guest.Cookie(guest.Connect("127.0.0.1", port)));
        using var rig = new Rig(owner.NetnsPath, _create) { Policy = Apply.Rig.PolicyFor("127.0.0.0/8", PolicyText.GuideValues) };
        rig.Pass();
        Assert.Equal(("uid:61001", "uid:61001"), (rig.Records[own].Workload, rig.Records[others].Workload));
        BecomeManaged(rig, own, others);
    }

    /// <summary>On a busy machine a pass has not the time for all processes of a user: the next one goes on.</summary>
    private static void BecomeManaged(Rig rig, params ulong[] cookies) => Eventually.True(
        () =>
        {
            rig.Pass(new PassScope { Full = true });
            return cookies.All(cookie => rig.Records[cookie].Outcome == SocketOutcome.Managed);
        },
        TimeSpan.FromSeconds(10));

    public virtual void Dispose()
    {
        _rig.Dispose();
        _lab.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>The rules, through duplicates of the applications' descriptors.</summary>
public sealed class PidfdApplyingTests() : ApplyingTests(_ => Datapaths.Pidfd)
{
    [Fact]
    public void Pass_SocketHeldByAProcessOutsideItsNamespace_IsFoundAndNotSearchedAgain()
    {
        using var stranger = Lab.Client.StartBeside();
        var id = stranger.Connect(Testbed.Lab.ServerAddress, Port);
        stranger.Enter(Lab.Server);
        Rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        Rig.Pass();
        Assert.Equal(SocketOutcome.Unreachable, Rig.Records[stranger.Cookie(id)].Outcome);
        Assert.False(stranger.Get(id).On);
        Rig.Pass();
        // On a busy machine one pass may not have time to search all processes. It reports the socket as pending, and the next pass
        // continues.
        for (int pass = 0; pass < 5 && Rig.Records[stranger.Cookie(id)].Outcome == SocketOutcome.Pending; pass++)
        {
            Rig.Pass();
        }
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), stranger.Get(id));
        Assert.Equal(0, Rig.Pass().NamespacesDumped);
    }

    /// <summary>Its connections get other numbers, the earlier numbers are used for other files, and it sets a value of its own.</summary>
    [Fact]
    public void Pass_OtherFilesUnderTheNumbersOfSockets_FindsTheSocketsAgain()
    {
        Live.Require("python3");
        var clock = new TestClock();
        using var rig = new Rig(Lab.Client.NetnsPath, (only, known, state) => new PidfdDatapath(Datapaths.Options(only, known, state) with { Time = clock }))
        {
            Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues),
        };
        using var tenant = Tenant.Beside(Lab.Client.NetnsPath, """
            import os, socket, sys, time
            values = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 700)
            connections = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(40)]
            print("ready")
            while not all(one.getsockopt(level, name) == value for one in connections for level, name, value in values):
                time.sleep(0.02)
            moved = [socket.socket(fileno=os.dup2(one.fileno(), 300 + i)) for i, one in enumerate(connections)]
            for one in connections:
                os.dup2(os.open("/dev/null", os.O_RDONLY), one.fileno())
            for one in moved:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5000)
            print("moved")
            time.sleep(600)
            """, Testbed.Lab.ServerAddress, Port.ToString(CultureInfo.InvariantCulture));
        rig.Pass();
        tenant.Run.WaitForLine(line => line == "moved");
        var found = new HashSet<ulong>();
        for (var pass = 0; pass < 12; pass++)
        {
            clock.Advance(TimeSpan.FromSeconds(5));
            rig.Pass();
            found.UnionWith(rig.All.Where(record => record is { Outcome: SocketOutcome.Application, Current.Time: 5000 } && record.Pid == tenant.Run.Pid).Select(record => record.Cookie));
        }

        Assert.Equal(40, found.Count);
    }
}

/// <summary>The rules, through iterators in the kernel.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfApplyingTests() : ApplyingTests(_ => Datapaths.Bpf)
{
    [Fact]
    public void Pass_ThirtyThousandChanged_EachIsReportedOnceWithItsOriginals()
    {
        const int connections = 15_000;
        using var client = Holder.StartInNewNamespace();
        using var server = client.StartBeside();
        client.ConnectMany("127.0.0.1", server.Listen("127.0.0.1"), connections);
        Eventually.True(() => server.Count().Accepted == connections, TimeSpan.FromSeconds(20));
        using var rig = new Rig(client.NetnsPath, Datapaths.Bpf) { Policy = Apply.Rig.PolicyFor("127.0.0.0/8", PolicyText.GuideValues) };
        rig.Pass();
        var changed = rig.All.Where(record => record.Changed).ToList();
        Assert.Equal(2 * connections, changed.Count);
        Assert.Equal(2 * connections, changed.Select(record => record.Cookie).Distinct().Count());
        Assert.All(changed, record => Assert.Equal(
            (new KeepaliveOptions(false, 7200, 75, 9), new KeepaliveOptions(true, 700, 10, 20), SocketOutcome.Managed),
            (record.Replaced!.Value, record.Current!.Value, record.Outcome)));
        Assert.Equal(2 * connections, Ss.Read(client).Count(socket => socket.Timer == "keepalive"));
        rig.Pass(new PassScope { Full = true });
        Assert.DoesNotContain(rig.All, record => record.Changed);
        Assert.Equal(2 * connections, rig.All.Count(record => record.Outcome == SocketOutcome.Managed));
    }

    [Fact]
    public void Pass_ApplicationChangesItsValues_IsNoticedWithinTheAuditsPeriod()
    {
        var clock = new TestClock();
        using var rig = RigWith(clock);
        var id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        rig.Pass();
        // A namespace's second dump comes after a part of the period that depends on its inode number.
        rig.Pass(new PassScope { Full = true });
        Assert.Equal(0, rig.Pass().NamespacesDumped);
        Lab.Client.Set(id, HolderOption.Count, 5);
        clock.Advance(TimeSpan.FromSeconds(49));
        Assert.Equal(0, rig.Pass().NamespacesDumped);
        clock.Advance(TimeSpan.FromSeconds(2));
        // A pass looks at a share of the node's descriptors, which are many when other tests run.
        Assert.Equal(1, Enumerable.Range(0, 100).Select(_ => rig.Pass().NamespacesDumped).FirstOrDefault(dumped => dumped > 0));
        Assert.Equal(SocketOutcome.Application, rig.Records[Lab.Client.Cookie(id)].Outcome);
        // A change that was noticed once is no reason for another dump.
        clock.Advance(TimeSpan.FromSeconds(51));
        Assert.Equal(0, Enumerable.Range(0, 20).Sum(_ => rig.Pass().NamespacesDumped));
    }

    [Fact]
    public void Pass_ApplicationChangesItsValuesAfterAReading_IsNoticedWithinAPeriodOfIt()
    {
        var clock = new TestClock();
        using var rig = RigWith(clock);
        var id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        rig.Pass();
        rig.Pass(new PassScope { Full = true });
        clock.Advance(TimeSpan.FromSeconds(10));
        Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        Assert.Equal(1, rig.Pass().NamespacesDumped);
        Lab.Client.Set(id, HolderOption.Count, 5);
        clock.Advance(TimeSpan.FromSeconds(49));
        // A walk over all descriptors would find it by now; the reading was enough until here.
        Assert.Equal(0, Enumerable.Range(0, 20).Sum(_ => rig.Pass().NamespacesDumped));
        clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(1, Enumerable.Range(0, 100).Select(_ => rig.Pass().NamespacesDumped).FirstOrDefault(dumped => dumped > 0));
        Assert.Equal(SocketOutcome.Application, rig.Records[Lab.Client.Cookie(id)].Outcome);
    }

    private Rig RigWith(TimeProvider clock) => new(
        Lab.Client.NetnsPath, (only, known, state) => new BpfDatapath(Datapaths.Options(only, known, state) with { Time = clock }, Datapaths.Kernel, cgroup: null))
    {
        Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues),
    };

    [Fact]
    public void Pass_ValueSetToTheSysctls_DiffersFromAnUnsetOne()
    {
        var id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        Lab.Client.Set(id, HolderOption.Interval, 75);
        Rig.Pass();
        var record = Rig.Records[Lab.Client.Cookie(id)];
        Assert.Equal(new KeepaliveOptions(false, 7200, 75, 9), record.Current);
        Assert.Equal(OwnValues.Known | OwnValues.Interval, record.Own);
    }

    [Fact]
    public void Pass_SocketHeldByAProcessOutsideItsNamespace_IsSet()
    {
        using var stranger = Lab.Client.StartBeside();
        var id = stranger.Connect(Testbed.Lab.ServerAddress, Port);
        stranger.Enter(Lab.Server);
        Rig.Policy = Apply.Rig.PolicyFor(Testbed.Lab.ServerAddress, PolicyText.GuideValues);
        Rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), stranger.Get(id));
        Assert.Equal(stranger.Pid, Rig.Records[stranger.Cookie(id)].Pid);
    }
}
