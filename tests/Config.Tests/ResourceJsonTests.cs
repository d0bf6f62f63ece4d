using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Rendering;
using Keepalive.Config.Resources;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Objects that were written and read again are compiled to the same rules.</summary>
public sealed class ResourceJsonTests
{
    private static readonly string s_cases = CaseTests.Root();

    public static TheoryData<string> Cases =>
        [.. Directory.EnumerateFiles(s_cases, "*.yaml", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(s_cases, path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Objects_WrittenAndReadAgain_HaveTheSameRules(string file)
    {
        var read = PolicyReader.Read([Path.Combine(s_cases, file)]);
        var written = new List<Resource>();
        foreach (var resource in read.Resources.All.Where(static resource => resource.IsValid && resource is not MeshConfig { ReadFrom: not "ConfigMap" }))
        {
            if (Write(resource) is not { } json)
            {
                continue;
            }
            var again = PolicyReader.ReadObject(new ReadOnlySequence<byte>(json), s_apiVersions[KindOf(resource)], KindOf(resource), "object", null).Read!;
            Assert.True(again.Resources.All is [{ IsValid: true }], $"{Encoding.UTF8.GetString(json)}: {string.Join('\n', again.Diagnostics)}");
            written.Add(again.Resources.All[0]);
        }
        foreach (var side in new[] { Side.Client, Side.Both })
        {
            var options = new CompilerOptions { Side = side };
            // Kinds that no cluster is asked for are not written, and not compared.
            var before = PolicyCompiler.Compile(new ResourceSet([.. read.Resources.All.Where(one => one.IsValid && one is not MeshConfig { ReadFrom: not "ConfigMap" } && Write(one) is not null)]), options);
            var after = PolicyCompiler.Compile(new ResourceSet([.. written]), options);
            Assert.Equal(before.Policy.AllRules.Select(Text), after.Policy.AllRules.Select(Text));
            Assert.Equal(before.Policy.ListenerRules.Select(Text), after.Policy.ListenerRules.Select(Text));
            Assert.Equal(before.Policy.Exemptions.Length, after.Policy.Exemptions.Length);
            Assert.Equal(before.WantedHosts.Order(), after.WantedHosts.Order());
            Assert.Equal(before.WantedServices.Order(), after.WantedServices.Order());
        }
    }

    [Fact]
    public void Annotations_OfOthers_AreNotWritten()
    {
        var read = PolicyReader.ReadText(
            """
            apiVersion: v1
            kind: Service
            metadata:
              name: db
              namespace: shop
              annotations:
                kubectl.kubernetes.io/last-applied-configuration: '{"password":"secret"}'
                keepalive-agent/addresses: 203.0.113.1
            spec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }
            """,
            "file");
        var text = Encoding.UTF8.GetString(Write(read.Resources.All[0])!);
        Assert.DoesNotContain("secret", text, StringComparison.Ordinal);
        Assert.Contains("\"keepalive-agent/addresses\":\"203.0.113.1\"", text, StringComparison.Ordinal);
    }

    private static readonly Dictionary<string, string> s_apiVersions = new()
    {
        ["ConnectionPolicy"] = "resilience.policy.gloo.solo.io/v2",
        ["ListenerConnectionPolicy"] = "resilience.policy.gloo.solo.io/v2",
        ["VirtualDestination"] = "networking.gloo.solo.io/v2",
        ["ExternalService"] = "networking.gloo.solo.io/v2",
        ["ExternalEndpoint"] = "networking.gloo.solo.io/v2",
        ["VirtualGateway"] = "networking.gloo.solo.io/v2",
        ["DestinationRule"] = "networking.istio.io/v1",
        ["ServiceEntry"] = "networking.istio.io/v1",
        ["WorkloadEntry"] = "networking.istio.io/v1",
        ["Service"] = "v1",
        ["ConfigMap"] = "v1",
        ["EndpointSlice"] = "discovery.k8s.io/v1",
    };

    private static string KindOf(Resource resource) => resource is MeshConfig ? "ConfigMap" : resource.Kind;

    private static byte[]? Write(Resource resource)
    {
        if (!s_apiVersions.TryGetValue(KindOf(resource), out var apiVersion))
        {
            return null;
        }
        using var text = new MemoryStream();
        using var json = new Utf8JsonWriter(text);
        var isWritten = ResourceJson.TryWrite(json, resource, apiVersion, uid: null);
        json.Flush();
        return isWritten ? text.ToArray() : null;
    }

    private static string Text(CompiledRule rule) =>
        $"{rule.Prefix} {rule.Port} {rule.Settings} {rule.Policy} {rule.Destination} {rule.Existing} {rule.UserTimeout} {rule.IsExemption} {rule.Inherited} {rule.Origin}";
}
