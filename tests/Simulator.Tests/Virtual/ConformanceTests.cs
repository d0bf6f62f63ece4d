using System.Globalization;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Tests.Lab;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

/// <summary>The same scenarios in both engines. All live ones run at once, in real time.</summary>
public sealed class LiveOutcomes
{
    private readonly Dictionary<string, Task<Outcome>> _outcomes = [];

    public LiveOutcomes()
    {
        if (LiveSupport.Missing() is not null)
        {
            return;
        }
        foreach (var name in ConformanceTests.Scenarios.Keys)
        {
            var scenario = ConformanceTests.Read(name);
            _outcomes[name] = Task.Factory.StartNew(() => LiveRun.Of(scenario), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    internal Task<Outcome> Of(string name) => _outcomes[name];
}

[Collection(LiveLab.Labs)]
public sealed class ConformanceTests(LiveOutcomes live) : IClassFixture<LiveOutcomes>
{
    private const int ProbeTolerance = 1;

    /// <summary>Idle timeout 2 s unless a scenario sets another; requests at these seconds. Events whose order matters are half a second
    /// apart.</summary>
    internal static Dictionary<string, (string Yaml, double[] Requests)> Scenarios { get; } = new()
    {
        ["reset-on-next-packet"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nduration: 5s", [0.5, 3.3, 4]),
        ["silent-drop"] = ("balancer: {idleTimeout: 2s, expiry: silent-drop}\nrequestTimeout: 1s\nduration: 6s", [0.5, 3.3, 5]),
        ["drop-until-syn"] = ("balancer: {idleTimeout: 2s, expiry: drop-until-syn}\nrequestTimeout: 1s\nduration: 6s", [0.5, 3.3, 5]),
        ["reset-both"] = ("balancer: {idleTimeout: 2s, expiry: reset-both}\nduration: 6s", [0.5, 3.5]),
        ["fin-both"] = ("balancer: {idleTimeout: 2s, expiry: fin-both}\nduration: 6s", [0.5, 3.5]),
        ["inside-revives"] = ("balancer: {idleTimeout: 2s, expiry: inside-revives}\nrequestTimeout: 1s\nduration: 5s", [0.5, 3.3]),
        ["retry-after-reset"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nretries: 1\nduration: 5s", [0.5, 3.3, 4]),
        ["keepalive-in-time"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["keepalive-in-time-silent"] = ("balancer: {idleTimeout: 2s, expiry: silent-drop}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["keepalive-too-late"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nkeepalive: {time: 3s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 4.6]),
        ["keepalive-too-late-silent"] = ("balancer: {idleTimeout: 2s, expiry: silent-drop}\nkeepalive: {time: 3s, interval: 1s, probes: 2}\nrequestTimeout: 1s\nduration: 7s", [0.2, 6.2]),
        ["keepalive-per-direction"] = ("balancer: {idleTimeout: 2s, expiry: per-direction}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["keepalive-payload-only"] = ("balancer: {idleTimeout: 2s, expiry: payload-only}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 3.5]),
        ["payload-only-resets-probe"] = ("balancer: {idleTimeout: 3s, expiry: reset-on-next-packet, refresh: payload}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5]),
        ["server-keepalive"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nserverKeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["server-keepalive-too-late"] = ("balancer: {idleTimeout: 2s, expiry: reset-on-next-packet}\nserverKeepalive: {time: 3s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["server-keepalive-outside"] = ("balancer: {idleTimeout: 2s, expiry: inside-revives}\nserverKeepalive: {time: 3s, interval: 1s, probes: 9}\nrequestTimeout: 1s\nduration: 6s", [0.5, 5]),
        ["both-ends-probe"] = ("balancer: {idleTimeout: 2s, expiry: silent-drop}\nkeepalive: {time: 1s, interval: 1s, probes: 3}\nserverKeepalive: {time: 1s, interval: 1s, probes: 3}\nduration: 6s", [0.5, 5]),
        ["dead-endpoint"] = ("balancer: {idleTimeout: 30s, expiry: silent-drop}\nkeepalive: {time: 1s, interval: 1s, probes: 2}\nconnectTimeout: 20s\nfailures: [{at: 1s}]\nduration: 7s", [0.5]),
        ["dead-endpoint-in-use"] = ("balancer: {idleTimeout: 30s, expiry: silent-drop}\nkeepalive: {time: 1s, interval: 1s, probes: 2}\nrequestTimeout: 4s\nconnectTimeout: 20s\nfailures: [{at: 900ms}]\nduration: 7s", [0.5, 1.2]),
    };

    public static TheoryData<string> Names => [.. Scenarios.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Engines_OfTheSameScenario_HaveTheSameResults(string name)
    {
        Live.Require();
        var (lab, simulated) = (await live.Of(name), Simulate(name));

        Assert.Equal(simulated with { ClientProbes = 0, ServerProbes = 0 }, lab with { ClientProbes = 0, ServerProbes = 0 });
        Assert.InRange(lab.ClientProbes, simulated.ClientProbes - ProbeTolerance, simulated.ClientProbes + ProbeTolerance);
        Assert.InRange(lab.ServerProbes, simulated.ServerProbes - ProbeTolerance, simulated.ServerProbes + ProbeTolerance);
    }

    [Fact]
    public void Scenarios_ThatProbe_AreNotAllWithoutAProbe() =>
        Assert.All(Scenarios.Keys.Where(name => name.Contains("keepalive", StringComparison.Ordinal)), name => Assert.NotEqual(0, Simulate(name) is var outcome ? outcome.ClientProbes + outcome.ServerProbes : 0));

    /// <summary>Most scenarios have no formula: the comparison is the only check.</summary>
    [Fact]
    public void Scenarios_MostOfThem_HaveNoClosedForm() =>
        Assert.InRange(Scenarios.Keys.Count(name => ClosedForm.FailureRate(Read(name)) is null), 12, Scenarios.Count);

    internal static Scenario Read(string name)
    {
        var (yaml, requests) = Scenarios[name];
        return VirtualRun.Read(yaml + "\nrequests: {arrival: poisson, mean: 1s}\n") with
        {
            Name = name,
            Requests = new TraceArrival([[.. requests.Select(TimeSpan.FromSeconds)]]),
        };
    }

    private static Outcome Simulate(string name)
    {
        var scenario = Read(name);
        var totals = VirtualRun.Of(scenario).Totals;
        var codes = Scenarios[name].Requests.Select(at => Code(totals, (int)(at * VirtualTotals.Bins / scenario.Duration.TotalSeconds)));
        return new Outcome(
            string.Join(' ', codes), totals.Expiries, totals.ResetsToClient, totals.ResetsToServer, totals.Fins,
            totals.ClientProbes, totals.ServerProbes, totals.EndedIdle, totals.KeepaliveDeaths, totals.Revived);
    }

    /// <summary>Each request has its own part of the time.</summary>
    private static string Code(VirtualTotals totals, int bin)
    {
        Assert.Equal(1, totals.Timeline[0][bin]);
        return (totals.Timeline[1][bin] == 1 ? 200 : totals.Timeline[2][bin] == 1 ? 503 : 504).ToString(CultureInfo.InvariantCulture);
    }
}
