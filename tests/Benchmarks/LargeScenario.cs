using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>100,000 managed connections on one node, and the agent as a process of its own: passes, memory, scrapes. Also at a sixteenth and
/// a quarter of the size, to show how each grows.</summary>
/// <remarks>The other ends are in a namespace that the agent does not look at, as if they were on other nodes. A process may have 20,000
/// descriptors, so the connections are spread over several, each with a server of its own: a namespace has 28,000 ports for each.</remarks>
internal static class LargeScenario
{
    public const string Name = "large";

    private const int Connections = 100_000;
    private const int Processes = 8;
    private const int Scrapes = 15;
    private const double GoalPass = 0.15;
    private const double GoalPassBpf = 0.10;
    private const double GoalMegabytes = 80;
    private const double GoalScrape = 20;
    private const string ServerAddress = "198.18.0.9";
    private const string Listen = "127.0.0.1:29465";

    /// <summary>The agent's <c>--interval</c>: the passes of a measurement are enough for a median.</summary>
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan s_settled = TimeSpan.FromMinutes(4);

    public static void Run()
    {
        using var cgroup = BpfHere.IsPossible ? new TestCgroup() : null;
        using var lab = new Lab();
        lab.AddServerAddress(ServerAddress);
        var pairs = new List<(Holder Client, int Port)>();
        var holders = new List<Holder>();
        try
        {
            for (var i = 0; i < Processes; i++)
            {
                var (client, server) = (lab.Client.StartBeside(), lab.Server.StartBeside());
                holders.AddRange([client, server]);
                pairs.Add((client, server.Listen(ServerAddress)));
                cgroup?.Add(client.Pid);
            }
            var each = 0;
            foreach (var size in (int[])[Connections / 16, Connections / 4, Connections])
            {
                var more = (size / Processes) - each;
                each += more;
                Parallel.ForEach(pairs, pair => pair.Client.ConnectMany(ServerAddress, pair.Port, more));
                var isWhole = size == Connections;
                Report.Title($"{Name}: {each * Processes:N0} managed connections in one namespace, a new one before each pass");
                Watch(lab, pairs, each * Processes, "pidfd", null, isWhole ? GoalPass : null);
                if (cgroup is not null)
                {
                    Watch(lab, pairs, each * Processes, "bpf", cgroup.Path, isWhole ? GoalPassBpf : null);
                }
            }
        }
        finally
        {
            holders.ForEach(holder => holder.Dispose());
        }
    }

    /// <param name="lab">The network.</param>
    /// <param name="pairs">The clients, and the port that each connects to.</param>
    /// <param name="managed">The connections.</param>
    /// <param name="datapath">The agent's datapath.</param>
    /// <param name="cgroup">The clients' cgroup; null for pidfd.</param>
    /// <param name="goal">The limit of a pass in seconds; null if there is none for this size.</param>
    private static void Watch(Lab lab, List<(Holder Client, int Port)> pairs, int managed, string datapath, string? cgroup, double? goal)
    {
        string[] where = cgroup is null ? [] : ["--cgroup", cgroup];
        using var agent = ProgramRun.Agent(
        [
            "run", "--policies", LabPolicy.Write(ServerAddress), "--existing", "replace", "--listen", Listen, "--interval", "1s",
            "--state-dir", Path.Combine(Workspace.Directory, "state"), "--datapath", datapath, "--netns", lab.Client.NetnsPath, "--restore-on-exit", .. where,
        ]);
        agent.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
        using var http = new HttpClient();
        var begun = TimeProvider.System.GetTimestamp();
        Eventually.True(() => Figure(http, "keepalive_sockets{", "state=\"managed\"") >= managed, s_settled);
        var settled = TimeProvider.System.GetElapsedTime(begun);

        var process = new ProcessFigures(agent.Pid);
        Series passes = new(), scrapes = new(), memory = new();
        var (sum, count) = Passes(http);
        for (var round = 0; round < Scrapes; round++)
        {
            var client = pairs[round % pairs.Count];
            client.Client.Close(client.Client.Connect(ServerAddress, client.Port));
            client.Client.Connect(ServerAddress, client.Port);
            Thread.Sleep(s_interval);
            var asked = TimeProvider.System.GetTimestamp();
            var (newSum, newCount) = Passes(http);
            scrapes.Add(TimeProvider.System.GetElapsedTime(asked));
            if (newCount > count)
            {
                passes.Add((newSum - sum) / (newCount - count));
            }
            (sum, count) = (newSum, newCount);
            memory.Add(process.Megabytes("RssAnon", "RssShmem"));
        }
        if (agent.HasExited)
        {
            throw new InvalidOperationException($"the agent ended: {agent.Error}");
        }
        Report.Line($"{datapath}: until all were set, spread over one probe interval of 10 s", string.Create(CultureInfo.InvariantCulture, $"{settled.TotalSeconds:0.0} s"));
        Say("  a pass", passes, goal, "s");
        Say("  a scrape", scrapes, goal is null ? null : GoalScrape, "ms");
        Say("  RssAnon + RssShmem", memory, goal is null ? null : GoalMegabytes, "MB");
        Report.Line("  of it for each connection", string.Create(CultureInfo.InvariantCulture, $"{memory.Median * 1e6 / managed:0} bytes"));
    }

    private static void Say(string what, Series series, double? goal, string unit)
    {
        if (goal is { } most)
        {
            Report.Goal(what, series, most, unit);
        }
        else
        {
            Report.Line(what, series, unit);
        }
    }

    private static (double Sum, double Count) Passes(HttpClient http)
    {
        var page = Page(http);
        return (Figure(page, "keepalive_scan_duration_seconds_sum"), Figure(page, "keepalive_scan_duration_seconds_count"));
    }

    private static double Figure(HttpClient http, string name, string label) => Page(http)
        .Where(line => line.StartsWith(name, StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal)).Sum(Value);

    private static double Figure(string[] page, string name) => page.Where(line => line.StartsWith(name, StringComparison.Ordinal)).Sum(Value);

    private static double Value(string line) => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);

    private static string[] Page(HttpClient http) => http.GetStringAsync(new Uri($"http://{Listen}/metrics")).GetAwaiter().GetResult().Split('\n');
}
