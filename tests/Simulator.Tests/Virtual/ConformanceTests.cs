using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Tests.Lab;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

/// <summary>The same scenarios in both engines. The live ones run beside each other, in real time.</summary>
public sealed class LiveOutcomes : IDisposable
{
    private const int MaxAtOnce = 24;

    private readonly Dictionary<string, Task<Outcome>> _outcomes = [];
    private readonly SemaphoreSlim _places = new(MaxAtOnce);

    public LiveOutcomes()
    {
        if (LiveSupport.Missing() is not null)
        {
            return;
        }
        foreach (var name in ConformanceTests.Scenarios.Keys)
        {
            var scenario = ConformanceTests.Read(name);
            _outcomes[name] = Task.Factory.StartNew(() => Run(scenario), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    public void Dispose() => _places.Dispose();

    internal Task<Outcome> Of(string name) => _outcomes[name];

    private Outcome Run(Scenario scenario)
    {
        _places.Wait();
        try
        {
            return LiveRun.Of(scenario);
        }
        finally
        {
            _places.Release();
        }
    }
}

[Collection(LiveLab.Labs)]
public sealed class ConformanceTests(LiveOutcomes live) : IClassFixture<LiveOutcomes>
{
    private const int ProbeTolerance = 1;

    /// <summary>Idle timeout 2 s unless a scenario sets another; requests at these seconds. Events whose order matters are half a second
    /// apart.</summary>
    internal static Dictionary<string, (string Yaml, double[] Requests)> Scenarios { get; } = new(Waiting())
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

    /// <summary>The client waits for a response from 0.5 s to 5 s. A connection that nobody probes expires at 3 s.</summary>
    private static IEnumerable<KeyValuePair<string, (string Yaml, double[] Requests)>> Waiting()
    {
        const string inTime = "{time: 1s, interval: 1s, probes: 3}";
        foreach (var (expiry, behaviour) in IdleBehaviour.Classes)
        {
            foreach (var (probing, ends) in new (string, string[])[] { ("none", []), ("client", ["keepalive"]), ("server", ["serverKeepalive"]), ("both", ["keepalive", "serverKeepalive"]) })
            {
                // A balancer that closes at expiry ends the client's wait; the run ends before the server, at work, writes to its half of the connection.
                var isClosedAtExpiry = behaviour.Expiry is ExpiryClass.FinBoth or ExpiryClass.ResetBoth && (ends.Length == 0 || behaviour.Refresh == Refresh.PayloadOnly);
                yield return One($"waiting-{expiry}-{probing}", expiry, isClosedAtExpiry ? "4.2s" : "7.5s", string.Concat(ends.Select(end => $"{end}: {inTime}\n")));
            }
        }
        const string tooLate = "keepalive: {time: 3s, interval: 1s, probes: 2}\n";
        yield return One("waiting-reset-on-next-packet-client-too-late", "reset-on-next-packet", "4.5s", tooLate);
        yield return One("waiting-silent-drop-client-too-late", "silent-drop", "6.5s", tooLate);
        yield return One("waiting-drop-until-syn-client-too-late", "drop-until-syn", "6.5s", tooLate);
        yield return One("waiting-per-direction-client-too-late", "per-direction", "6.5s", tooLate);
        yield return One("waiting-inside-revives-client-too-late", "inside-revives", "7s", tooLate);
        // The response is swallowed at 3.7 s, the probe at 4.5 s revives, the response is sent again: at once or within a second.
        yield return One("waiting-inside-revives-response-first", "inside-revives", "6s", "keepalive: {time: 4s, interval: 1s, probes: 2}\n", serviceTime: "3.2s");
        yield return One("waiting-reset-on-next-packet-server-too-late", "reset-on-next-packet", "7s", "serverKeepalive: {time: 3s, interval: 1s, probes: 2}\n");
        yield return One("waiting-silent-drop-server-too-late", "silent-drop", "7s", "serverKeepalive: {time: 3s, interval: 1s, probes: 1}\n");
        // Probes at 3.5 s and 4.5 s; then the response is in flight, and the kernel does not probe.
        yield return One("waiting-inside-revives-server-too-late", "inside-revives", "7s", "serverKeepalive: {time: 3s, interval: 1s, probes: 9}\n");
        yield return One("waiting-reset-both-retry", "reset-both", "6s", "retries: 1\n");
        yield return One("waiting-too-long", "silent-drop", "4.1s", "", requestTimeout: "2s");
        yield return One("waiting-dead-endpoint", "silent-drop", "4.1s", "connectTimeout: 20s\nfailures: [{at: 1s}]\nkeepalive: {time: 1s, interval: 1s, probes: 2}\n", idleTimeout: "30s");
        yield return One("waiting-dead-endpoint-no-probes", "silent-drop", "4.5s", "connectTimeout: 20s\nfailures: [{at: 1s}]\n", idleTimeout: "30s", serviceTime: "2s", requestTimeout: "3s");

        static KeyValuePair<string, (string, double[])> One(
            string name, string expiry, string duration, string more, string idleTimeout = "2.5s", string serviceTime = "4.5s", string requestTimeout = "6s") =>
            new(name, ($"balancer: {{idleTimeout: {idleTimeout}, expiry: {expiry}}}\nserviceTime: {serviceTime}\nrequestTimeout: {requestTimeout}\nduration: {duration}\n{more}", [0.5]));
    }

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
        Assert.InRange(Scenarios.Keys.Count(name => ClosedForm.FailureRate(Read(name)) is null), 40, Scenarios.Count);

    /// <summary>The result of one wait for a response: by the balancer's behaviour, and by the ends that probe in time.</summary>
    [Theory]
    [InlineData("silent-drop", "504 200 200 200")]
    [InlineData("reset-on-next-packet", "504 200 200 200")]
    [InlineData("reset-both", "503 200 200 200")]
    [InlineData("fin-both", "503 200 200 200")]
    [InlineData("drop-until-syn", "504 200 200 200")]
    [InlineData("inside-revives", "504 200 200 200")]
    [InlineData("per-direction", "504 200 200 200")]
    [InlineData("payload-only", "503 503 503 503")]
    public void WaitForAResponse_LongerThanTheIdleTimeout_NeedsProbesThatCount(string expiry, string codes) =>
        Assert.Equal(codes.Split(' '), new[] { "none", "client", "server", "both" }.Select(probing => Simulate($"waiting-{expiry}-{probing}").Codes));

    [Theory]
    [InlineData("reset-on-next-packet-client-too-late", "503")]
    [InlineData("silent-drop-client-too-late", "503")]
    [InlineData("inside-revives-client-too-late", "200")]
    [InlineData("inside-revives-response-first", "200")]
    [InlineData("reset-on-next-packet-server-too-late", "504")]
    [InlineData("silent-drop-server-too-late", "504")]
    [InlineData("inside-revives-server-too-late", "504")]
    [InlineData("reset-both-retry", "503")]
    [InlineData("too-long", "504")]
    [InlineData("dead-endpoint", "503")]
    [InlineData("dead-endpoint-no-probes", "504")]
    public void WaitForAResponse_ProbesTooLateOrPeerGone_EndsAsTheKernelSays(string name, string code) => Assert.Equal(code, Simulate($"waiting-{name}").Codes);

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
