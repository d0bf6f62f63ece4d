using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Demo;

/// <summary>The story the demo tells. Every claim in it is checked against the kernel, by ss and by the application's own getsockopt(2).</summary>
internal sealed class DemoRun
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly SocketOptions Wanted = new(true, 700, 10, 20);

    private readonly Timeline _timeline;
    private readonly LabNetwork _network;
    private readonly string _agent;
    private readonly string _directory;
    private readonly IReadOnlyList<(IPEndPoint Target, string What)> _connections;

    private DemoRun(Timeline timeline, LabNetwork network, string agent, string directory)
    {
        _timeline = timeline;
        _network = network;
        _agent = agent;
        _directory = directory;
        _connections = Socket.OSSupportsIPv6
            ? [
                (LabNetwork.Destination, "IPv4"),
                (LabNetwork.Destination6, "IPv6"),
                (LabNetwork.DestinationMapped, "IPv4 through an IPv6 socket"),
                (LabNetwork.OtherDestination, "another destination, under no policy"),
            ]
            : [(LabNetwork.Destination, "IPv4; this kernel has no IPv6"), (LabNetwork.OtherDestination, "another destination, under no policy")];
    }

    /// <summary>Connections to the policy's destination; the last one goes elsewhere.</summary>
    private int Selected => _connections.Count - 1;

    public static async Task<int> ExecuteAsync(string agent, string directory, TextWriter output)
    {
        var timeline = new Timeline(output, Timeline.WantsColours());
        timeline.Title("keepalive-sim demo: keepalive for applications that never asked for it, set by policy and from outside");
        using var network = await LabNetwork.CreateAsync().ConfigureAwait(false);
        await new DemoRun(timeline, network, agent, directory).TellAsync().ConfigureAwait(false);
        timeline.Close(timeline.Broken == 0
            ? string.Create(CultureInfo.InvariantCulture, $"Done in {timeline.Elapsed.TotalSeconds:0.0} s: everything came out as described.")
            : $"{timeline.Broken} of the claims above did not come out as described.");
        return timeline.Broken == 0 ? ExitCodes.Done : ExitCodes.NotAsDescribed;
    }

    private async Task TellAsync()
    {
        await OpenAsync().ConfigureAwait(false);
        await BeforeAsync().ConfigureAwait(false);
        string[] run = ["run", "--policies", "policy.yaml", "--interval", "500ms", "--restore-on-exit", "--state-dir", "state"];
        _timeline.Step("The policy, as it would be written for Gloo Mesh; the annotation says where the destination is on the wire.");
        _timeline.Output(DemoPolicy.Text);
        Write(DemoPolicy.Text);
        _timeline.Step("The agent starts, outside of both namespaces.");
        _timeline.Command(["keepalive-agent", .. run]);
        using var agent = new AgentProcess([_agent, .. run], _directory);
        await SetAsync(agent).ConfigureAwait(false);
        await AfterAsync().ConfigureAwait(false);
        await ProbeAsync(agent).ConfigureAwait(false);
        await GiveBackAsync(agent).ConfigureAwait(false);
    }

    private async Task OpenAsync()
    {
        _timeline.Step("A client and a server, each in a network namespace of its own. Neither sets a socket option.");
        _timeline.Text($"client, pid {_network.Client.Pid}  ── veth ──  server, pid {_network.Server.Pid}");
        _timeline.Text($"The client opens {_connections.Count} connections and keeps them for later:");
        foreach (var (target, what) in _connections)
        {
            await _network.Client.AskAsync($"open {target}").ConfigureAwait(false);
            _timeline.Text($"  {target,-28} {what}");
        }
        await RequestAsync().ConfigureAwait(false);
    }

    private async Task BeforeAsync()
    {
        _timeline.Step("Before: idle connections, and no timer that would ever tell whether the other end is still there.");
        var sockets = ShowSockets();
        var options = await OptionsAsync().ConfigureAwait(false);
        _timeline.Claim(sockets.Count == _connections.Count && sockets.All(socket => socket.Timer is null), $"{_connections.Count} connections, no timer");
        _timeline.Claim(options.All(o => o == SocketOptions.Untouched), "keepalive is off on each, says the client's own getsockopt(2)");
    }

    private async Task SetAsync(AgentProcess agent)
    {
        var clock = Stopwatch.StartNew();
        var set = await EventuallyAsync(async () => (await OptionsAsync().ConfigureAwait(false)).Count(o => o == Wanted) == Selected, agent)
            .ConfigureAwait(false);
        var took = clock.Elapsed;
        await ShowLogAsync(agent, Selected).ConfigureAwait(false);
        _timeline.Claim(set, string.Create(CultureInfo.InvariantCulture, $"{Selected} sockets set, {took.TotalSeconds:0.0} s after the agent's start"));
    }

    private async Task AfterAsync()
    {
        _timeline.Step("After: the kernel counts down to the first probe. The client was neither restarted nor asked.");
        var sockets = ShowSockets();
        string[] table = ["sockets", "--policies", "policy.yaml", "--state-dir", "state", "--netns", $"/proc/{_network.Client.Pid}/ns/net"];
        _timeline.Command(["keepalive-agent", .. table]);
        var result = Tool.Run([_agent, .. table], directory: _directory);
        _timeline.Output(result.Output + result.Error);
        var options = await OptionsAsync().ConfigureAwait(false);
        _timeline.Claim(
            sockets.Where(IsSelected).Count(s => s is { Timer: "keepalive", Unanswered: 0 } && s.Left.TotalSeconds is >= 600 and <= 700) == Selected,
            $"{Selected} connections to the destination have a keepalive timer, of 11 minutes and some seconds");
        _timeline.Claim(options.Take(Selected).All(o => o == Wanted), $"keepalive is {Wanted.Describe()}, says the client's own getsockopt(2)");
        _timeline.Claim(
            sockets.Where(s => !IsSelected(s)).All(s => s.Timer is null) && options[^1] == SocketOptions.Untouched,
            "the connection to the other destination is as it was");
        _timeline.Claim(result.ExitCode == ExitCodes.Done && CountManaged(result.Output) == Selected, "the agent's own table says the same");
    }

    private async Task ProbeAsync(AgentProcess agent)
    {
        _timeline.Step("Nobody wants to watch 700 seconds: the policy is changed to time 1s, interval 1s, and the running agent takes it up.");
        var before = Probes();
        var clock = Stopwatch.StartNew();
        Write(DemoPolicy.Impatient);
        long sent = 0;
        IReadOnlyList<SsSocket> sockets = [];
        var answered = await EventuallyAsync(() =>
        {
            sent = Probes() - before;
            sockets = SsSocket.ParseAll(_network.Client.Run(Tool.Command(Tool.Ss, "-tno")));
            return Task.FromResult(sent >= 2 * Selected && sockets.Where(IsSelected).All(s => s is { Timer: "keepalive", Unanswered: 0 }));
        }, agent).ConfigureAwait(false);
        var took = clock.Elapsed;
        await ShowLogAsync(agent, 2 * Selected).ConfigureAwait(false);
        ShowSockets();
        _timeline.Claim(answered, string.Create(CultureInfo.InvariantCulture,
            $"{sent} probes sent within {took.TotalSeconds:0.0} s (TcpExt TCPKeepAlive), and all answered (the last number of timer:(…) is 0)"));
    }

    private async Task GiveBackAsync(AgentProcess agent)
    {
        _timeline.Step("The agent is told to stop, and gives every socket back as it was (--restore-on-exit).");
        _timeline.Command(["kill", "-TERM", agent.Pid.ToString(CultureInfo.InvariantCulture)]);
        var exitCode = await agent.StopAsync(Patience).ConfigureAwait(false);
        await ShowLogAsync(agent, 2 * Selected).ConfigureAwait(false);
        var sockets = ShowSockets();
        var options = await OptionsAsync().ConfigureAwait(false);
        _timeline.Claim(exitCode == ExitCodes.Done, exitCode is null ? "the agent ended" : $"the agent ended with exit code {exitCode}");
        _timeline.Claim(sockets.Count == _connections.Count && sockets.All(socket => socket.Timer is null), $"{_connections.Count} connections, no timer");
        _timeline.Claim(options.All(o => o == SocketOptions.Untouched), "keepalive is off on each, and its other values are those found");
        await RequestAsync().ConfigureAwait(false);
    }

    private async Task RequestAsync()
    {
        var answered = await _network.Client.AskAsync("request").ConfigureAwait(false);
        _timeline.Claim(
            answered == _connections.Count.ToString(CultureInfo.InvariantCulture), $"a request over each connection is answered: {answered} of {_connections.Count}");
    }

    private async Task<SocketOptions[]> OptionsAsync() =>
        [.. (await _network.Client.AskAsync("options").ConfigureAwait(false)).Split(' ').Select(SocketOptions.Parse)];

    /// <summary>Shows what is new in the agent's log, once it tells of as many changes: the values are there before the line is.</summary>
    private async Task ShowLogAsync(AgentProcess agent, int changes)
    {
        await EventuallyAsync(() => Task.FromResult(agent.Count(" Set ") >= changes), agent).ConfigureAwait(false);
        foreach (var message in agent.NewMessages())
        {
            _timeline.Output(message);
        }
    }

    private IReadOnlyList<SsSocket> ShowSockets()
    {
        _timeline.Command(["nsenter", $"--target={_network.Client.Pid}", "--net", "ss", "-tno"]);
        var output = _network.Client.Run(Tool.Command(Tool.Ss, "-tno"));
        _timeline.Output(output);
        return SsSocket.ParseAll(output);
    }

    private long Probes() =>
        NetworkCounter.Parse(File.ReadAllText($"/proc/{_network.Client.Pid}/net/netstat"), NetworkCounter.KeepaliveProbes);

    private void Write(string policy)
    {
        // Replaced in one move: the agent must not meet half of it.
        var path = Path.Combine(_directory, "policy.yaml");
        File.WriteAllText(path + ".new", policy);
        File.Move(path + ".new", path, overwrite: true);
    }

    private static bool IsSelected(SsSocket socket) => socket.Remote.Port == LabNetwork.Destination.Port;

    private static int CountManaged(string table) =>
        table.Split('\n').Count(line => line.Contains(" 700s/10s/20 ", StringComparison.Ordinal) && line.Contains("bookinfo/tcp-keepalive", StringComparison.Ordinal));

    private static async Task<bool> EventuallyAsync(Func<Task<bool>> condition, AgentProcess agent)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Patience && !agent.HasEnded;)
        {
            if (await condition().ConfigureAwait(false))
            {
                return true;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(50)).ConfigureAwait(false);
        }
        return false;
    }
}
