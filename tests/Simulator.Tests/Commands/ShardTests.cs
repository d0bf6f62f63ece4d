using System.Text.Json;
using System.Text.RegularExpressions;
using Keepalive.Simulator.Scenarios;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary><c>keepalive-sim sweep --shard</c> and <c>merge</c>, as processes.</summary>
public sealed class ShardTests : IDisposable
{
    private const int Shards = 8;

    /// <summary>40 points; the last field makes every second one more costly.</summary>
    private static readonly string[] s_grid =
        ["sweep", "guide-policy", "--set", "connections=60", "--set", "keepalive.time=30s..600s/20", "--set", "network.loss=0,2%", "--threads", "1"];

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-shard-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>Eight processes at once; one is killed, and its command is run again.</summary>
    [Fact]
    public void Merge_OfEightShardsAndOneRunAgain_IsTheWholeByteForByte()
    {
        // Long enough to be killed within.
        string[] slow = [.. s_grid.Select(word => word == "connections=60" ? "connections=4000" : word)];
        var whole = Run([.. slow, "--out", At("whole.csv"), "--svg", At("whole.svg"), "--report", At("whole.html")]);
        Assert.Equal((0, ""), (whole.ExitCode, whole.Error));
        Assert.Equal(0, Run([.. slow, "--out", At("whole.jsonl")]).ExitCode);

        var killed = ProgramRun.Simulator([.. slow, "--shard", $"3/{Shards}", "--out", Shard(3)]).MayEnd();
        var others = Enumerable.Range(0, Shards).Where(i => i != 3).Select(i => ProgramRun.Simulator([.. slow, "--shard", $"{i}/{Shards}", "--out", Shard(i)]).MayEnd()).ToList();
        Eventually.True(() => File.Exists(Shard(3)) && File.ReadLines(Shard(3)).Count() > 1, notAfter: TimeSpan.FromMinutes(2));
        killed.Signal("KILL");
        killed.WaitForExit(TimeSpan.FromSeconds(20));
        killed.Dispose();
        foreach (var other in others)
        {
            Assert.Equal(0, other.WaitForExit(TimeSpan.FromMinutes(5)));
            other.Dispose();
        }
        // As if the disk had been full in the middle of a row.
        File.AppendAllText(Shard(3), "{\"finger");

        var incomplete = Merge();
        Assert.Equal((1, ""), (incomplete.ExitCode, incomplete.Output));
        Assert.Matches($@"^keepalive-sim: {Shard(3)}: shard 3/8 has [1-4] of its 5 rows: run its command again; with --out it goes on from there\n$", incomplete.Error);

        var before = File.ReadAllLines(Shard(3))[1];
        Assert.Equal(0, Run([.. slow, "--shard", $"3/{Shards}", "--out", Shard(3)]).ExitCode);
        Assert.Contains(before, File.ReadAllLines(Shard(3)));

        var merged = Merge("--out", At("merged.csv"), "--svg", At("merged.svg"), "--report", At("merged.html"));
        Assert.Equal((0, "", whole.Output), (merged.ExitCode, merged.Error, merged.Output));
        Assert.Equal(File.ReadAllBytes(At("whole.csv")), File.ReadAllBytes(At("merged.csv")));
        Assert.Equal(File.ReadAllBytes(At("whole.svg")), File.ReadAllBytes(At("merged.svg")));
        Assert.Equal(File.ReadAllText(At("whole.html")), File.ReadAllText(At("merged.html")));
        Assert.Equal(File.ReadAllText(At("whole.jsonl")), Merge("-o", "json", "--out", At("merged.jsonl")).Output);
        Assert.Equal(File.ReadAllBytes(At("whole.jsonl")), File.ReadAllBytes(At("merged.jsonl")));
    }

    [Fact]
    public void Merge_OfWhatShardsPrint_IsTheWhole()
    {
        string[] sweep = ["sweep", "slow-response", "--set", "connections=10", "--set", "serviceTime=0s,230s,250s"];
        for (var i = 0; i < 2; i++)
        {
            var shard = Run([.. sweep, "--shard", $"{i}/2", "-o", "json"]);
            Assert.Equal((0, ""), (shard.ExitCode, shard.Error));
            // Warnings come before the rows in the log of a pod, which has both streams.
            File.WriteAllText(At($"{i}.log"), $"scenario.yaml:3:1: warning KA205: scenario: failures[0].at is 30h\n{shard.Output}");
        }
        var whole = Run(sweep);

        // In another order, too. A column depends on points that only one of the shards has.
        Assert.Contains("LOST WAITING", whole.Output, StringComparison.Ordinal);
        Assert.Equal(whole.Output, Run("merge", At("1.log"), At("0.log")).Output);
        // One behind the other, and a pod that was evicted between them: what 'kubectl logs' prints of several pods.
        File.WriteAllText(At("all.log"), File.ReadAllText(At("1.log")) + "keepalive-sim: interrupted: 0 of 2 done; with --out they would be kept\n" + File.ReadAllText(At("0.log")));
        Assert.Equal(whole.Output, Run("merge", At("all.log")).Output);
        File.AppendAllText(At("all.log"), File.ReadAllText(At("0.log")));
        Assert.Equal($"keepalive-sim: shard 0/2 is given twice: {At("all.log")} and {At("all.log")}\n", Run("merge", At("all.log")).Error);
    }

