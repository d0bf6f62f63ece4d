using System.Buffers;
using System.Globalization;
using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>The mesh-wide settings of Istio: from the API server, and for more destinations than there may be rules.</summary>
public sealed class MeshConfigTests
{
    private const string Mesh = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: istio, namespace: istio-system}
        data: {mesh: "tcpKeepalive: {time: 60s}"}
        """;

    [Fact]
    public void ConfigMap_OfTheApiServer_IsReadAtThePositionOfTheObject()
    {
        var json = """{"metadata":{"name":"istio","namespace":"istio-system"},"data":{"mesh":"tcpKeepalive:\n  time: 1m\n  probes: 4\n"}}""";
        var read = PolicyReader.ReadObject(new ReadOnlySequence<byte>(Encoding.UTF8.GetBytes(json)), "v1", "ConfigMap", "ConfigMap istio-system/istio", known: null);

        var config = Assert.IsType<MeshConfig>(Assert.Single(read.Read!.Resources.All));
        Assert.Empty(read.Read.Diagnostics);
        Assert.Equal("1m", config.TcpKeepalive!.Time!.Value.Value);
        Assert.Equal("ConfigMap istio-system/istio", config.TcpKeepalive.Time.Value.Position.ToString());
    }

    [Fact]
    public void Mesh_MoreRulesThanAllowed_LeavesOtherPoliciesInForce()
    {
        var text = new StringBuilder(Mesh);
        text.Append("\n---\napiVersion: resilience.policy.gloo.solo.io/v2\nkind: ConnectionPolicy\nmetadata: {name: p, namespace: shop}\n")
            .Append("spec: {applyToDestinations: [{kind: EXTERNAL_SERVICE}], config: {tcp: {tcpKeepalive: {time: 30s}}}}\n")
            .Append("---\napiVersion: networking.gloo.solo.io/v2\nkind: ExternalService\nmetadata: {name: db, namespace: shop}\n")
            .Append("spec: {addresses: [192.0.2.1], ports: [{number: 5432}]}\n")
            .Append("---\napiVersion: v1\nkind: Service\nmetadata: {name: wide, namespace: shop}\nspec:\n  ports:\n");
        for (var port = 1; port <= 100; port++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  - {{name: p{port}, port: {port}}}\n");
        }

        text.Append("---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n")
            .Append("metadata: {name: wide-1, namespace: shop, labels: {kubernetes.io/service-name: wide}}\naddressType: IPv4\nports:\n");
        for (var port = 1; port <= 100; port++)
        {
            text.Append(CultureInfo.InvariantCulture, $"- {{name: p{port}, port: {port}}}\n");
        }

        text.Append("endpoints:\n");
        for (var i = 0; i < 2500; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"- addresses: [10.1.{i / 250}.{i % 250}]\n");
        }

        var compiled = PolicyCompiler.Compile(PolicyReader.ReadText(text.ToString(), "policy.yaml").Resources, new CompilerOptions());

        Assert.Equal("shop/p", Assert.Single(compiled.Policy.Rules).Policy);
        var warning = Assert.Single(compiled.Diagnostics);
        Assert.Equal(("KA071", Severity.Warning), (warning.Code, warning.Severity));
    }
}
