using System.Text;
using System.Text.Json;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>The formats of <c>check</c> for pull requests.</summary>
public sealed class CheckFormatTests : IDisposable
{
    private const string Wrong = """
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata: {name: p, namespace: shop}
        spec:
          applyToDestinations: [{kind: EXTERNAL_SERVICE, selector: {name: "100%, sure:\nno"}}]
          config: {tcp: {connectTimeout: 5s, tcpKeepalive: {time: 1d}}}
        """;

    private static readonly string[] s_levels = ["none", "note", "warning", "error"];

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-check");

    [Fact]
    public async Task Sarif_HasWhatItsSchemaRequires()
    {
        var report = await ReportAsync("a policy,100%.yaml");
        using var log = JsonDocument.Parse(report.ToSarif());
        var root = log.RootElement;

        Assert.Equal("2.1.0", root.GetProperty("version").GetString());
        var run = Assert.Single(root.GetProperty("runs").EnumerateArray());
        var driver = run.GetProperty("tool").GetProperty("driver");
        Assert.Equal("keepalive-agent", driver.GetProperty("name").GetString());
        var rules = driver.GetProperty("rules").EnumerateArray().Select(rule => rule.GetProperty("id").GetString()).ToList();
        Assert.Equal(rules.Count, rules.Distinct().Count());
        Assert.All(driver.GetProperty("rules").EnumerateArray(), rule =>
        {
            Assert.NotEmpty(rule.GetProperty("shortDescription").GetProperty("text").GetString()!);
            Assert.Contains(rule.GetProperty("defaultConfiguration").GetProperty("level").GetString(), s_levels);
        });

        var results = run.GetProperty("results").EnumerateArray().ToList();
        Assert.NotEmpty(results);
        foreach (var result in results)
        {
            Assert.NotEmpty(result.GetProperty("message").GetProperty("text").GetString()!);
            Assert.Contains(result.GetProperty("level").GetString(), s_levels);
            Assert.Equal(rules[result.GetProperty("ruleIndex").GetInt32()], result.GetProperty("ruleId").GetString());
            var location = Assert.Single(result.GetProperty("locations").EnumerateArray()).GetProperty("physicalLocation");
            var uri = location.GetProperty("artifactLocation").GetProperty("uri").GetString()!;
            Assert.True(Uri.IsWellFormedUriString(uri, UriKind.RelativeOrAbsolute), uri);
            Assert.EndsWith("/a%20policy%2C100%25.yaml", uri, StringComparison.Ordinal);
            Assert.True(location.GetProperty("region").GetProperty("startLine").GetInt32() >= 1);
            Assert.True(location.GetProperty("region").GetProperty("startColumn").GetInt32() >= 1);
        }

        var error = results.Single(result => result.GetProperty("ruleId").GetString() == "KA030");
        Assert.Equal(("error", 6), (error.GetProperty("level").GetString(),
            error.GetProperty("locations")[0].GetProperty("physicalLocation").GetProperty("region").GetProperty("startLine").GetInt32()));
    }

    /// <summary>Regression: GitHub refuses a log in which a result has no location.</summary>
    [Fact]
    public void Sarif_OfStandardInput_HasALocation()
    {
        using var log = JsonDocument.Parse(SarifText.Write([new Diagnostic("KA010", Severity.Error, new SourcePosition("-", 3, 4), "wrong", null)]));

        var location = log.RootElement.GetProperty("runs")[0].GetProperty("results")[0].GetProperty("locations")[0].GetProperty("physicalLocation");
        Assert.Equal("standard-input.yaml", location.GetProperty("artifactLocation").GetProperty("uri").GetString());
        Assert.Equal(3, location.GetProperty("region").GetProperty("startLine").GetInt32());
    }

