using System.Diagnostics;
using System.Globalization;
using System.Net;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Compares the verdict about a destination that ten workloads use with the truth. Another process asks for the verdict four times
/// a second. A balancer drops a flow, and the destination dies and recovers, while three tenants lie.</summary>
public sealed class VerdictTruthTests(ITestOutputHelper output) : IDisposable
{
    private const int Workloads = 10;
    private const int ConnectionsEach = 3;

    private static readonly TimeSpan s_pass = TimeSpan.FromMilliseconds(500);

    /// <summary>The time that a question, its answer and the capture take on a busy machine.</summary>
    private static readonly TimeSpan s_slack = TimeSpan.FromMilliseconds(750);

    private readonly Lab _lab = new();
    private readonly TestCgroup _cgroup = new();
    private readonly List<IDisposable> _started = [];
    private readonly Dictionary<Holder, int> _lost = [];

    [Theory]
    [InlineData("pidfd", 2, 1)]
    [InlineData("bpf", 4, 1)]
    public void Verdict_TenWorkloadsAndThreeLiars_IsNeverWrongForLong(string datapath, int time, int interval) => Compare(datapath, time, interval);

    /// <summary>Takes as long as with real policies: `make verdicts`.</summary>
    [Theory]
    [InlineData("bpf", 15, 2)]
    [InlineData("pidfd", 60, 10)]
    [InlineData("bpf", 60, 10)]
    [InlineData("pidfd", 700, 10)]
    [Trait("Verdicts", "long")]
    public void Verdict_LongTimes_IsNeverWrongForLong(string datapath, int time, int interval) => Compare(datapath, time, interval);

    public void Dispose()
    {
        _started.ForEach(one => one.Dispose());
        _lab.Dispose();
        _cgroup.Dispose();
    }

    private void Compare(string datapath, int time, int interval)
    {
        Live.Require("python3", "nft");
        var port = _lab.Server.Listen();
        var endpoint = $"{Lab.ServerAddress}:{port}";
        var portText = port.ToString(CultureInfo.InvariantCulture);
        Started(Tenant.Beside(_lab.Client.NetnsPath, 65533, Attacks.DyingConnections, Lab.ServerAddress, portText));
        Started(Tenant.Beside(_lab.Client.NetnsPath, 65532, Attacks.DyingConnections, Lab.ServerAddress, portText));
        var loopback = Started(new Tenant(Attacks.OwnServer, Lab.ServerAddress, portText));
        var agent = Started(new AgentProcess(_lab.Client));
        if (datapath == "bpf")
        {
            _cgroup.Add(_lab.Client.Pid);
            agent.UseBpf(_cgroup);
        }
        agent.WritePolicy(PolicyText.For(Lab.ServerAddress, $"time: {time}s, interval: {interval}s, probes: 2"));
        var check = IPEndPoint.Parse(AgentHttp.FreeAddress()).Port;
        var run = agent.Launch("--interval", $"{s_pass.TotalMilliseconds:F0}ms", "--listen", "none", "--agent-check", $"127.0.0.1:{check}", "--netns", loopback.NetnsPath);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);

        var honest = Enumerable.Range(0, Workloads).Select(number => Started(_lab.Client.StartBesideAs(2001 + number))).ToList();
        foreach (var workload in honest)
        {
            workload.ConnectMany(Lab.ServerAddress, port, ConnectionsEach);
            Wait(TimeSpan.FromSeconds(Math.Min(1, time / 20.0)));
        }
        var asker = Started(new ProgramRun(["/usr/bin/python3", "-u", "-c", Attacks.Asker, check.ToString(CultureInfo.InvariantCulture), endpoint]));
        asker.WaitForLine(line => line == "ready", TimeSpan.FromSeconds(20));
        var begun = Now();

        // A balancer drops one flow. Its connection dies, but the destination is alive.
        var flow = honest[3].LocalEndPoint(0).Port;
        _lab.Server.Shell($"nft add table inet cut && nft 'add chain inet cut in {{ type filter hook input priority -500; }}' && nft add rule inet cut in tcp sport {flow} drop");
        var longest = TimeSpan.FromSeconds((time * 1.13) + (2 * interval * 1.13) + 5);
        Eventually.True(() => honest[3].PendingError(0).Errno != 0, longest);
        _lost[honest[3]] = 1;
        Wait(TimeSpan.FromSeconds((2 * interval) + 2));
        _lab.Server.Run("nft", "delete", "table", "inet", "cut");

