using System.Diagnostics;
using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>A large cluster with constant changes, and the agent as a process of its own that watches the cluster's API.</summary>
/// <remarks>This process is the server. The figures are of the agent's process.</remarks>
internal static class KubernetesScenario
{
    public const string Name = "kubernetes";

    private const int Services = 5_000;
    private const int EndpointsEach = 10;
    private const int UpdatesPerSecond = 100;
    private const double GoalMegabytes = 60;
    private const double GoalPercent = 5;

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);

    private static int s_time = 60;

    public static void Run(TimeSpan duration)
    {
        foreach (var services in (int[])[Services / 16, Services / 4, Services])
        {
            Report.Title($"{Name}: {services:N0} Services with {services * EndpointsEach:N0} endpoints, {UpdatesPerSecond} updates a second; {duration.TotalSeconds:0} s each");
            using var api = FakeApiServer.Start().WithGloo();
            for (var i = 0; i < services; i++)
            {
                api.Apply(ClusterText.Service($"n{i % 100}", $"s{i}", $"10.96.{i >> 8}.{i & 255}", 80));
                api.Apply(Slice(i, 0));
            }
            using var pod = Holder.StartInNewNamespace();
            const string address = "127.9.9.9";
            var port = pod.Listen(address);
            var id = pod.Connect(address, port);
            api.Apply(ClusterText.ExternalService(address));
            Watch(api, pod, id, services, duration, "a policy that selects all of them", "{}");
            if (services == Services)
            {
                Watch(api, pod, id, services, duration, "a policy that selects ten of them", """{"namespace":"n7","labels":{"part":"few"}}""");
            }
        }
    }

    private static void Watch(FakeApiServer api, Holder pod, SocketId id, int services, TimeSpan duration, string what, string selector)
    {
        for (var i = 7; i < Math.Min(1000, services); i += 100)
        {
            api.Apply(ClusterText.Service("n7", $"s{i}", $"10.96.{i >> 8}.{i & 255}", 80).Replace("\"labels\":{", "\"labels\":{\"part\":\"few\",", StringComparison.Ordinal));
        }
        api.Apply($$$"""
            {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy","metadata":{"name":"services","namespace":"n0"},
             "spec":{"applyToDestinations":[{"selector":{{{selector}}} }],"config":{"tcp":{"tcpKeepalive":{"time":"300s"} } } }}
            """);
        using var agent = ProgramRun.Agent(
        [
            "run", "--kubernetes-api", api.Address.ToString(), "--listen", "none", "--state-dir", Path.Combine(Workspace.Directory, "state"),
            "--datapath", "pidfd", "--netns", pod.NetnsPath,
        ]);
        var begun = Stopwatch.StartNew();
        agent.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
        var process = new ProcessFigures(agent.Pid);
        var (started, startCost, peak) = (begun.Elapsed, process.Processor(), process.Megabytes("VmHWM"));
        Thread.Sleep(TimeSpan.FromSeconds(10));
        var (quiet, quietTime) = (process.Processor(), Stopwatch.StartNew());
        Thread.Sleep(TimeSpan.FromSeconds(10));
        var quietPercent = 100 * (process.Processor() - quiet).TotalMilliseconds / quietTime.ElapsedMilliseconds;

        using var end = new CancellationTokenSource();
        var sent = 0;
        var churn = Task.Run(() =>
        {
            var clock = Stopwatch.StartNew();
            while (!end.IsCancellationRequested)
            {
                for (; sent < clock.Elapsed.TotalSeconds * UpdatesPerSecond; sent++)
                {
                    api.Apply(Slice(sent * 37 % services, sent + 1));
                }
                Thread.Sleep(5);
            }
        });
        var (memory, latency) = (new Series(), new Series());
        var (processor, watched) = (process.Processor(), Stopwatch.StartNew());
        while (watched.Elapsed < duration / 2)
        {
            memory.Add(process.Megabytes("RssAnon", "RssShmem"));
            Thread.Sleep(100);
        }
        var updates = 100 * (process.Processor() - processor).TotalMilliseconds / watched.ElapsedMilliseconds;
        (processor, var since) = (process.Processor(), Stopwatch.StartNew());
        while (since.Elapsed < duration / 2)
        {
            var time = s_time++;
            var changed = Stopwatch.StartNew();
            api.Apply(ClusterText.Policy(string.Create(CultureInfo.InvariantCulture, $$"""{"time":"{{time}}s"}""")));
            while (pod.Get(id) is var values && values.Idle != time)
            {
                memory.Add(process.Megabytes("RssAnon", "RssShmem"));
                if (changed.Elapsed > TimeSpan.FromMinutes(1))
                {
                    throw new InvalidOperationException($"the policy did not reach the socket: {values}\n{agent.Error}");
                }
                Thread.Sleep(20);
            }
            latency.Add(changed.Elapsed.TotalSeconds);
            Thread.Sleep(TimeSpan.FromSeconds(2));
        }
        var both = 100 * (process.Processor() - processor).TotalMilliseconds / since.ElapsedMilliseconds;
        end.Cancel();
        churn.Wait();
        Report.Line(what, string.Create(CultureInfo.InvariantCulture, $"{sent / watched.Elapsed.TotalSeconds:0} updates a second"));
        Report.Line("  until the first policy is in force", string.Create(CultureInfo.InvariantCulture, $"{started.TotalSeconds:0.0} s, {startCost.TotalSeconds:0.0} s of processor time"));
        Report.Line("  processor while nothing changes", string.Create(CultureInfo.InvariantCulture, $"{quietPercent:0.00} % of one core"));
        Report.Goal("  processor with the updates", updates, GoalPercent, updates.ToString("0.00", CultureInfo.InvariantCulture), "% of one core");
        Report.Line($"  processor with a changed policy every {since.Elapsed.TotalSeconds / latency.Count:0.0} s, too", string.Create(CultureInfo.InvariantCulture, $"{both:0.00} % of one core"));
        Report.Line("  VmRSS, RssAnon; VmHWM, and at the start", string.Create(CultureInfo.InvariantCulture,
            $"{process.Megabytes("VmRSS"):0.0}, {process.Megabytes("RssAnon"):0.0}; {process.Megabytes("VmHWM"):0.0}, {peak:0.0} MB"));
        Report.Goal("  RssAnon + RssShmem, the most", memory.Max, GoalMegabytes, memory.Max.ToString("0.0", CultureInfo.InvariantCulture), "MB");
        Report.Goal($"  from a changed policy to a changed socket, the most of {latency.Count}", latency.Max, (s_interval + TimeSpan.FromSeconds(0.5)).TotalSeconds,
            latency.Max.ToString("0.00", CultureInfo.InvariantCulture), "s");
        agent.Terminate();
        agent.WaitForExit();
    }

    /// <summary>Ten endpoints. One of them has a new address in every version.</summary>
    private static string Slice(int service, int version) => ClusterText.Slice(
        $"n{service % 100}", $"s{service}", 8080, Enumerable.Range(0, EndpointsEach).Select(i => i == 0
            ? $"10.{64 + (version >> 16 & 31)}.{version >> 8 & 255}.{version & 255}"
            : $"10.{128 + i}.{service >> 8}.{service & 255}"));
}
