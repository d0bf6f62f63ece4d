using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Demo;

/// <summary>The story the demo tells: three acts, each claim in it checked at the balancer, in the kernel (ss) and by the client.</summary>
/// <remarks>
/// <code>
///   client side                                  balancer        server side
///   web client ──► sidecar proxy ═══════════════╡        ╞═══════► recommendation service
///                     keepalive-agent (act 3)
/// </code>
/// It waits for what has to happen, not for times: a machine that is slow by a second changes nothing.
/// </remarks>
internal sealed class DemoRun : IDisposable
{
    /// <summary>Of the balancer. The policy probes after 1 s and every second, so that there is room for a slow machine.</summary>
    private static readonly TimeSpan s_idleTimeout = TimeSpan.FromSeconds(4);

    /// <summary>The runtime's timers count on a clock that ticks every few milliseconds, and fire that much early by another one.</summary>
    private static readonly TimeSpan s_timerTolerance = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentQueue<LabEvent> _news = new();
    private readonly ConcurrentQueue<string> _agentNews = new();
    private readonly List<LabEvent> _act = [];
    private readonly HashSet<LabFlowKey> _past = [];
    private readonly DemoTimeline _timeline;
    private readonly RunningLab _lab;
    private readonly DemoProcess _service;
    private readonly DemoProcess _proxy;
    private readonly DemoProcess _client;
    private readonly string? _agent;
    private readonly string _directory;
    private readonly DemoReport? _report;
    private Exception? _failure;

    private DemoRun(TextWriter output, string? agent, string directory, bool reports)
    {
        (_agent, _directory) = (agent, directory);
        _lab = RunningLab.Create();
        _timeline = new DemoTimeline(output, Terminal.WantsColours(), () => _lab.Elapsed);
        _report = reports ? new DemoReport(DateTimeOffset.UtcNow - _lab.Elapsed) : null;
        _service = DemoProcess.Start(_lab.Network.Server, Roles.Service);
        _proxy = DemoProcess.Start(_lab.Network.Client, Roles.Proxy, $"{LabNetwork.ServerAddress}:{RecommendationService.Port}");
        _client = DemoProcess.Start(_lab.Network.Client, Roles.Client);
    }

    /// <summary>Tells it.</summary>
    /// <param name="agent">The agent; null to leave it out, and so to see act 3 fail.</param>
    /// <param name="directory">For what only lasts as long as the demo.</param>
    /// <param name="output">Where to.</param>
    /// <param name="report">The file of the page with its packets; null for none.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> ExecuteAsync(string? agent, string directory, TextWriter output, string? report = null)
    {
        using var demo = new DemoRun(output, agent, directory, report is not null);
        var exitCode = await demo.TellAsync().ConfigureAwait(false);
        return report is not null && demo.WriteReport(report) is { } problem ? Complaint.Say(ExitCodes.Failed, problem) : exitCode;
    }

    public void Dispose()
    {
        _client.Dispose();
        _proxy.Dispose();
        _service.Dispose();
        _lab.Dispose();
    }

    /// <summary>Writes the page.</summary>
    /// <returns>Why it could not be written; null if it was.</returns>
    private string? WriteReport(string file)
    {
        _lab.Stop();
        if (ReportOption.Write(file, _report!.Complete(_lab.Elapsed)) is { } problem)
        {
            return problem;
        }
        _timeline.Text("");
        _timeline.Text($"The packets of all acts: {file}");
        return null;
    }

    private async Task<int> TellAsync()
    {
        _timeline.Title("keepalive-sim demo: a connection idles, a balancer forgets it, and the next request pays");
        _timeline.Text("");
        _timeline.Text("web client ──► sidecar proxy ════ idle balancer ════► recommendation service");
        _timeline.Text("");
        _timeline.Text("Real processes on real network stacks. The proxy keeps its upstream connection for the next request, as Envoy does; it waits");
        _timeline.Text($"{Words.Duration(SidecarProxy.RequestTimeout)} for an answer. None of the three sets keepalive. The balancer's idle timeout is scaled down to {Words.Duration(s_idleTimeout)}.");
        await _service.ReadAsync().ConfigureAwait(false);
        await _proxy.ReadAsync().ConfigureAwait(false);
        var failed = new List<string>();
        foreach (var act in DemoAct.All)
        {
            var before = _timeline.Broken;
            await PlayAsync(act).ConfigureAwait(false);
            if (_timeline.Broken > before)
            {
                failed.Add(act.Title[..act.Title.IndexOf(':', StringComparison.Ordinal)]);
            }
        }
        _timeline.Act(failed.Count == 0 ? "The policy that act 3 has enforced" : "The policy that act 3 is about");
        _timeline.File(DemoPolicy.Text);
        _timeline.Close(failed.Count == 0
            ? string.Create(CultureInfo.InvariantCulture, $"503 and 504 without the policy, 200 with it; {_lab.Elapsed.TotalSeconds:0} s.")
            : $"NOT AS DESCRIBED: {string.Join(", ", failed)}. See the lines marked ✗.");
        return failed.Count == 0 ? ExitCodes.Done : ExitCodes.NotAsDescribed;
    }

