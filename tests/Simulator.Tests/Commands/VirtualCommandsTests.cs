using System.Text.Json;
using System.Xml.Linq;
using Keepalive.Simulator.Scenarios;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary><c>keepalive-sim run</c>, <c>sweep</c> and <c>advise</c>, as processes.</summary>
public sealed class VirtualCommandsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-virtual-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Run_DesignsExample_EndsWithOneObjectOfNumbers()
    {
        var result = Run("run", Write("example.yaml", """
            balancer: aws-nlb                 # or {idleTimeout: 350s, expiry: reset-on-next-packet, refresh: any}
            connections: 2000
            requests: {arrival: poisson, mean: 500s}     # or {arrival: fixed, every: 6m}
            requestTimeout: 15s
            retries: 0
            duration: 48h
            keepalive: {time: 60s, interval: 10s, probes: 6}
            network: {rtt: 2ms, loss: 1%}
            seed: 11
            """), "-o", "json");
        var root = JsonDocument.Parse(Assert.Single(result.Lines)).RootElement;

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.InRange(root.GetProperty("requests").GetInt64(), 685_000, 697_000);
        Assert.Equal(root.GetProperty("requests").GetInt64(), root.GetProperty("ok").GetInt64());
        Assert.Equal((0, 0, 0), (root.GetProperty("status503").GetInt64(), root.GetProperty("status504").GetInt64(), root.GetProperty("expiries").GetInt64()));
        Assert.InRange(root.GetProperty("probes").GetInt64(), 5_000_000, 6_000_000);
    }

    [Fact]
    public void Run_List_NamesScenariosThatRun()
    {
        var names = Run("run", "--list").Lines.Select(line => line.Split(' ')[0]).ToList();

        Assert.Equal("guide-outage", names[0]);
        Assert.Equal(BuiltInScenarios.Names, names);
        var result = Run("run", "guide-outage");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("closed form, failed requests", result.Output, StringComparison.Ordinal);
        Assert.Contains("standard errors", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ListAsJson_IsOneObjectEach()
    {
        var objects = Run("run", "--list", "-o", "json").Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();

        Assert.Equal(BuiltInScenarios.Names, objects.Select(one => one.GetProperty("scenario").GetString()));
        Assert.All(objects, one => Assert.NotEmpty(one.GetProperty("about").GetString()!));
    }

    [Fact]
    public void Run_EveryProbeAndThreads_PrintTheSame()
    {
        var expected = Run("run", "guide-policy", "--set", "connections=300", "-o", "json", "--threads", "1");

        Assert.Equal(0, expected.ExitCode);
        Assert.Equal(expected.Output, Run("run", "guide-policy", "--set", "connections=300", "-o", "json", "--threads", "2", "--every-probe").Output);
    }

    [Theory]
    [InlineData(1, "KA033", "run", "guide-outage", "--set", "connections=0")]
    [InlineData(1, "KA031", "run", "guide-outage", "--set", "duration=0s")]
    [InlineData(1, "KA001", "run", "nowhere.yaml")]
    [InlineData(1, "'keepalive-sim run --list' shows, or - for", "run", "nope")]
    [InlineData(1, "did you mean guide-outage?", "run", "guide-outrage")]
    [InlineData(1, "KA030", "sweep", "guide-outage", "--set", "duration=1h,soon")]
    [InlineData(2, "--set", "run", "guide-outage", "--set", "connections")]
    [InlineData(2, "--set takes FIELD=VALUE, not 'keepalive.time='", "run", "guide-outage", "--set", "keepalive.time=")]
    [InlineData(2, "--list", "run")]
    [InlineData(2, "--threads", "run", "guide-outage", "--threads", "0")]
    [InlineData(2, "number of its values", "sweep", "guide-outage", "--set", "connections=1..5")]
    [InlineData(2, "twice", "sweep", "guide-outage", "--set", "seed=1", "--set", "seed=2")]
    [InlineData(2, "points", "sweep", "guide-outage", "--set", "seed=1..10000/10000", "--set", "connections=1..10/10")]
    [InlineData(2, "--set", "sweep", "guide-outage")]
    [InlineData(2, "nowhere.yaml:1:1: error KA001", "run", "guide-outage", "--balancer", "nowhere.yaml")]
    [InlineData(2, "write --balancer haproxy=TIMEOUT", "sweep", "guide-outage", "--set", "seed=1", "--balancer", "haproxy")]
    [InlineData(2, "name two balancers", "run", "guide-outage", "--balancer", "aws-nlb", "--set", "balancer=azure-lb")]
    [InlineData(1, "balancer has errors, the first: ", "run", "guide-outage", "--set", "balancer=nowhere.yaml")]
    [InlineData(2, "--loss", "advise", "--balancer", "aws-nlb", "--loss", "77%")]
    [InlineData(2, "--detect-within", "advise", "--balancer", "aws-nlb", "--detect-within", "soon")]
    [InlineData(2, "--service-time", "advise", "--balancer", "aws-nlb", "--service-time", "soon")]
    [InlineData(2, "--service-time", "advise", "--balancer", "aws-nlb", "--service-time", "0s")]
    [InlineData(2, "--balancer", "advise")]
    [InlineData(1, "cannot help", "advise", "--balancer", "aws-alb")]
    [InlineData(1, "For a response that takes 600s: let the server send a part of it more often", "advise", "--balancer", "aws-alb", "--service-time", "10m")]
    [InlineData(1, "cannot help", "advise", "--idle-timeout", "1s", "--expiry", "silent-drop")]
    [InlineData(1, "keepalive ends healthy connections", "advise", "--balancer", "aws-global-accelerator")]
    [InlineData(1, "net.Dialer{KeepAlive: -1}", "advise", "--balancer", "aws-global-accelerator", "--for", "go")]
    [InlineData(1, "GRPC_ARG_KEEPALIVE_TIME_MS=90000 ", "advise", "--balancer", "cloudflare-gateway", "--for", "grpc")]
    [InlineData(2, "--for: 'cobol' is not known; it takes curl, dotnet, envoy, go, grpc, ", "advise", "--balancer", "aws-nlb", "--for", "cobol")]
    [InlineData(2, "write aws-security-group, or aws-security-group=432000s", "advise", "--balancer", "aws-ec2")]
    [InlineData(1, "--detect-within", "advise", "--balancer", "aws-nlb", "--loss", "10%", "--detect-within", "3s")]
    public void Command_Invalid_IsReportedWithoutOutput(int exitCode, string complaint, params string[] arguments)
    {
        var result = Run(arguments);

        Assert.Equal((exitCode, ""), (result.ExitCode, result.Output));
        Assert.Contains(complaint, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Every option that takes a number.</summary>
    public static TheoryData<string, string> Numbers => new(
        from option in new[] { "advise --balancer aws-nlb --connections", "advise --balancer aws-nlb --hz", "advise --balancer aws-nlb --threads", "run guide-policy --threads", "sweep guide-policy --set seed=1,2 --threads" }
        from value in new[] { "abc", "0", "99999999999", "5 5" }
        select (option, value));

    [Theory]
    [InlineData("--loss", "--loss", "1%", "--loss", "1%")]
    [InlineData("--loss", "--loss")]
    [InlineData("--address", "--address", "10.0.0.1", "--address", "10.0.0.2")]
    [InlineData("--expiry", "--expiry")]
    public void Advise_OptionTwiceOrEmpty_IsAnErrorOfTheCommandLine(string complaint, params string[] more)
    {
        var result = Run(["advise", "--balancer", "aws-nlb", .. more]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(complaint, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Numbers))]
    public void Option_WithAnInvalidNumber_IsAnErrorOfTheCommandLine(string option, string value)
    {
        var name = option.Split(' ')[^1];
        var words = option.Split(' ');
        var result = Run(value == "5 5" ? [.. words, "5", name, "5"] : [.. words[..^1], $"{name}={value}"]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(name, result.Error, StringComparison.Ordinal);
        // The error, and a line that refers to the help.
        Assert.Equal(2, result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Theory]
    [InlineData("rows.csv")]
    [InlineData("rows.jsonl")]
    public void Sweep_Interrupted_ContinuesWithTheSameResult(string file)
    {
        string[] grid = ["sweep", "guide-policy", "--set", "connections=600", "--set", "keepalive.time=30s..600s/20", "--set", "network.loss=0,2%", "--threads", "1"];
        var (interrupted, whole) = (Path.Combine(_directory, file), Path.Combine(_directory, "whole-" + file));
        using (var run = ProgramRun.Simulator([.. grid, "--out", interrupted]))
        {
            Eventually.True(() => File.Exists(interrupted) && File.ReadLines(interrupted).Count() > 4, notAfter: TimeSpan.FromSeconds(60));
            run.Signal("INT");
            Assert.Equal(130, run.WaitForExit(TimeSpan.FromSeconds(20)));
            Assert.Contains("the same command goes on from there", run.Error, StringComparison.Ordinal);
            Assert.Equal("", run.Output);
        }
        var kept = File.ReadAllLines(interrupted);
        Assert.InRange(kept.Length, 4, 40);
        // As if the disk had been full in the middle of a line.
        File.AppendAllText(interrupted, "{\"torn");

        Assert.Equal(0, Run([.. grid, "--out", whole]).ExitCode);
        var resumed = Run([.. grid, "--out", interrupted]);

        Assert.Equal((0, ""), (resumed.ExitCode, resumed.Error));
        Assert.Equal(File.ReadAllLines(whole), File.ReadAllLines(interrupted));
        Assert.All(kept, line => Assert.Contains(line, File.ReadAllLines(whole)));
    }

    [Fact]
    public void Sweep_FileOfAnotherGrid_IsNotChanged()
    {
        var file = Write("rows.csv", "name,phone\nme,5\n");
        var result = Run("sweep", "guide-policy", "--set", "connections=10,20", "--set", "duration=1h", "--out", file);

        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Equal("name,phone\nme,5\n", File.ReadAllText(file));
    }

    [Theory]
    [InlineData("keepalive: {policy: policy.yaml, destination: shop/postgres}", "policy.yaml")]
    [InlineData("serverKeepalive: {policy: policies, destination: shop/postgres}", "policies/policy.yaml")]
    [InlineData("requests: {trace: trace.csv}", "trace.csv")]
    [InlineData("serviceTime: {trace: trace.csv}", "trace.csv")]
    public void Sweep_FileOfTheScenarioChanged_IsRefused(string named, string changed)
    {
        const string policy = """
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata: {name: database, namespace: shop}
            spec:
              applyToDestinations: [{kind: EXTERNAL_SERVICE, selector: {name: postgres}}]
              config: {tcp: {tcpKeepalive: {time: 50s, interval: 10s, probes: 4}}}
            ---
            apiVersion: networking.gloo.solo.io/v2
            kind: ExternalService
            metadata: {name: postgres, namespace: shop}
            spec: {addresses: [10.20.0.5]}

            """;
        Directory.CreateDirectory(Path.Combine(_directory, "policies"));
        Write("policy.yaml", policy);
        Write("policies/policy.yaml", policy);
        Write("trace.csv", "1,5\n1,600\n");
        var requests = named.StartsWith("requests", StringComparison.Ordinal) ? "" : "requests: {arrival: poisson, mean: 500s}\n";
        var scenario = Write("scenario.yaml", $"balancer: aws-nlb\nduration: 2h\n{requests}{named}\n");
        string[] sweep = ["sweep", scenario, "--set", "network.loss=0,5%", "--out", Path.Combine(_directory, "rows.csv")];
        var first = Run(sweep);
        var rows = File.ReadAllText(Path.Combine(_directory, "rows.csv"));
        var again = Run(sweep);

        Assert.Equal((0, "", first.Output), (again.ExitCode, again.Error, again.Output));

        var file = Path.Combine(_directory, changed);
        File.WriteAllText(file, File.ReadAllText(file).Replace("50s", "500s", StringComparison.Ordinal).Replace("600", "900", StringComparison.Ordinal));
        var stale = Run(sweep);

        Assert.Equal((4, ""), (stale.ExitCode, stale.Output));
        Assert.Contains("is not of this grid and this scenario", stale.Error, StringComparison.Ordinal);
        Assert.Equal(rows, File.ReadAllText(Path.Combine(_directory, "rows.csv")));
    }

    [Fact]
    public void Device_InPlaceOfAFile_IsNotReadForEver()
    {
        // A program that reads a device to its end exceeds this limit before the machine runs out of memory.
        CommandResult Bounded(string arguments) => ProgramRun.ToEnd(["sh", "-c", $"DOTNET_GCHeapHardLimit=0x40000000 exec '{ProgramRun.SimulatorPath}' {arguments}"]);
        var trace = Bounded($"run '{Write("zero.yaml", "balancer: aws-nlb\nrequests: {trace: /dev/zero}\n")}'");
        var rows = Bounded("sweep guide-policy --set duration=1h --set connections=10 --out /dev/full");

        Assert.Equal((1, ""), (trace.ExitCode, trace.Output));
        Assert.Contains("KA001: scenario: requests.trace cannot be read: \"/dev/zero\" is not a regular file", trace.Error, StringComparison.Ordinal);
        Assert.Equal((4, ""), (rows.ExitCode, rows.Output));
        Assert.Contains("--out: /dev/full is not a regular file", rows.Error, StringComparison.Ordinal);

        // Regression: the program waited for a FIFO for ever, and a signal did not end it.
        ProgramRun.ToEnd(["mkfifo", Path.Combine(_directory, "pipe")]);
        foreach (string path in new[] { "/dev/full", _directory, Path.Combine(_directory, "pipe") })
        {
            var picture = Run("sweep", "guide-policy", "--set", "duration=1h", "--set", "connections=10", "--svg", path);
            Assert.Equal((4, "", $"keepalive-sim: --svg: {path} is not a regular file\n"), (picture.ExitCode, picture.Output, picture.Error));
        }
    }

    /// <summary>Regression: the picture replaced the scenario, or the rows were lost. A file that could not be written was reported after
    /// the whole grid, or with a stack trace.</summary>
    [Fact]
    public void Sweep_FilesCannotBeWritten_AreReportedBeforeTheRuns()
    {
        var scenario = Write("s.yaml", "balancer: aws-nlb\nrequests: {arrival: poisson, mean: 500s}\nduration: 1h\nconnections: 10\n");
        var rows = Path.Combine(_directory, "r.csv");
        string[] sweep = ["sweep", scenario, "--set", "seed=1,2"];
        foreach (var (more, problem) in new (string[], string)[]
        {
            (["--svg", scenario], $"--svg: {scenario} is the scenario"),
            (["--report", scenario], $"--report: {scenario} is the scenario"),
            (["--svg", rows, "--report", rows], $"--report: {rows} is the file of --svg"),
            (["--report", "-"], "--report takes a file, not -"),
            (["--out", rows, "--svg", rows], $"--svg: {rows} is the file of --out"),
            (["--out", "-"], "--out takes a file, not -"),
        })
        {
            var refused = Run([.. sweep, .. more]);
            Assert.Equal((2, ""), (refused.ExitCode, refused.Output));
            Assert.Contains(problem, refused.Error, StringComparison.Ordinal);
        }
        var nowhere = Run([.. sweep, "--out", rows, "--svg", Path.Combine(_directory, "none", "p.svg")]);
        Assert.Equal((4, ""), (nowhere.ExitCode, nowhere.Output));
        Assert.StartsWith("keepalive-sim: --svg: Could not find a part of the path", nowhere.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(rows));
    }

    [Fact]
    public void Sweep_DeviceFull_IsOneLine()
    {
        Live.Require();
        var scenario = Write("s.yaml", "balancer: aws-nlb\nrequests: {arrival: poisson, mean: 500s}\nduration: 1h\nconnections: 10\n");
        var full = ProgramRun.ToEnd(
            ["unshare", "--mount", "sh", "-c", $"mount -t tmpfs -o size=4k none /mnt && '{ProgramRun.SimulatorPath}' sweep '{scenario}' --set seed=1..200/200 --out /mnt/r.csv"]);
        Assert.Equal((4, ""), (full.ExitCode, full.Output));
        Assert.Contains("No space left on device", Assert.Single(full.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    /// <summary>A path in a scenario is relative to the scenario, one on a command line to the working directory.</summary>
    [Theory]
    [InlineData("run of/own.yaml -o json")]
    [InlineData("run of/other.yaml --set balancer=of/office.yaml -o json")]
    [InlineData("run of/other.yaml --set balancer.preset=./of/office.yaml -o json")]
    [InlineData("run of/other.yaml --balancer of/office.yaml -o json")]
    [InlineData("sweep of/own.yaml --set seed=11,12 -o json")]
    [InlineData("sweep of/other.yaml --set seed=11 --set balancer=of/office.yaml -o json")]
    [InlineData("sweep of/other.yaml --set seed=11,12 --balancer of/office.yaml -o json")]
    public void Scenario_BalancerInAFile_IsTheOneInIt(string arguments)
    {
        Directory.CreateDirectory(Path.Combine(_directory, "of"));
        Write("of/office.yaml", "idleTimeout: 5000ms\nexpiry: reset-on-next-packet\n");
        const string rest = "requests: {arrival: fixed, every: 6s}\nduration: 1h\nseed: 11\n";
        Write("of/own.yaml", $"balancer: office.yaml\n{rest}");
        Write("of/other.yaml", $"balancer: aws-nlb\n{rest}");

        using var run = new ProgramRun([ProgramRun.SimulatorPath, .. arguments.Split(' ')], directory: _directory);

        Assert.Equal((0, ""), (run.WaitForExit(), run.Error));
        Assert.All(run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line =>
        {
            var root = JsonDocument.Parse(line).RootElement;
            Assert.InRange(root.GetProperty("status503").GetInt64(), 590, 600);
        });
    }

    [Fact]
    public void Run_BalancerAndIdleTimeout_ReplaceTheScenarios()
    {
        Assert.Contains("aws-nlb: idle timeout 600s, then", Run("run", "guide-outage", "--idle-timeout", "10m").Output, StringComparison.Ordinal);
        Assert.Contains("haproxy: idle timeout 60s, then fin-both", Run("run", "guide-outage", "--balancer", "haproxy=60s").Output, StringComparison.Ordinal);
        var file = Write("office.yaml", "idleTimeout: 5m\nexpiry: silent-drop\n");
        Assert.Contains("office: idle timeout 2.5s, then silent-drop", Run("run", "guide-outage", "--balancer", file, "--idle-timeout", "2500ms").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Scenario_OnTheStandardInput_IsReadOnce()
    {
        const string scenario = "balancer: aws-nlb\nrequests: {arrival: poisson, mean: 500s}\nduration: 2h\n";
        string[] Piped(string arguments) => ["sh", "-c", $"cat '{Write("piped.yaml", scenario)}' | '{ProgramRun.SimulatorPath}' {arguments}"];
        var run = ProgramRun.ToEnd(Piped("run - -o json"));
        var sweep = ProgramRun.ToEnd(Piped("sweep - --set seed=1,2 -o json"));

        Assert.Equal((0, "", 1), (run.ExitCode, run.Error, run.Lines.Count()));
        Assert.Equal((0, "", 2), (sweep.ExitCode, sweep.Error, sweep.Lines.Count()));
        Assert.Equal(scenario, ProgramRun.ToEnd(Piped("run - --show")).Output);
    }

    [Fact]
    public void Sweep_Svg_IsOnePictureThatLoadsNothing()
    {
        var file = Path.Combine(_directory, "picture.svg");
        var result = Run("sweep", "guide-policy", "--set", "connections=50", "--set", "keepalive.time=30s..600s/5", "--set", "network.loss=0,5%", "--svg", file, "-o", "json");
        var svg = XDocument.Load(file).Root!;

        Assert.Equal((0, 10), (result.ExitCode, result.Lines.Count()));
        Assert.Equal(2, Texts(svg).Count(text => text.StartsWith("network.loss=", StringComparison.Ordinal) && text.EndsWith('0')));
        Assert.Equal(2, Texts(svg).Count(text => text == "network.loss=5%"));
        Assert.Equal(20, svg.Descendants().Count(element => element.Name.LocalName is "ellipse" or "rect" && element.Attribute("shape-rendering")?.Value == "geometricPrecision"));
        Assert.DoesNotContain(svg.Descendants().SelectMany(element => element.Attributes()), attribute => attribute.Name.LocalName is "href" or "src");
    }

    [Fact]
    public void Report_OfARunAndASweep_IsAPageOfOneFile()
    {
        var (run, sweep) = (Path.Combine(_directory, "run.html"), Path.Combine(_directory, "sweep.html"));
        var scenario = Write("<script>alert(1)<", "balancer: aws-nlb\nconnections: 20\nduration: 4h\nrequests: {arrival: poisson, mean: 400s}\n");
        var ran = Run("run", scenario, "--report", run);
        var swept = Run("sweep", scenario, "--set", "keepalive.time=100s..500s/5", "--report", sweep);

        Assert.Equal((0, "", 0, ""), (ran.ExitCode, ran.Error, swept.ExitCode, swept.Error));
        foreach (var page in new[] { run, sweep }.Select(File.ReadAllText))
        {
            Assert.StartsWith("<!DOCTYPE html>", page, StringComparison.Ordinal);
            Assert.Equal(3, page.Split("<script").Length);
            Assert.DoesNotContain("{{", page, StringComparison.Ordinal);
            Assert.DoesNotMatch(@"<[^>]*\b(src|href|srcset|action)\s*=", page);
        }
        var kept = Run("run", scenario, "--report", scenario);
        Assert.Equal((2, ""), (kept.ExitCode, kept.Output));
        var nowhere = Run("run", scenario, "--report", Path.Combine(_directory, "none", "p.html"));
        Assert.Equal((4, ""), (nowhere.ExitCode, nowhere.Output));
        Assert.StartsWith("keepalive-sim: --report: Could not find a part of the path", nowhere.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Sweep_SvgWithTooManyLines_IsReportedInThePictureAndOnTheTerminal()
    {
        var file = Path.Combine(_directory, "picture.svg");
        var result = Run("sweep", "guide-policy", "--set", "connections=10", "--set", "duration=1h", "--set", "keepalive.time=30s,60s", "--set", "seed=1..13/13", "--svg", file);
        var svg = XDocument.Load(file).Root!;

        Assert.Equal(0, result.ExitCode);
        Assert.Equal(2 * 12, Texts(svg).Count(text => text.StartsWith("seed=", StringComparison.Ordinal)));
        Assert.Contains("guide-policy (only the first 12 of 13 lines are drawn)", Texts(svg));
        Assert.Contains("only the first 12 of 13 lines are drawn", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Advise_Policy_IsAcceptedByTheAgentAndKeepsTheConnection()
    {
        var result = Run("advise", "--balancer", "aws-nlb", "--loss", "1%", "--detect-within", "2m", "--address", "203.0.113.0/24");
        var check = ProgramRun.ToEnd([ProgramRun.AgentPath, "check", Write("policy.yaml", result.Output)]);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal(0, check.ExitCode);
        // It may mention other balancers. It must not say that the policy does not keep the connection, or ends it in a brief outage.
        Assert.DoesNotContain(": error ", check.Output, StringComparison.Ordinal);
        Assert.All(["KA060", "KA061", "KA062", "KA063"], code => Assert.DoesNotContain(code, check.Output, StringComparison.Ordinal));

        var json = JsonDocument.Parse(Run("advise", "--balancer", "aws-nlb", "--loss", "1%", "--detect-within", "2m", "-o", "json").Output).RootElement;
        Assert.True(json.GetProperty("detectionSeconds").GetDouble() <= 120);
        var covering = (json.GetProperty("time").GetInt32() + (json.GetProperty("interval").GetInt32() * json.GetProperty("probes").GetInt32())) * 1000;
        Assert.Equal(covering, json.GetProperty("coveringUserTimeoutMs").GetInt32());
        Assert.Contains($"keepalive-agent/user-timeout: {Config.UserTimeout.Format(covering)} on the policy", result.Output, StringComparison.Ordinal);
        Assert.True(json.GetProperty("forgottenRate").GetDouble() <= 1.000001e-6);
        Assert.Equal(0, json.GetProperty("simulated").GetProperty("expiries").GetInt64());
        Assert.True(json.GetProperty("withoutKeepalive").GetProperty("failureRate").GetDouble() > 0.5);
    }

    [Fact]
    public void Advise_HostName_IsTheHostOfThePolicy()
    {
        var result = Run("advise", "--balancer", "aws-nlb", "--address", "localhost");
        var explained = ProgramRun.ToEnd([ProgramRun.AgentPath, "explain", Write("policy.yaml", result.Output), "--to", "127.0.0.1:5432"]);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("policy default/aws-nlb-keepalive", explained.Output, StringComparison.Ordinal);
        Assert.Contains("by host localhost", explained.Output, StringComparison.Ordinal);
        Assert.Equal(2, Run("advise", "--balancer", "aws-nlb", "--address", "203.0.113.300").ExitCode);
    }

    [Fact]
    public void Advise_ProbesTakeLongerThanRetransmissions_SaysThatAUserTimeoutProlongsThem()
    {
        var result = Run("advise", "--balancer", "cisco-asa");
        Assert.DoesNotContain("as soon as a quiet one", result.Output, StringComparison.Ordinal);
        Assert.Contains("on the policy, as long as the probes take, would make that longer.", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Advise_ForAnApplication_PrintsItsSettingsAsCommentsOfThePolicy()
    {
        var result = Run("advise", "--balancer", "aws-nlb", "--for", "redis");
        var json = JsonDocument.Parse(Run("advise", "--balancer", "aws-nlb", "--for", "redis", "-o", "json").Output).RootElement;
        var check = ProgramRun.ToEnd([ProgramRun.AgentPath, "check", Write("policy.yaml", result.Output)]);

        Assert.Equal((0, "", 0), (result.ExitCode, result.Error, check.ExitCode));
        var server = json.GetProperty("applications")[0];
        var (advised, own) = (json.GetProperty("time").GetInt32(), server.GetProperty("time").GetInt32());
        Assert.True(own < advised, $"{own} of {advised}");
        Assert.Equal((own / 3, 3), (server.GetProperty("interval").GetInt32(), server.GetProperty("probes").GetInt32()));
        Assert.Contains($"\n#   tcp-keepalive {own}\n#   Its sockets then probe after {own}s, each {own / 3}s, 3 probes.\n", result.Output, StringComparison.Ordinal);
        Assert.Contains($"socket.TCP_KEEPIDLE: {advised}, ", result.Output, StringComparison.Ordinal);
        Assert.Contains("\n# Why not later: at HZ=", result.Output, StringComparison.Ordinal);
        Assert.Contains("(the steps of the kernel's timer wheel)", json.GetProperty("why").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Advise_TimeoutThatTheBalancerCannotHave_IsSaid() => Assert.Contains(
        "# Evaluated for an idle timeout of 600s, but aws-nat-gateway always has 350s.\n",
        Run("advise", "--balancer", "aws-nat-gateway=600s").Output, StringComparison.Ordinal);

    /// <summary>A measured idle timeout is all that the values depend on.</summary>
    [Fact]
    public void Advise_IdleTimeoutAlone_IsThatOfADeviceWithoutAName()
    {
        var result = Run("advise", "--idle-timeout", "20m");

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.StartsWith("# A balancer: forgets a connection after 1200s, then silent-drop (assumed; the policy does not depend on it).\n", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("(assumed", Run("advise", "--idle-timeout", "20m", "--expiry", "silent-drop").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Advise_FactsWithoutASource_AreNamed()
    {
        Assert.Contains("# Not confirmed by a source: that keepalive probes count, the idle timeout.", Run("advise", "--balancer", "calico-ebpf").Output, StringComparison.Ordinal);
        Assert.DoesNotContain("the idle timeout.", Run("advise", "--balancer", "calico-ebpf=3600s").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Advise_WithMuchLoss_BlamesTheNetwork()
    {
        var result = Run("advise", "--balancer", "aws-nlb", "--loss", "50%", "--connections", "100000", "--hz", "250");

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("0 forgotten in ", result.Output, StringComparison.Ordinal);
        Assert.Contains(", all of them for packets that the network lost, not for a forgotten connection.", result.Output, StringComparison.Ordinal);
        Assert.Contains("at HZ=250.", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_WithSlowResponses_ReportsThoseLost()
    {
        string[] scenario = ["run", "slow-response", "--set", "connections=50"];
        var table = Run(scenario);
        var json = JsonDocument.Parse(Run([.. scenario, "-o", "json"]).Output).RootElement;
        var (lost, causes) = (json.GetProperty("lostWaiting").GetInt64(), json.GetProperty("causes"));

        Assert.Equal((0, ""), (table.ExitCode, table.Error));
        Assert.Contains($"responses lost while waiting           {lost}  ", table.Output, StringComparison.Ordinal);
        Assert.Contains($"; {json.GetProperty("expiredWaiting").GetInt64()} while waiting for a response", table.Output, StringComparison.Ordinal);
        Assert.InRange(lost, 1000, causes.GetProperty("swallowed").GetInt64());
        Assert.True(causes.GetProperty("slow").GetInt64() > 0);
        Assert.Equal(0, JsonDocument.Parse(Run([.. scenario, "--set", "keepalive.time=60s", "-o", "json"]).Output).RootElement.GetProperty("lostWaiting").GetInt64());
    }

    [Fact]
    public void Sweep_OverTheServiceTime_ShowsWhereResponsesAreLost()
    {
        string[] sweep = ["sweep", "slow-response", "--set", "connections=50", "--set", "requests.mean=20s", "--set", "serviceTime=0s..480s/5"];
        var rows = Run([.. sweep, "-o", "json"]).Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();

        Assert.Equal(["0s", "120s", "240s", "360s", "480s"], rows.Select(row => row.GetProperty("set").GetProperty("serviceTime").GetString()));
        Assert.Equal([true, true, false, false, false], rows.Select(row => row.GetProperty("lostWaiting").GetInt64() == 0));
        Assert.Contains("  LOST WAITING  ", Run(sweep).Lines.First(), StringComparison.Ordinal);
        Assert.DoesNotContain("WAITING", Run("sweep", "guide-policy", "--set", "connections=10", "--set", "seed=1,2").Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("aws-nlb")]
    [InlineData("azure-lb")]
    [InlineData("fortigate")]
    public void Advise_ForASlowResponse_LosesNoneWhileWaiting(string balancer)
    {
        string[] advise = ["advise", .. balancer == "fortigate" ? ["--idle-timeout", "1h", "--expiry", "per-direction"] : new[] { "--balancer", balancer }, "--service-time", "2h"];
        var json = JsonDocument.Parse(Run([.. advise, "-o", "json"]).Output).RootElement;
        var text = Run(advise);

        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.Equal(7200, json.GetProperty("serviceSeconds").GetDouble());
        Assert.Equal((0, 0), (json.GetProperty("simulated").GetProperty("lostWaiting").GetInt64(), json.GetProperty("simulated").GetProperty("status504").GetInt64()));
        Assert.True(json.GetProperty("simulated").GetProperty("ok").GetInt64() > 10_000);
        Assert.True(json.GetProperty("withoutKeepalive").GetProperty("lostWaiting").GetInt64() > 10_000);
        Assert.Contains("# A response after 7200s: the client's kernel probes while it waits. Lost while waiting: 0 of ", text.Output, StringComparison.Ordinal);
        Assert.Contains("# A response after 10s comes before the idle timeout has passed", Run([.. advise[..^1], "10s"]).Output, StringComparison.Ordinal);
    }

    /// <summary>A grid with half a minute of work may take several minutes on a busy machine.</summary>
    private static CommandResult Run(params string[] arguments) => ProgramRun.ToEnd([ProgramRun.SimulatorPath, .. arguments], timeout: TimeSpan.FromMinutes(5));

    private static List<string> Texts(XElement svg) => [.. svg.Descendants().Where(element => element.Name.LocalName == "text").Select(element => element.Value)];

    private string Write(string name, string text)
    {
        var path = Path.Combine(_directory, name);
        File.WriteAllText(path, text);
        return path;
    }
}
