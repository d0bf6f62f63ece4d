using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The bpf datapath from the outside: what a killed agent leaves, what happens where it cannot be had, and what is said about it.</summary>
public sealed class BpfTests : IDisposable
{
    private static readonly KeepaliveValues Untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues Guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly TestCgroup _cgroup;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public BpfTests()
    {
        Live.Require();
        _lab = new Lab();
        _cgroup = new TestCgroup();
        _cgroup.Add(_lab.Client.Pid);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.UseBpf(_cgroup);
        _agent.WritePolicy(PolicyText.Guide($"{Lab.ServerAddress}:{_port}"));
    }

    /// <summary>A command line in front of the agent's that takes something away, and what is then said.</summary>
    public static TheoryData<string, string[], string> Obstacles => new()
    {
        { "capability", ["setpriv", "--bounding-set=-net_admin"], "CAP_NET_ADMIN is missing: needed for BPF programs that set socket options" },
        { "types", InMounts("mount -t tmpfs none /sys/kernel/btf"), "the kernel has no type information (/sys/kernel/btf/vmlinux)" },
        {
            "library", InMounts("for f in $(ldconfig -p | sed -n 's/.*=> \\(.*libbpf[.]so[.]1\\)$/\\1/p'); do mount --bind /dev/null $f; done"),
            "libbpf.so.1 is not installed (Debian: libbpf1)"
        },
        { "cgroup", ["unshare", "--mount"], "/nonexistent is not a cgroup version 2 directory: it does not exist; version 2 is mounted at " },
    };

    [Fact]
    public void Run_BetweenTwoPasses_NewConnectionsAreSetFromTheirFirstMoment()
    {
        Start();
        // The first pass puts the policy in force.
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == Guide, TimeSpan.FromSeconds(5));
        for (int i = 0; i < 20; i++)
        {
            int id = _lab.Client.Connect(Lab.ServerAddress, _port);
            Assert.Equal(Guide, _lab.Client.Get(id));
            Assert.Equal("keepalive", Ss.Read(_lab.Client, id).Timer);
        }
    }

    [Fact]
    public void Run_KilledBeforeThePassAfterAConnection_NothingStaysAttachedAndItIsGivenBack()
    {
        var run = Start();
        int first = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == Guide, TimeSpan.FromSeconds(5));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(Guide, _lab.Client.Get(id));
        run.Kill();
        run.WaitForExit();
        int after = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(Untouched, _lab.Client.Get(after));

        // No pass has noted it, and yet its values are not taken for the application's own.
        var second = _agent.Start("--restore-on-exit");
        Eventually.True(() => _lab.Client.Get(after) == Guide, TimeSpan.FromSeconds(5));
        second.Terminate();
        Assert.Equal(0, second.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.All([first, id, after], socket => Assert.Equal(Untouched, _lab.Client.Get(socket)));
    }

    [Fact]
    public void Run_StoppedBetweenTwoPasses_TheNextAgentKnowsWhatWasSetAtOnce()
    {
        var run = Start();
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == Guide, TimeSpan.FromSeconds(5));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Equal(Guide, _lab.Client.Get(id));
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == Untouched, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Run_KilledWhileApplying_NoSocketIsHalfSetAndAllAreGivenBack()
    {
        const int sockets = 4000;
        var (first, _) = _lab.Client.ConnectMany(Lab.ServerAddress, _port, sockets);
        int[] sample = [.. Enumerable.Range(0, sockets / 8).Select(i => first + (i * 8))];
        var other = new KeepaliveValues(true, 60, 5, 3);
        int interrupted = 0;
        for (int round = 0; round < 4; round++)
        {
            _agent.WritePolicy(round % 2 == 0
                ? PolicyText.For(Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3") : PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
            var wanted = round % 2 == 0 ? other : Guide;
            var run = _agent.Launch("--interval", "1s", "--listen", "none");
            // These have been idle for longer than an interval: they are set in slices.
            Eventually.True(() => sample.Any(id => _lab.Client.Get(id) == wanted), TimeSpan.FromSeconds(10));
            run.Kill();
            run.WaitForExit();
            var values = sample.Select(id => _lab.Client.Get(id)).Distinct().ToList();
            Assert.Empty(values.Except([Untouched, Guide, other]));
            interrupted += values.Count > 1 ? 1 : 0;
        }
        Assert.NotEqual(0, interrupted);
        int after = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(Untouched, _lab.Client.Get(after));
        Assert.Contains("restored", _agent.Once("--restore-on-exit").Output, StringComparison.Ordinal);
        Assert.All(sample, id => Assert.Equal(Untouched, _lab.Client.Get(id)));
    }

    [Theory]
    [MemberData(nameof(Obstacles))]
    public void Run_SomethingMissing_AutoSaysSoAndTakesPidfdAndBpfExits3(string what, string[] without, string expected)
    {
        string cgroup = what == "cgroup" ? "/nonexistent" : _cgroup.Path;
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        string[] Command(string datapath) =>
        [
            .. without, ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--netns", _lab.Client.NetnsPath,
            "--listen", "none", "--datapath", datapath, "--cgroup", cgroup,
        ];

        var refused = ProgramRun.ToEnd(Command("bpf"));
        Assert.Equal(3, refused.ExitCode);
        string line = Assert.Single(refused.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith($"keepalive-agent: the bpf datapath cannot be used: {expected}", line, StringComparison.Ordinal);
        Assert.Equal(Untouched, _lab.Client.Get(id));

        using var run = new ProgramRun(Command("auto"));
        run.WaitForLine(l => l.Contains($"The bpf datapath cannot be used: {expected}", StringComparison.Ordinal) && l.EndsWith("; using pidfd", StringComparison.Ordinal));
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(5));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void Run_OutsideTheNodesPidNamespace_AutoTakesPidfd()
    {
        var result = ProgramRun.ToEnd(
        [
            "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", ProgramRun.AgentPath, "run", "--once", "--dry-run", "--policies", _agent.PolicyPath,
            "--state-dir", _agent.StateDirectory,
        ]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("the agent is not in the node's own PID namespace", result.Error, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }

    /// <summary>Starts the agent with one pass at its start and none after it.</summary>
    private ProgramRun Start()
    {
        var run = _agent.Launch("--interval", "1h", "--listen", "none");
        run.WaitForLine(line => line.Contains("started: datapath bpf", StringComparison.Ordinal));
        return run;
    }

    /// <summary>Runs what follows in a mount namespace of its own, after a change to it.</summary>
    private static string[] InMounts(string change) => ["unshare", "--mount", "sh", "-c", $"{change}; exec \"$0\" \"$@\""];
}
