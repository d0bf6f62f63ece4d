using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>render</c>, <c>explain</c> and <c>check --balancer</c> as processes.</summary>
public sealed class PolicyCommandsTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-policy");

    public PolicyCommandsTests() => File.WriteAllText(FilePath, PolicyText.Guide("203.0.113.10:15443"));

    private string FilePath => Path.Combine(_directory.FullName, "policy.yaml");

    [Fact]
    public void RenderPipedIntoCheck_GuidesPolicy_SelectsTheSame()
    {
        var result = ProgramRun.ToEnd(["sh", "-c", "\"$0\" render \"$1\" | \"$0\" check -", ProgramRun.AgentPath, FilePath]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(": 1 destination, 1 port, 1 address, time 700s interval 10s probes 20\n", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(": error ", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(": warning ", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_GuidesPolicy_HasTheShapeOfTheGuides()
    {
        var result = Run("render", FilePath);
        Assert.Equal(0, result.ExitCode);
        string name = Assert.Single(result.Lines, line => line.StartsWith("  name: ", StringComparison.Ordinal))["  name: ".Length..];
        Assert.Matches("^ratings-global-virtual-destinat-[0-9a-f]{31}$", name);
        string[] expected =
        [
            "  host: ratings.global", "    portLevelSettings:", "          connectTimeout: 10s", "          maxConnections: 10000",
            "            interval: 10s", "            probes: 20", "            time: 700s", "        number: 9080",
        ];
        Assert.Subset(result.Lines.ToHashSet(), expected.ToHashSet());
    }

    [Fact]
    public void Render_PolicyWithAnError_RendersNothingAndExits1()
    {
        File.WriteAllText(FilePath, File.ReadAllText(FilePath).Replace("time: 700s", "time: 1d", StringComparison.Ordinal));
        var result = Run("render", FilePath);
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.Contains("error KA030", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_DestinationRules_SaysThatTheyNeedNoConversion()
    {
        const string rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ratings, namespace: bookinfo}\nspec: {host: ratings.global, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n";
        File.WriteAllText(FilePath, rule);
        var result = Run("render", FilePath);
        Assert.Equal((0, ""), (result.ExitCode, result.Output));
        Assert.Contains("these policies are DestinationRules already", result.Error, StringComparison.Ordinal);

        File.WriteAllText(FilePath, PolicyText.Guide("203.0.113.10:15443") + "\n" + rule);
        result = Run("render", FilePath);
        Assert.Contains("  host: ratings.global\n", result.Output, StringComparison.Ordinal);
        Assert.Contains("DestinationRule/bookinfo/ratings is for the same host as one of these: merge the two", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Regression: the output of kustomize and of Helm passed with whatever policies.</summary>
    [Fact]
    public void Check_ConfigMapWithABrokenPolicy_NamesThePlaceAndExits1()
    {
        var policy = PolicyText.Guide("203.0.113.10:15443").Replace("time: 700s", "time: 1d", StringComparison.Ordinal);
        int line = policy.Split('\n').Index().First(one => one.Item.Contains("time: 1d", StringComparison.Ordinal)).Index + 1;
        File.WriteAllText(FilePath, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: policies, namespace: agents}\ndata:\n  shop.yaml: |\n    " + policy.TrimEnd().Replace("\n", "\n    ", StringComparison.Ordinal) + "\n");
        foreach (var result in (CommandResult[])[Run("check", FilePath), Run("check", _directory.FullName), ProgramRun.ToEnd(["sh", "-c", "\"$0\" check - < \"$1\"", ProgramRun.AgentPath, FilePath])])
        {
            Assert.Equal(1, result.ExitCode);
            Assert.Contains($":{line + 5}:", result.Output, StringComparison.Ordinal);
            Assert.Contains($" error KA030: ConfigMap agents/policies, shop.yaml:{line}: ConnectionPolicy bookinfo/tcp-keepalive: ", result.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Explain_ConnectionToTheGateway_NamesRuleDestinationAndInstants()
    {
        var text = Run("explain", FilePath, "--to", "203.0.113.10:15443");
        Assert.Equal(0, text.ExitCode);
        Assert.Contains("203.0.113.10:15443: policy bookinfo/tcp-keepalive", text.Output, StringComparison.Ordinal);
        Assert.Contains("VirtualDestination bookinfo/ratings-global, at 203.0.113.10:15443 by its annotation", text.Output, StringComparison.Ordinal);
        var rule = JsonDocument.Parse(Run("explain", FilePath, "--to", "203.0.113.10:15443", "-o", "json").Output).RootElement.GetProperty("rule");
        Assert.Equal(700, rule.GetProperty("firstProbe").GetDouble());
        Assert.InRange(rule.GetProperty("firstProbeLatest").GetDouble(), 700.1, 789);
        Assert.Equal(900, rule.GetProperty("detection").GetDouble());
        Assert.InRange(rule.GetProperty("detectionLatest").GetDouble(), 900.1, 1014);
    }

    /// <summary>A database is known by its name.</summary>
    [Fact]
    public void Explain_HostName_IsEachAddressThatItHas()
    {
        File.WriteAllText(FilePath, PolicyText.For("127.0.0.1", PolicyText.GuideValues));
        var text = Run("explain", FilePath, "--to", "localhost:5432");
        Assert.Equal(0, text.ExitCode);
        Assert.Contains("127.0.0.1:5432: policy bookinfo/tcp-keepalive", text.Output, StringComparison.Ordinal);
        var json = Run("explain", FilePath, "--to", "localhost:5432", "-o", "json").Lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("to").GetString());
        Assert.Contains("127.0.0.1:5432", json);

        var none = Run("explain", FilePath, "--to", "no-such-host.invalid:5432");
        Assert.Equal((1, ""), (none.ExitCode, none.Output));
        Assert.Contains("no-such-host.invalid has no address by the resolver of this machine", none.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Explain_AcceptedConnection_IsUnderAPolicyWithBothSidesOnly()
    {
        Assert.Contains("no rule", Run("explain", FilePath, "--to", "192.0.2.1:40000", "--from", "203.0.113.10:15443").Output, StringComparison.Ordinal);
        Assert.Contains("policy bookinfo/tcp-keepalive",
            Run("explain", FilePath, "--to", "192.0.2.1:40000", "--from", "203.0.113.10:15443", "--side", "both").Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("aws-nlb", "350s")]
    [InlineData("azure-lb", "240s")]
    [InlineData("gcp-vpc-firewall", "600s")]
    public void CheckBalancer_GuidesPolicy_IsAnError(string balancer, string timeout)
    {
        var result = Run("check", FilePath, "--balancer", balancer);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"policy.yaml:18:15: error KA060: ConnectionPolicy bookinfo/tcp-keepalive: {balancer} forgets a connection after {timeout}",
            result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void CheckBalancer_AnotherTimeoutOrPolicy_IsKept()
    {
        Assert.Equal(0, Run("check", FilePath, "--balancer", "aws-nlb", "--idle-timeout", "1000s").ExitCode);
        File.WriteAllText(FilePath, File.ReadAllText(FilePath).Replace("time: 700s", "time: 60s", StringComparison.Ordinal));
        var result = Run("check", FilePath, "--balancer", "aws-nlb", "--balancer", "azure-lb", "--connections", "5000", "-o", "json");
        Assert.Equal(0, result.ExitCode);
        var policy = JsonDocument.Parse(result.Lines.Last()).RootElement.GetProperty("policies")[0];
        Assert.All(policy.GetProperty("balancers").EnumerateArray(), verdict =>
        {
            Assert.Equal("kept", verdict.GetProperty("standing").GetString());
            Assert.InRange(verdict.GetProperty("lostProbes").GetInt32(), 2, 19);
            Assert.Equal(5000 * 60, verdict.GetProperty("probesPerHour").GetDouble());
        });
    }

    [Fact]
    public void CheckBalancer_PayloadOnly_SuggestsAnAlternative()
    {
        var result = Run("check", FilePath, "--balancer", "aws-alb");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("TCP keepalive cannot help; let the application send something", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void CheckBalancer_TimeoutOfOne_IsNotTheOthers()
    {
        var result = Run("check", FilePath, "--balancer", "aws-nlb", "--balancer", "kube-proxy-ipvs=3600s");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("  through aws-nlb, idle timeout 350s: forgotten;", result.Output, StringComparison.Ordinal);
        Assert.Contains("  through kube-proxy-ipvs, idle timeout 3600s: kept,", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("20m", 0, "  through a device on the path, idle timeout 1200s: kept,")]
    [InlineData("90s", 1, "  through a device on the path, idle timeout 90s: forgotten;")]
    public void CheckIdleTimeout_WithoutABalancer_IsAVerdict(string timeout, int exitCode, string expected)
    {
        var result = Run("check", FilePath, "--idle-timeout", timeout);
        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(expected, result.Output, StringComparison.Ordinal);
    }

    /// <summary>Regression: its verdict was that keepalive ends healthy connections, which it closes before the first probe (700s).</summary>
    [Fact]
    public void CheckBalancer_ClosesBeforeTheFirstProbe_SaysWhen()
    {
        var result = Run("check", FilePath, "--balancer", "aws-global-accelerator");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains(": error KA061: ", result.Output, StringComparison.Ordinal);
        Assert.Contains("  through aws-global-accelerator, idle timeout 340s: not kept, closed at 340s, before the first probe\n", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("aws-global-accelerator", "KA068")]
    [InlineData("docker-desktop", "KA061")]
    public void CheckBalancer_ThatProbesDoNotRefresh_IsNeverKept(string balancer, string code)
    {
        File.WriteAllText(FilePath, File.ReadAllText(FilePath).Replace("time: 700s", "time: 60s", StringComparison.Ordinal));
        var result = Run("check", FilePath, "--balancer", balancer);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains($": error {code}: ", result.Output, StringComparison.Ordinal);
        Assert.Contains(": not kept, because probes do not count", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("check", "--balancer", "nlb")]
    [InlineData("check", "--balancer", "aws-ec2")]
    [InlineData("check", "--balancer", "aws-nlb", "--balancer", "haproxy", "--idle-timeout", "3600s")]
    [InlineData("check", "--balancer", "aws-nlb=60s", "--idle-timeout", "3600s")]
    [InlineData("check", "--balancer", "aws-nlb", "--connections", "0")]
    [InlineData("check", "--balancer", "aws-nlb", "--connections", "abc")]
    [InlineData("check", "--balancer", "aws-nlb", "--connections", "99999999999")]
    [InlineData("explain", "--to", "203.0.113.10")]
    [InlineData("explain", "--to", "010.0.0.1:80")]
    [InlineData("explain", "--to", "10.1:80")]
    [InlineData("explain", "--to", "db.example.com")]
    [InlineData("explain", "--to", "db_1.example.com:80")]
    [InlineData("explain", "--to", "db.example.com:0")]
    [InlineData("explain", "--to", "10.0.0.1:65536")]
    [InlineData("explain")]
    [InlineData("explain", "--to", "::1:80")]
    public void WrongUsage_IsOneLineAndExit2(params string[] words)
    {
        var result = Run([words[0], FilePath, .. words[1..]]);
        Assert.Equal(2, result.ExitCode);
        Assert.Equal("", result.Output);
        Assert.StartsWith("keepalive-agent: ", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static CommandResult Run(params string[] words) => ProgramRun.ToEnd([ProgramRun.AgentPath, .. words]);
}
