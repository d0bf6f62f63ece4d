using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Scenarios;
using Xunit;

namespace Keepalive.Simulator.Tests.Scenarios;

public sealed class ScenarioReaderTests : IDisposable
{
    private const string Good = "balancer: aws-nlb\nrequests: {arrival: poisson, mean: 5m}\n";

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-scenario-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("office.yaml", 2.5)]
    [InlineData("{preset: office.yaml}", 2.5)]
    [InlineData("{preset: ./office.yaml, idleTimeout: 40s}", 40)]
    public void Balancer_InAFileBesideTheScenario_IsTheOneInIt(string balancer, double seconds)
    {
        File.WriteAllText(Path.Combine(_directory, "office.yaml"), "idleTimeout: 2500ms\nexpiry: reset-both\nrefresh: per-direction\n");
        var reading = ScenarioReader.ReadText($"balancer: {balancer}\nrequests: {{arrival: poisson, mean: 5m}}\n", "s.yaml", _directory);

        Assert.Empty(reading.Diagnostics);
        Assert.Equal("office", reading.Scenario!.Preset!.Name);
        Assert.Equal(new BalancerRule(TimeSpan.FromSeconds(seconds), new IdleBehaviour(ExpiryClass.ResetBoth, Refresh.PerDirection)), reading.Scenario.Rule);
        Assert.EndsWith("office.yaml", Assert.Single(reading.Files), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("idleTimeout: 5m\nexpiry: fin\n", "office.yaml:2:9: error KA034")]
    [InlineData(null, "office.yaml:1:1: error KA001")]
    public void Balancer_InAFileWithAMistake_IsAnErrorThatNamesBothPlaces(string? file, string expected)
    {
        if (file is not null)
        {
            File.WriteAllText(Path.Combine(_directory, "office.yaml"), file);
        }
        var problem = Assert.Single(ScenarioReader.ReadText("balancer: office.yaml\nrequests: {arrival: poisson, mean: 5m}\n", "s.yaml", _directory).Diagnostics);

        Assert.StartsWith("s.yaml:1:11: error KA001: ", problem.ToString(), StringComparison.Ordinal);
        Assert.Contains(expected, problem.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Scenario_WithOnlyRequiredFields_HasDefaults()
    {
        var scenario = ScenarioReader.ReadText(Good, "s").Scenario!;

        Assert.Equal((1, 1, TimeSpan.FromSeconds(350), TimeSpan.FromHours(24)), (scenario.Connections, scenario.Pool, scenario.Rule.IdleTimeout, scenario.Duration));
        Assert.Null(scenario.Keepalive);
    }

    [Theory]
    [InlineData("", "KA004")]
    [InlineData("[]", "KA024")]
    [InlineData("balancer: [", "KA010")]
    [InlineData("requests: {arrival: poisson, mean: 5m}", "KA025")]
    [InlineData("balancer: aws-nlb", "KA025")]
    [InlineData("balancer: aws-nbl\nrequests: {arrival: poisson, mean: 5m}", "KA202")]
    [InlineData("balancer: haproxy\nrequests: {arrival: poisson, mean: 5m}", "KA025")]
    [InlineData("balancer: {expiry: silent-drop}\nrequests: {arrival: poisson, mean: 5m}", "KA025")]
    [InlineData("balancer: {idleTimeout: 5m, expiry: explodes}\nrequests: {arrival: poisson, mean: 5m}", "KA034")]
    [InlineData("balancer: {idleTimeout: 5m, expiry: payload-only, refresh: any}\nrequests: {arrival: poisson, mean: 5m}", "KA038")]
    [InlineData("balancer: {preset: aws-nlb, expiry: per-direction, refresh: payload}\nrequests: {arrival: poisson, mean: 5m}", "KA038")]
    [InlineData("balancer: {preset: nope}\nrequests: {arrival: poisson, mean: 5m}", "KA202")]
    [InlineData(Good + "balancer: envoy", "KA012")]
    [InlineData(Good + "conections: 5", "KA023")]
    [InlineData(Good + "connections: 0", "KA033")]
    [InlineData(Good + "connections: -1", "KA033")]
    [InlineData(Good + "connections: 99999999999999999999999", "KA033")]
    [InlineData(Good + "connections: many", "KA024")]
    [InlineData(Good + "duration: 0s", "KA031")]
    [InlineData(Good + "duration: -5m", "KA031")]
    [InlineData(Good + "duration: 99999999999h", "KA031")]
    [InlineData(Good + "duration: 200000h", "KA031")]
    [InlineData(Good + "duration: 5", "KA024")]
    [InlineData(Good + "duration: soon", "KA030")]
    [InlineData(Good + "network: {loss: 200%}", "KA033")]
    [InlineData(Good + "network: {loss: -1%}", "KA033")]
    [InlineData(Good + "network: {loss: much}", "KA024")]
    [InlineData(Good + "network: {burst: 5s}", "KA038")]
    [InlineData(Good + "network: {rtt: 5s}", "KA031")]
    [InlineData("balancer: {idleTimeout: 1s, expiry: silent-drop}\nrequests: {arrival: poisson, mean: 5m}\nnetwork: {rtt: 300ms}", "KA038")]
    [InlineData(Good + "pool: {connections: 2}", "KA038")]
    [InlineData(Good + "removal: {}\nkeepalive: {time: 5s}", "KA038")]
    [InlineData(Good + "removal: {}\nendpoints: 2", "KA038")]
    [InlineData(Good + "timers: {fire: on-time, hz: 100}", "KA038")]
    [InlineData(Good + "failures: [{lasts: 5m}]", "KA038")]
    [InlineData(Good + "failures: [{at: 1m, every: 5m}]", "KA038")]
    [InlineData(Good + "failures: [{endpoint: 2, at: 1m}]", "KA033")]
    [InlineData(Good + "keepalive: {time: 40000s}", "KA031")]
    [InlineData(Good + "keepalive: {probes: 128}", "KA033")]
    [InlineData(Good + "keepalive: {policy: p.yaml}", "KA025")]
    [InlineData(Good + "keepalive: {policy: p.yaml, destination: d, time: 5s}", "KA038")]
    [InlineData(Good + "keepalive: {policy: p.yaml, destination: d}", "KA001")]
    [InlineData("balancer: aws-nlb\nrequests: {arrival: poisson, every: 5m}", "KA038", "KA025")]
    [InlineData("balancer: aws-nlb\nrequests: {arrival: fixed, mean: 5m}", "KA038", "KA025")]
    [InlineData("balancer: aws-nlb\nrequests: {trace: t.csv, mean: 5m}", "KA038", "KA001")]
    [InlineData("balancer: aws-nlb\nrequests: {arrival: sometimes, mean: 5m}", "KA034")]
    [InlineData("balancer: aws-nlb\nrequests: {mean: 5m}", "KA025")]
    [InlineData(Good + "--- \n" + Good, "KA038")]
    [InlineData(Good + "serviceTmie: 1m", "KA023")]
    [InlineData(Good + "serviceTime: soon", "KA030")]
    [InlineData(Good + "serviceTime: 90", "KA024")]
    [InlineData(Good + "serviceTime: [1m]", "KA024")]
    [InlineData(Good + "serviceTime: -5s", "KA031")]
    [InlineData(Good + "serviceTime: 200000h", "KA031")]
    [InlineData(Good + "serviceTime: {}", "KA025")]
    [InlineData(Good + "serviceTime: {mean: 1m}", "KA023", "KA025")]
    [InlineData(Good + "serviceTime: {exponential: 0s}", "KA031")]
    [InlineData(Good + "serviceTime: {fixed: 1m, exponential: 1m}", "KA038")]
    [InlineData(Good + "serviceTime: {exponential: 1m, trace: t.csv}", "KA038")]
    [InlineData(Good + "serviceTime: {trace: nowhere.csv}", "KA001")]
    [InlineData(Good + "connections: 10000000\nduration: 80000h\nkeepalive: {time: 1s, interval: 1s, probes: 3}\ntimers: {fire: late}", "KA207")]
    [InlineData("balancer: aws-nlb\nrequests: {arrival: fixed, every: 1ms}\nconnections: 1000000\nduration: 80000h", "KA207")]
    [InlineData("balancer: aws-nlb\nrequests: {arrival: onOff, on: 1ms, off: 1ms, mean: 80000h}\nduration: 80000h", "KA207")]
    [InlineData("balancer: {idleTimeout: 100ms, expiry: reset-both}\nrequests: {arrival: poisson, mean: 5m}\nconnections: 1000000\nduration: 80000h", "KA207")]
    public void Scenario_Invalid_IsOnlyADiagnostic(string yaml, params string[] codes)
    {
        var reading = ScenarioReader.ReadText(yaml, "s.yaml", _directory);

        Assert.Null(reading.Scenario);
        Assert.Equal(codes.Order(), reading.Diagnostics.Select(diagnostic => diagnostic.Code).Distinct().Order());
        Assert.All(reading.Diagnostics, diagnostic => Assert.Equal("s.yaml", diagnostic.Position.File));
    }

    /// <summary>Regression: a duration was "a string, which has no exponential", and a mapping then was both.</summary>
    [Theory]
    [InlineData("5s")]
    [InlineData("{fixed: 5s}")]
    [InlineData("{trace: nowhere.csv}")]
    public void FieldChange_ToAnotherServiceTime_TakesThePlaceOfTheOneWritten(string written)
    {
        var reading = ScenarioReader.ReadText($"{Good}serviceTime: {written}\n", "s", ".", new FieldChange("serviceTime.exponential", "2s"));

        Assert.Empty(reading.Diagnostics);
        Assert.Equal(new ExponentialService(TimeSpan.FromSeconds(2)), reading.Scenario!.ServiceTime);
        Assert.Equal("KA023", Assert.Single(ScenarioReader.ReadText($"{Good}serviceTime: {{fixed: 5s}}\n", "s", ".", new FieldChange("serviceTime.uniform", "2s")).Diagnostics).Code);
    }

    [Fact]
    public void Balancer_WithoutATimeout_HasTheSameErrorForEveryName()
    {
        const string requests = "\nrequests: {arrival: poisson, mean: 5m}\n";
        List<string> Messages(string balancer, params FieldChange[] changes)
        {
            var reading = ScenarioReader.ReadText($"balancer: {balancer}{requests}", "s", ".", changes);
            Assert.Null(reading.Scenario);
            return [.. reading.Diagnostics.Select(diagnostic => $"{diagnostic.Code} {diagnostic.Message}")];
        }

        var expected = Messages("haproxy");
        Assert.Contains("has no idle timeout until one is configured", Assert.Single(expected), StringComparison.Ordinal);
        Assert.Equal(expected, Messages("{preset: haproxy}"));
        Assert.Equal(expected, Messages("{preset: haproxy, expiry: silent-drop}"));
        Assert.Equal(expected, Messages("{preset: aws-nlb}", new FieldChange("balancer.preset", "haproxy")));

        var haproxy = ScenarioReader.ReadText($"balancer: {{preset: haproxy, idleTimeout: 60s}}{requests}", "s").Scenario!.Rule;
        Assert.Equal(new BalancerRule(TimeSpan.FromSeconds(60), new IdleBehaviour(ExpiryClass.FinBoth, Refresh.PayloadOnly)), haproxy);
    }

    [Theory]
    [InlineData("1,5\n1,4\n", 2, "KA201")]
    [InlineData("connection,time\n1,5\n2,1\n1,4.999\n", 4, "KA201")]
    [InlineData("1,5\n3,1\n", 2, "KA200")]
    [InlineData("1\n", 1, "KA200")]
    [InlineData("1,2,3\n", 1, "KA200")]
    [InlineData("1,later\n", 1, "KA200")]
    [InlineData("1,-5\n", 1, "KA200")]
    [InlineData("1,99999999999999\n", 1, "KA200")]
    public void Trace_Invalid_IsADiagnosticWithItsLine(string trace, int line, string code)
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), trace);
        var reading = ScenarioReader.ReadText("balancer: aws-nlb\nconnections: 2\nrequests: {trace: t.csv}", "s.yaml", _directory);

        Assert.Null(reading.Scenario);
        var diagnostic = Assert.Single(reading.Diagnostics);
        Assert.Equal((code, Path.Combine(_directory, "t.csv"), line), (diagnostic.Code, diagnostic.Position.File, diagnostic.Position.Line));
    }

    [Theory]
    [InlineData("1,2,3", "not a connection and a time: \"1,2,3\"")]
    [InlineData("x,5", "not the number of a connection: \"x\"")]
    [InlineData("0,5", "there is no connection 0: there are 2")]
    [InlineData("99999999999999999999,5", "there is no connection 99999999999999999999: there are 2")]
    [InlineData("1,soon", "not a time: \"soon\"")]
    [InlineData("1,-5", "the time must be 0s to 315360000s, but is -5")]
    [InlineData("1,999999999999", "the time must be 0s to 315360000s, but is 999999999999")]
    public void Trace_Invalid_DiagnosticNamesTheField(string line, string message)
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), $"connection,time\n{line}\n");
        var reading = ScenarioReader.ReadText("balancer: aws-nlb\nconnections: 2\nrequests: {trace: t.csv}", "s.yaml", _directory);

        Assert.Equal(message, Assert.Single(reading.Diagnostics).Message);
    }

    [Fact]
    public void Times_AfterTheEndOfTheSimulation_AreWarnings()
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), "1,5\n1,86400\n1,90000\n");
        const string rest = "balancer: aws-nlb\nduration: 24h\nfailures: [{at: 99h}, {at: 23h}]\nbalancerRestarts: [1h, 24h]\n";
        var reading = ScenarioReader.ReadText(rest + "requests: {trace: t.csv}\n", "s.yaml", _directory);
        var trace = Path.Combine(_directory, "t.csv");

        Assert.NotNull(reading.Scenario);
        Assert.All(reading.Diagnostics, diagnostic => Assert.Equal(("KA205", Severity.Warning), (diagnostic.Code, diagnostic.Severity)));
        Assert.Equal(
            [
                new SourcePosition("s.yaml", 3, 17), new SourcePosition("s.yaml", 4, 24), new SourcePosition(trace, 2, 1),
            ],
            reading.Diagnostics.Select(diagnostic => diagnostic.Position).OrderBy(position => position.File == trace).ThenBy(position => position));
        Assert.Empty(ScenarioReader.ReadText(rest + "requests: {trace: t.csv}\n", "s.yaml", _directory, new FieldChange("duration", "100h")).Diagnostics);
    }

    [Fact]
    public void Trace_InSecondsAndDurations_IsReadForEachConnection()
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), "connection,time\n2,1m30s\n1,5.5\n2,90\n");
        var scenario = ScenarioReader.ReadText("balancer: aws-nlb\nconnections: 3\nrequests: {trace: t.csv}", "s.yaml", _directory).Scenario!;

        var trace = Assert.IsType<TraceArrival>(scenario.Requests);
        Assert.Equal([TimeSpan.FromSeconds(5.5)], trace.Times[0]);
        Assert.Equal([TimeSpan.FromSeconds(90), TimeSpan.FromSeconds(90)], trace.Times[1]);
    }

    [Fact]
    public void ServiceTime_EachForm_IsRead()
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), "connection,seconds\n3,90\n1,1m30s\n1,0.5\n");
        ServiceTime? Read(string value) => ScenarioReader.ReadText(Good + $"connections: 5\nrequestTimeout: 1h\nserviceTime: {value}", "s.yaml", _directory) is { Diagnostics.IsEmpty: true } reading
            ? reading.Scenario!.ServiceTime
            : throw new InvalidOperationException(value);

        Assert.Equal(new FixedService(TimeSpan.FromSeconds(90)), Read("1m30s"));
        Assert.Equal(new FixedService(TimeSpan.FromSeconds(90)), Read("{fixed: 90s}"));
        Assert.Equal(new ExponentialService(TimeSpan.FromSeconds(90)), Read("{exponential: 90s}"));
        Assert.Null(Read("0s"));
        Assert.Null(Read("null"));
        // The second client has no lines of its own, and uses those of the second of the others.
        Assert.Equal(["90 0.5", "90", "90"], ((TraceService)Read("{trace: t.csv}")!).Times.Select(times => string.Join(' ', times.Select(time => time.TotalSeconds.ToString(CultureInfo.InvariantCulture)))));
    }

    [Theory]
    [InlineData("1,5\n6,4\n", 2, "there is no connection 6: there are 5")]
    [InlineData("1,5,6\n", 1, "not a connection and a time: \"1,5,6\"")]
    [InlineData("# nothing\n", 1, "the file holds no time")]
    public void ServiceTime_OfAnInvalidTrace_IsADiagnosticWithItsLine(string trace, int line, string message)
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), trace);
        var diagnostic = Assert.Single(ScenarioReader.ReadText(Good + "connections: 5\nserviceTime: {trace: t.csv}", "s.yaml", _directory).Diagnostics);

        Assert.Equal(("KA200", Path.Combine(_directory, "t.csv"), line, message), (diagnostic.Code, diagnostic.Position.File, diagnostic.Position.Line, diagnostic.Message));
    }

    [Theory]
    [InlineData("10m", "is 600s, and the requestTimeout 15s: no request is answered in time")]
    [InlineData("{exponential: 1m}", "has a mean of 60s, and the requestTimeout 15s: most requests are not answered in time")]
    [InlineData("{trace: t.csv}", "is at least 20s, and the requestTimeout 15s: no request is answered in time")]
    public void ServiceTime_LongerThanTheRequestTimeout_IsAWarning(string value, string message)
    {
        File.WriteAllText(Path.Combine(_directory, "t.csv"), "1,60\n1,20\n");
        var reading = ScenarioReader.ReadText(Good + $"serviceTime: {value}", "s.yaml", _directory);
        var warning = Assert.Single(reading.Diagnostics);

        Assert.NotNull(reading.Scenario);
        Assert.Equal(("KA206", Severity.Warning, new SourcePosition("s.yaml", 3, 14)), (warning.Code, warning.Severity, warning.Position));
        Assert.EndsWith(message, warning.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("shop/postgres")]
    [InlineData("postgres")]
    public void Keepalive_OfAPolicy_IsWhatItSetsForTheDestination(string destination)
    {
        File.WriteAllText(Path.Combine(_directory, "p.yaml"), """
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata: {name: database, namespace: shop}
            spec:
              applyToDestinations: [{kind: EXTERNAL_SERVICE, selector: {name: postgres}}]
              config: {tcp: {tcpKeepalive: {time: 50s, probes: 4}}}
            ---
            apiVersion: networking.gloo.solo.io/v2
            kind: ExternalService
            metadata: {name: postgres, namespace: shop}
            spec: {addresses: [10.20.0.5]}
            """);
        var reading = ScenarioReader.ReadText(Good + $"keepalive: {{policy: p.yaml, destination: {destination}}}", "s.yaml", _directory);

        Assert.Equal(new KeepaliveSettings(50, 75, 4), reading.Scenario?.Keepalive);
        Assert.Equal("KA203", Assert.Single(ScenarioReader.ReadText(Good + "keepalive: {policy: p.yaml, destination: mysql}", "s.yaml", _directory).Diagnostics).Code);
    }

    [Fact]
    public void BuiltIn_All_AreReadWithoutADiagnostic() => Assert.All(BuiltInScenarios.Names, name =>
    {
        Assert.Empty(ScenarioReader.Read(name).Diagnostics);
        Assert.NotEmpty(BuiltInScenarios.Describe(name));
    });

    [Fact]
    public void FieldChange_OfAnyDepth_EqualsAnEditOfTheFile()
    {
        var scenario = ScenarioReader.ReadText(Good, "s", ".", new FieldChange("keepalive.time", "45s"), new FieldChange("connections", "7"), new FieldChange("balancer.idleTimeout", "80s")).Scenario!;

        Assert.Equal((45, 7, TimeSpan.FromSeconds(80)), (scenario.Keepalive!.Value.Time, scenario.Connections, scenario.Rule.IdleTimeout));
        Assert.Equal("KA204", Assert.Single(ScenarioReader.ReadText(Good + "seed: 1", "s", ".", new FieldChange("seed.x", "1")).Diagnostics).Code);
        Assert.Equal("KA023", Assert.Single(ScenarioReader.ReadText(Good, "s", ".", new FieldChange("keepalive.tiem", "1s")).Diagnostics).Code);
    }

    [Theory]
    [InlineData("a.b=1..5/5", "1 2 3 4 5")]
    [InlineData("a=30s..60s/3", "30s 45s 60s")]
    [InlineData("a=0..10%/3", "0% 5% 10%")]
    [InlineData("a=0,1%,5%", "0 1% 5%")]
    [InlineData("a=x", "x")]
    public void ParameterRange_Valid_HasItsValues(string text, string values) =>
        Assert.Equal(values.Split(' '), ParameterRange.Parse(text, out _)!.Values);

    [Theory]
    [InlineData("a")]
    [InlineData("=5")]
    [InlineData("a=")]
    [InlineData("a=1..5")]
    [InlineData("a=1..5/1")]
    [InlineData("a=1..5/99999999")]
    [InlineData("a=1s..5%/3")]
    [InlineData("a=x..y/3")]
    [InlineData("a=1,1")]
    [InlineData("a..b=1")]
    public void ParameterRange_Invalid_IsRefused(string text)
    {
        Assert.Null(ParameterRange.Parse(text, out var error));
        Assert.StartsWith("--set", error, StringComparison.Ordinal);
    }
}
