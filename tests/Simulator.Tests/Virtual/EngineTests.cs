using System.Security.Cryptography;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

public sealed class EngineTests
{
    private const string Quiet = """
        balancer: {idleTimeout: 20s, expiry: silent-drop}
        requests: {arrival: fixed, every: 60s}
        duration: 10m
        keepalive: {time: 10s, interval: 10s, probes: 3}
        """;

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void EveryProbe_OfAnyScenario_ChangesNothing() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), number =>
        {
            var yaml = AnyScenario(number);
            return (VirtualRun.Report(VirtualRun.Of(yaml)) == VirtualRun.Report(VirtualRun.Of(yaml, everyProbe: true))).Label(yaml);
        }).Check(Fuzz.Property(400));

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Threads_AnyNumber_ChangeNothing() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), number =>
        {
            var scenario = VirtualRun.Read(AnyScenario(number)) with { Connections = 1200, Pool = 1 };
            return VirtualRun.Report(VirtualRun.Of(scenario)) == VirtualRun.Report(VirtualRun.Of(scenario, threads: 3));
        }).Check(Fuzz.Property(20));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void RunAll_SeveralScenariosAndThreads_GivesEachOneTheSameResult(int threads)
    {
        List<Scenario> scenarios = [.. Enumerable.Range(0, 5).Select(i => VirtualRun.Read(AnyScenario(i)) with { Connections = 300 * (i + 1), Pool = 1 })];
        var results = new System.Collections.Concurrent.ConcurrentDictionary<int, string>();

        VirtualEngine.RunAll(scenarios, new VirtualOptions(Threads: threads), (i, totals) => Assert.True(results.TryAdd(i, VirtualRun.Report(new RunResult(scenarios[i], totals)))), TestContext.Current.CancellationToken);

        Assert.Equal(scenarios.Select(static scenario => VirtualRun.Report(VirtualRun.Of(scenario))), results.OrderBy(static pair => pair.Key).Select(static pair => pair.Value));
    }

    [Fact]
    public async Task Work_TwoThreads_ShareTheRunAndOneHasTheTotals()
    {
        using var other = new ManualResetEventSlim();
        var run = new EngineRun(VirtualRun.Read(Quiet) with { Connections = 3000, Pool = 1 }, everyProbe: false);
        Assert.True(run.Blocks > 2);

        // The second one joins within the first part of the first.
        var second = Task.CompletedTask;
        VirtualTotals? ofSecond = null;
        var first = run.Work(_ =>
        {
            if (!other.IsSet)
            {
                second = Task.Run(() => ofSecond = run.Work(_ => other.Set(), CancellationToken.None), CancellationToken.None);
                Assert.True(other.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
            }
        }, CancellationToken.None);
        await second.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);

        Assert.True(first is null != ofSecond is null, "one of the two has the totals");
        Assert.Null(run.Work(null, CancellationToken.None));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void RunAll_ResultThatCannotBeKept_EndsTheOthersAndThrows(int threads)
    {
        var scenario = VirtualRun.Read(Quiet);

        var failure = Assert.Throws<IOException>(() => VirtualEngine.RunAll([.. Enumerable.Repeat(scenario, 20)], new VirtualOptions(Threads: threads), static (_, _) => throw new IOException("full")));

        Assert.Equal("full", failure.Message);
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Requests_OfAnyScenario_EachHaveOneAnswer() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), number =>
        {
            var totals = VirtualRun.Of(AnyScenario(number)).Totals;
            return totals.Requests == totals.Ok + totals.Status503 + totals.Status504
                && (totals.Timeline[0].Sum(), totals.Timeline[1].Sum(), totals.Timeline[2].Sum()) == (totals.Requests, totals.Ok, totals.Status503)
                && (totals.Timeline[3].Sum(), totals.Timeline[4].Sum()) == (totals.Status504, totals.Expiries)
                && totals.Timeline[VirtualTotals.ProbeRow].Sum() == totals.ClientProbes + totals.ServerProbes
                && totals.ExpiredWaiting <= totals.Expiries
                && totals.Replies <= totals.RepliesSent && totals.RepliesSent <= totals.ClientProbes + totals.ServerProbes;
        }).Check(Fuzz.Property(200));

    /// <summary>Regression: between two requests of one connection nobody looked, and an interrupt did nothing.</summary>
    [Theory]
    [InlineData("{arrival: fixed, every: 80000h}", "late")]
    [InlineData("{arrival: onOff, on: 10ms, off: 10ms, mean: 80000h}", "on-time")]
    public void Run_CancelledWithinOneConnection_Ends(string requests, string fire)
    {
        using var cancellation = new CancellationTokenSource();
        var scenario = VirtualRun.Read($$"""
            balancer: {idleTimeout: 20s, expiry: silent-drop}
            requests: {{requests}}
            duration: 80000h
            keepalive: {time: 1s, interval: 1s, probes: 3}
            timers: {fire: {{fire}}}
            """);
        cancellation.CancelAfter(TimeSpan.FromMilliseconds(50));

        Assert.ThrowsAny<OperationCanceledException>(() => VirtualEngine.Run(scenario, new VirtualOptions(), null, cancellation.Token));
    }

    /// <summary>Regression: the next request of a client whose busy times have none was searched for up to the end of all time.</summary>
    [Fact]
    public void Run_BusyTimesWithoutARequest_EndsWithTheDuration()
    {
        var totals = VirtualRun.Of("""
            balancer: {idleTimeout: 20s, expiry: silent-drop}
            requests: {arrival: onOff, on: 1ms, off: 1ms, mean: 80000h}
            duration: 10m
            """).Totals;

        Assert.Equal(0, totals.Requests);
    }

    [Fact]
    public void Timeline_OfARequestThatOutlastsTheDuration_HasItsExpiryToo()
    {
        var totals = VirtualRun.Of("""
            balancer: {idleTimeout: 20s, expiry: silent-drop}
            connections: 300
            requests: {arrival: poisson, mean: 30s}
            requestTimeout: 40s
            duration: 60s
            network: {rtt: 900ms, loss: 40%}
            """).Totals;

        // Requests of the last seconds are still being retransmitted at the end of the minute.
        Assert.True(totals.Expiries > 100, $"{totals.Expiries} expiries");
        Assert.Equal(totals.Expiries, totals.Timeline[4].Sum());
    }

    [Theory]
    [InlineData("aws-global-accelerator", true)]
    [InlineData("docker-desktop", false)]
    public void Probes_ThatABalancerDrops_EndHealthyConnections(string balancer, bool drops)
    {
        var yaml = $$"""
            balancer: {{balancer}}
            connections: 200
            requests: {arrival: poisson, mean: 200s}
            duration: 6h
            keepalive: {time: 60s, interval: 10s, probes: 6}
            """;
        var totals = VirtualRun.Of(yaml).Totals;

        Assert.True(totals.ClientProbes > 1000, $"{totals.ClientProbes} probes");
        Assert.Equal(drops, totals.KeepaliveDeaths > 100);
        Assert.Equal(drops ? 0 : totals.ClientProbes, totals.Replies);
        Assert.Equal(VirtualRun.Report(VirtualRun.Of(yaml)), VirtualRun.Report(VirtualRun.Of(yaml, everyProbe: true)));
    }

    [Fact]
    public void Seed_Another_ChangesTheOutcome()
    {
        var scenario = VirtualRun.Read(BuiltInScenarios.Find("guide-outage")!);

        Assert.Equal(VirtualRun.Report(VirtualRun.Of(scenario)), VirtualRun.Report(VirtualRun.Of(scenario)));
        Assert.NotEqual(VirtualRun.Report(VirtualRun.Of(scenario)), VirtualRun.Report(VirtualRun.Of(scenario with { Seed = 12 })));
    }

    [Fact]
    public void BuiltIn_All_RunTheSameWithEveryProbe() => Assert.All(BuiltInScenarios.Names, name =>
    {
        var scenario = VirtualRun.Read(BuiltInScenarios.Find(name)!);
        scenario = scenario with { Connections = 40, Duration = scenario.Duration / 4 };
        Assert.Equal(VirtualRun.Report(VirtualRun.Of(scenario)), VirtualRun.Report(VirtualRun.Of(scenario, everyProbe: true)));
    });

    [Fact]
    public void Probes_WithLateTimers_AreFewerAndMayBeTooLate()
    {
        const string yaml = """
            balancer: aws-nlb
            connections: 500
            requests: {arrival: poisson, mean: 5000s}
            duration: 24h
            keepalive: {time: 340s, interval: 10s, probes: 6}
            """;
        var onTime = VirtualRun.Of(yaml).Totals;
        var late = VirtualRun.Of(yaml + "\ntimers: {fire: late, hz: 250}\n").Totals;

        // 340 s nominally; up to 356 s on a kernel with HZ=250, behind a balancer with an idle timeout of 350 s.
        Assert.Equal(0, onTime.Expiries);
        Assert.True(late.Expiries > 500, $"{late.Expiries} expiries");
    }

    [Fact]
    public void SilentDrop_WithoutARequestTimeoutInReach_EndsWithTheKernelsRetransmissions()
    {
        var totals = VirtualRun.Of("""
            balancer: {idleTimeout: 60s, expiry: silent-drop}
            requests: {arrival: fixed, every: 2m}
            requestTimeout: 1h
            duration: 10m
            """).Totals;

        // 15 retransmissions, doubling from 0.2 s and at most 120 s apart: tcp_retries2, about a quarter of an hour.
        Assert.Equal((1, 1, 15), (totals.Requests, totals.Status503, totals.Retransmissions));
    }

    [Fact]
    public void Response_SwallowedBeforeARequestTimeoutInReach_EndsWithTheServersRetransmissions()
    {
        var totals = VirtualRun.Of("""
            balancer: {idleTimeout: 60s, expiry: silent-drop}
            requests: {arrival: fixed, every: 10s}
            serviceTime: 2m
            requestTimeout: 1h
            serverKeepalive: {time: 100s, interval: 100s, probes: 9}
            duration: 11s
            """).Totals;

        // One probe at 100 s. From 120 s the response is in flight and sent again 15 times; the kernel does not probe meanwhile, and sends no reset in the end.
        Assert.Equal((1, 1, 15, 1), (totals.Requests, totals.Of(Cause.Swallowed), totals.Retransmissions, totals.ServerProbes));
        Assert.Equal((1, 1), (totals.ExpiredWaiting, totals.LostWaiting));
    }

    [Fact]
    public void ServiceTime_OfZero_ChangesNothing()
    {
        const string yaml = "balancer: aws-nlb\nconnections: 50\nrequests: {arrival: poisson, mean: 500s}\nduration: 6h\n";

        Assert.Equal(VirtualRun.Report(VirtualRun.Of(yaml)), VirtualRun.Report(VirtualRun.Of(yaml + "serviceTime: 0s\n")));
    }

    /// <summary>The arrivals of a client do not depend on the random numbers of its responses.</summary>
    [Fact]
    public void ServiceTime_Exponential_KeepsTheGapsBetweenRequests()
    {
        const string yaml = "balancer: aws-nlb\nconnections: 200\nrequests: {arrival: poisson, mean: 100s}\nrequestTimeout: 1h\nduration: 100s\n";
        var same = VirtualRun.Of(yaml + "serviceTime: 2h\n").Totals;
        var other = VirtualRun.Of(yaml + "serviceTime: {exponential: 200h}\n").Totals;

        // Each client makes one request at most, at the same time in either.
        Assert.InRange(same.Requests, 100, 150);
        Assert.Equal(same.Timeline[0], other.Timeline[0]);
    }

    [Fact]
    public void ServiceTime_OfATrace_IsThatOfEachRequestInTurn()
    {
        var scenario = VirtualRun.Read("balancer: {idleTimeout: 60s, expiry: reset-both}\nconnections: 2\nrequests: {arrival: fixed, every: 10s}\nrequestTimeout: 5m\nduration: 1h\n") with
        {
            ServiceTime = new TraceService([[TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(70)]]),
        };
        var totals = VirtualRun.Of(scenario).Totals;

        // A cycle is 10 s, a response after 5 s, 10 s, and a reset after 60 s.
        Assert.InRange(totals.Requests, 2 * 2 * 3600 / 85, (2 * 2 * 3600 / 85) + 4);
        Assert.InRange(totals.Of(Cause.BalancerReset), (totals.Requests / 2) - 1, totals.Requests / 2);
        Assert.Equal(totals.Of(Cause.BalancerReset), totals.LostWaiting);
    }

    [Fact]
    public void Retry_OfARequestLostWhileWaiting_WaitsAsLongAgain()
    {
        var totals = VirtualRun.Of("""
            balancer: {idleTimeout: 60s, expiry: reset-both}
            requests: {arrival: fixed, every: 50s}
            serviceTime: 70s
            retries: 2
            requestTimeout: 1h
            duration: 51s
            """).Totals;

        Assert.Equal((1, 1, 2, 3), (totals.Requests, totals.Status503, totals.Retried, totals.LostWaiting));
    }

    /// <summary>Results of scenarios without a service time: the figures of the release before there was one.</summary>
    [Fact]
    public void Results_OfScenariosWithoutAServiceTime_AreTheSameAsEver()
    {
        var text = new StringBuilder();
        for (var number = 0; number < 60; number++)
        {
            var figures = RunReport.Figures(VirtualRun.Of(RandomScenario(new Random(number)))).Where(figure => figure.Name is not ("expiredWaiting" or "lostWaiting"));
            text.AppendJoin(' ', figures.Select(figure => figure.Value)).Append('\n');
        }

        Assert.Equal("72b93e2dc319e8cd", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..16]);
    }

    [Fact]
    public void Retries_AfterAReset_SaveTheRequest()
    {
        var totals = VirtualRun.Of("balancer: aws-nlb\nconnections: 100\nrequests: {arrival: poisson, mean: 500s}\nretries: 1\n").Totals;

        Assert.Equal(totals.Requests, totals.Ok);
        Assert.True(totals.Retried > totals.Requests / 3, $"{totals.Retried} of {totals.Requests}");
    }

    [Fact]
    public void ReopenOnDemand_AfterAFailure_TheNextRequestNeverFails()
    {
        var totals = VirtualRun.Of("balancer: aws-nlb\nconnections: 1000\npool: {reopen: on-demand}\nrequests: {arrival: poisson, mean: 500s}\nseed: 3\n").Totals;

        // f = p (1 − f): only a request after a success can fail.
        var p = Math.Exp(-0.7);
        Assert.InRange((double)totals.Status503 / totals.Requests, (p / (1 + p)) - 0.006, (p / (1 + p)) + 0.003);
    }

    [Fact]
    public void Removal_OfADeadEndpoint_SparesTheOthersItsFailures()
    {
        const string yaml = """
            balancer: aws-nlb
            connections: 400
            requests: {arrival: poisson, mean: 60s}
            duration: 2h
            keepalive: {time: 5s, interval: 1s, probes: 3}
            endpoints: 4
            failures: [{endpoint: 2, at: 1h, lasts: 30m}]
            """;
        var kept = VirtualRun.Of(yaml).Totals;
        var removed = VirtualRun.Of(yaml + "\nremoval: {checkEvery: 5s}\n").Totals;

        Assert.Equal((0, 1), (kept.Removals, removed.Removals));
        Assert.True(removed.ConnectFailures < kept.ConnectFailures, $"{removed.ConnectFailures} of {kept.ConnectFailures}");
    }

    [Fact]
    public void ResetOfAnEndpoint_WhileIdle_IsNoticedAtOnce()
    {
        var totals = VirtualRun.Of("""
            balancer: aws-nlb
            connections: 10
            requests: {arrival: fixed, every: 5m}
            duration: 1h
            failures: [{at: 30m, lasts: 1s, how: reset}]
            """).Totals;

        Assert.Equal((10, 0, totals.Requests), (totals.EndedIdle, totals.Status503, totals.Ok));
    }

    [Fact]
    public void BothEnds_WithKeepalive_ProbeEachOnItsOwn()
    {
        var totals = VirtualRun.Of("""
            balancer: aws-nlb
            connections: 10
            requests: {arrival: poisson, mean: 10000h}
            duration: 1h
            keepalive: {time: 60s, interval: 10s, probes: 6}
            serverKeepalive: {time: 60s, interval: 10s, probes: 6}
            """).Totals;

        // A probe of the other end does not restart a socket's own clock.
        Assert.Equal((10 * 59, 10 * 59), (totals.ClientProbes, totals.ServerProbes));
    }

    /// <summary>Small scenarios, half of them with responses that take time.</summary>
    private static string AnyScenario(int number)
    {
        var yaml = RandomScenario(new Random(number));
        string[] services = ["", "", "", "serviceTime: 10s\n", "serviceTime: {exponential: 500ms}\n", "serviceTime: {exponential: 20s}\n", "serviceTime: {exponential: 2m}\n"];
        var service = services[new Random(number + 1).Next(services.Length)];
        return service.Length == 0 ? yaml : yaml.Replace("requestTimeout: 40s", "requestTimeout: 5m", StringComparison.Ordinal) + service;
    }

    /// <summary>Small scenarios with some of every feature, but for the service time.</summary>
    private static string RandomScenario(Random random)
    {
        string Pick(params string[] choices) => choices[random.Next(choices.Length)];
        var lines = new List<string>
        {
            $"balancer: {{idleTimeout: {Pick("20s", "45s", "60s")}, expiry: {Pick("silent-drop", "reset-on-next-packet", "reset-both", "fin-both", "drop-until-syn", "inside-revives", "per-direction", "payload-only")}}}",
            $"connections: {12 * random.Next(1, 4)}",
            $"requests: {Pick("{arrival: poisson, mean: 40s}", "{arrival: poisson, mean: 3m}", "{arrival: fixed, every: 1m}", "{arrival: onOff, on: 20s, off: 2m, mean: 3s}")}",
            $"pool: {{connections: {Pick("1", "1", "3", "4")}, pick: {Pick("random", "round-robin", "last-used")}, reopen: {Pick("at-once", "at-once", "on-demand")}}}",
            $"requestTimeout: {Pick("1s", "15s", "40s")}",
            $"retries: {Pick("0", "0", "1", "2")}",
            $"duration: {Pick("10m", "1h", "61m")}",
            $"network: {{rtt: {Pick("0s", "2ms", "100ms", "800ms")}{Pick("", "", ", loss: 5%", ", loss: 20%, burst: 8s")}}}",
            $"seed: {random.Next()}",
        };
        void Maybe(string line)
        {
            if (random.Next(2) == 0)
            {
                lines.Add(line);
            }
        }
        var values = $"time: {Pick("5s", "19s", "20s", "44s", "70s")}, interval: {Pick("1s", "5s", "25s")}, probes: {Pick("1", "3", "9")}";
        lines.Add(random.Next(4) == 0 ? "" : $"keepalive: {{{values}}}");
        Maybe($"serverKeepalive: {{time: {Pick("7s", "20s", "50s")}, interval: {Pick("2s", "5s")}, probes: {Pick("2", "4")}}}");
        if (random.Next(3) == 0)
        {
            lines.Add($"endpoints: {Pick("1", "3")}");
            lines.Add($"failures: [{{endpoint: 1, {Pick("at: 5m", "every: 4m")}, lasts: {Pick("3s", "2m")}, how: {Pick("silent", "reset")}}}]");
            if (lines.Contains("endpoints: 3") && lines.Any(line => line.StartsWith("keepalive:", StringComparison.Ordinal)))
            {
                Maybe("removal: {checkEvery: 10s}");
            }
        }
        if (random.Next(4) == 0)
        {
            lines.Add("balancerRestarts: [2m, 9m]");
        }
        if (random.Next(3) == 0)
        {
            lines.Add($"timers: {{fire: late, hz: {Pick("100", "250", "300", "1000")}}}");
        }
        return string.Join('\n', lines) + "\n";
    }
}
