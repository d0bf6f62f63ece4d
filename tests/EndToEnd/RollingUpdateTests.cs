using System.Diagnostics;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>An agent that follows another one on a busy node, with its state file: what was opened between the two is set by the first pass,
/// and every socket gets its application's values back.</summary>
public sealed class RollingUpdateTests : IDisposable
{
    private const int PerSecond = 1000;
    private const int Applications = 200;

    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_own = new(true, 900, 50, 7);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly TestCgroup _cgroup;
    private readonly AgentProcess _agent;
    private readonly int _port;

    public RollingUpdateTests()
    {
        Live.Require();
        _lab = new Lab();
        _cgroup = new TestCgroup();
        _cgroup.Add(_lab.Client.Pid);
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.Guide($"{Lab.ServerAddress}:{_port}"));
    }

    /// <summary>Regression: with pidfd, two thirds of these connections had no time in the successor's first pass, and its next passes skipped
    /// them for a minute.</summary>
    /// <remarks>A connection with the application's own values keeps its number, so its state before and after is known. The others are
    /// counted.</remarks>
    [Theory]
    [InlineData("pidfd", "TERM")]
    [InlineData("bpf", "TERM")]
    [InlineData("pidfd", "KILL")]
    public void Successor_UnderAThousandConnectionsASecond_SetsAllInItsFirstPassAndRestoresTheApplicationsValues(string datapath, string signal)
    {
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        int[] before = Own(Applications);
        var first = Start();
        Eventually.True(() => before.All(id => _lab.Client.Get(id) == s_guide), TimeSpan.FromSeconds(20));
        // More connections than are spread, most of them opened by an agent that is gone when they are judged.
        _lab.Client.Churn(Lab.ServerAddress, _port, PerSecond, TimeSpan.FromSeconds(6), hold: TimeSpan.Zero);
        Eventually.True(() => _lab.Client.ChurnCount().Opened >= PerSecond / 2, TimeSpan.FromSeconds(10));
        first.Signal(signal);
        first.WaitForExit(TimeSpan.FromSeconds(10));
        long opened = _lab.Client.ChurnCount().Opened;
        // The same address and port as a connection that the first agent has set, and another application's values.
        int port = _lab.Client.LocalEndPoint(before[0]).Port;
        _lab.Client.Abort(before[0]);
        int reused = _lab.Client.Dial(Lab.ServerAddress, _port, port);
        int[] between = Own(Applications);
        Eventually.True(() => _lab.Client.ChurnCount().Opened >= opened + (3 * PerSecond), TimeSpan.FromSeconds(20));

        var clock = Stopwatch.StartNew();
        long all = _lab.Client.ChurnCount().Opened;
        var second = Start("--restore-on-exit");

        var seen = _lab.Client.ChurnValues(0, all);
        TestContext.Current.SendDiagnosticMessage($"{datapath}, {signal}: {all - opened} opened between the two, first pass done after {clock.Elapsed.TotalSeconds:F1} s: {string.Join(", ", seen)}");
        Assert.Equal([new(s_guide, (int)all)], seen);
        Assert.All([.. before[1..], .. between, reused], id => Assert.Equal(s_guide, _lab.Client.Get(id)));
        // All that were opened meanwhile are known to the agent after one more pass.
        Eventually.True(() => _lab.Client.ChurnValues(0, long.MaxValue) is { Count: 1 } values && values.ContainsKey(s_guide), TimeSpan.FromSeconds(30));
        second.Terminate();
        Assert.Equal(0, second.WaitForExit(TimeSpan.FromSeconds(30)));
        Assert.Equal([s_untouched], _lab.Client.ChurnValues(0, long.MaxValue).Keys);
        Assert.All([.. before[1..], .. between], id => Assert.Equal(s_own, _lab.Client.Get(id)));
        Assert.Equal(s_untouched, _lab.Client.Get(reused));
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }

    /// <summary>Starts the agent with the usual interval and waits for the end of its first pass.</summary>
    private ProgramRun Start(params string[] more)
    {
        var run = _agent.Launch(["--interval", "5s", "--listen", "none", "--capture", "off", .. more]);
        AgentProcess.WaitForEvent(run, 8);
        return run;
    }

    /// <summary>Opens connections of an application that has values of its own.</summary>
    private int[] Own(int count)
    {
        var (first, last) = _lab.Client.ConnectMany(Lab.ServerAddress, _port, count);
        int[] ids = [.. Enumerable.Range(first, last - first + 1)];
        foreach (int id in ids)
        {
            _lab.Client.EnableKeepalive(id, s_own.Idle, s_own.Interval, s_own.Count);
        }
        return ids;
    }
}
