using System.Net;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>The two commands on one rule: for each port, <c>check</c> claims the values that <c>explain</c> finds.</summary>
public sealed class DestinationRulePortsTests
{
    private const string Rest = """
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 9000}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: db, namespace: shop}
        spec: {hosts: [db.example.com], addresses: [10.96.0.99], resolution: STATIC}
        """;

    private const string Mesh = """

        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: istio, namespace: istio-system}
        data: {mesh: "tcpKeepalive: {time: 33s, probes: 3}"}
        """;

    private static readonly string[] s_policies =
    [
        "{}",
        "{tls: {mode: DISABLE}}",
        "{connectionPool: {tcp: {tcpKeepalive: {time: 60s}}}}",
        "{connectionPool: {tcp: {tcpKeepalive: {}}}}",
        "{connectionPool: {tcp: {tcpKeepalive: {time: 60s}}}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}",
        "{connectionPool: {tcp: {tcpKeepalive: {time: 60s}}}, portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {tcpKeepalive: {interval: 5s}}}}]}",
        "{connectionPool: {tcp: {tcpKeepalive: {time: 60s}}}, portLevelSettings: [{port: {number: 80}}, {port: {number: 9000}}]}",
        "{connectionPool: {tcp: {tcpKeepalive: {time: 60s}}}, portLevelSettings: [{port: {number: 8080}, connectionPool: {tcp: {tcpKeepalive: {}}}}]}",
        "{portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {tcpKeepalive: {time: 7s}}}}, {port: {number: 9000}, tls: {mode: DISABLE}}]}",
        "{portLevelSettings: [{port: {number: 7}, connectionPool: {tcp: {tcpKeepalive: {time: 7s}}}}]}",
    ];

    public static TheoryData<string, string, bool> Table()
    {
        var table = new TheoryData<string, string, bool>();
        foreach (var policy in s_policies)
        {
            foreach (var host in (string[])["web", "db.example.com", "*.svc.cluster.local"])
            {
                table.Add(host, policy, false);
                table.Add(host, policy, true);
            }
        }

        return table;
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void CheckAndExplain_EachPort_ClaimTheSameValues(string host, string trafficPolicy, bool hasMesh)
    {
        var text = $"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: dr, namespace: shop}}\n"
            + $"spec: {{host: \"{host}\", trafficPolicy: {trafficPolicy}}}\n{Rest}{(hasMesh ? Mesh : "")}";
        var read = PolicyReader.ReadText(text, "policy.yaml");
        Assert.DoesNotContain(read.Diagnostics, diagnostic => diagnostic.Severity == Severity.Error);
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        var rule = compiled.Policies.SingleOrDefault(policy => policy.Policy == "DestinationRule/shop/dr");
        var meshValues = compiled.Policies.SingleOrDefault(policy => policy.Source.Kind == "MeshConfig")?.Settings[0];
        var address = IPAddress.Parse(host == "db.example.com" ? "10.96.0.99" : "10.96.0.10");
        foreach (var port in (long[])[80, 9000, 8080, 7, 12345])
        {
            var claimed = Claim(rule, port, isAny: host == "db.example.com", out var isListed);
            var found = Explanation.Of(compiled.Policy, Endpoint.From(IPAddress.IPv6Any, 0), Endpoint.From(address, (ushort)port));

            Assert.Equal(claimed, found.Winner is { Policy: "DestinationRule/shop/dr" } winner ? winner.Settings : null);
            if (claimed is null && isListed)
            {
                // Where the rule sets nothing, the mesh does. Without a mesh, no rule applies.
                Assert.Equal(meshValues, found.Winner?.Settings);
            }
        }

        // A rule with keepalive for which no port is left says why.
        if (rule is { Ports: 0 })
        {
            Assert.Contains(compiled.Diagnostics, diagnostic => diagnostic.Severity == Severity.Warning && diagnostic.Code is "KA047" or "KA059");
        }
    }

    /// <summary>The values that the summary of a rule names for a port.</summary>
    private static KeepaliveSettings? Claim(PolicySummary? rule, long port, bool isAny, out bool isListed)
    {
        isListed = isAny || port is 80 or 9000;
        if (rule is null || !isListed)
        {
            return null;
        }

        if (rule.PortGroups.IsEmpty)
        {
            return rule.Settings is [var only] ? only : null;
        }

        var group = rule.PortGroups.SingleOrDefault(group => group.Ports.Contains(port)) ?? rule.PortGroups.SingleOrDefault(group => group.Ports.Contains(null));
        return group?.Settings;
    }
}