    private async Task PlayAsync(DemoAct act)
    {
        _timeline.Act(act.Title);
        _timeline.Text($"The balancer behaves like {act.Balancer.Name}, which forgets after {act.Balancer.IdleTimeout} s: {act.Balancer.Product}.");
        // Later events of the previous act's connection are not part of this act.
        _past.UnionWith(_act.Select(what => what.Flow));
        _act.Clear();
        var rule = new BalancerRule(s_idleTimeout, act.Balancer.Behaviour);
        _lab.Balance(rule, _news.Enqueue, failure => _failure = failure, recorder: _report?.Begin(act, rule, _past, act.WithPolicy && _agent is not null));
        using var agent = act.WithPolicy ? await StartAgentAsync().ConfigureAwait(false) : null;

        var first = await RequestAsync().ConfigureAwait(false);
        await WaitAsync(() => Count(LabEventKind.Opened) > 0).ConfigureAwait(false);
        _timeline.Claim(first.Status == 200 && Count(LabEventKind.Opened) == 1, "the first request opens a connection and is answered");
        await IdleAsync(act, agent).ConfigureAwait(false);

        var second = await RequestAsync().ConfigureAwait(false);
        await WaitAsync(() => act.Status != 503 || Count(LabEventKind.Reset) > 0).ConfigureAwait(false);
        Pump();
        Judge(act, second);
    }

    /// <summary>Waits while the connection is idle: until the balancer has forgotten it, or for so long that it would have, twice.</summary>
    private async Task IdleAsync(DemoAct act, LabAgent? agent)
    {
        if (act.WithPolicy && agent is not null)
        {
            await WaitAsync(() => agent.SocketsSet > 0 || agent.HasEnded).ConfigureAwait(false);
            if (agent.HasEnded)
            {
                _timeline.Line("agent", "is not there any more", "31");
            }
        }
        var socket = Socket();
        _timeline.Line("kernel", socket?.Timer is null ? "ss: the proxy's connection has no keepalive timer" : $"ss: the proxy's connection has timer:({socket.Timer})");
        _timeline.Claim((socket?.Timer == "keepalive") == act.WithPolicy, act.WithPolicy ? "the kernel counts down to a probe" : "nothing will ever probe it");
        _timeline.Line("client", act.WithPolicy ? $"is idle, up to {Words.Duration(2 * s_idleTimeout)}: twice the idle timeout" : "is idle");
        var idle = Stopwatch.StartNew();
        await WaitAsync(() => Count(LabEventKind.Expired) > 0 || (act.WithPolicy && idle.Elapsed >= 2 * s_idleTimeout)).ConfigureAwait(false);
    }

    private void Judge(DemoAct act, Answer answer)
    {
        var opened = Count(LabEventKind.Opened);
        _timeline.Claim(answer.Status == act.Status, $"the request after the idle time: {act.Status} expected, {answer.Status} {(answer.Status == act.Status ? "came" : "came instead")}");
        switch (act.Status)
        {
            case 503:
                _timeline.Claim(
                    _act.Any(what => what is { Kind: LabEventKind.Reset, End: FlowEnd.Client }) && opened == 1,
                    "the proxy learnt by a reset that its connection had been forgotten");
                break;
            case 504:
                _timeline.Claim(
                    Count(LabEventKind.Swallowed) > 0 && Count(LabEventKind.Reset) == 0 && opened == 1 && answer.Time >= SidecarProxy.RequestTimeout - s_timerTolerance,
                    $"no packet came back: the request was swallowed, and the proxy gave up after {Words.Duration(SidecarProxy.RequestTimeout)}");
                break;
            default:
                var probes = Count(LabEventKind.Refreshed);
                _timeline.Claim(
                    probes >= 2 && Count(LabEventKind.Expired) == 0 && opened == 1,
                    $"the same connection all along: {Words.Count(probes, "keepalive probe")} restarted the balancer's clock, each before {Words.Duration(s_idleTimeout)} were over");
                break;
        }
    }

