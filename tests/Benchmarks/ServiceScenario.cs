using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>Endpoints that come and go while the agent runs: how many remain in /metrics, and the memory they use.</summary>
internal static class ServiceScenario
{
    public const string Name = "service";

    private const int Alive = 50;
    private const int Generations = 100;

    /// <summary>Warm-up, not measured: the runtime compiles, and its heap grows to its size.</summary>
    private const int WarmUp = 100;

    private const string Metrics = "127.0.0.1:29464";
    private const double GoalGrowthMegabytes = 1;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    public static void Run()
    {
        Report.Title($"{Name}: {Alive * Generations:N0} endpoints one after another, {Alive} of them at a time, scraped all the while");
        using var application = Holder.StartInNewNamespace();
        var port = application.Listen("0.0.0.0");
        using var agent = ProgramRun.Agent(
        [
            "run", "--policies", LabPolicy.Write("127.64.0.0/10"), "--listen", Metrics, "--state-dir", Path.Combine(Workspace.Directory, "state"),
            "--datapath", "pidfd", "--interval", "100ms", "--netns", application.NetnsPath, "--log-level", "warning",
        ]);
        var process = new ProcessFigures(agent.Pid);
        using var http = new HttpClient { BaseAddress = new Uri($"http://{Metrics}/") };
        Eventually.True(() => Answers(http), s_limit);
        var (series, length) = (new Series(), new Series());
        var (early, late) = (new Series(), new Series());
        var last = "";
        for (var generation = 0; generation < WarmUp + Generations; generation++)
        {
            application.CloseAll();
            var first = Address(generation, 0);
            for (var i = 0; i < Alive; i++)
            {
                application.Connect(Address(generation, i), port);
            }
            var text = Eventually.Value(
                () => http.GetStringAsync(new Uri("metrics", UriKind.Relative)).GetAwaiter().GetResult(),
                seen => Lines(seen).Count == Alive && seen.Contains($"endpoint=\"{first}:{port}\"", StringComparison.Ordinal),
                s_limit).Value;
            last = text;
            if (generation < WarmUp)
            {
                continue;
            }
            series.Add(Lines(text).Count);
            length.Add(text.Length / 1024.0);
            (generation < WarmUp + (Generations / 2) ? early : late).Add(process.Megabytes("RssAnon", "RssShmem"));
        }
        if (!last.Contains("state=\"managed\"} " + Alive.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal) || agent.HasExited)
        {
            throw new InvalidOperationException($"the last {Alive} are not managed: {agent.Error}");
        }
        Report.Goal("series of keepalive_destination_in_pool", series, Alive, "series");
        Report.Line("/metrics", length, "KiB");
        Report.Line("RssAnon + RssShmem, the first half", early, "MB");
        Report.Line("RssAnon + RssShmem, the second half", late, "MB");
        var growth = late.Median - early.Median;
        Report.Goal("growth from half to half", growth, GoalGrowthMegabytes, growth.ToString("0.00", CultureInfo.InvariantCulture), "MB");
    }

    private static string Address(int generation, int number) =>
        string.Create(CultureInfo.InvariantCulture, $"127.{64 + (generation / 200)}.{generation % 200}.{number + 1}");

    private static List<string> Lines(string text) =>
        [.. text.Split('\n').Where(line => line.StartsWith("keepalive_destination_in_pool{", StringComparison.Ordinal))];

    private static bool Answers(HttpClient http)
    {
        try
        {
            return http.GetStringAsync(new Uri("readyz", UriKind.Relative)).GetAwaiter().GetResult().Length > 0;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
