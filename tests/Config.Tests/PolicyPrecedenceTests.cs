using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>The order of policies of different kinds and origins, as numbered on the page on policies.</summary>
public sealed class PolicyPrecedenceTests
{
    private const string Rules = "networking.istio.io/v1";
    private const string Policies = "resilience.policy.gloo.solo.io/v2";

    [Fact]
    public void Rank_KindsHostsAndOrigins_AreComparedInTheDocumentedOrder()
    {
        var policies = PolicyPrecedence.Rank(new ResourceSet(
        [
            .. File(Rule("file-wildcard", "*.example.com")),
            .. File(Rule("file-exact", "db.example.com")),
            .. Server(Rules, "DestinationRule", Rule("server-wildcard", "*.example.com")),
            .. Server(Rules, "DestinationRule", Rule("server-longer-wildcard", "*.eu.example.com")),
            .. Server(Rules, "DestinationRule", Rule("server-exact", "db.example.com")),
            .. Server(Policies, "ConnectionPolicy", Policy("server-policy", "2020-01-01")),
            .. File(Policy("file-older", "2023-01-01")),
            .. File(Policy("file-newer", "2024-01-01")),
        ]));

        Assert.Equal(
            ["file-older", "file-newer", "server-policy", "file-exact", "server-exact", "server-longer-wildcard", "file-wildcard", "server-wildcard"],
            policies.Select(ranked => ranked.Policy.Metadata.Name.Value));
        for (var i = 1; i < policies.Count; i++)
        {
            Assert.NotEmpty(PolicyPrecedence.Explain(policies[i - 1].Policy, policies[i].Policy, Somewhere));
        }
    }

    /// <summary>A rule without keepalive is of use only before one with keepalive that it can hide.</summary>
    [Fact]
    public void Rank_RulesWithoutKeepalive_AreLeftOutAfterTheLastWithOne()
    {
        var silent = Rule("silent", "*").Replace("tcpKeepalive", "maxConnections", StringComparison.Ordinal).Replace("{\"time\": \"60s\"}", "1", StringComparison.Ordinal);
        var policies = PolicyPrecedence.Rank(new ResourceSet(
        [
            .. File(silent.Replace("\"*\"", "\"db.example.com\"", StringComparison.Ordinal)),
            .. File(Rule("wildcard", "*.example.com")),
            .. File(silent),
        ]));

        Assert.Equal(["db.example.com", "*.example.com"], policies.Select(ranked => ((DestinationRule)ranked.Policy).Host.Value));
    }

    [Fact]
    public void Explain_FirstDifference_IsTheReason()
    {
        var server = Server(Policies, "ConnectionPolicy", Policy("a", "2020-01-01")).OfType<Policy>().Single();
        var written = File(Policy("b", "2024-01-01")).OfType<Policy>().Single();
        var rule = File(Rule("c", "db.example.com")).OfType<Policy>().Single();

        Assert.StartsWith("is a ConnectionPolicy", PolicyPrecedence.Explain(server, rule, Somewhere), StringComparison.Ordinal);
        Assert.Equal("is written in a file", PolicyPrecedence.Explain(written, server, Somewhere));
    }

    private static Destination Somewhere { get; } =
        File("""{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": {"ports": [{"port": 80}]}}""").OfType<Destination>().Single();

    private static string Rule(string name, string host) => $$$"""
        {"apiVersion": "{{{Rules}}}", "kind": "DestinationRule", "metadata": {"name": "{{{name}}}", "namespace": "n"},
         "spec": {"host": "{{{host}}}", "trafficPolicy": {"connectionPool": {"tcp": {"tcpKeepalive": {"time": "60s"} } } } } }
        """;

    private static string Policy(string name, string day) => $$$"""
        {"apiVersion": "{{{Policies}}}", "kind": "ConnectionPolicy", "metadata": {"name": "{{{name}}}", "namespace": "n", "creationTimestamp": "{{{day}}}T00:00:00Z"},
         "spec": {"config": {"tcp": {"tcpKeepalive": {"time": "60s"} } } } }
        """;

    private static ImmutableArray<Resource> File(string json) => Valid(PolicyReader.ReadText(json, "policy.yaml"));

    private static ImmutableArray<Resource> Server(string version, string kind, string json) =>
        Valid(PolicyReader.ReadObject(new ReadOnlySequence<byte>(Encoding.UTF8.GetBytes(json)), version, kind, kind, known: null).Read!);

    private static ImmutableArray<Resource> Valid(ReadResult read)
    {
        Assert.DoesNotContain(read.Diagnostics, diagnostic => diagnostic.Severity == Severity.Error);
        return read.Resources.All;
    }
}
