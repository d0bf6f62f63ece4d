using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The second line of each example shows a command to try it, and the command works.</summary>
public sealed partial class ExampleTests
{
    private const string Try = "# Try: ";

    public static TheoryData<string> Files =>
        [.. Directory.GetFiles(Path.Combine(Repository.Root, "examples"), "*.yaml", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Repository.Root, file)).Order(StringComparer.Ordinal)];

    [Fact]
    public void Examples_OfPoliciesAndScenarios_Exist()
    {
        var files = Files.Select(row => row.Data).ToList();
        Assert.True(files.Count(file => file.StartsWith("examples/policies/", StringComparison.Ordinal)) >= 5);
        Assert.True(files.Count(file => file.StartsWith("examples/scenarios/", StringComparison.Ordinal)) >= 3);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Example_CommandInIt_Works(string path)
    {
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, path));
        Assert.StartsWith("# ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith(Try, lines[1], StringComparison.Ordinal);
        string[] words = lines[1][Try.Length..].Split(' ');
        Assert.Contains(path, words);
        string program = words[0] == "keepalive-agent" ? ProgramRun.AgentPath : ProgramRun.SimulatorPath;

        var result = ProgramRun.ToEnd([program, .. words[1..].Select(word => word == path ? Path.Combine(Repository.Root, path) : word)]);

        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        Assert.DoesNotContain(": error KA", result.Output + result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(": warning KA", ReservedName().Replace(result.Output + result.Error, ""), StringComparison.Ordinal);
    }

    /// <summary>The host name of the example, where it has an address.</summary>
    [Fact]
    public void DatabaseHost_WhereItsNameResolves_SelectsItsAddress()
    {
        Live.Require();
        string hosts = Path.GetTempFileName();
        File.WriteAllText(hosts, "203.0.113.10 db.shop.example\n");
        string example = Path.Combine(Repository.Root, "examples/policies/database-host.yaml");

        var result = ProgramRun.ToEnd(
            ["unshare", "--mount", "--", "bash", "-c", $"mount --bind {hosts} /etc/hosts && '{ProgramRun.AgentPath}' explain '{example}' --to 203.0.113.10:5432"]);

        File.Delete(hosts);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        Assert.Contains("203.0.113.10:5432: policy shop/database", result.Output, StringComparison.Ordinal);
        Assert.Contains("by host db.shop.example", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("KA048", result.Output + result.Error, StringComparison.Ordinal);
    }

    /// <summary>The purpose of the example: without keepalive requests fail, with the policy none does.</summary>
    [Fact]
    public void Ec2Machine_WithThePolicy_LosesNoRequest()
    {
        Assert.True(Failed("ec2-machine.yaml") > 1000);
        Assert.Equal(0, Failed("ec2-machine-kept.yaml"));

        static long Failed(string file)
        {
            var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "run", Path.Combine(Repository.Root, "examples/scenarios", file), "-o", "json"]);
            Assert.Equal(0, result.ExitCode);
            var figures = System.Text.Json.JsonDocument.Parse(result.Output).RootElement;
            return figures.GetProperty("status503").GetInt64() + figures.GetProperty("status504").GetInt64();
        }
    }

    /// <summary>Names below .example are for examples and have no address anywhere (RFC 2606).</summary>
    [GeneratedRegex(@": warning KA048: [^\n]* finds no address of ""[a-z.]+\.example""[^\n]*")]
    private static partial Regex ReservedName();
}
