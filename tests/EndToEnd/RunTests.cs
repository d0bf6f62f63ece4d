using System.Diagnostics;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent run</c> as a process: policy file in, changed sockets of an unmodified application out.</summary>
public abstract class RunTests : IDisposable
{
    private const string Elsewhere = "10.77.9.9";

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);
    private protected static readonly KeepaliveValues Untouched = new(false, 7200, 75, 9);
    private protected static readonly KeepaliveValues Guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;
    private readonly string _datapath;
    private readonly TestCgroup? _cgroup;

    private protected Lab Lab => _lab;

    private protected AgentProcess Agent => _agent;

    private protected int Port => _port;

    protected RunTests(bool bpf)
    {
        Live.Require();
        _datapath = bpf ? "bpf" : "pidfd";
        _lab = new Lab();
        _lab.AddServerAddress(Elsewhere);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        if (bpf)
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.Guide($"{Testbed.Lab.ServerAddress}:{_port}, [{Testbed.Lab.ServerAddress6}]:{_port}"));
    }

    [Fact]
    public void Run_GuidesPolicy_EveryConnectionHasItWithinAnInterval()
    {
        var before = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 10);
        _agent.Start();
        int[] after =
        [
            _lab.Client.Connect(Testbed.Lab.ServerAddress, _port), _lab.Client.Connect(Testbed.Lab.ServerAddress6, _port),
            _lab.Client.Connect(Testbed.Lab.ServerAddressMapped, _port),
        ];
        int other = _lab.Client.Connect(Elsewhere, _port);

        // An interval, and a second of scheduling.
        Eventually.True(() => after.All(id => _lab.Client.Get(id) == Guide), s_interval + TimeSpan.FromSeconds(1));
        var sockets = Ss.Read(_lab.Client);
        foreach (int id in after.Concat(Enumerable.Range(before.First, before.Last - before.First + 1)))
        {
            Assert.Equal(Guide, _lab.Client.Get(id));
            ulong cookie = _lab.Client.Cookie(id);
            var seen = sockets.Single(s => s.Cookie == cookie);
            Assert.Equal("keepalive", seen.Timer);
            Assert.InRange(seen.TimeLeft, TimeSpan.FromSeconds(639), TimeSpan.FromSeconds(701));
        }
        Assert.Equal(Untouched, _lab.Client.Get(other));
    }

    [Fact]
    public void Run_KilledAndStartedWithALooserPolicy_SocketsFollowAndAreRestoredAtTheEnd()
    {
        int plain = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        int own = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _lab.Client.EnableKeepalive(own, idle: 2000, interval: 60, count: 4);
        _agent.WritePolicy(PolicyText.For(Testbed.Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3"));
        var first = _agent.Start();
        Eventually.True(() => _lab.Client.Get(plain) == new KeepaliveValues(true, 60, 5, 3), TimeSpan.FromSeconds(5));
        Assert.Equal(new KeepaliveValues(true, 60, 5, 3), _lab.Client.Get(own));
        first.Kill();
        first.WaitForExit();

        _agent.WritePolicy(PolicyText.For(Testbed.Lab.ServerAddress, PolicyText.GuideValues));
        var second = _agent.Start("--restore-on-exit");
        Eventually.True(() => _lab.Client.Get(plain) == Guide && _lab.Client.Get(own) == Guide, TimeSpan.FromSeconds(5));
        second.Terminate();
        Assert.Equal(0, second.WaitForExit(TimeSpan.FromSeconds(5)));
        Assert.Equal(Untouched, _lab.Client.Get(plain));
        Assert.Equal(new KeepaliveValues(true, 2000, 60, 4), _lab.Client.Get(own));
    }

    [Fact]
    public void Run_StoppedWithoutRestore_ValuesStayAndTheNextAgentKnowsThem()
    {
        int id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        var first = _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(5));
        first.Terminate();
        Assert.Equal(0, first.WaitForExit(TimeSpan.FromSeconds(5)));
        Assert.Equal(Guide, _lab.Client.Get(id));
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == Untouched, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Run_Metrics_CountSetSockets()
    {
        _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 7);
        int kept = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        _lab.Client.EnableKeepalive(kept, idle: 30);
        string listen = AgentHttp.FreeAddress();
        _agent.Launch("--interval", "500ms", "--listen", listen);
        using var http = new AgentHttp(listen);
        string text = Eventually.Value(
            Get,
            t => t.Contains("state=\"managed\"} 7\n", StringComparison.Ordinal),
            TimeSpan.FromSeconds(15)).Value;
        const string labels = "policy=\"bookinfo/tcp-keepalive\",destination=\"bookinfo/ratings-global\",namespace=\"\"";
        Assert.Contains($"keepalive_sockets{{{labels},state=\"kept\"}} 1\n", text, StringComparison.Ordinal);
        Assert.Contains(
            $"keepalive_applied_total{{policy=\"bookinfo/tcp-keepalive\",namespace=\"\",datapath=\"{_datapath}\"}} 7\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"+Inf\"}", text, StringComparison.Ordinal);
        _lab.Client.CloseAll();
        Eventually.True(() => !Get().Contains("keepalive_sockets{", StringComparison.Ordinal), TimeSpan.FromSeconds(70));

        string Get()
        {
            try
            {
                return http.Get("/metrics").Body;
            }
            catch (HttpRequestException)
            {
                return "";
            }
        }
    }

    [Fact]
    public void Once_DryRun_ReportsEachChangeAndChangesNothing()
    {
        int id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        var result = _agent.Once("--dry-run");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(
            $"would set {_lab.Client.LocalEndPoint(id)} → {Testbed.Lab.ServerAddress}:{_port} (pid {_lab.Client.Pid} holder): keepalive off → on, "
            + "time 7200s → 700s, interval 75s → 10s, probes 9 → 20; policy bookinfo/tcp-keepalive, destination bookinfo/ratings-global",
            result.Output,
            StringComparison.Ordinal);
        Assert.Equal(Untouched, _lab.Client.Get(id));
        Assert.False(Directory.Exists(_agent.StateDirectory));
    }

    [Fact]
    public void Once_Twice_SetsThenFindsNothingToDo()
    {
        int id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        Assert.Contains("1 set", _agent.Once().Output, StringComparison.Ordinal);
        Assert.Equal(Guide, _lab.Client.Get(id));
        var again = _agent.Once();
        Assert.Contains("1 already right", again.Output, StringComparison.Ordinal);
        Assert.Equal(0, again.ExitCode);
        Assert.Contains("1 restored", _agent.Once("--restore-on-exit").Output, StringComparison.Ordinal);
        Assert.Equal(Untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Sockets_Json_AgreesWithGetsockoptAndSs()
    {
        int managed = _lab.Client.Connect(Testbed.Lab.ServerAddress6, _port);
        int plain = _lab.Client.Connect(Elsewhere, _port);
        int timeout = _lab.Client.Connect(Testbed.Lab.ServerAddressMapped, _port);
        _lab.Client.Set(timeout, HolderOption.UserTimeoutMilliseconds, 45_000);
        _agent.Once();
        var result = _agent.Sockets("-o", "json");
        Assert.Equal(0, result.ExitCode);
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        foreach (int id in new[] { managed, plain, timeout })
        {
            ulong cookie = _lab.Client.Cookie(id);
            var line = lines.Single(l => l.GetProperty("cookie").GetUInt64() == cookie);
            var values = _lab.Client.Get(id);
            var seen = Ss.Read(_lab.Client, id);
            Assert.Equal(values, new KeepaliveValues(
                line.GetProperty("keepalive").GetBoolean(),
                line.GetProperty("time").GetInt32(),
                line.GetProperty("interval").GetInt32(),
                line.GetProperty("probes").GetInt32()));
            Assert.Equal(_lab.Client.NetnsInode, line.GetProperty("netns").GetInt64());
            Assert.Equal(_lab.Client.Pid, line.GetProperty("pid").GetInt32());
            Assert.Equal("ESTABLISHED", line.GetProperty("state").GetString());
            Assert.Equal(seen.Timer, line.GetProperty("timer").GetString());
            Assert.Equal(id != plain, line.GetProperty("managed").GetBoolean());
            Assert.Equal(id == plain ? null : "bookinfo/tcp-keepalive", line.GetProperty("policy").GetString());
            Assert.Equal(id == timeout ? ("45000", "1") : ("", ""), (line.GetProperty("userTimeoutMs").ToString(), line.GetProperty("endsAfterProbes").ToString()));
        }
    }

    [Theory]
    [InlineData("sys_ptrace", "CAP_SYS_PTRACE", "pidfd_getfd")]
    [InlineData("sys_admin", "CAP_SYS_ADMIN", "setns")]
    public void Run_CapabilityMissing_Exits3WithItsNameAndPurpose(string capability, string name, string use)
    {
        string[] run = [ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--once"];
        var result = ProgramRun.ToEnd(["setpriv", $"--bounding-set=-{capability}", .. run]);
        Assert.Equal(3, result.ExitCode);
        Assert.Contains($"{name} is missing: needed for", result.Error, StringComparison.Ordinal);
        Assert.Contains(use, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Once_StateFileFull_LeavesTheRestUntouchedAndExits4()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 600);
        Directory.CreateDirectory(_agent.StateDirectory);
        // In a mount namespace of its own, so that the small file system ends with the agent.
        var result = ProgramRun.ToEnd(
        [
            "unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=48k,mode=755 tmpfs \"$1\" && shift && exec \"$@\"", "sh", _agent.StateDirectory,
            ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--once",
            "--netns", _lab.Client.NetnsPath,
        ]);
        Assert.Equal(4, result.ExitCode);
        var all = Enumerable.Range(ids.First, 600).Select(id => _lab.Client.Get(id)).ToList();
        int set = all.Count(values => values == Guide);
        Assert.InRange(set, 50, 550);
        Assert.Equal(600 - set, all.Count(values => values == Untouched));
        Assert.Contains($"{set} set, {600 - set} failed", result.Output, StringComparison.Ordinal);
        Assert.Contains("the state file cannot be written", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_StateDirectoryFull_IsReportedAndOthersAreSet()
    {
        _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 300);
        Directory.CreateDirectory(_agent.StateDirectory);
        string listen = AgentHttp.FreeAddress();
        using var run = new ProgramRun(
        [
            "unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=24k,mode=755 tmpfs \"$1\" && shift && exec \"$@\"", "sh", _agent.StateDirectory,
            ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--datapath", _datapath,
            .. _cgroup is null ? [] : new[] { "--cgroup", _cgroup.Path }, "--interval", "300ms", "--listen", listen, "--netns", _lab.Client.NetnsPath,
        ]);
        run.WaitForLine(line => line.Contains("warn: agent[23] Cannot set", StringComparison.Ordinal) && line.Contains("the state file", StringComparison.Ordinal));
        using var http = new AgentHttp(listen);
        Eventually.True(() => http.Get("readyz").Body.Contains("selected sockets cannot be set: the state file", StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        Assert.Contains("\"ready\":true", http.Get("readyz").Body, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_StateDirectoryFullAtTheEnd_RestoresEverySocket()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 300);
        Directory.CreateDirectory(_agent.StateDirectory);
        using var run = new ProgramRun(
        [
            "unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=64k,mode=755 tmpfs \"$1\" && shift && exec \"$@\"", "sh", _agent.StateDirectory,
            ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--restore-on-exit",
            "--interval", "300ms", "--listen", "none", "--netns", _lab.Client.NetnsPath,
        ]);
        Eventually.True(() => _lab.Client.Get(ids.Last).On, TimeSpan.FromSeconds(15));
        Command.Try(["nsenter", "--target", $"{run.Pid}", "--mount", "dd", "if=/dev/zero", $"of={_agent.StateDirectory}/fill", "bs=1k", "count=100"]);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.All(Enumerable.Range(ids.First, 300), id => Assert.Equal(Untouched, _lab.Client.Get(id)));
    }

    [Fact]
    public void Once_StateDirectoryFullAtTheStart_RestoresEverySocket()
    {
        var ids = _lab.Client.ConnectMany(Testbed.Lab.ServerAddress, _port, 300);
        Directory.CreateDirectory(_agent.StateDirectory);
        // A killed agent's full file system: no room for a new state file, and a last line without its end.
        const string script = """
            mount -t tmpfs -o size=64k,mode=755 tmpfs "$1" && directory=$1 && shift || exit 99
            "$@" || exit 98
            printf 'set 1' >>"$directory/state"
            dd if=/dev/zero of="$directory/fill" bs=1k count=100 2>/dev/null
            exec "$@" --restore-on-exit
            """;
        var result = ProgramRun.ToEnd(
        [
            "unshare", "--mount", "sh", "-c", script, "sh", _agent.StateDirectory,
            ProgramRun.AgentPath, "run", "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--once",
            "--netns", _lab.Client.NetnsPath,
        ]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("300 restored", result.Output, StringComparison.Ordinal);
        Assert.All(Enumerable.Range(ids.First, 300), id => Assert.Equal(Untouched, _lab.Client.Get(id)));
    }

    [Fact]
    public void Run_StateFileTruncatedByAnotherProcess_ContinuesAndRestores()
    {
        int id = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        var run = _agent.Start("--restore-on-exit");
        Eventually.True(() => _lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(5));
        File.WriteAllText(Path.Combine(_agent.StateDirectory, "state"), "");
        int later = _lab.Client.Connect(Testbed.Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(later) == Guide, TimeSpan.FromSeconds(5));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));
        Assert.Equal(Untouched, _lab.Client.Get(id));
        Assert.Equal(Untouched, _lab.Client.Get(later));
    }

    [Fact]
    public void Once_ProcessNameWithControlCharacters_IsMasked()
    {
        Directory.CreateDirectory(_agent.StateDirectory);
        string strange = Path.Combine(_agent.StateDirectory, "a\n\u001b[31mset");
        File.CreateSymbolicLink(strange, HolderBinary.Path);
        using var holder = new ProgramRun(["sh", "-c", "(echo 'connect " + $"{Testbed.Lab.ServerAddress} {_port} 1'; sleep 20) | \"$0\"", strange], _lab.Client);
        holder.WaitForLine(line => line.StartsWith("ok", StringComparison.Ordinal));
        var result = _agent.Once("--dry-run");
        Assert.Contains("a??[31mset): keepalive off → on", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', result.Output + _agent.Sockets().Output);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup?.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>On pidfd, and the tests that are the same for every datapath.</summary>
public sealed class PidfdRunTests() : RunTests(bpf: false)
{
    [Fact]
    public void Run_PolicyFileBroken_LastValidOneStaysInForce()
    {
        string address = AgentHttp.FreeAddress();
        using var http = new AgentHttp(address);
        var run = Agent.Start("--listen", address);
        Agent.WritePolicy("kind: ConnectionPolicy\n\tspec: [");
        run.WaitForLine(line => line.Contains("its last good content, loaded ", StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        int id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        http.WithinPasses(1, () => Lab.Client.Get(id) == Guide);
        File.Delete(Agent.PolicyPath);
        int another = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        http.WithinPasses(1, () => Lab.Client.Get(another) == Guide);
        Agent.WritePolicy(PolicyText.For(Testbed.Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3"));
        Eventually.True(() => Lab.Client.Get(id) == new KeepaliveValues(true, 60, 5, 3), TimeSpan.FromSeconds(5));
    }

    /// <summary>A partly written file may be a valid policy, too.</summary>
    [Fact]
    public void Run_PolicyFileBeingWritten_IsLoadedOnceComplete()
    {
        var run = Agent.Start();
        int id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        Eventually.True(() => Lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(10));
        string whole = File.ReadAllText(Agent.PolicyPath);
        for (int attempts = 1; !IsWrittenWithoutAPause(Agent.PolicyPath, () => Lab.Client.Get(id) == Guide); attempts++)
        {
            Assert.InRange(attempts, 1, 9);
            run.Kill();
            run.WaitForExit();
            Agent.WritePolicy(whole);
            run = Agent.Start();
            Eventually.True(() => Lab.Client.Get(id) == Guide, TimeSpan.FromSeconds(10));
        }
        Eventually.True(() => run.Error.Split("Policies in force: ").Length > 2, TimeSpan.FromSeconds(10));
        Assert.Equal(Guide, Lab.Client.Get(id));
        Assert.DoesNotContain("Policies in force: 0", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Restored", run.Error, StringComparison.Ordinal);

        // Rewritten in place with the same length and time stamp, as an editor or a copy may do.
        var written = File.GetLastWriteTimeUtc(Agent.PolicyPath);
        File.WriteAllText(Agent.PolicyPath, File.ReadAllText(Agent.PolicyPath).Replace("700s", "600s", StringComparison.Ordinal));
        File.SetLastWriteTimeUtc(Agent.PolicyPath, written);
        Eventually.True(() => Lab.Client.Get(id) == Guide with { Idle = 600 }, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Run_SecondInstance_IsRefusedAndNamesTheFirst()
    {
        var first = Agent.Start();
        var second = Agent.Launch("--listen", "none");
        Assert.Equal(4, second.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Contains($"pid {first.Pid}", second.Error, StringComparison.Ordinal);
        first.Kill();
        first.WaitForExit();
        Agent.Start();
    }

    [Fact]
    public void Once_StateFileInvalid_IsReportedAndKept()
    {
        Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        Agent.Once();
        string state = Path.Combine(Agent.StateDirectory, "state");
        File.WriteAllText(state, "something else");
        var result = Agent.Once();
        Assert.Contains($"warning: {state} is not a state file of this version", result.Error, StringComparison.Ordinal);
        Assert.Equal("something else", File.ReadAllText(state + ".bad"));

        // A socket without a record is not restored.
        File.WriteAllText(state, "keepalive-agent-state 1 x\n");
        result = Agent.Once("--restore-on-exit");
        Assert.Contains($"warning: {state}:1: 'x' is not a boot id", result.Error, StringComparison.Ordinal);
        Assert.Equal(4, result.ExitCode);
    }

    [Theory]
    [InlineData("/nonexistent", "there is no such file")]
    [InlineData("/etc/passwd", "it is not a network namespace")]
    [InlineData("/proc/self/ns/mnt", "it is not a network namespace")]
    public void Run_WrongNamespace_Exits2AndNamesIt(string path, string what)
    {
        var result = Agent.Once("--netns", path);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"--netns {path}: {what}", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Once_OptionWhereAValueIsMissing_IsRefusedAndNothingDone()
    {
        int id = Lab.Client.Connect(Testbed.Lab.ServerAddress, Port);
        var result = ProgramRun.ToEnd(
            [ProgramRun.AgentPath, "run", "--policies", Agent.PolicyPath, "--netns", Lab.Client.NetnsPath, "--once", "--state-dir", "--dry-run"]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("--state-dir takes a value, and --dry-run is an option", result.Error, StringComparison.Ordinal);
        Assert.Equal(Untouched, Lab.Client.Get(id));
    }

    [Fact]
    public void Run_WrongUsage_Exits2()
    {
        Assert.Equal(2, Agent.Once("--interval", "1193h").ExitCode);
        Assert.Equal(2, Agent.Once("--log-format", "json").ExitCode);
        Assert.Equal(2, ProgramRun.ToEnd([ProgramRun.AgentPath, "run"]).ExitCode);
        Assert.Equal(2, Agent.Once("--interval", "5").ExitCode);
        Assert.Equal(2, Agent.Once("--existing", "loosen").ExitCode);
        Assert.Equal(2, Agent.Once("--no-such-flag").ExitCode);
    }

    [Fact]
    public void Run_PortInUse_Exits4WithThePort()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        var run = Agent.Launch("--listen", taken.LocalEndpoint.ToString()!);
        Assert.Equal(4, run.WaitForExit(TimeSpan.FromSeconds(15)));
        Assert.Contains($"cannot listen on {taken.LocalEndpoint}", run.Error, StringComparison.Ordinal);
    }

    /// <summary>Standard error has only JSON lines, also when the agent cannot start.</summary>
    [Fact]
    public void Run_CannotStart_IsReportedInTheLogsFormat()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        var port = Agent.Launch("--log-format", "json", "--listen", taken.LocalEndpoint.ToString()!);
        Assert.Equal(4, port.WaitForExit(TimeSpan.FromSeconds(15)));
        var netns = Agent.Launch("--log-format", "json", "--listen", "none", "--netns", "/nowhere");
        Assert.Equal(2, netns.WaitForExit(TimeSpan.FromSeconds(15)));
        var policy = Agent.LaunchBy([], ["--log-format", "json", "--listen", "none"], policies: Agent.PolicyPath + ".none");
        Assert.Equal(1, policy.WaitForExit(TimeSpan.FromSeconds(15)));

        foreach (var (run, expected) in new[] { (port, "cannot listen on"), (netns, "--netns /nowhere"), (policy, "there is no such file") })
        {
            var lines = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
            Assert.Contains(lines, line => line.GetProperty("EventId").GetInt32() == 9 && line.GetProperty("LogLevel").GetString() == "Critical"
                && line.GetProperty("Message").GetString()!.Contains(expected, StringComparison.Ordinal));
        }
    }

    /// <summary>Writes the file line by line, and checks that this changes nothing. The agent takes a file for complete after a second without a change:
    /// on a busy machine that much may pass between two lines.</summary>
    /// <returns>Whether it did not.</returns>
    private static bool IsWrittenWithoutAPause(string path, Func<bool> isUnchanged)
    {
        var lines = File.ReadAllLines(path);
        using var file = new StreamWriter(path) { AutoFlush = true };
        foreach (string line in lines.Append("# the end"))
        {
            var clock = Stopwatch.StartNew();
            file.WriteLine(line);
            bool remains = isUnchanged();
            for (; remains && clock.Elapsed < TimeSpan.FromMilliseconds(200); remains = isUnchanged())
            {
                Thread.Sleep(10);
            }
            if (clock.Elapsed > TimeSpan.FromMilliseconds(800))
            {
                return false;
            }
            Assert.True(remains, line);
        }
        return true;
    }
}

/// <summary>On bpf.</summary>
public sealed class BpfRunTests() : RunTests(bpf: true);
