using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A log without a reader: neither passes nor the end of the agent wait for one.</summary>
public sealed class UnreadLogTests : IDisposable
{
    private const int Connections = 3000;

    private readonly Lab _lab = new();
    private readonly TestCgroup _cgroup = new();
    private readonly AgentProcess _agent;

    public UnreadLogTests() => _agent = new AgentProcess(_lab.Client);

    /// <summary>Regression: with --log-level debug the passes stopped at the full pipe, and SIGTERM had no effect.</summary>
    [Theory]
    [InlineData("pidfd", "text")]
    [InlineData("pidfd", "json")]
    [InlineData("bpf", "text")]
    public void Log_FullPipeAtLevelDebug_SigtermEndsTheAgentAndValuesAreRestored(string datapath, string format)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        int port = _lab.Server.Listen();
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
        var ids = _lab.Client.ConnectMany(Lab.ServerAddress, port, Connections);
        var untouched = _lab.Client.Get(ids.First);
        var run = _agent.LaunchBy(
            ["python3", "-u", "-c", Starter], ["--interval", "1s", "--listen", "none", "--log-level", "debug", "--log-format", format, "--restore-on-exit"]);
        Eventually.True(() => _lab.Client.Get(ids.First + Connections - 1).On, TimeSpan.FromSeconds(30));
        run.WaitForLine(line => line == "full");

        // Passes continue: a connection made now is set.
        int later = _lab.Client.Connect(Lab.ServerAddress, port);
        Eventually.True(() => _lab.Client.Get(later).On, TimeSpan.FromSeconds(5));
        Command.Run("kill", "-TERM", run.WaitForLine(line => line.StartsWith("pid ", StringComparison.Ordinal))[4..]);
        Assert.Equal("ended 0", run.WaitForLine(line => line.StartsWith("ended ", StringComparison.Ordinal), TimeSpan.FromSeconds(5)));
        Assert.Equal(untouched, _lab.Client.Get(ids.First));
        Assert.Equal(untouched, _lab.Client.Get(ids.First + Connections - 1));
        Assert.Equal(untouched, _lab.Client.Get(later));
    }

    /// <summary>Regression: the agent waited for ever to write its error about the policy, or about another agent.</summary>
    [Fact]
    public void Log_FullPipeFromTheStart_FailureToStartEndsTheAgent()
    {
        Live.Require("python3");
        File.Delete(_agent.PolicyPath);
        var run = _agent.LaunchBy(["python3", "-u", "-c", "full = True\n" + Starter], ["--listen", "none"]);
        Assert.Equal("ended 1", run.WaitForLine(line => line.StartsWith("ended ", StringComparison.Ordinal), TimeSpan.FromSeconds(10)));
    }

    public void Dispose()
    {
        _agent.Dispose();
        _cgroup.Dispose();
        _lab.Dispose();
    }

    // Standard error is a pipe of one page that this process never reads.
    private const string Starter = """
        import array, fcntl, os, subprocess, sys, termios, threading, time
        r, w = os.pipe()
        size = fcntl.fcntl(w, 1031, 4096)
        if "full" in globals():
            os.write(w, bytes(size))
        p = subprocess.Popen(sys.argv[1:], stderr=w)
        os.close(w)
        print("pid %d" % p.pid)
        waiting, said, level, since = array.array("i", [0]), False, 0, time.time()
        while p.poll() is None:
            fcntl.ioctl(r, termios.FIONREAD, waiting)
            if waiting[0] != level:
                level, since = waiting[0], time.time()
            if not said and level > size // 2 and time.time() - since > 1:
                said = True
                print("full")
            time.sleep(0.02)
        print("ended %d" % p.returncode)
        """;
}
