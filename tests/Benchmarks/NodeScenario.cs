using System.Diagnostics;
using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>A busy node with few changes, and the agent as a process of its own with its default interval.</summary>
internal static class NodeScenario
{
    public const string Name = "node";

    private const int ProcessesEach = 10;
    private const int ConnectionsEach = 5;

    /// <summary>New connections per second in each namespace that has some.</summary>
    private const double NewPerSecond = 0.2;

    private static readonly Size s_whole = new(Namespaces: 200, Spread: 50, Descriptors: 18_000);

    private const string ServerAddress = "127.9.9.9";
    private const double GoalPercent = 1.6;
    private const double GoalPercentBpf = 0.4;
    private const double GoalMegabytes = 45;

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_hold = TimeSpan.FromSeconds(20);

    /// <summary>A common scrape interval of Prometheus.</summary>
    private static readonly TimeSpan s_scrapeEvery = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    /// <summary>Allowed delay beyond the interval on a busy machine: the pass itself, scheduling, and two looks.</summary>
    private static readonly TimeSpan s_slack = TimeSpan.FromSeconds(0.5);

    /// <param name="duration">How long the agent is watched.</param>
    /// <param name="sockets">Whether the 18,000 descriptors are connections, rather than files.</param>
    /// <param name="listen">The agent's <c>--listen</c>.</param>
    public static void Run(TimeSpan duration, bool sockets, string listen)
    {
        Run(s_whole.Part(16), duration / 3, sockets, listen);
        Run(s_whole.Part(4), duration / 3, sockets, listen);
        Run(s_whole, duration, sockets, listen);
    }

    private static void Run(Size size, TimeSpan duration, bool sockets, string listen)
    {
        Report.Title(string.Create(CultureInfo.InvariantCulture,
            $"{Name}: {size.Namespaces} namespaces, {size.Namespaces * ProcessesEach:N0} processes, {size.Managed:N0} managed idle sockets, a process of ")
            + string.Create(CultureInfo.InvariantCulture,
                $"{size.Descriptors:N0} {(sockets ? "connections" : "descriptors")}; {size.Spread * NewPerSecond:0.#} new connections a second, spread over {size.Spread} of them; {duration.TotalSeconds:0} s"));
        var pods = new Holder?[size.Namespaces];
        // Disposed last: a cgroup can be removed only when it is empty.
        using var cgroup = BpfHere.IsPossible ? new TestCgroup() : null;
        try
        {
            Parallel.For(0, size.Namespaces, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => pods[i] = StartPod());
            using var busy = Holder.StartInNewNamespace();
            using var server = busy.StartBeside();
            if (sockets)
            {
                // The policy does not select this address.
                busy.ConnectMany("127.0.0.1", server.Listen("127.0.0.1"), size.Descriptors);
            }
            else
            {
                busy.OpenFiles(size.Descriptors);
            }
            Watch(size, pods!, busy, server, duration, listen, "pidfd", cgroup: null);
            if (cgroup is not null)
            {
                // As on a node, where the agent sees the connections of all pods.
                foreach (var pod in pods.Take(size.Spread - 1).Prepend(busy))
                {
                    cgroup.Add(pod!.Pid);
                }
                Watch(size, pods!, busy, server, duration, listen, "bpf", cgroup.Path);
            }
        }
        finally
        {
            Parallel.ForEach(pods, pod => pod?.Dispose());
        }
    }

    private static Holder StartPod()
    {
        var pod = Holder.StartInNewNamespace();
        pod.Spawn(ProcessesEach, ServerAddress, pod.Listen(ServerAddress), ConnectionsEach);
        return pod;
    }

