using System.Buffers;
using System.Net;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>The stored data of pods and namespaces.</summary>
public sealed class PodStoreTests
{
    private const string Uid = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

    [Theory]
    [InlineData("""{"annotations":{"keepalive-agent/enforce":"false"}}""", true)]
    [InlineData("""{"labels":{"keepalive-agent/enforce":"false"}}""", true)]
    [InlineData("""{"annotations":{"keepalive-agent/enforce":"False"},"labels":{"app":"x"}}""", true)]
    [InlineData("""{"annotations":{"keepalive-agent/enforce":"true"}}""", false)]
    [InlineData("""{"annotations":{"enforce":"false"},"labels":{"keepalive-agent/enforced":"false"}}""", false)]
    [InlineData("{}", false)]
    public void Enforce_OnPodsAndNamespaces_ExcludesTheirSockets(string metadata, bool isLeftAlone)
    {
        var (pods, namespaces) = (new PodStore(OwnValuesReader.Disallowed), new NamespaceStore(OwnValuesReader.Disallowed));
        Take(pods, $$$"""{"metadata":{"name":"cart-1","namespace":"shop","uid":"{{{Uid}}}",{{{Inner(metadata)}}}}""");
        Take(namespaces, $$$"""{"metadata":{"name":"shop",{{{Inner(metadata)}}}}""");
        Assert.Equal(isLeftAlone, pods.ById(Uid)!.IsLeftAlone);
        Assert.Equal(isLeftAlone, namespaces.IsLeftAlone("shop"));
        Assert.False(namespaces.IsLeftAlone("jobs"));
    }

    [Theory]
    [InlineData("Running", false, true)]
    [InlineData("Succeeded", false, false)]
    [InlineData("Failed", false, false)]
    [InlineData("Running", true, false)]
    public void Address_OfAnEndedOrHostNetworkPod_IsNotThePods(string phase, bool hostNetwork, bool isFound)
    {
        var pods = new PodStore(OwnValuesReader.Disallowed);
        Take(pods, $$$"""
            {"metadata":{"name":"cart-1","namespace":"shop","uid":"{{{Uid}}}"},"spec":{"hostNetwork":{{{(hostNetwork ? "true" : "false")}}}},
             "status":{"phase":"{{{phase}}}","podIP":"10.1.0.7","podIPs":[{"ip":"10.1.0.7"},{"ip":"fd00::7"}]}}
            """);
        Assert.Equal(isFound, pods.ByAddress(Endpoint.From(IPAddress.Parse("10.1.0.7"), 0).Address) is not null);
        Assert.Equal(isFound, pods.ByAddress(Endpoint.From(IPAddress.Parse("fd00::7"), 0).Address) is not null);
    }

    [Fact]
    public void StaticPod_IsKnownByTheHashOfItsFileToo()
    {
        const string hash = "0123456789abcdef0123456789abcdef";
        var pods = new PodStore(OwnValuesReader.Disallowed);
        Take(pods, $$$"""{"metadata":{"name":"etcd","namespace":"kube-system","uid":"{{{Uid}}}","annotations":{"kubernetes.io/config.hash":"{{{hash}}}"} } }""");
        Assert.Equal("etcd", pods.ById(hash)?.Name);
        Assert.Same(pods.ById(hash), pods.ById(Uid));
    }

    [Theory]
    [InlineData("60s/10s/6", "60s/10s/6", null)]
    [InlineData("2s/1s/9", "30s/5s/9", "KA080")]
    [InlineData("sixty", null, "KA028")]
    public void Own_OfAPodAndItsNamespace_IsAtLeastWhatIsAllowed(string text, string? expected, string? code)
    {
        var problems = new List<Diagnostic>();
        var reader = new OwnValuesReader(new KeepaliveSettings(30, 5, 1), (_, problem) => problems.Add(problem));
        var (pods, namespaces) = (new PodStore(reader), new NamespaceStore(reader));
        Take(pods, $$$"""{"metadata":{"name":"cart-1","namespace":"shop","uid":"{{{Uid}}}","annotations":{"keepalive-agent/keepalive":"{{{text}}}"} } }""");
        Take(namespaces, $$$"""{"metadata":{"name":"shop","annotations":{"keepalive-agent/keepalive":"{{{text}}}"} } }""");
        Assert.Equal(expected, pods.ById(Uid)!.Own is { } own ? KeepaliveText.Format(own) : null);
        Assert.Equal(pods.ById(Uid)!.Own, namespaces.Own("shop"));
        Assert.Equal(code is null ? [] : [code, code], problems.Select(problem => problem.Code));
        Assert.All(problems, problem => Assert.StartsWith(problem.Position.File, problem.Message, StringComparison.Ordinal));
    }

    /// <summary>An agent keeps all that decides about a pod's connections for its successor.</summary>
    [Fact]
    public void Write_LabelsAndOwnValues_AreReadAgain()
    {
        var reader = new OwnValuesReader(new KeepaliveSettings(30, 5, 1));
        var (first, second) = (new PodStore(reader), new PodStore(reader));
        Take(first, $$$"""{"metadata":{"name":"cart-1","namespace":"shop","uid":"{{{Uid}}}","labels":{"app":"web"},"annotations":{"keepalive-agent/keepalive":"60s/10s/6"} } }""");
        Take(second, Text(json => PodStore.Write(json, first.ById(Uid)!)));
        Assert.Equal("web", second.ById(Uid)!.Labels["app"]);
        Assert.Equal(new KeepaliveSettings(60, 10, 6), second.ById(Uid)!.Own);
        var (before, after) = (new NamespaceStore(reader), new NamespaceStore(reader));
        Take(before, """{"metadata":{"name":"shop","annotations":{"keepalive-agent/keepalive":"60s/10s/6"} } }""");
        Take(after, Text(json => NamespaceStore.Write(json, "shop", before.Find("", "shop")!)));
        Assert.Equal(before.Find("", "shop"), after.Find("", "shop"));

        static string Text(Action<Utf8JsonWriter> write)
        {
            var text = new System.Buffers.ArrayBufferWriter<byte>();
            using (var json = new Utf8JsonWriter(text))
            {
                write(json);
            }
            return System.Text.Encoding.UTF8.GetString(text.WrittenSpan);
        }
    }

    [Fact]
    public void Own_NotAllowed_IsIgnored()
    {
        var pods = new PodStore(OwnValuesReader.Disallowed);
        Take(pods, $$$"""{"metadata":{"name":"cart-1","namespace":"shop","uid":"{{{Uid}}}","annotations":{"keepalive-agent/keepalive":"60s/10s/6"} } }""");
        Assert.Null(pods.ById(Uid)!.Own);
    }

    /// <summary>An object without its outer braces, and without the brace that closes the metadata.</summary>
    private static string Inner(string metadata) => metadata.Length > 2 ? metadata[1..^1] + "}" : "\"generation\":1}";

    private static void Take<T>(ObjectStore<T> store, string json)
        where T : class
    {
        var bytes = Encoding.UTF8.GetBytes(json);
        var text = new ReadOnlySequence<byte>(bytes);
        store.Take(ApiJson.HeadOf(in text)!, "v1", in text);
    }
}