    /// <summary>'kubectl logs' prints the logs of all pods: also that of one that died, whose last line is cut off, and of its successor.</summary>
    [Theory]
    [InlineData("0.dead 0 1")]
    [InlineData("0 0.dead 1")]
    [InlineData("1 0.dead 0.begun 0")]
    public void Merge_OfLogsWithADeadPodAndItsSuccessor_IsTheWhole(string logs)
    {
        string[] sweep = ["sweep", "slow-response", "--set", "connections=10", "--set", "serviceTime=0s,1s,2s,230s,250s"];
        for (var i = 0; i < 2; i++)
        {
            File.WriteAllText(At($"{i}"), Run([.. sweep, "--shard", $"{i}/2", "-o", "json"]).Output);
        }
        var lines = File.ReadAllLines(At("0"));
        File.WriteAllText(At("0.dead"), $"{lines[0]}\n{lines[1]}\n{lines[2][..40]}");
        File.WriteAllText(At("0.begun"), lines[0]);
        File.WriteAllText(At("all"), string.Concat(logs.Split(' ').Select(log => File.ReadAllText(At(log)))));

        var merged = Run("merge", At("all"));
        Assert.Equal((0, ""), (merged.ExitCode, merged.Error));
        Assert.Equal(Run(sweep).Output, merged.Output);
        Assert.Equal(merged.Output, Command.Run("sh", "-c", $"{ProgramRun.SimulatorPath} merge - < {At("all")}").Output);
        // Without the successor.
        Assert.Matches("^keepalive-sim: .*/0.dead: shard 0/2 has 1 of its 3 rows: run its command again", Run("merge", At("0.dead"), At("1")).Error);
    }