    private static void Watch(
        Size size, Holder[] pods, Holder busy, Holder server, TimeSpan duration, string listen, string datapath, string? cgroup)
    {
        string[] where = cgroup is null ? [] : ["--cgroup", cgroup];
        using var agent = ProgramRun.Agent(
        [
            "run", "--policies", LabPolicy.Write(ServerAddress), "--listen", listen, "--state-dir", Path.Combine(Workspace.Directory, "state"),
            "--datapath", datapath, .. where,
        ]);
        agent.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
        // The same port may be another pod's, too.
        var churned = new HashSet<(Holder Pod, int Port)>();
        foreach (var (client, listener) in pods.Take(size.Spread - 1).Select(pod => (pod, pod)).Prepend((busy, server)))
        {
            var port = listener.Listen(ServerAddress);
            churned.Add((client, port));
            client.Churn(ServerAddress, port, NewPerSecond, s_warmUp + duration + TimeSpan.FromSeconds(5), s_hold);
        }
        Thread.Sleep(s_warmUp);

        var process = new ProcessFigures(agent.Pid);
        var arrivals = new ArrivalLatencies(busy, ServerAddress);
        var memory = new Series();
        using var http = listen == "none" ? null : new HttpClient();
        var scrapeAt = Environment.TickCount64;
        var scrapes = new Series();
        var (begun, processor) = (Environment.TickCount64, process.Processor());
        while (Environment.TickCount64 - begun < duration.TotalMilliseconds)
        {
            arrivals.Look();
            memory.Add(process.Megabytes("RssAnon", "RssShmem"));
            if (http is not null && Environment.TickCount64 >= scrapeAt)
            {
                var asked = Stopwatch.GetTimestamp();
                _ = http.GetByteArrayAsync(new Uri($"http://{listen}/metrics")).GetAwaiter().GetResult();
                scrapes.Add(Stopwatch.GetElapsedTime(asked));
                scrapeAt += (long)s_scrapeEvery.TotalMilliseconds;
            }
            Thread.Sleep(s_look);
        }
        var used = process.Processor() - processor;
        var percent = 100 * used.TotalMilliseconds / (Environment.TickCount64 - begun);
        if (agent.HasExited)
        {
            throw new InvalidOperationException($"the agent ended: {agent.Error}");
        }
        var (_, _, failed) = busy.ChurnCount();
        var set = pods.Sum(pod => Ss.Read(pod).Count(socket => socket.Timer == "keepalive" && !churned.Contains((pod, socket.Remote.Port))));
        if (set != size.Managed || failed != 0 || arrivals.Latencies.Count == 0)
        {
            throw new InvalidOperationException(
                $"{set} of {size.Managed} sockets have keepalive, {failed} connections failed, {arrivals.Latencies.Count} were seen being set: {agent.Error}");
        }

        Report.Line(datapath, "");
        if (size == s_whole)
        {
            Report.Goal("processor", percent, datapath == "bpf" ? GoalPercentBpf : GoalPercent, percent.ToString("0.00", CultureInfo.InvariantCulture), "% of one core");
        }
        else
        {
            Report.Line("processor", percent.ToString("0.00 '% of one core'", CultureInfo.InvariantCulture));
        }
        foreach (var (thread, time) in process.ByThread().Take(4))
        {
            Report.Line($"  since it began, by thread: {thread}", string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0} ms"));
        }
        Report.Goal("RssAnon + RssShmem, the most", memory.Max, GoalMegabytes, Most(memory, "0.0"), "MB");
        Report.Line("RssFile, shared with others", string.Create(CultureInfo.InvariantCulture, $"{process.Megabytes("RssFile"):0.0} MB"));
        // The goal is one interval. The slack is for two looks and for scheduling on a busy machine.
        Report.Goal($"from connecting to being set, the most of {arrivals.Latencies.Count}", arrivals.Latencies.Max,
            (s_interval + s_slack).TotalSeconds, Most(arrivals.Latencies, "0.00"), "s");
        if (scrapes.Count > 0)
        {
            Report.Line($"a scrape, {scrapes.Count} of them", scrapes, "ms");
        }
        if (arrivals.Missed > 0)
        {
            Report.Line("closed before they were seen being set", $"{arrivals.Missed}");
        }
    }

    /// <param name="Namespaces">Namespaces, each with <see cref="ProcessesEach"/> processes.</param>
    /// <param name="Spread">The namespaces that have new connections, that of the process with many descriptors among them.</param>
    /// <param name="Descriptors">The descriptors of that process.</param>
    private sealed record Size(int Namespaces, int Spread, int Descriptors)
    {
        public int Managed => Namespaces * ProcessesEach * ConnectionsEach;

        public Size Part(int parts) => new(Namespaces / parts, Math.Max(1, Spread / parts), Descriptors / parts);
    }

    /// <summary>The maximum first, because the goal is about it; a series prints its median first.</summary>
    private static string Most(Series series, string format)
    {
        string Text(double value) => value.ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(series.Max)} (median {Text(series.Median)})";
    }
}
