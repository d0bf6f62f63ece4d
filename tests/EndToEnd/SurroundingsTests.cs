using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The agent with unusual standard streams, an unusual /proc, or unusual files as arguments.</summary>
public sealed class SurroundingsTests : IDisposable
{
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public SurroundingsTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.Guide($"{Lab.ServerAddress}:{_port}"));
    }

    /// <summary>Regression: it waited for a writer of the FIFO, and SIGTERM did not end it.</summary>
    [Theory]
    [InlineData("run", "--once")]
    [InlineData("run")]
    [InlineData("sockets")]
    [InlineData("audit")]
    public void NamespaceOrCgroup_IsAFifo_IsRefused(params string[] command)
    {
        string fifo = _agent.PolicyPath + ".fifo";
        Command.Run("mkfifo", fifo);
        string[] words = [ProgramRun.AgentPath, .. command, "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory];
        var result = ProgramRun.ToEnd(["timeout", "20", .. words, "--netns", fifo]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"--netns {fifo}: it is not a network namespace", result.Error, StringComparison.Ordinal);
        if (command is ["run", ..])
        {
            result = ProgramRun.ToEnd(["timeout", "20", .. words, "--datapath", "bpf", "--cgroup", fifo]);
            Assert.Contains(result.ExitCode, new[] { 2, 3 });
            Assert.Contains($"{fifo} is not a cgroup", result.Error, StringComparison.Ordinal);
        }
    }

    /// <summary>Regression: the message blamed the state directory.</summary>
    [Theory]
    [InlineData("run")]
    [InlineData("run", "--once")]
    [InlineData("sockets")]
    [InlineData("audit")]
    public void Proc_NotMounted_IsReported(params string[] command)
    {
        Assert.SkipUnless(File.Exists(ProgramRun.AgentPath + ".dbg"), "the runtime of a program that is not compiled ahead of time needs /proc itself");
        string[] words = [ProgramRun.AgentPath, .. command, "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory];
        var result = ProgramRun.ToEnd(["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc && exec timeout 20 \"$@\"", "sh", .. words]);
        Assert.Equal(3, result.ExitCode);
        Assert.StartsWith("keepalive-agent: /proc is not mounted", result.Error, StringComparison.Ordinal);
        Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>Regression: a message that could not be written ended the program with 134.</summary>
    [Theory]
    [InlineData("bogus")]
    [InlineData("explain")]
    [InlineData("probes", "/nonexistent")]
    [InlineData("run", "--once", "--policies", "/nonexistent")]
    [InlineData("check", "/nonexistent")]
    [InlineData("audit", "--policies", "/nonexistent")]
    public void Message_CannotBeWritten_ChangesNothing(params string[] command)
    {
        var plain = ProgramRun.ToEnd([ProgramRun.AgentPath, .. command]);
        Assert.NotEqual(("", 0), (plain.Error, plain.ExitCode));
        foreach (string redirection in new[] { "2>&-", "2>/dev/full", "<&- 2>&-", "2</dev/null" })
        {
            var result = ProgramRun.ToEnd(["sh", "-c", $"exec \"$0\" \"$@\" {redirection}", ProgramRun.AgentPath, .. command]);
            Assert.Equal((plain.Output, plain.ExitCode), (result.Output, result.ExitCode));
        }
        Assert.Equal(plain.ExitCode == 2 ? 2 : 4, ProgramRun.ToEnd(["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", ProgramRun.AgentPath, .. command]).ExitCode);
    }

    /// <summary>Regression: the log was written to the pipe on which the runtime receives signals, and one of its bytes acted as a signal
    /// that ended it.</summary>
    [Fact]
    public void Run_NoStandardStreams_Works()
    {
        Assert.SkipUnless(File.Exists(ProgramRun.AgentPath + ".dbg"), "the runtime of a program that is not compiled ahead of time takes their numbers before the program begins");
        string metrics = AgentHttp.FreeAddress();
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = _agent.LaunchBy(["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"], ["--interval", "1s", "--listen", metrics, "--log-level", "debug"]);
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(15));
        _agent.WritePolicy("nonsense");
        run.Signal("HUP");
        using var pages = new AgentHttp(metrics);
        Eventually.True(() => pages.Sum("keepalive_policies", "invalid") == 1, TimeSpan.FromSeconds(15));
        int next = _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Client.Get(next) == s_guide, TimeSpan.FromSeconds(15));
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal("/dev/null", new FileInfo($"/proc/{run.Pid}/fd/{i}").LinkTarget);
        }
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [InlineData("sockets")]
    [InlineData("run", "--once", "--dry-run")]
    public void Output_DeviceFull_IsOneLineAndExit4(params string[] command)
    {
        string[] run = [ProgramRun.AgentPath, .. command, "--policies", _agent.PolicyPath, "--state-dir", _agent.StateDirectory, "--netns", _lab.Client.NetnsPath];
        var result = ProgramRun.ToEnd(["sh", "-c", "exec \"$0\" \"$@\" > /dev/full", .. run]);
        Assert.Equal(4, result.ExitCode);
        Assert.Contains("No space left on device", Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
    }
}
