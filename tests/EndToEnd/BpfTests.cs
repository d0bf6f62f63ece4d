using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The bpf datapath as a user sees it: what a killed agent leaves behind, the effects where BPF is unavailable, and the
/// messages.</summary>
public sealed class BpfTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

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

    /// <summary>A prefix of the agent's command line that removes a requirement, and the expected message.</summary>
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
    public void Run_BetweenTwoPasses_NewConnectionsAreSetOnEstablishment()
    {
        Start();
        // The first pass loads the policy.
        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
        for (int i = 0; i < 20; i++)
        {
            int id = _lab.Client.Connect(Lab.ServerAddress, _port);
            Assert.Equal(s_guide, _lab.Client.Get(id));
            Assert.Equal("keepalive", Ss.Read(_lab.Client, id).Timer);
        }
    }

    /// <summary>Regression: the agent assumed that the programs stay attached, and new connections waited for a pass.</summary>
    [Fact]
    public void Run_ProgramsDetached_AreAttachedAgain()
    {
        Live.Require("bpftool", "python3");
        var run = _agent.Start();
        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
        const string detach = """
            import json, os, subprocess, sys
            for link in json.loads(subprocess.check_output(["bpftool", "-j", "link", "show"])):
                if link.get("cgroup_id") == os.stat(sys.argv[1]).st_ino:
                    subprocess.run(["bpftool", "link", "detach", "id", str(link["id"])], check=True)
                    print(link["attach_type"])
            """;
        Assert.Contains("sock_ops", Command.Run("python3", "-c", detach, _cgroup.Path).Output, StringComparison.Ordinal);

        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
        Assert.False(run.HasExited, run.Error);
    }

    /// <summary>Regression: no message said that new connections waited for a pass.</summary>
    [Fact]
    public void Run_CgroupRemoved_IsReportedAndPassesContinueUntilItIsBack()
    {
        var run = _agent.Start();
        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
        using var other = new TestCgroup();
        _cgroup.MoveTo(other);
        _cgroup.Dispose();

        Assert.Contains("no longer at the cgroup", AgentProcess.WaitForEvent(run, 6), StringComparison.Ordinal);
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(5));
        Directory.CreateDirectory(_cgroup.Path);
        other.MoveTo(_cgroup);
        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
    }

    /// <summary>Regression: values of a running agent looked like the application's own.</summary>
    [Fact]
    public void Sockets_BesideARunningAgent_ShowsWhatItHasSetAsItsOwn()
    {
        var run = _agent.Start();
        Eventually.True(SetsAtOnce, TimeSpan.FromSeconds(5));
        // The programs are attached before the first pass, which is not to come between an application's calls.
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        int managed = _lab.Client.Connect(Lab.ServerAddress, _port), own = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.EnableKeepalive(own, idle: 30);
        int other = _lab.Client.Connect(Lab.ServerAddress, _lab.Server.Listen());
        _lab.Client.EnableKeepalive(other, idle: 600, interval: 10, count: 20);
        // A pass between an application's two calls has found it set by the agent; the next one sees that the application has changed it.
        Eventually.True(() => Standing(own) == ("bookinfo/tcp-keepalive", "bookinfo/ratings-global", false), TimeSpan.FromSeconds(10));
        Eventually.True(() => Standing(managed) == ("bookinfo/tcp-keepalive", "bookinfo/ratings-global", true), TimeSpan.FromSeconds(10));
        Assert.Equal((null, null, false), Standing(other));
        string table = _agent.SocketsWithoutPolicies().Output;
        Assert.Matches($@"{_lab.Client.LocalEndPoint(managed)} .* bookinfo/tcp-keepalive +bookinfo/ratings-global\n", table);
        Assert.Matches($@"{_lab.Client.LocalEndPoint(own)} .* bookinfo/tcp-keepalive \(application's own kept\) +bookinfo/ratings-global\n", table);

        // Without the agent, the state file still tells whose values they are.
        run.Kill();
        run.WaitForExit();
        Assert.Equal((null, null, true), Standing(managed));
        Assert.Equal((null, null, false), Standing(own));
        Assert.Equal((null, null, false), Standing(other));
        Assert.Matches($@"{_lab.Client.LocalEndPoint(managed)} .* \(set by an agent\) +-\n", _agent.SocketsWithoutPolicies().Output);
    }

    [Fact]
    public void Sockets_SetAtOnceAndNoPassSince_IsShownAsSetByTheAgent()
    {
        AgentProcess.WaitForEvent(Start(), 8);   // the first pass is done, and the next is an hour away
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        Assert.Equal((null, null, true), Standing(id));
    }

    [Fact]
    public void Run_KilledBeforeThePassAfterAConnection_ProgramsAreGoneAndItIsRestored()
    {
        var run = Start();
        int first = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide, TimeSpan.FromSeconds(5));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        run.Kill();
        run.WaitForExit();
        int after = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_untouched, _lab.Client.Get(after));

        // No pass has noted the connection, but its values are not treated as the application's.
        var second = _agent.Start("--restore-on-exit");
        Eventually.True(() => _lab.Client.Get(after) == s_guide, TimeSpan.FromSeconds(5));
        second.Terminate();
        Assert.Equal(0, second.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.All([first, id, after], socket => Assert.Equal(s_untouched, _lab.Client.Get(socket)));
    }

    [Fact]
    public void Run_StoppedBetweenTwoPasses_TheNextAgentKnowsWhatWasSetAtOnce()
    {
        var run = Start();
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide, TimeSpan.FromSeconds(5));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Equal(s_guide, _lab.Client.Get(id));
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == s_untouched, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task Run_StoppedAfterAHandshakeDuringItsPass_TheNextAgentKnowsWhatWasSet()
    {
        _lab.BlackHole();
        var connecting = Task.Run(() => _lab.Client.Connect(Lab.ServerAddress, _port), TestContext.Current.CancellationToken);
        Eventually.True(() => Ss.Read(_lab.Client).Any(socket => socket.State == "SYN-SENT"), TimeSpan.FromSeconds(5));
        var run = Start();
        AgentProcess.WaitForEvent(run, 8);
        _lab.Restore();
        int id = await connecting;
        Assert.Equal(s_guide, _lab.Client.Get(id));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == s_untouched, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Run_KilledWhileApplying_NoSocketIsHalfSetAndAllAreRestored()
    {
        const int sockets = 4000;
        var (first, _) = _lab.Client.ConnectMany(Lab.ServerAddress, _port, sockets);
        int[] sample = [.. Enumerable.Range(0, sockets / 8).Select(i => first + (i * 8))];
        var other = new KeepaliveValues(true, 60, 5, 3);
        int interrupted = 0;
        // A pass may be over before the signal arrives: as often as it takes, and four times at least.
        var limit = Stopwatch.StartNew();
        for (int round = 0; round < 4 || (interrupted == 0 && limit.Elapsed < TimeSpan.FromSeconds(60)); round++)
        {
            _agent.WritePolicy(round % 2 == 0
                ? PolicyText.For(Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3") : PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
            var wanted = round % 2 == 0 ? other : s_guide;
            var run = _agent.Launch("--interval", "1s", "--listen", "none");
            // These have been idle for longer than an interval: they are set in slices.
            // A part of the sample, another in each round, as reading all of it takes as long as the pass.
            int[] part = [.. sample.Skip(round * 61 % sample.Length).Take(16)];
            Eventually.True(() => part.Any(id => _lab.Client.Get(id) == wanted), TimeSpan.FromSeconds(10));
            run.Kill();
            run.WaitForExit();
            var values = sample.Select(id => _lab.Client.Get(id)).Distinct().ToList();
            Assert.Empty(values.Except([s_untouched, s_guide, other]));
            interrupted += values.Count > 1 ? 1 : 0;
        }
        Assert.NotEqual(0, interrupted);
        int after = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_untouched, _lab.Client.Get(after));
        Assert.Contains("restored", _agent.Once("--restore-on-exit").Output, StringComparison.Ordinal);
        Assert.All(sample, id => Assert.Equal(s_untouched, _lab.Client.Get(id)));
    }

    [Theory]
    [MemberData(nameof(Obstacles))]
    public void Run_RequirementMissing_AutoReportsItAndUsesPidfdAndBpfExits3(string what, string[] without, string expected)
    {
        string cgroup = what == "cgroup" ? "/nonexistent" : _cgroup.Path;
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        // The shipped program contains the libraries.
        var agent = what == "library" ? ProgramRun.FrameworkDependentAgentPath : ProgramRun.AgentPath;
        string[] Command(string datapath) =>
        [
            .. without, agent, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--netns", _lab.Client.NetnsPath,
            "--listen", "none", "--datapath", datapath, "--cgroup", cgroup,
        ];

        var refused = ProgramRun.ToEnd(Command("bpf"));
        Assert.Equal(3, refused.ExitCode);
        string line = Assert.Single(refused.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith($"keepalive-agent: the bpf datapath cannot be used: {expected}", line, StringComparison.Ordinal);
        Assert.Equal(s_untouched, _lab.Client.Get(id));

        // support gives the same reason.
        string reason = line["keepalive-agent: ".Length..^". See 'keepalive-agent support'.".Length];
        var support = ProgramRun.ToEnd([.. without, agent, "support", "--cgroup", cgroup, "--state-dir", _agent.StateDirectory]);
        Assert.Equal((0, $"auto takes pidfd: {reason}"), (support.ExitCode, support.Output.TrimEnd().Split('\n')[^1]));

        using var run = new ProgramRun(Command("auto"));
        run.WaitForLine(l => l.Contains($"The bpf datapath cannot be used: {expected}", StringComparison.Ordinal) && l.EndsWith("; using pidfd", StringComparison.Ordinal));
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(5));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
    }

    /// <summary>Flags with which another owner's program allows no other beside it, and whether it is attached above the cgroup.</summary>
    public static TheoryData<int, bool> Exclusive => new() { { 0, false }, { 1, false }, { 0, true }, { 1, true } };

    [Theory]
    [MemberData(nameof(Exclusive))]
    public void Run_AnotherProgramAllowsNoOther_ItStaysAndAutoUsesPidfd(int flags, bool above)
    {
        string below = Path.Combine(_cgroup.Path, "below");
        Directory.CreateDirectory(below);
        try
        {
            File.WriteAllText(Path.Combine(below, "cgroup.procs"), $"{_lab.Client.Pid}");
            using var other = new OtherProgram(_cgroup.Path, flags);
            string cgroup = above ? below : _cgroup.Path;
            string[] Command(string datapath) =>
            [
                ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--netns", _lab.Client.NetnsPath,
                "--listen", "none", "--datapath", datapath, "--cgroup", cgroup,
            ];
            string expected = $"attaching to the cgroup {cgroup}: EPERM (Operation not permitted); program {OtherProgram.Name} is attached to {_cgroup.Path} "
                + $"without BPF_F_ALLOW_MULTI and excludes others ('bpftool cgroup show {_cgroup.Path}'); ask its owner to attach it with that flag";
            var refused = ProgramRun.ToEnd(Command("bpf"));
            Assert.Equal((3, $"keepalive-agent: the bpf datapath cannot be used: {expected}. See 'keepalive-agent support'.\n"), (refused.ExitCode, refused.Error));

            var support = ProgramRun.ToEnd([ProgramRun.AgentPath, "support", "--cgroup", cgroup]).Lines.ToList();
            Assert.Contains(support, line => line.StartsWith("attach beside other programs", StringComparison.Ordinal) && line.Contains($"program {OtherProgram.Name}", StringComparison.Ordinal));
            Assert.Equal($"auto takes pidfd: the bpf datapath cannot be used: {expected}", support[^1]);

            using var run = new ProgramRun(Command("auto"));
            run.WaitForLine(l => l.EndsWith($"The bpf datapath cannot be used: {expected}; using pidfd", StringComparison.Ordinal));
            int id = _lab.Client.Connect(Lab.ServerAddress, _port);
            Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(15));
            // The other program was active the whole time.
            Assert.Equal(_lab.Client.Count().Own, other.Count());
            run.Terminate();
            Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        }
        finally
        {
            File.WriteAllText(Path.Combine(_cgroup.Path, "cgroup.procs"), $"{_lab.Client.Pid}");
            Directory.Delete(below);
        }
    }

    [Fact]
    public void Run_AnotherProgramThatAllowsOthers_BothRun()
    {
        using var other = new OtherProgram(_cgroup.Path, flags: 2);
        Start();
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide, TimeSpan.FromSeconds(5));
        int before = other.Count();
        Assert.Equal(_lab.Client.Count().Own, before);
        Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
        Assert.Equal(before + 1, other.Count());
    }

    [Fact]
    public void Run_MoreConnectionsThanTheRingHolds_LostOnesAreCountedAndOpenOnesApplied()
    {
        const int shortLived = 70_000, open = 50;
        string address = AgentHttp.FreeAddress();
        using var http = new AgentHttp(address);
        Dictionary<string, double> Metrics() => http.Get("/metrics").Body.Split('\n')
            .Where(line => line.Length > 0 && line[0] != '#').ToDictionary(line => line[..line.LastIndexOf(' ')], line => double.Parse(line[line.LastIndexOf(' ')..], CultureInfo.InvariantCulture));
        const string applied = "keepalive_applied_total{policy=\"bookinfo/tcp-keepalive\",namespace=\"\",datapath=\"bpf\"}";
        var run = _agent.Launch("--interval", "1h", "--listen", address, "--capture", "off");
        run.WaitForLine(line => line.Contains("started: datapath bpf", StringComparison.Ordinal));
        // The dry run before the first pass loads the policy, too. The pass after it empties the ring.
        Eventually.True(() => Metrics().GetValueOrDefault("keepalive_scan_duration_seconds_count") > 0, TimeSpan.FromSeconds(30));
        int first = 0;
        Eventually.True(() => ++first > 0 && _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide, TimeSpan.FromSeconds(5));
        Assert.Equal([new(s_guide, shortLived)], _lab.Client.ConnectShort(Lab.ServerAddress, _port, shortLived).Seen);
        // The ring is full now and the agent sleeps: the reports of all these open connections are lost.
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, open);
        run.Signal("HUP");
        Eventually.True(() => Metrics().GetValueOrDefault("keepalive_arrivals_lost_total") > 0, TimeSpan.FromSeconds(20));
        double lost = Metrics()["keepalive_arrivals_lost_total"];
        Assert.InRange(lost, open + 1, shortLived);
        run.WaitForLine(line => line.Contains($"{lost} new connections were set but not reported", StringComparison.Ordinal));
        // Lost are the reports of some closed connections and of all open ones. The same pass finds the open ones in its dump.
        Assert.Equal(first + shortLived + open - lost + open, Metrics()[applied]);
        Assert.Equal(first + open, Metrics()["keepalive_sockets{policy=\"bookinfo/tcp-keepalive\",destination=\"bookinfo/ratings-global\",namespace=\"\",state=\"managed\"}"]);
    }

    [Fact]
    public void Run_StateFileDamaged_IsReportedAndKeptAndNewConnectionsAreSet()
    {
        Directory.CreateDirectory(_agent.StateDirectory);
        string state = Path.Combine(_agent.StateDirectory, "state"), boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        string damaged = $"keepalive-agent-state 1 {boot}\narriving 60,5\narriving x\nset 1 2 on,1\nset a b c\n\u0001\0\nkept 1\nset 4026531840 99999";
        File.WriteAllText(state, damaged);
        var run = Start();
        run.WaitForLine(line => line.Contains("lines are invalid", StringComparison.Ordinal));
        Assert.Equal(damaged, File.ReadAllText(state + ".bad"));
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide, TimeSpan.FromSeconds(5));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        run.Kill();
        run.WaitForExit();
        // The new state file records what a killed agent leaves behind.
        Assert.Contains("restored", _agent.Once("--restore-on-exit").Output, StringComparison.Ordinal);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Run_KilledBetweenAttachingAndTheFirstPass_LeavesNothing()
    {
        const int rounds = 8;
        int[] sockets = [.. Enumerable.Range(0, 20).Select(_ => _lab.Client.Connect(Lab.ServerAddress, _port))];
        int beforeFirstPass = 0;
        for (int round = 0; round < rounds; round++)
        {
            var run = _agent.Launch("--interval", "1h", "--listen", "none");
            // No pause: the time between the two is some tens of milliseconds.
            var clock = Stopwatch.StartNew();
            while (!IsAttached(run.Pid) && clock.Elapsed < TimeSpan.FromSeconds(20))
            {
            }
            run.Kill();
            run.WaitForExit();
            var values = sockets.Select(id => _lab.Client.Get(id)).Distinct().ToList();
            Assert.Empty(values.Except([s_untouched, s_guide]));
            beforeFirstPass += values is [{ On: false }] ? 1 : 0;
            Assert.Equal(s_untouched, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
            _agent.Once("--restore-on-exit");
            Assert.All(sockets, id => Assert.Equal(s_untouched, _lab.Client.Get(id)));
        }
        Assert.NotEqual(0, beforeFirstPass);
    }

    [Fact]
    public void Run_OutsideTheNodesPidNamespace_AutoUsesPidfd()
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

    /// <summary>Whether a process holds a link to a cgroup (/proc/PID/fdinfo of a BPF link).</summary>
    private static bool IsAttached(int pid)
    {
        try
        {
            return Directory.EnumerateFiles($"/proc/{pid}/fdinfo").Any(path => File.ReadAllText(path).Contains("cgroup_id:", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return false;   // the descriptor was closed meanwhile
        }
    }

    /// <summary>Starts the agent with one pass at its start and none after it.</summary>
    private bool SetsAtOnce() => _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)) == s_guide;

    private (string? Policy, string? Destination, bool Managed) Standing(int id) => Shown(id) is var shown
        ? (shown.GetProperty("policy").GetString(), shown.GetProperty("destination").GetString(), shown.GetProperty("managed").GetBoolean())
        : default;

    /// <summary>The line of <c>sockets</c> about a connection.</summary>
    private JsonElement Shown(int id) => _agent.SocketsWithoutPolicies("-o", "json").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => JsonDocument.Parse(line).RootElement).Single(line => line.GetProperty("cookie").GetUInt64() == _lab.Client.Cookie(id));

    private ProgramRun Start()
    {
        var run = _agent.Launch("--interval", "1h", "--listen", "none");
        run.WaitForLine(line => line.Contains("started: datapath bpf", StringComparison.Ordinal));
        return run;
    }

    /// <summary>Runs the rest of the command line in a mount namespace of its own, after a change to it.</summary>
    private static string[] InMounts(string change) => ["unshare", "--mount", "sh", "-c", $"{change}; exec \"$0\" \"$@\""];
}