        // The destination dies.
        _lab.BlackHole();
        var deadSince = Now();
        Eventually.True(() => honest.Any(HasLostOne), longest, what: "a connection dies");
        var firstDeath = Now();
        Wait(TimeSpan.FromSeconds(interval + 5) + (2 * s_pass));
        if (time < 60)
        {
            Eventually.True(() => honest.All(HasLostAll), longest, what: "all connections die");
        }
        Wait(TimeSpan.FromSeconds(2));

        // The destination recovers, and one workload after the other connects again.
        _lab.Restore();
        honest[7].ConnectMany(Lab.ServerAddress, port, ConnectionsEach);
        var firstAnswer = Now();
        foreach (var workload in honest.Where(workload => workload != honest[7]))
        {
            Wait(TimeSpan.FromMilliseconds(500));
            workload.ConnectMany(Lab.ServerAddress, port, ConnectionsEach);
        }
        Wait(TimeSpan.FromSeconds(Math.Min(time, 30) + (2 * interval)));
        var ended = Now();

        var answers = asker.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line.Split(' '))
            .Select(parts => (At: double.Parse(parts[0], CultureInfo.InvariantCulture), IsUp: parts[1] == "up")).ToList();
        var outBy = firstDeath + interval + (2 * s_pass.TotalSeconds) + s_slack.TotalSeconds;
        var backBy = firstAnswer + s_pass.TotalSeconds + s_slack.TotalSeconds;
        var wrong = answers.Where(answer => answer.At < ended && (
            (answer.At < deadSince && !answer.IsUp)
            || (answer.At > outBy && answer.At < firstAnswer - s_slack.TotalSeconds && answer.IsUp)
            || (answer.At > backBy && !answer.IsUp))).ToList();
        var outAt = answers.First(answer => answer.At > deadSince && !answer.IsUp).At;
        var backAt = answers.First(answer => answer.At > firstAnswer && answer.IsUp).At;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{datapath}, time {time} s, interval {interval} s: {wrong.Count} of {answers.Count} answers wrong; out {outAt - firstDeath:F2} s after the first death (allowed {outBy - firstDeath:F2}), {outAt - deadSince:F1} s after the destination's; back {backAt - firstAnswer:F2} s after the first answer (allowed {backBy - firstAnswer:F2})"));
        Assert.True(wrong.Count == 0, $"{string.Join(", ", wrong.Take(10).Select(answer => $"{answer.At - begun:F2} {(answer.IsUp ? "up" : "down")}"))}; dead {deadSince - begun:F2}, first death {firstDeath - begun:F2}, first answer {firstAnswer - begun:F2}\n{run.Error}");
        Assert.InRange(answers.Count, (ended - begun) * 3, (ended - begun) * 4.2 + 8);
    }

    private bool HasLostOne(Holder workload) => _lost.GetValueOrDefault(workload) is var before && Lost(workload) > before;

    private bool HasLostAll(Holder workload) => Lost(workload) >= ConnectionsEach;

    /// <summary>Counts the connections of a workload that have ended. The error of a socket can be read only once.</summary>
    private int Lost(Holder workload)
    {
        var lost = _lost.GetValueOrDefault(workload);
        for (var id = 0; id < ConnectionsEach; id++)
        {
            lost += workload.PendingError(id).Errno != 0 ? 1 : 0;
        }
        return _lost[workload] = lost;
    }

    private T Started<T>(T one)
        where T : IDisposable
    {
        _started.Add(one);
        return one;
    }

    private static void Wait(TimeSpan time)
    {
        var begun = Stopwatch.StartNew();
        Eventually.True(() => begun.Elapsed >= time, time + TimeSpan.FromSeconds(10));
    }

    /// <summary>Reads CLOCK_MONOTONIC, in seconds.</summary>
    private static double Now() => Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
}