    private async Task<LabAgent?> StartAgentAsync()
    {
        if (_agent is null)
        {
            _timeline.Line("agent", "is left out (--no-agent)", "33");
            return null;
        }
        var policies = Path.Combine(_directory, "policy.yaml");
        await File.WriteAllTextAsync(policies, DemoPolicy.Text).ConfigureAwait(false);
        var agent = new LabAgent(_agent, policies, _lab.Network.Client, _directory, _agentNews.Enqueue);
        _timeline.Line("agent", "keepalive-agent run --policies policy.yaml --interval 500ms …");
        if (!await agent.IsReadyAsync(s_patience).ConfigureAwait(false))
        {
            Pump();
            _timeline.Line("agent", agent.HasEnded ? $"has ended with exit code {agent.ExitCode}" : "does not read its policies", "31");
        }
        Pump();
        return agent;
    }

    private async Task<Answer> RequestAsync()
    {
        var sent = _lab.Elapsed;
        _timeline.Line("client", $"GET {WebClient.Path}");
        var asked = _client.AskAsync("get");
        var logged = _proxy.ReadAsync();
        await WaitAsync(() => asked.IsCompleted && logged.IsCompleted, SidecarProxy.RequestTimeout + s_patience).ConfigureAwait(false);
        Pump();
        _timeline.Line("proxy", await logged.ConfigureAwait(false));
        var words = (await asked.ConfigureAwait(false)).Split(' ', 3);
        var answer = new Answer(int.Parse(words[0], CultureInfo.InvariantCulture), TimeSpan.FromMilliseconds(long.Parse(words[1], CultureInfo.InvariantCulture)));
        _timeline.Line("client", $"{words[0]}  {words[2]}", answer.Status == 200 ? "32" : "31");
        _report?.Requested(sent, sent + answer.Time, answer.Status, words[2]);
        return answer;
    }

    /// <summary>The proxy's connection to the service, as ss shows it.</summary>
    private SsSocket? Socket()
    {
        var output = _lab.Network.Client.Run(() => Tool.Run(Tool.Command(Tool.Ss, "-tnoH", "state", "established", "dport", "=", $":{RecommendationService.Port}")));
        return SsSocket.ParseAll(string.Concat(output.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"ESTAB {line}\n"))).SingleOrDefault();
    }

    private int Count(LabEventKind kind) => _act.Count(what => what.Kind == kind);

    /// <summary>Tells what happens until a condition holds, or for as long as it may take.</summary>
    private async Task WaitAsync(Func<bool> until, TimeSpan? limit = null)
    {
        for (var clock = Stopwatch.StartNew(); ;)
        {
            Pump();
            if (until() || clock.Elapsed > (limit ?? s_patience))
            {
                return;
            }
            await Task.Delay(s_poll).ConfigureAwait(false);
        }
    }

    /// <summary>Tells what has happened at the balancer and at the agent.</summary>
    private void Pump()
    {
        if (_failure is { } failure)
        {
            throw new LabException($"frames are no longer carried: {failure.Message}");
        }
        while (_agentNews.TryDequeue(out var line))
        {
            _timeline.Line("agent", line);
        }
        while (_news.TryDequeue(out var what))
        {
            if (_past.Contains(what.Flow))
            {
                continue;
            }
            var isAgain = what.Kind == LabEventKind.Swallowed && Count(LabEventKind.Swallowed) > 0;
            _act.Add(what);
            if ((isAgain ? "drops them again: a retransmission" : Describe(what)) is { } text)
            {
                _timeline.Line("balancer", text, what.Kind is LabEventKind.Opened or LabEventKind.Refreshed ? "32" : "31", what.Time);
            }
        }
    }

    private static string? Describe(LabEvent what) => what.Kind switch
    {
        LabEventKind.Opened => $"connection {what.Flow.EndPoint(FlowEnd.Client)} → {what.Flow.EndPoint(FlowEnd.Server)} opened",
        LabEventKind.Refreshed => string.Create(CultureInfo.InvariantCulture, $"a keepalive probe after {what.Idle.TotalSeconds:0.0} s: the clock restarts"),
        LabEventKind.Expired => string.Create(CultureInfo.InvariantCulture, $"idle for {what.Idle.TotalSeconds:0.0} s: forgotten, without a packet to either end"),
        LabEventKind.Swallowed => $"drops {Words.Count(what.Length, "byte")} of the {what.End.Name()}: it does not know the connection any more",
        LabEventKind.Reset => $"sends the {what.End.Name()} a reset",
        _ => null,
    };

    private readonly record struct Answer(int Status, TimeSpan Time);
}
