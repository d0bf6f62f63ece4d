using System.Text;
using Keepalive.Config;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Xunit;

namespace Keepalive.Simulator.Tests.Scenarios;

/// <summary>Truncated scenarios, traces and saved rows.</summary>
public sealed class CutScenarioTests : IDisposable
{
    private const string Scenario = "balancer: aws-nlb\nconnections: 2\nduration: 1h\nrequests: {trace: trace.csv}\n";

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-cut").FullName;

    public static TheoryData<string> BuiltIn => [.. BuiltInScenarios.Names];

    [Theory]
    [MemberData(nameof(BuiltIn))]
    public void Scenario_EveryPrefix_IsReadOrHasAPlace(string name)
    {
        var bytes = Encoding.UTF8.GetBytes(BuiltInScenarios.Find(name)!);
        for (var length = 0; length < bytes.Length; length++)
        {
            var text = ScenarioText.Open(ScenarioText.StandardInput, new MemoryStream(bytes, 0, length), out var diagnostics);
            var reading = text is null ? new ScenarioReading(null, diagnostics, []) : ScenarioReader.Read(text);

            Assert.True(reading.Scenario is not null || reading.Diagnostics.Any(d => d.Severity == Severity.Error), $"{length} bytes");
            Assert.All(reading.Diagnostics, d => Assert.True(d.Position is { Line: >= 1, Column: >= 1 }, d.ToString()));
        }
    }

    [Fact]
    public void Trace_EveryPrefix_IsReadOrHasALine()
    {
        var trace = Encoding.UTF8.GetBytes("connection,seconds\n1,5\n2,7.25\n# pause\n1,5m50s\n2,1h\n");
        var path = Path.Combine(_directory, "trace.csv");
        for (var length = 0; length <= trace.Length; length++)
        {
            File.WriteAllBytes(path, trace[..length]);
            var reading = ScenarioReader.ReadText(Scenario, "scenario.yaml", _directory);

            Assert.True(reading.Scenario is not null || reading.Diagnostics.Any(d => d.Severity == Severity.Error), $"{length} bytes");
            Assert.All(reading.Diagnostics, d => Assert.InRange(d.Position.Line, 1, 6));
        }
    }

    [Theory]
    [InlineData("1,99999999999999999999")]
    [InlineData("99999999999999999999,1")]
    [InlineData("-1,1")]
    [InlineData("4294967297,1")]
    [InlineData("1,-1")]
    [InlineData("1,1e999")]
    [InlineData("1,")]
    [InlineData(",")]
    [InlineData("1,\0")]
    public void Trace_InvalidNumber_IsAnErrorInItsLine(string line)
    {
        File.WriteAllText(Path.Combine(_directory, "trace.csv"), $"1,1\n{line}\n");
        var error = Assert.Single(ScenarioReader.ReadText(Scenario, "scenario.yaml", _directory).Diagnostics);

        Assert.Equal((Severity.Error, 2), (error.Severity, error.Position.Line));
    }

    [Theory]
    [InlineData("rows.csv")]
    [InlineData("rows.jsonl")]
    public void Rows_EveryPrefix_AreContinuedOrNotChanged(string name)
    {
        var (grid, whole) = Rows(name);
        var header = name.EndsWith(".csv", StringComparison.Ordinal) ? 1 : 0;
        var path = Path.Combine(_directory, "cut-" + name);
        for (var length = 0; length <= whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            var rows = new Dictionary<string, SweepRow>();
            SweepFile.Open(path, grid.Head, null, rows).Dispose();

            Assert.Equal(Math.Max(0, whole.AsSpan(0, length).Count((byte)'\n') - header), rows.Count);
        }
    }

    [Theory]
    [InlineData("rows.jsonl", "{\"replicas\": 3}")]
    [InlineData("rows.jsonl", "{")]
    [InlineData("rows.csv", "{\"replicas\": 3}")]
    [InlineData("rows.csv", "fingerprint,name")]
    [InlineData("rows.jsonl", "{\"fingerprint\":\"0000\"")]
    public void Rows_OtherFileWithoutEndOfLine_IsNotChanged(string name, string content)
    {
        var (grid, _) = Rows("other.csv");
        var path = Path.Combine(_directory, name);
        File.WriteAllText(path, content);
        if (content == "{")
        {
            SweepFile.Open(path, grid.Head, null, []).Dispose();   // the prefix may be the start of a row
            return;
        }

        Assert.Throws<IOException>(() => SweepFile.Open(path, grid.Head, null, []));
        Assert.Equal(content, File.ReadAllText(path));
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private (ScenarioGrid Grid, byte[] Whole) Rows(string name)
    {
        var text = ScenarioText.Open("guide-policy", null, out _)!;
        var grid = ScenarioGrid.Read(text, [], [ParameterRange.Parse("connections=10,20", out _)!], null, out var diagnostics)!;
        Assert.Empty(diagnostics);
        var path = Path.Combine(_directory, name);
        using (var file = SweepFile.Open(path, grid.Head, null, []))
        {
            foreach (var point in grid.Points)
            {
                // The five rates and times, then counts.
                file.Add(new SweepRow(point.Values, [.. Enumerable.Range(0, SweepRow.Names.Length).Select(i => i == 2 ? double.NaN : i < 5 ? i / 3.0 : i)]));
            }
        }
        return (grid, File.ReadAllBytes(path));
    }
}
