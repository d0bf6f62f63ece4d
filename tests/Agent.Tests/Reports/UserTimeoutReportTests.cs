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