    [Fact]
    public void Merge_OfOtherShards_NamesEachProblem()
    {
        var (few, name) = (s_grid.Select(word => word.Replace("/20", "/2", StringComparison.Ordinal)).ToArray(), "scenario.yaml");
        string Part(string file, string shard, params string[] more)
        {
            var result = Run([.. few, .. more, "--shard", shard, "--out", At(file)]);
            Assert.Equal((0, ""), (result.ExitCode, result.Error));
            return At(file);
        }
        var (zero, one) = (Part("0", "0/2"), Part("1", "1/2"));
        File.WriteAllText(At(name), Run("run", "guide-policy", "--show").Output + "# changed\n");
        few[1] = At(name);
        var changed = Part("changed", "1/2");
        few[1] = "guide-policy";
        var wider = Part("wider", "1/2", "--set", "seed=1,2");
        var third = Part("third", "1/3");
        File.WriteAllText(At("newer"), File.ReadAllText(one).Replace("\"version\":\"", "\"version\":\"9.", StringComparison.Ordinal));
        File.WriteAllText(At("whole"), Run([.. few, "-o", "json"]).Output);
        File.WriteAllText(At("empty"), "");
        File.WriteAllText(At("damaged"), File.ReadAllText(one).Replace("\"30s\"},", "\"31s\"},", StringComparison.Ordinal).Replace("\"network.loss\":\"", "\"network.lots\":\"", StringComparison.Ordinal));

        List<string> spoilt = [];
        foreach (var (found, instead) in new[]
        {
            ("\"0/2\"", "null"), ("\"0/2\"", "7"), ("\"version\":\"", "\"version\":null,\"v\":\""), ("\"scenario\":", "\"s\":"), ("[\"60\"]", "[\"60\",\"60\"]"), ("[\"60\"]", "[]"), ("[\"60\"]", "60"),
        })
        {
            spoilt.Add(At($"spoilt-{spoilt.Count}"));
            File.WriteAllText(spoilt[^1], File.ReadAllText(zero).Replace(found, instead, StringComparison.Ordinal));
            Assert.NotEqual(File.ReadAllText(zero), File.ReadAllText(spoilt[^1]));
        }
        File.WriteAllText(At("null"), File.ReadAllText(one).Replace("\"connections\":\"60\"", "\"connections\":null", StringComparison.Ordinal));

        List<string> odd = [];
        foreach (var figure in new[] { "\"x\"", "1e999", "-1", "0.5", "null", "true", "[1]" })
        {
            odd.Add(At($"odd-{odd.Count}"));
            File.WriteAllText(odd[^1], Regex.Replace(File.ReadAllText(one), "\"requests\":[0-9]+", $"\"requests\":{figure}"));
            Assert.NotEqual(File.ReadAllText(one), File.ReadAllText(odd[^1]));
        }

        (string[] Files, string Problem)[] cases =
        [
            .. odd.Select(file => ((string[])[zero, file], $"{file}:2 is not a row of shard 1/2 of this sweep")),
            .. spoilt.Select(file => ((string[])[one, file], $"{file} is no shard: ")),
            ([zero, At("null")], $"{At("null")}:2 is not a row of shard 1/2 of this sweep"),
            ([zero], "a shard is missing: 1/2"),
            ([one], "a shard is missing: 0/2"),
            ([third], "2 shards are missing: 0/3, 2/3"),
            ([zero, one, zero], $"shard 0/2 is given twice: {zero} and {zero}"),
            ([zero, changed], $"{changed} is of another sweep than {zero}: another scenario, or a policy or trace that it names has changed (fingerprint "),
            ([zero, wider], $"{wider} is of another sweep than {zero}: other values of --set"),
            ([zero, third], $"{third} is of another sweep than {zero}: one of 3 shards, not of 2"),
            ([zero, At("newer")], $"{At("newer")} is of another sweep than {zero}: version 9."),
            ([zero, one, At("whole")], $"{At("whole")} is no shard: it does not begin as what 'keepalive-sim sweep --shard I/N' writes"),
            ([zero, one, At("empty")], $"{At("empty")} is no shard: "),
            ([zero, At("damaged")], $"{At("damaged")}:2 is not a row of shard 1/2 of this sweep"),
        ];
        foreach (var (files, problem) in cases)
        {
            var result = Run(["merge", .. files, "--out", At("result.csv")]);
            Assert.Equal((1, ""), (result.ExitCode, result.Output));
            Assert.Contains("keepalive-sim: " + problem, result.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
            Assert.False(File.Exists(At("result.csv")));
        }
        // All problems at once.
        Assert.Equal(3, Run("merge", zero, At("empty"), At("whole")).Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        var nowhere = Run("merge", zero, At("nowhere"));
        Assert.Equal((4, ""), (nowhere.ExitCode, nowhere.Output));
        Assert.Contains(At("nowhere"), Assert.Single(nowhere.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Equal(0, Run("merge", one, zero).ExitCode);
    }

    [Theory]
    [InlineData("--shard needs --out FILE or -o json", "--shard", "0/2")]
    [InlineData("--shard takes I/N: N shards, from 0/N to N-1/N, at most 100000, not '2/2'", "--shard", "2/2", "-o", "json")]
    [InlineData("not '0/0'", "--shard", "0/0", "-o", "json")]
    [InlineData("not '-1/2'", "--shard=-1/2", "-o", "json")]
    [InlineData("not '1'", "--shard", "1", "-o", "json")]
    [InlineData("not '0/100001'", "--shard", "0/100001", "-o", "json")]
    [InlineData("--svg: a shard is no whole grid", "--shard", "0/2", "-o", "json", "--svg", "p.svg")]
    [InlineData("--report: a shard is no whole grid", "--shard", "0/2", "-o", "json", "--report", "p.html")]
    [InlineData("--out: a shard is kept as lines of JSON", "--shard", "0/2", "--out", "rows.csv")]
    [InlineData("the grid has 40000 points, and one process simulates at most 20000: --shard I/2 simulates a part of them", "--set", "seed=1..10000/10000", "--set", "duration=1h,2h")]
    [InlineData("the grid has more than 10000000 points", "--shard", "0/1000", "-o", "json", "--set", "seed=1..10000/10000", "--set", "duration=1h..9h/1000")]
    public void Sweep_ShardThatCannotBe_IsAnErrorOfTheCommandLine(string complaint, params string[] more)
    {
        var result = Run(["sweep", "guide-policy", "--set", "connections=10,20", .. more]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(complaint, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Merge_FileThatWouldBeReplaced_IsRefused()
    {
        string[] sweep = ["sweep", "guide-policy", "--set", "connections=10", "--set", "duration=1h", "--set", "seed=1,2", "--shard", "0/1"];
        Assert.Equal(0, Run([.. sweep, "--out", At("all")]).ExitCode);
        var rows = File.ReadAllText(At("all"));
        foreach (var (more, code, problem) in new (string[], int, string)[]
        {
            (["--out", At("all")], 2, $"--out: {At("all")} is one of the shards"),
            (["--svg", At("all")], 2, $"--svg: {At("all")} is one of the shards"),
            (["--report", At("all")], 2, $"--report: {At("all")} is one of the shards"),
            (["--out", "-"], 2, "--out takes a file, not -"),
            (["--out", At("x"), "--svg", At("x")], 2, $"--svg: {At("x")} is the file of --out"),
            (["--out", "/dev/full"], 4, "--out: /dev/full is not a regular file"),
        })
        {
            var result = Run(["merge", At("all"), .. more]);
            Assert.Equal((code, ""), (result.ExitCode, result.Output));
            Assert.Contains(problem, result.Error, StringComparison.Ordinal);
        }
        Assert.Equal(rows, File.ReadAllText(At("all")));
        // A shard is continued by the same shard only.
        var other = Run([.. sweep[..^1], "1/2", "--out", At("all")]);
        Assert.Equal((4, ""), (other.ExitCode, other.Output));
        Assert.Contains("is not of this grid, this scenario, this shard and this version of the program (line 1)", other.Error, StringComparison.Ordinal);
        Assert.Equal(rows, File.ReadAllText(At("all")));
    }

    /// <summary>Shards without a point are merged, too: an Indexed Job may have more than there are points.</summary>
    [Fact]
    public void Shard_MoreThanThereArePoints_IsEmpty()
    {
        string[] sweep = ["sweep", "guide-policy", "--set", "connections=10", "--set", "duration=1h", "--set", "seed=1,2"];
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(0, Run([.. sweep, "--shard", $"{i}/3", "--out", At($"{i}")]).ExitCode);
        }
        Assert.Single(File.ReadAllLines(At("2")));
        Assert.Equal(Run(sweep).Output, Run("merge", At("0"), At("1"), At("2")).Output);
    }

    /// <summary>Every point is in one shard. The shards have as many points each, and as many of each value of a field.</summary>
    [Fact]
    public void Shards_OfAGrid_AreAPartitionWithTheSameShareOfEachValue()
    {
        const int points = 4800;
        var shards = Enumerable.Range(0, points).GroupBy(point => Simulator.Scenarios.Shard.Of(point, Shards)).ToList();

        Assert.Equal(Enumerable.Range(0, Shards), shards.Select(shard => shard.Key).Order());
        Assert.All(shards, shard =>
        {
            Assert.Equal(points / Shards, shard.Count());
            // A field of two, four or eight values, the last of the grid: without the shift a shard would have one of them only.
            Assert.All(new[] { 2, 4, 8 }, values => Assert.All(shard.GroupBy(point => point % values), value => Assert.Equal(points / Shards / values, value.Count())));
        });
    }

    /// <summary>The same whatever the shard, and not the same after a file that some point names has changed.</summary>
    [Fact]
    public void Fingerprint_OfEachShard_IsThatOfTheWholeAndOfItsFiles()
    {
        File.WriteAllText(At("a.csv"), "1,5\n");
        File.WriteAllText(At("b.csv"), "1,9\n");
        var text = new ScenarioText("balancer: aws-nlb\nrequests: {trace: a.csv}\n", "s", _directory);
        string FingerprintOf(Shard? shard) =>
            ScenarioGrid.Read(text, [], [ParameterRange.Parse("requests.trace=a.csv,b.csv", out _)!, ParameterRange.Parse("seed=1..3/3", out _)!], shard, out var diagnostics) is { } grid
                ? grid.Head.Fingerprint : throw new InvalidOperationException(string.Join('\n', diagnostics));
        var whole = FingerprintOf(null);
        Assert.All(Enumerable.Range(0, 6), i => Assert.Equal(whole, FingerprintOf(new Shard(i, 6))));
        File.WriteAllText(At("b.csv"), "1,8\n");
        Assert.NotEqual(whole, FingerprintOf(new Shard(0, 6)));
    }

    [Fact]
    public void Header_FirstLine_HasTheVersionAndTheGrid()
    {
        var lines = Run("sweep", "guide-policy", "--set", "connections=10", "--set", "duration=1h,2h", "--shard", "1/2", "-o", "json").Lines.ToList();
        var header = JsonDocument.Parse(lines[0]).RootElement;

        Assert.Equal(2, lines.Count);
        Assert.Equal(("1/2", "guide-policy"), (header.GetProperty("keepaliveSweepShard").GetString(), header.GetProperty("scenario").GetString()));
        Assert.StartsWith($"keepalive-sim {header.GetProperty("version").GetString()}\n", Run("--version").Output, StringComparison.Ordinal);
        Assert.Equal(["1h", "2h"], header.GetProperty("set").GetProperty("duration").EnumerateArray().Select(value => value.GetString()));
    }

    private static CommandResult Run(params string[] arguments) => ProgramRun.ToEnd([ProgramRun.SimulatorPath, .. arguments], timeout: TimeSpan.FromMinutes(5));

    private CommandResult Merge(params string[] more) => Run(["merge", .. Enumerable.Range(0, Shards).Select(Shard), .. more]);

    private string Shard(int index) => At($"shard-{index}.jsonl");

    private string At(string name) => Path.Combine(_directory, name);
}
