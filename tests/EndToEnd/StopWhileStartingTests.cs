using System.Diagnostics;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Signals before the service runs: systemd and the kubelet send them at any time.</summary>
public sealed class StopWhileStartingTests : IDisposable
{
    private const int Terminated = 128 + 15;
    private const int Instants = 10;

    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly Lab _lab;
    private readonly TestCgroup _cgroup;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public StopWhileStartingTests()
    {
        Live.Require();
        _lab = new Lab();
        _cgroup = new TestCgroup();
        _cgroup.Add(_lab.Client.Pid);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
    }

    private string LockPath => Path.Combine(_agent.StateDirectory, "lock");

    [Theory]
    [InlineData("pidfd", "TERM")]
    [InlineData("pidfd", "INT")]
    [InlineData("bpf", "TERM")]
    public void Signal_BetweenTheLockAndTheFirstPass_ExitsZeroAndRestoresAPredecessorsSockets(string datapath, string signal)
    {
        Use(datapath);
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var predecessor = _agent.Start();
        Eventually.True(() => _lab.Client.Get(id) == s_guide, s_patience);
        predecessor.Kill();
        predecessor.WaitForExit();

        var run = _agent.Launch("--listen", AgentHttp.FreeAddress(), "--restore-on-exit");
        // After the lock it makes its datapath and its listeners, which takes longer than the next look.
        WaitForLock(run);
        run.Signal(signal);
        Assert.Equal(0, run.WaitForExit(s_patience));
        Assert.EndsWith("agent[2] Stopped\n", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("xception", run.Error, StringComparison.Ordinal);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    [InlineData("pidfd", "--once")]
    [InlineData("bpf", "--once")]
    public void Terminate_AtAnyInstant_ExitsZeroOrHasDoneNothingYet(string datapath, params string[] more)
    {
        Use(datapath);
        _lab.Client.Connect(Lab.ServerAddress, _port);
        string[] options = ["--interval", "1s", .. more.Length > 0 ? more : ["--listen", AgentHttp.FreeAddress()]];
        var clock = Stopwatch.StartNew();
        var first = _agent.Launch(options);
        // A run that ends by itself may have had the lock between two looks.
        Assert.True(SpinWait.SpinUntil(() => HasLock(first) || first.HasExited, s_patience), first.Error);
        Assert.True(!first.HasExited || (more.Length > 0 && first.ExitCode == 0), first.Error);
        var start = 2 * clock.Elapsed;
        first.Terminate();
        first.WaitForExit(s_patience);
        for (int i = 1; i <= Instants; i++)
        {
            var delay = start * i / Instants;
            var run = _agent.Launch(options);
            Thread.Sleep(delay);
            if (!run.HasExited)
            {
                run.Terminate();
            }
            int code = run.WaitForExit(s_patience);
            string state = $"{code} after {delay.TotalMilliseconds} ms: {run.Output}{run.Error}";
            // Until the runtime starts the program's own code, a signal has its default effect.
            Assert.True(code == 0 || (code == Terminated && !HadLock(run) && run.Output + run.Error == ""), state);
            Assert.False(run.Error.Contains("xception", StringComparison.Ordinal), state);
        }
    }

    [Theory]
    [InlineData("sockets")]
    [InlineData("check")]
    public void Terminate_CommandThatEndsByItself_IsEndedByTheSignalOrDone(string command)
    {
        string[] words = command == "check" ? [ProgramRun.AgentPath, command, _agent.PolicyPath] : [ProgramRun.AgentPath, command, "--netns", _lab.Client.NetnsPath];
        var clock = Stopwatch.StartNew();
        Assert.Equal(0, ProgramRun.ToEnd(words).ExitCode);
        var whole = clock.Elapsed;
        for (int i = 0; i < 3 * Instants; i++)
        {
            using var run = new ProgramRun(words);
            // Most instants are towards the end, where the program's own code runs.
            Thread.Sleep(whole * (0.5 + (0.5 * i / (3 * Instants))));
            run.Terminate();
            int code = run.WaitForExit(s_patience);
            Assert.True(code is 0 or Terminated, $"{code}: {run.Error}");
            Assert.DoesNotContain("xception", run.Error, StringComparison.Ordinal);
        }
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }

    private void Use(string datapath)
    {
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
    }

    /// <summary>Looks often: the work after the lock may take only some ten milliseconds.</summary>
    private void WaitForLock(ProgramRun run) => Assert.True(SpinWait.SpinUntil(() => HasLock(run) || run.HasExited, s_patience) && !run.HasExited, run.Error);

    private bool HasLock(ProgramRun run)
    {
        try
        {
            return Directory.GetFileSystemEntries($"/proc/{run.Pid}/fd").Any(path => new FileInfo(path).LinkTarget == LockPath);
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Whether the agent had the lock before it ended.</summary>
    private bool HadLock(ProgramRun run) => File.ReadAllText(LockPath).Trim() == $"{run.Pid}";
}
