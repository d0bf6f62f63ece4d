using System.Net;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>The words of <c>check</c> and <c>explain</c> about TCP_USER_TIMEOUT.</summary>
public sealed class UserTimeoutReportTests : IDisposable
{
    private const string Uncovered = "keepalive does not cover data in flight: the kernel sends it again for some 15 minutes (tcp_retries2) before it ends the connection; ";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-timeouts");

    [Theory]
    [InlineData("a user timeout as long as the probes take (2h11m15s on shop/p0) makes it wait longer: for an earlier end, shorten time + interval × probes", "")]
    [InlineData("the annotation keepalive-agent/user-timeout: 2m ends it as soon as a quiet one", "time: 60s, interval: 10s, probes: 6")]
    [InlineData("the annotation keepalive-agent/user-timeout (2m on shop/p0) ends it as soon as a quiet one; "
        + "a user timeout as long as the probes take (15m25s on shop/p1) makes it wait longer: for an earlier end, shorten time + interval × probes",
        "time: 60s, interval: 10s, probes: 6", "time: 865s, interval: 10s, probes: 6")]
    public async Task Check_DataInFlight_NamesAUserTimeoutOnlyIfItEndsTheConnectionEarlier(string words, params string[] keepalives)
    {
        var report = await CheckAsync(keepalives.Select(static keepalive => (keepalive, "keep")));
        Assert.Equal(Uncovered + words, Assert.Single(report.Split('\n'), static line => line.StartsWith("keepalive does not", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("2s", "1s", "3", "25s", "kept, also when 22 probes in a row are lost; a dead peer is noticed 25s to 27s")]
    [InlineData("60s", "10s", "6", "100h", "kept, also when 26 probes in a row are lost; a dead peer is noticed 360000s to 360011s")]
    [InlineData("60s", "10s", "6", "3s", "kept as long as no probe is lost; a dead peer is noticed 70s to 76s")]
    [InlineData("60s", "1s", "3", "500ms", "kept as long as no probe is lost; a dead peer is noticed 61s to 67s")]
    [InlineData("60s", "10s", "6", "keep", "kept, also when 5 probes in a row are lost; a dead peer is noticed 120s to 129s")]
    [InlineData("60s", "10s", "6", "raise", "kept, also when 5 probes in a row are lost; a dead peer is noticed 120s to 129s")]
    public async Task Check_PolicyWithAUserTimeout_CountsWithIt(string time, string interval, string probes, string timeout, string words) =>
        Assert.Contains($"through aws-nlb, idle timeout 350s: {words} after its last packet", await CheckAsync([($"time: {time}, interval: {interval}, probes: {probes}", timeout)]), StringComparison.Ordinal);

    [Theory]
    [InlineData("time: 2s, interval: 1s, probes: 3", "25s", "noticed 25s after its last packet, at the latest 27s: the user timeout is 25s")]
    [InlineData("time: 60s, interval: 10s, probes: 6", "3s", "noticed 70s after its last packet, at the latest 76s: the user timeout is 3s")]
    [InlineData("time: 60s, interval: 10s, probes: 6", "keep", "noticed 120s after its last packet, at the latest 129s: 6 probes unanswered")]
    public async Task Explain_PolicyWithAUserTimeout_CountsWithIt(string keepalive, string timeout, string words)
    {
        var input = await InputAsync([(keepalive, timeout)]);
        var report = new ExplanationReport(input.Compiled.Policy, input.Compiled.Destinations, Endpoint.From(IPAddress.Parse("10.0.0.1"), 80), null);
        Assert.Contains($"  dead peer     {words}\n", report.ToText(), StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private async Task<string> CheckAsync(IEnumerable<(string Keepalive, string Timeout)> policies)
    {
        var input = await InputAsync(policies);
        var (_, verdicts) = BalancerCheck.Check(input.Compiled, [new BalancerOnPath(BalancerPresets.Find("aws-nlb")!)]);
        return new CheckReport(input, input.Diagnostics, verdicts, 1000).ToText();
    }

    private async Task<PolicyInput> InputAsync(IEnumerable<(string Keepalive, string Timeout)> policies)
    {
        var path = Path.Combine(_directory.FullName, "policy.yaml");
        await File.WriteAllTextAsync(path, string.Join("\n---\n", policies.Select(static (policy, index) => $$$"""
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata: {name: p{{{index}}}, namespace: shop, annotations: {keepalive-agent/user-timeout: {{{policy.Timeout}}}}}
            spec:
              applyToDestinations: [{kind: EXTERNAL_SERVICE, selector: {name: e{{{index}}}}}]
              config:
                tcp:
                  tcpKeepalive: {{{{policy.Keepalive}}}}
            ---
            apiVersion: networking.gloo.solo.io/v2
            kind: ExternalService
            metadata: {name: e{{{index}}}, namespace: shop}
            spec: {addresses: [10.0.0.{{{index + 1}}}], ports: [{name: t, number: 80, protocol: TCP}]}
            """)), TestContext.Current.CancellationToken);
        return await PolicyInput.LoadAsync([path], Side.Client, TestContext.Current.CancellationToken);
    }
}
