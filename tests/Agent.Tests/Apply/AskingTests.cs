using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Tests that make sockets of real connections send a probe before their time.</summary>
public abstract class AskingTests : IDisposable
{
    private const string Elsewhere = "10.77.9.9";
    private const string Values = "time: 8s, interval: 3s, probes: 4";

    private static readonly KeepaliveValues s_set = new(true, 8, 3, 4);

    private readonly DatapathFactory _create;
    private readonly Lab _lab;
    private readonly int _port;

    private protected AskingTests(Func<DatapathFactory> create)
    {
        Live.Require("tcpdump");
        _create = create();
        _lab = new Lab();
        _lab.AddServerAddress(Elsewhere);
        _port = _lab.Server.Listen();
    }

    [Fact]
    public void Ask_IdleConnection_SendsOneProbeAndTheNextAtItsTime()
    {
        using var rig = Start(out var id, out var clock);
        using var capture = new TcpdumpCapture(_lab.Client, Lab.ClientInterface, $"tcp port {_port}");
        BeIdle(clock, 1.5);
        var before = clock.Elapsed;
        var summary = rig.Pass(Asking(id));
        Assert.Equal((1, 0), (summary.Asked, summary.NotAsked));
        Assert.Equal(1, Probes());
        Assert.Equal(s_set, _lab.Client.Get(id));
        var record = rig.Records[_lab.Client.Cookie(id)];
        Assert.Equal((true, false, SocketOutcome.Managed), (record.Asked, record.Changed, record.Outcome));
        Assert.Equal(new KeepaliveOptions(true, 8, 3, 4), record.Current);
        Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered == 0, TimeSpan.FromSeconds(5));
        var left = Ss.Read(_lab.Client, id).TimeLeft;
        Assert.InRange(left.TotalSeconds, (TimeSpan.FromSeconds(7.5) - (clock.Elapsed - before)).TotalSeconds, 8.1);
        Eventually.True(() => Probes() == 2, TimeSpan.FromSeconds(20));
        // The times on the wire: on a busy machine the test may look late.
        Eventually.True(() => Sent(capture).Count == 2, TimeSpan.FromSeconds(10));
        Assert.InRange(Sent(capture)[1] - Sent(capture)[0], 7.5, 9.5);
        capture.Stop();
        Assert.Equal(2, Sent(capture).Count);
        // The next pass has nothing left to do.
        rig.Pass(new PassScope { Full = true });
        Assert.False(rig.Records[_lab.Client.Cookie(id)].Asked);
        Assert.DoesNotContain(rig.All, one => one.Changed);
    }

    /// <summary>A user timeout that does not cut the probes short is no reason not to ask: 8 s + 4 × 3 s is 20 s.</summary>
    [Theory]
    [InlineData("30s", 0, 30_000, 1)]
    [InlineData("raise", 1_000, 20_000, 1)]
    [InlineData("keep", 19_000, 19_000, 0)]
    public void Ask_UserTimeout_OnlyAShortOneForbidsIt(string choice, int before, int timeout, int asked)
    {
        _lab.Client.ConnectWithUserTimeout(before);
        using var rig = new Rig(_lab.Client.NetnsPath, _create) { Policy = Rig.PolicyFor(Lab.ServerAddress, Values, userTimeout: choice) };
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        rig.Pass();
        BeIdle(clock, 1.5);
        Assert.Equal(asked, rig.Pass(Asking(id)).Asked);
        Assert.Equal((asked, s_set, timeout), (Probes(), _lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        // The state file still has the user timeout that was found.
        rig.Restart();
        rig.Policy = PolicySnapshot.Empty;
        rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(before, _lab.Client.GetUserTimeout(id));
    }

    [Fact]
    public void Ask_PeerCutOff_OneProbeIsUnansweredAndTheNextComesAtItsTime()
    {
        using var capture = new TcpdumpCapture(_lab.Client, Lab.ClientInterface, $"tcp dst port {_port} and not tcp[tcpflags] & tcp-syn != 0");
        using var rig = Start(out var id, out var clock);
        _lab.BlackHole();
        BeIdle(clock, 1.5);
        Assert.Equal(1, rig.Pass(Asking(id)).Asked);
        Assert.Equal(s_set, _lab.Client.Get(id));
        Assert.Equal((true, 1), (rig.Records[_lab.Client.Cookie(id)].Asked, rig.Records[_lab.Client.Cookie(id)].Unanswered));
        Assert.Equal(1, Ss.Read(_lab.Client, id).Unanswered);
        // It is not asked again while that probe is unanswered.
        Assert.Equal(0, rig.Pass(Asking(id)).Asked);
        Eventually.True(() => Probes() > 1 || clock.Elapsed > TimeSpan.FromSeconds(7.3), TimeSpan.FromSeconds(10));
        Assert.Equal(1, Probes());
        // The end of the handshake, the asking, and the probe that the kernel sends when nothing has been heard for the idle time.
        Eventually.True(() => Sent(capture).Count >= 3, TimeSpan.FromSeconds(20));
        Assert.InRange(Sent(capture)[2] - Sent(capture)[0], 7.5, 9.5);
        Assert.Equal(s_set, _lab.Client.Get(id));
    }

    [Theory]
    [InlineData("heard of a moment ago")]
    [InlineData("one probe")]
    [InlineData("user timeout")]
    [InlineData("data in flight")]
    [InlineData("no rule")]
    [InlineData("the application's own values")]
    [InlineData("values changed since")]
    [InlineData("unanswered")]
    [InlineData("near its own time")]
    [InlineData("dry run")]
    [InlineData("only pass")]
    public void Ask_NotOneToBeAsked_NothingIsSent(string why)
    {
        var values = why switch { "one probe" => "time: 8s, interval: 3s, probes: 1", "unanswered" or "near its own time" => "time: 4s, interval: 3s, probes: 9", _ => Values };
        var (time, wasWritten) = (new InterruptedClock(), false);
        using var rig = Start(
            out var id,
            out var clock,
            values,
            why == "no rule" ? Elsewhere : Lab.ServerAddress,
            prepare: id =>
            {
                if (why == "the application's own values")
                {
                    _lab.Client.EnableKeepalive(id, idle: 6);
                }
            },
            time);
        switch (why)
        {
            case "user timeout":
                _lab.Client.Set(id, HolderOption.UserTimeoutMilliseconds, 60_000);
                break;
            case "data in flight":
                _lab.BlackHole();
                _lab.Client.Send(id, 1);
                break;
            case "values changed since":
                _lab.Client.Set(id, HolderOption.Interval, 5);
                break;
            case "unanswered":
                _lab.BlackHole();
                Eventually.True(() => Ss.Read(_lab.Client, id).Unanswered == 1, TimeSpan.FromSeconds(10));
                break;
        }
        BeIdle(clock, why switch { "heard of a moment ago" => 0, "near its own time" => 2.3, _ => 1.5 });
        var (before, had) = (Probes(), _lab.Client.Get(id));
        var scope = Asking(id) with { DryRun = why == "dry run", Only = why == "only pass" };
        time.Interrupt(() => _lab.Client.Get(id).Idle == 1, () => wasWritten = true);
        Assert.Equal(0, rig.Pass(scope).Asked);
        Assert.False(wasWritten);
        Assert.DoesNotContain(rig.All, record => record.Asked);
        Assert.Equal((before, had), (Probes(), _lab.Client.Get(id)));
    }

    [Fact]
    public void Ask_MoreThanAPassAsks_TheOthersAreToldAndAskedLater()
    {
        const int most = Agent.Apply.Tracking.Asking.Most, connections = most + 40;
        using var rig = new Rig(_lab.Client.NetnsPath, _create) { Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 30s, interval: 3s, probes: 4") };
        var (first, last) = _lab.Client.ConnectMany(Lab.ServerAddress, _port, connections);
        rig.Pass();
        BeIdle(System.Diagnostics.Stopwatch.StartNew(), 1.5);
        var wanted = Enumerable.Range(first, last - first + 1).Select(id => _lab.Client.Cookie(id)).ToHashSet();
        var summary = rig.Pass(Ask(wanted));
        Assert.Equal((most, 40), (summary.Asked, summary.NotAsked));
        Assert.Equal(most, Probes());
        wanted.ExceptWith(rig.All.Where(record => record.Asked).Select(record => record.Cookie));
        Assert.Equal(40, wanted.Count);
        summary = rig.Pass(Ask(wanted));
        Assert.Equal((40, 0), (summary.Asked, summary.NotAsked));
        Assert.Equal(connections, Probes());
        Assert.All(Enumerable.Range(first, connections), id => Assert.Equal(new KeepaliveValues(true, 30, 3, 4), _lab.Client.Get(id)));
    }

    /// <summary>The policy of the next agent, and the values that the socket then has.</summary>
    public static TheoryData<string, bool, int> Successors => new() { { "the same policy", true, 8 }, { "no policy", false, 7200 }, { "undecided", true, 8 } };

    [Theory]
    [MemberData(nameof(Successors))]
    public void Ask_KilledInBetween_TheNextAgentSetsItRight(string policy, bool on, int time)
    {
        var clock = new InterruptedClock();
        using var rig = Start(out var id, out var since, clock: clock);
        BeIdle(since, 1.5);
        clock.Interrupt(() => _lab.Client.Get(id).Idle == 1, static () => throw new OperationCanceledException("killed"));
        Assert.Throws<OperationCanceledException>(() => rig.Pass(Asking(id)));
        Assert.Equal(s_set with { Idle = 1 }, _lab.Client.Get(id));
        rig.Restart();
        rig.Policy = policy switch { "no policy" => PolicySnapshot.Empty, "undecided" => PolicySnapshot.Undecided, _ => rig.Policy };
        Eventually.True(
            () =>
            {
                rig.Pass(new PassScope { Full = true });   // a probe of its own may be unanswered for a moment
                return _lab.Client.Get(id) is var now && (now.On, now.Idle) == (on, time);
            },
            TimeSpan.FromSeconds(5));
        Assert.DoesNotContain(rig.All, record => record.Outcome == SocketOutcome.Application);
        // The agent after that restores the application's values.
        rig.Restart();
        rig.Policy = PolicySnapshot.Empty;
        rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), _lab.Client.Get(id));
    }

    [Fact]
    public void Ask_ApplicationSetsItsOwnInBetween_ItsValueStays()
    {
        var clock = new InterruptedClock();
        using var rig = Start(out var id, out var since, clock: clock);
        BeIdle(since, 1.5);
        clock.Interrupt(() => _lab.Client.Get(id).Idle == 1, () => _lab.Client.Set(id, HolderOption.Idle, 30));
        rig.Pass(Asking(id));
        Assert.Equal(30, _lab.Client.Get(id).Idle);
        rig.Pass();
        Assert.Equal(SocketOutcome.Application, rig.Records[_lab.Client.Cookie(id)].Outcome);
        Assert.Equal(30, _lab.Client.Get(id).Idle);
    }

    [Fact]
    public void Ask_ProcessEndsInBetween_IsNormalLife()
    {
        var clock = new InterruptedClock();
        using var rig = Start(out var id, out var since, clock: clock);
        var other = _lab.Client.StartBeside();
        var others = other.Connect(Lab.ServerAddress, _port);
        rig.Pass();
        BeIdle(System.Diagnostics.Stopwatch.StartNew(), 1.5);
        var cookie = other.Cookie(others);
        clock.Interrupt(() => other.Get(others).Idle == 1, other.Kill);
        var summary = rig.Pass(Ask([cookie, _lab.Client.Cookie(id)]));
        Assert.InRange(summary.Asked, 1, 2);
        Assert.True(rig.Records[_lab.Client.Cookie(id)].Asked);
        Assert.Equal(s_set, _lab.Client.Get(id));
        rig.Pass();
        Assert.DoesNotContain(rig.All, record => record.Cookie == cookie);
        other.Dispose();
    }

    public void Dispose()
    {
        Datapaths.Clock.Value = null;
        _lab.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Starts with one connection that a pass has set. <paramref name="since"/> started when the connection last received
    /// something.</summary>
    private Rig Start(
        out int id, out System.Diagnostics.Stopwatch since, string values = Values, string address = Lab.ServerAddress, Action<int>? prepare = null, TimeProvider? clock = null)
    {
        Datapaths.Clock.Value = clock;
        var rig = new Rig(_lab.Client.NetnsPath, _create) { Policy = Rig.PolicyFor(Lab.ServerAddress, values) };
        id = _lab.Client.Connect(address, _port);
        since = System.Diagnostics.Stopwatch.StartNew();
        prepare?.Invoke(id);
        rig.Pass();
        return rig;
    }

    private long Probes() => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);

    private PassScope Asking(int id) => Ask([_lab.Client.Cookie(id)]);

    private PassScope Ask(IEnumerable<ulong> cookies) =>
        new() { Ask = new Dictionary<ulong, IReadOnlySet<ulong>> { [(ulong)_lab.Client.NetnsInode] = cookies.ToHashSet() } };

    /// <summary>When segments were sent to the server, in seconds since 1970.</summary>
    private List<double> Sent(TcpdumpCapture capture) =>
        [.. capture.Segments.Where(segment => segment.Destination.Port == _port).Select(segment => segment.Time)];

    private static void BeIdle(System.Diagnostics.Stopwatch since, double seconds) =>
        Eventually.True(() => since.Elapsed.TotalSeconds > seconds, TimeSpan.FromSeconds(10));

    /// <summary>The system's clock, with an interruption: when it is read and a condition is true, it runs an action once.</summary>
    private sealed class InterruptedClock : TimeProvider
    {
        private (Func<bool> When, Action What)? _interruption;

        public void Interrupt(Func<bool> when, Action what) => _interruption = (when, what);

        public override long GetTimestamp()
        {
            if (_interruption is { } interruption && interruption.When())
            {
                _interruption = null;
                interruption.What();
            }
            return base.GetTimestamp();
        }
    }
}

/// <summary>Asks sockets through the descriptors of the applications.</summary>
public sealed class PidfdAskingTests() : AskingTests(() => Datapaths.Pidfd);

/// <summary>Asks sockets through iterators in the kernel.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfAskingTests() : AskingTests(() => Datapaths.Bpf);
