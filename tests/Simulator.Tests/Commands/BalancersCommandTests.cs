using System.Text.Json;
using Keepalive.Config.Balancers;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary><c>keepalive-sim balancers</c>, as a process.</summary>
public sealed class BalancersCommandTests
{
    private const int Terminal = 100;

    [Fact]
    public void Json_OneObjectALine_HoldsEveryPreset()
    {
        var result = Run("-o", "json");
        var lines = Lines(result.Output).Select(line => JsonDocument.Parse(line).RootElement).ToList();

        Assert.Equal(0, result.ExitCode);
        Assert.Equal(BalancerPresets.All.Select(preset => preset.Name), lines.Select(line => line.GetProperty("name").GetString()));
        Assert.All(lines, line =>
        {
            Assert.StartsWith("https://", line.GetProperty("sources")[0].GetString(), StringComparison.Ordinal);
            Assert.Contains(line.GetProperty("expiry").GetString(), IdleBehaviour.Classes.Select(entry => entry.Name));
        });
        var nlb = lines[0];
        Assert.Equal(350, nlb.GetProperty("idleTimeout").GetInt32());
        Assert.Equal(60, nlb.GetProperty("minIdleTimeout").GetInt32());
        Assert.Equal(6000, nlb.GetProperty("maxIdleTimeout").GetInt32());
        Assert.True(nlb.GetProperty("configurable").GetBoolean());
        Assert.Equal("reset-on-next-packet", nlb.GetProperty("expiry").GetString());
        Assert.Equal("any", nlb.GetProperty("refresh").GetString());
        Assert.True(nlb.GetProperty("verified").GetProperty("expiry").GetBoolean());
        var haproxy = lines.Single(line => line.GetProperty("name").GetString() == "haproxy");
        Assert.Equal(JsonValueKind.Null, haproxy.GetProperty("idleTimeout").ValueKind);
        Assert.Equal(["aws-nitro-v6"], lines.Single(line => line.GetProperty("name").GetString() == "aws-security-group").GetProperty("aliases").EnumerateArray().Select(alias => alias.GetString()));
        Assert.Equal(["aws-global-accelerator"], lines.Where(line => !line.GetProperty("answersProbes").GetBoolean()).Select(line => line.GetProperty("name").GetString()));
        var nat = lines.Single(line => line.GetProperty("name").GetString() == "aws-nat-gateway").GetProperty("verified");
        Assert.True(nat.GetProperty("idleTimeout").GetBoolean());
        Assert.False(nat.GetProperty("expiry").GetBoolean());
    }

    [Fact]
    public void Table_HasARowForEachPresetAndFitsATerminal()
    {
        var result = Run();
        var lines = Lines(result.Output);
        var rows = lines.TakeWhile(line => line[0] != '*').ToList();

        Assert.Equal(0, result.ExitCode);
        Assert.Equal(BalancerPresets.All.Select(preset => preset.Name), rows.Skip(1).Select(row => row.Split(' ')[0]));
        Assert.All(rows, row => Assert.InRange(row.Length, 1, Terminal));
        Assert.Contains("aws-nlb                       350s          60s..6000s      reset-on-next-packet   any", rows);
    }

    [Fact]
    public void Table_UnconfirmedFacts_AreMarkedAndTheMarkExplained()
    {
        var lines = Lines(Run().Output);
        var row = lines.First(line => line.StartsWith("aws-nat-gateway ", StringComparison.Ordinal));

        Assert.Contains("reset-on-next-packet*", row, StringComparison.Ordinal);
        Assert.Equal(1, row.Count(c => c == '*'));
        Assert.Single(lines, line => line.StartsWith("* ", StringComparison.Ordinal));
        Assert.Matches(@"^hetzner-lb +unknown\* ", Assert.Single(lines, line => line.StartsWith("hetzner-lb ", StringComparison.Ordinal)));
        Assert.Matches(@"^haproxy +none ", Assert.Single(lines, line => line.StartsWith("haproxy ", StringComparison.Ordinal)));
        Assert.EndsWith(" payload!", Assert.Single(lines, line => line.StartsWith("aws-global-accelerator ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Single(lines, line => line.StartsWith("! keepalive probes get no answer", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("docker-swarm is another name of kube-proxy-ipvs: ", StringComparison.Ordinal));
    }

    [Fact]
    public void Table_ProductNotesAndSources_AreBelowIt()
    {
        var lines = Lines(Run().Output);
        Assert.All(BalancerPresets.All, preset => Assert.Contains($"{preset.Name}: {preset.Product}", lines));
        Assert.All(BalancerPresets.All.SelectMany(preset => preset.Sources), source => Assert.Contains($"  {source}", lines));
        Assert.All(BalancerPresets.All.Where(preset => preset.Notes.Length > 0), preset => Assert.Contains($"  {preset.Notes}", lines));
    }

    [Theory]
    [InlineData("--output takes table|json, not 'xml'", "-o", "xml")]
    [InlineData("'--output'", "--output")]
    [InlineData("'aws-nlb'", "aws-nlb")]
    public void Usage_Wrong_IsReportedAndExits2(string complaint, params string[] arguments)
    {
        var result = Run(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Empty(result.Output);
        Assert.Contains(complaint, result.Error.Replace("'-o'", "'--output'", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    private static CommandResult Run(params string[] arguments) => ProgramRun.ToEnd([ProgramRun.SimulatorPath, "balancers", .. arguments]);

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