    [Fact]
    public async Task GitHub_EachProblemIsOneEscapedCommand()
    {
        var report = await ReportAsync("a policy,100%.yaml");
        var lines = report.ToGitHub().Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Matches(@"^1 file, 1 resource: 1 error, \d", lines[^1]);
        Assert.All(lines[..^1], line => Assert.Matches(@"^::(error|warning|notice) file=[^:,]*/a policy%2C100%25\.yaml,line=\d+,col=\d+,title=KA\d\d\d::.+$", line));
        var error = Assert.Single(lines, line => line.StartsWith("::error ", StringComparison.Ordinal));
        var column = Wrong.Split('\n')[5].IndexOf("1d", StringComparison.Ordinal) + 1;
        Assert.Contains($",line=6,col={column},title=KA030::ConnectionPolicy shop/p: ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a%b\r\nc: d, e", "a%25b%0D%0Ac: d, e", "a%25b%0D%0Ac%3A d%2C e")]
    [InlineData("::error::x", "::error::x", "%3A%3Aerror%3A%3Ax")]
    public void Escape_IsThatOfTheToolkit(string text, string data, string property)
    {
        Assert.Equal(data, GitHubText.EscapeData(text));
        Assert.Equal(property, GitHubText.EscapeProperty(text));
    }

    [Fact]
    public void GitHub_ProblemOfTheStandardInput_HasNoFile()
    {
        var text = new StringBuilder();
        GitHubText.Append(text, new Diagnostic("KA010", Severity.Error, new SourcePosition("-", 3, 4), "wrong", null));
        Assert.Equal("::error title=KA010::wrong\n", text.ToString());
    }

    /// <summary>The annotation that the last line recommends has an effect on what it is recommended for.</summary>
    [Theory]
    [InlineData("""
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: f, namespace: istio-system}
        spec: {configPatches: [{applyTo: LISTENER, patch: {operation: MERGE, value: {tcp_keepalive: {keepalive_time: 60}}}}]}
        """, false)]
    [InlineData("""
        apiVersion: gateway.envoyproxy.io/v1alpha1
        kind: BackendTrafficPolicy
        metadata: {name: b, namespace: shop}
        spec: {targetRefs: [{kind: HTTPRoute, name: web}], tcpKeepalive: {idleTime: 60s}}
        """, false)]
    [InlineData("""
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: istio, namespace: istio-system}
        data: {mesh: "tcpKeepalive: {time: 60s, interval: 10s, probes: 6}"}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: api, namespace: shop}
        spec: {hosts: [api.example.com], addresses: [192.0.2.1], ports: [{number: 443, name: tls, protocol: TLS}], resolution: NONE}
        """, true)]
    public async Task Text_PolicyThatTheAgentDoesNotEnforce_IsNotRecommendedAnAnnotation(string policy, bool isRecommended)
    {
        var path = Path.Combine(_directory.FullName, "policy.yaml");
        await File.WriteAllTextAsync(path, policy, TestContext.Current.CancellationToken);
        Assert.Equal(isRecommended, (await ReadAsync(path)).ToText().Contains("keepalive-agent/user-timeout", StringComparison.Ordinal));
        if (!isRecommended)
        {
            return;
        }

        var annotated = policy.Replace("name: istio,", "name: istio, annotations: {keepalive-agent/user-timeout: 2m},", StringComparison.Ordinal);
        await File.WriteAllTextAsync(path, annotated, TestContext.Current.CancellationToken);
        var input = await PolicyInput.LoadAsync([path], Side.Client, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(input.Diagnostics, diagnostic => diagnostic.Severity != Severity.Note);
        Assert.Equal(120_000, Assert.Single(input.Compiled.Policy.Rules).UserTimeout.Milliseconds);
        Assert.DoesNotContain("keepalive-agent/user-timeout", (await ReadAsync(path)).ToText(), StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private async Task<CheckReport> ReportAsync(string name)
    {
        var path = Path.Combine(_directory.FullName, name);
        await File.WriteAllTextAsync(path, Wrong, TestContext.Current.CancellationToken);
        return await ReadAsync(path);
    }

    private static async Task<CheckReport> ReadAsync(string path)
    {
        var input = await PolicyInput.LoadAsync([path], Side.Client, TestContext.Current.CancellationToken);
        return new CheckReport(input, input.Diagnostics, [], 1000);
    }
}
