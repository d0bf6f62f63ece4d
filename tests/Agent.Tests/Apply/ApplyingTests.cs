using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The rules of applying on real sockets of a process that knows nothing of it.</summary>
public sealed class ApplyingTests : IDisposable
{
    private const string Elsewhere = "10.77.9.9";

    private static readonly KeepaliveValues Untouched = new(false, 7200, 75, 9);

    private readonly Lab _lab;
    private readonly Rig _rig;
    private readonly int _port;

    public ApplyingTests()
    {
        Live.Require("tcpdump");
        _lab = new Lab();
        _lab.AddServerAddress(Elsewhere);
        _port = _lab.Server.Listen();
        _rig = new Rig(_lab.Client.NetnsPath);
    }

    [Theory]
    [InlineData(Lab.ServerAddress)]
    [InlineData(Lab.ServerAddress6)]
    [InlineData(Lab.ServerAddressMapped)]
    public void Pass_ConnectionToDestination_HasThePolicysValuesAndTimer(string address)
    {
        var ids = _lab.Client.ConnectMany(address, _port, 20);
        var other = _lab.Client.Connect(Elsewhere, _port);
        _rig.Policy = Rig.PolicyFor($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", PolicyText.GuideValues);
        _rig.Pass();
        for (var id = ids.First; id <= ids.Last; id++)
        {
            Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id));
            var seen = Ss.Read(_lab.Client, id);
            Assert.Equal("keepalive", seen.Timer);
            Assert.InRange(seen.TimeLeft.TotalSeconds, 640, 701);
        }
        Assert.Equal(Untouched, _lab.Client.Get(other));
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
    public void Pass_IdleForLongerThanTime_ProbesAtOnce(int? idleAlreadySet)
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        if (idleAlreadySet is { } idle)
        {
            _lab.Client.Set(id, HolderOption.Idle, idle);
        }
        var clock = System.Diagnostics.Stopwatch.StartNew();
        using var capture = new TcpdumpCapture(_lab.Client, Lab.ClientInterface, $"tcp port {_port}");
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(3.5), TimeSpan.FromSeconds(10));
        Assert.Equal(0, Nstat.Read(_lab.Client, Nstat.KeepaliveProbes));
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 3s, interval: 20s, probes: 5");
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
    public void Pass_IdleForHalfTheTime_ProbesAfterTheOtherHalf()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(8), TimeSpan.FromSeconds(15));
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 60s, interval: 10s, probes: 6");
        _rig.Pass();
        Assert.InRange(Ss.Read(_lab.Client, id).TimeLeft.TotalSeconds, 45, 52.5);
    }

    [Fact]
    public void Pass_ProbesUnanswered_NeverRewritesAndTheConnectionLivesItsFullTime()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 1s, interval: 2s, probes: 4");
        _rig.Pass();
        _lab.BlackHole();
        Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered >= 1, TimeSpan.FromSeconds(10), what: "a probe without an answer");
        var clock = System.Diagnostics.Stopwatch.StartNew();
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 1s, interval: 1s, probes: 9");
        var over = false;
        while (!over && clock.Elapsed < TimeSpan.FromSeconds(30))
        {
            // Far more often than an interval: each write of TCP_KEEPIDLE would be one more unanswered probe.
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
        // Four probes, two seconds apart; the first had gone when the clock was started.
        Assert.InRange(clock.Elapsed.TotalSeconds, 6.5, 10.5);
        Assert.Equal(4, Nstat.Read(_lab.Client, Nstat.KeepaliveProbes));
    }

    [Fact]
    public void Pass_ProbesAnsweredAgain_WritesWhatWasPutOff()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 1s, interval: 1s, probes: 50");
        _rig.Pass();
        _lab.BlackHole();
        Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered >= 1, TimeSpan.FromSeconds(10));
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
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
    public void Pass_ApplicationSetsItsOwnAfterwards_LeftAlone()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        _lab.Client.Set(id, HolderOption.Idle, 30);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 20s", existing: "replace");
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 30, 10, 20), _lab.Client.Get(id));
        Assert.Equal(SocketOutcome.Application, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        _rig.Restart();
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(new KeepaliveValues(true, 30, 10, 20), _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_DryRun_TellsAndChangesNothing()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass(new PassScope { Full = true, DryRun = true });
        var record = _rig.Records[_lab.Client.Cookie(id)];
        Assert.Equal(SocketOutcome.WouldApply, record.Outcome);
        Assert.False(record.Changed);
        Assert.Equal(new KeepaliveOptions(true, 700, 10, 20), record.Current);
        Assert.Equal(Untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_NothingChanged_DumpsNothing()
    {
        _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(0, _rig.Pass().NamespacesDumped);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(1, _rig.Pass().NamespacesDumped);
        Assert.True(_lab.Client.Get(id).On);
    }

    [Fact]
    public void Pass_DescriptorNumberUsedAgain_NewSocketIsFound()
    {
        var other = _lab.Client.Connect(Elsewhere, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Pass();
        var number = _lab.Client.Descriptor(other);
        _lab.Client.Close(other);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(number, _lab.Client.Descriptor(id));
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Client.Get(id));
    }

    [Fact]
    public void Pass_SecondProcessOfTheNamespace_ItsSocketsAreSet()
    {
        using var neighbour = _lab.Client.StartBeside();
        var id = neighbour.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), neighbour.Get(id));
    }

    [Fact]
    public void Pass_SocketHeldByAProcessThatLeftItsNamespace_IsFoundSoonAndSearchedForNoLonger()
    {
        using var stranger = _lab.Client.StartBeside();
        var id = stranger.Connect(Lab.ServerAddress, _port);
        stranger.Enter(_lab.Server);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(SocketOutcome.Unreachable, _rig.Records[stranger.Cookie(id)].Outcome);
        Assert.False(stranger.Get(id).On);
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), stranger.Get(id));
        Assert.Equal(0, _rig.Pass().NamespacesDumped);
    }

    [Fact]
    public void Pass_Spread_LongIdleBulkIsSetWithinTheTimeAndNotAtOnce()
    {
        var ids = _lab.Client.ConnectMany(Lab.ServerAddress, _port, 600);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(2.5), TimeSpan.FromSeconds(10));
        var fresh = _lab.Client.Connect(Lab.ServerAddress, _port);
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        clock.Restart();
        var summary = _rig.Pass(new PassScope { SpreadOver = TimeSpan.FromSeconds(2) });
        Assert.InRange(clock.Elapsed.TotalSeconds, 1.5, 4);
        Assert.InRange(summary.Waited.TotalSeconds, 1.5, 2.5);
        Assert.True(_lab.Client.Get(fresh).On);
        for (var id = ids.First; id <= ids.Last; id++)
        {
            Assert.True(_lab.Client.Get(id).On);
        }
    }

    [Fact]
    public void Pass_SideBoth_SetsAcceptedSocketsToo()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        using var server = new Rig(_lab.Server.NetnsPath);
        server.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        server.Pass();
        Assert.False(_lab.Server.Get(SocketId.Accepted(0)).On);
        server.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues, side: Keepalive.Config.Side.Both);
        server.Pass();
        Assert.Equal(new KeepaliveValues(true, 700, 10, 20), _lab.Server.Get(SocketId.Accepted(0)));
        Assert.Equal(Untouched, _lab.Client.Get(id));
    }

    public void Dispose()
    {
        _rig.Dispose();
        _lab.Dispose();
    }
}
