using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A running agent's reports about connections and endpoints, compared with the kernel.</summary>
public sealed partial class LivenessTests : IDisposable
{
    private const int TimedOut = 110;

    private static readonly TimeSpan s_scheduling = TimeSpan.FromSeconds(1);

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;
    private readonly string _address = AgentHttp.FreeAddress();
    private readonly AgentHttp _http;
    private TestCgroup? _cgroup;

    public LivenessTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _http = new AgentHttp(_address);
    }

    [Fact]
    public void Run_HundredConnectionsProbingFor20Seconds_CountsWhatTheKernelCounts()
    {
        // The ring holds more than two seconds of these probes. A machine that stalls for longer loses some, as the agent itself reports.
        // Then there is nothing to compare with, and the test measures again.
        for (var attempt = 1; !CountsWhatTheKernelCounts(); attempt++)
        {
            Assert.True(attempt < 3, "packets dropped every time");
        }
    }

    /// <summary>False when the kernel dropped packets.</summary>
    private bool CountsWhatTheKernelCounts()
    {
        WritePolicy(probes: 9);
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 40);
        _lab.Client.ConnectMany(Lab.ServerAddress6, _port, 40);
        _lab.Client.ConnectMany(Lab.ServerAddressMapped, _port, 20);
        long before = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
        var run = Start();

        // A second idle and the agent's start, then 100 probes a second.
        Eventually.True(
            () => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) - before >= 1800, notBefore: TimeSpan.FromSeconds(15), notAfter: TimeSpan.FromSeconds(40));
        var hasDropped = Sum("keepalive_capture_dropped_total") > 0;
        _lab.Client.CloseAll();
        if (hasDropped)
        {
            run.Kill();
            run.WaitForExit();
            return false;
        }
        long kernel = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) - before;

        Eventually.Value(() => Sum("keepalive_probes_total"), probes => probes >= kernel, TimeSpan.FromSeconds(5));
        Eventually.Remains(() => Sum("keepalive_probes_total") == kernel, TimeSpan.FromSeconds(1));
        Assert.Equal(kernel, Sum("keepalive_probe_replies_total"));
        Assert.Equal(kernel, Sum("keepalive_probe_rtt_seconds_count"));
        Assert.Equal(0, Sum("keepalive_probes_unanswered_total"));
        Assert.InRange(Sum("keepalive_capture_packets_total"), 2 * kernel, (2 * kernel) + 1000);
        Assert.Equal(kernel, Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) - before);
        Assert.True(Sum("keepalive_connections_dead_total") == 0, run.Error);
        return true;
    }

    /// <summary>The ring holds a few hundred packets. Lost packets are unknown: they are counted neither as unanswered probes nor as a
    /// death.</summary>
    [Fact]
    public void Run_MorePacketsThanTheRingHolds_NoneCountAsUnanswered()
    {
        const int many = 300;
        WritePolicy(probes: 2);
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, many);
        var run = Start();
        Eventually.True(() => Sum("keepalive_probe_replies_total") >= many, TimeSpan.FromSeconds(15));

        for (var round = 0; round < 3; round++)
        {
            run.Signal("STOP");
            long before = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
            Eventually.True(() => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) - before >= 3 * many, TimeSpan.FromSeconds(15));
            run.Signal("CONT");
            var replies = Sum("keepalive_probe_replies_total");
            Eventually.True(() => Sum("keepalive_probe_replies_total") >= replies + many, TimeSpan.FromSeconds(15));
        }

        Assert.True(Sum("keepalive_capture_dropped_total") > many, "nothing was dropped");
        Assert.Equal(0, Sum("keepalive_probes_unanswered_total"));
        Assert.Equal(0, Sum("keepalive_connections_dead_total"));
        Assert.Equal(1, InPool(Lab.ServerAddress));

        // Unanswered probes are counted again.
        _lab.BlackHole(Lab.ServerAddress);
        Eventually.True(() => Sum("keepalive_connections_dead_total", "cause=\"probes\"") == many, TimeSpan.FromSeconds(20));
        Assert.Equal(2 * many, Sum("keepalive_probes_unanswered_total"));
    }

    [Theory]
    [InlineData("on", 1, false)]
    [InlineData("off", 2, false)]
    [InlineData("on", 1, true)]
    [InlineData("off", 2, true)]
    public void Run_PeerGone_ConnectionDiesWithTheKernelsAndEndpointLeavesThePoolUntilItAnswers(string capture, int intervals, bool bpf)
    {
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        WritePolicy(probes: 3);
        int lost = _lab.Client.Connect(Lab.ServerAddress, _port);
        int kept = _lab.Client.Connect(Lab.ServerAddress6, _port);
        var run = Start("--capture", capture);
        Eventually.True(() => _lab.Client.Get(lost).On && _lab.Client.Get(kept).On, TimeSpan.FromSeconds(10));
        Assert.Equal((1, 1), (InPool(Lab.ServerAddress), InPool($"[{Lab.ServerAddress6}]")));
        var local = _lab.Client.LocalEndPoint(lost);

        _lab.BlackHole(Lab.ServerAddress);
        // At most a second until the next probe, then three intervals of a second and the timer's lateness.
        var alive = DateTime.UtcNow;
        Eventually.True(
            () =>
            {
                var now = DateTime.UtcNow;
                bool isOver = _lab.Client.PendingError(lost) == (TimedOut, true);
                alive = isOver ? alive : now;
                return isOver;
            },
            notBefore: TimeSpan.FromSeconds(2),
            notAfter: TimeSpan.FromSeconds(10));
        var kernel = DateTime.UtcNow;
        string dead = run.WaitForLine(line => line.Contains($"Dead {local} ", StringComparison.Ordinal), TimeSpan.FromSeconds(10));

        Assert.Contains("3 probes unanswered", dead, StringComparison.Ordinal);
        Assert.InRange(LoggedAt(dead), alive - s_scheduling, kernel + (intervals * s_scheduling));
        _http.WithinPasses(1, () => InPool(Lab.ServerAddress) == 0);
        Assert.Equal(1, InPool($"[{Lab.ServerAddress6}]"));
        Assert.Equal(1, Sum("keepalive_connections_dead_total", "cause=\"probes\""));
        Assert.Equal(0, _lab.Client.PendingError(kept).Errno);

        _lab.Restore();
        Eventually.Remains(() => InPool(Lab.ServerAddress) == 0, TimeSpan.FromSeconds(1));
        _lab.Client.Connect(Lab.ServerAddress, _port);

        Eventually.True(() => InPool(Lab.ServerAddress) == 1, TimeSpan.FromSeconds(5));
        run.WaitForLine(line => line.Contains("is back in the pool", StringComparison.Ordinal));
    }

    /// <summary>The kernel does not count probes then: the first lost one is the last.</summary>
    [Theory]
    [InlineData("on", false)]
    [InlineData("off", false)]
    [InlineData("on", true)]
    [InlineData("off", true)]
    public void Run_UserTimeoutTooShort_IsReportedAndTheFirstLostProbeIsADeath(string capture, bool bpf)
    {
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, "time: 2s, interval: 1s, probes: 6"));
        _lab.Client.ConnectWithUserTimeout(1_500);
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start("--capture", capture);
        Eventually.True(() => _lab.Client.Get(id).On, TimeSpan.FromSeconds(10));
        var warning = AgentProcess.WaitForEvent(run, 26);
        Assert.Contains("its TCP_USER_TIMEOUT of 1500ms ends it after 1 lost probe in a row, not 6, because time + interval × probes is 8s; policy ", warning, StringComparison.Ordinal);
        Assert.Equal(1, Sum("keepalive_short_user_timeouts", "policy=\"bookinfo/tcp-keepalive\""));
        var local = _lab.Client.LocalEndPoint(id);

        _lab.BlackHole(Lab.ServerAddress);
        // At most two seconds until the next probe, an interval, and the timers' lateness.
        Eventually.True(() => _lab.Client.PendingError(id) == (TimedOut, true), notBefore: TimeSpan.FromSeconds(0.5), notAfter: TimeSpan.FromSeconds(5));
        var dead = run.WaitForLine(line => line.Contains($"Dead {local} ", StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        Assert.Contains("1 probe unanswered, and its TCP_USER_TIMEOUT of 1500ms allows no more", dead, StringComparison.Ordinal);
        Assert.Equal(1, Sum("keepalive_connections_dead_total", "cause=\"probes\""));
        _http.WithinPasses(1, () => InPool(Lab.ServerAddress) == 0);
        Eventually.True(() => Sum("keepalive_short_user_timeouts") == 0, TimeSpan.FromSeconds(5));
    }

    /// <summary>No device sees these probes: only the kernel counts them. The new connection brings the endpoint back before its first
    /// probe.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Run_ProbesThatReachNoDevice_ConnectionDiesAndEndpointLeavesThePoolUntilItAnswers(bool bpf)
    {
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For($"{Lab.ServerAddress}", "time: 10s, interval: 1s, probes: 3"));
        var lost = _lab.Client.ConnectMany(Lab.ServerAddress, _port, 3);
        long before = Nstat.Read(_lab.Client, Nstat.KeepaliveProbes);
        var run = Start("--capture", "on");
        Eventually.True(() => _lab.Client.Get(lost.First).On, TimeSpan.FromSeconds(10));

        _lab.Client.Run("ip", "route", "add", "blackhole", Lab.ServerAddress + "/32");
        Eventually.True(() => _lab.Client.PendingError(lost.First).Errno != 0, notBefore: TimeSpan.FromSeconds(5), notAfter: TimeSpan.FromSeconds(30));
        _http.WithinPasses(1, () => InPool(Lab.ServerAddress) == 0);
        _http.WithinPasses(1, () => Sum("keepalive_connections_dead_total", "cause=\"probes\"") == 3);
        Assert.Equal(Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) - before, Sum("keepalive_probes_total"));

        _lab.Client.Run("ip", "route", "del", "blackhole", Lab.ServerAddress + "/32");
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => InPool(Lab.ServerAddress) == 1, TimeSpan.FromSeconds(5));
        run.WaitForLine(line => line.Contains("is back in the pool", StringComparison.Ordinal));
    }

    /// <summary>Connections that move to an interface that the agent has not seen yet.</summary>
    [Fact]
    public void Run_ConnectionMovesToANewInterface_IsCapturedThere()
    {
        WritePolicy(probes: 9);
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Start();
        Eventually.True(() => Sum("keepalive_probe_replies_total") >= 2, TimeSpan.FromSeconds(15));

        _lab.MoveToNewLink("c1", "s1");
        Eventually.True(() => PacketSockets(_lab.Client) == 2, TimeSpan.FromSeconds(20));
        var replies = Sum("keepalive_probe_replies_total");
        Eventually.True(() => Sum("keepalive_probe_replies_total") >= replies + 2, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Run_ConnectionsResetAndClosed_OnlyTheResetOnesAreDead()
    {
        WritePolicy(probes: 3);
        int reset = _lab.Client.Connect(Lab.ServerAddress, _port);
        int closed = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start();
        Eventually.True(() => _lab.Client.Get(reset).On && _lab.Client.Get(closed).On, TimeSpan.FromSeconds(10));
        var local = _lab.Client.LocalEndPoint(reset);

        _lab.Client.Close(closed);
        // A connection with unread data ends with a reset when its owner closes it.
        _lab.Server.SetReading(false);
        _lab.Client.Send(reset, 100);
        Eventually.True(() => Sum("keepalive_sockets") == 1, TimeSpan.FromSeconds(5));
        _lab.Server.Kill();

        string dead = run.WaitForLine(line => line.Contains("Dead ", StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        Assert.Contains($"Dead {local} ", dead, StringComparison.Ordinal);
        Assert.Contains("reset by the other end", dead, StringComparison.Ordinal);
        Eventually.True(() => Sum("keepalive_connections_dead_total") == 1, TimeSpan.FromSeconds(5));
        Assert.Equal(1, Sum("keepalive_connections_dead_total", "cause=\"reset\""));
    }

    [Fact]
    public void Run_NamespacesComeAndGo_CapturesEndWithThem()
    {
        WritePolicy(probes: 9);
        var others = new List<Lab> { new(), new(), new() };
        try
        {
            using var agent = new AgentProcess([_lab.Client, .. others.Select(lab => lab.Client)]);
            agent.WritePolicy(File.ReadAllText(_agent.PolicyPath));
            var run = agent.Start();
            foreach (var lab in others.Append(_lab))
            {
                lab.Client.Connect(Lab.ServerAddress, lab.Server.Listen());
            }
            Eventually.True(() => others.Append(_lab).All(lab => PacketSockets(lab.Client) == 1), TimeSpan.FromSeconds(10));

            _lab.Client.CloseAll();
            Eventually.True(() => PacketSockets(_lab.Client) == 0, TimeSpan.FromSeconds(10));
            others[0].Client.Run("ip", "link", "delete", Lab.ClientInterface);
            Eventually.True(() => PacketSockets(others[0].Client) == 0, TimeSpan.FromSeconds(10));
            Assert.Equal([1, 1], others[1..].Select(lab => PacketSockets(lab.Client)));

            // Two captures. Each of the three namespaces has the sockets that watch it, and those that report how connections ended.
            int before = Sockets(run);
            others.ForEach(lab => lab.Dispose());
            others.Clear();
            Eventually.Value(() => before - Sockets(run), closed => closed == 8, TimeSpan.FromSeconds(10));
            Assert.False(run.HasExited, run.Error);
        }
        finally
        {
            others.ForEach(lab => lab.Dispose());
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _agent.Dispose();
        _lab.Dispose();
        _cgroup?.Dispose();
    }

    private void WritePolicy(int probes) => _agent.WritePolicy(
        PolicyText.For($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", $"time: 1s, interval: 1s, probes: {probes}"));

    private ProgramRun Start(params string[] more)
    {
        var run = _agent.Launch(["--interval", "500ms", "--listen", _address, .. more]);
        run.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
        Eventually.True(() => Sum("keepalive_sockets") > 0, TimeSpan.FromSeconds(10));
        return run;
    }

    private double Sum(string metric, string label = "") => _http.Sum(metric, label);

    private double InPool(string address) => Sum("keepalive_destination_in_pool", $"endpoint=\"{address}:{_port}\"");

    private static int Sockets(ProgramRun run) => Directory.GetFileSystemEntries($"/proc/{run.Pid}/fd")
        .Count(descriptor => new FileInfo(descriptor).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);

    /// <summary>The packet sockets in a namespace, of any owner: the kernel's list without its heading.</summary>
    private static int PacketSockets(Holder inside) => File.ReadLines($"/proc/{inside.Pid}/net/packet").Count() - 1;

    private static DateTime LoggedAt(string line) => DateTime.Parse(
        Timestamp().Match(line).Value, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal);

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT\S+Z")]
    private static partial Regex Timestamp();
}
