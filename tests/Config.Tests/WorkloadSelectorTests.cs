using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Policies for the connections of certain workloads: their selectors, and which rule is in force for which workload.</summary>
public sealed class WorkloadSelectorTests
{
    private static readonly ClientWorkload s_web = new("shop", [new("app", "web"), new("team.example/tier", "front")]);

    [Theory]
    [InlineData("namespace=shop", true)]
    [InlineData("namespace=shop,app=web", true)]
    [InlineData("namespace = shop , app == web", true)]
    [InlineData("namespace=jobs,app=web", false)]
    [InlineData("app", true)]
    [InlineData("!app", false)]
    [InlineData("!canary", true)]
    [InlineData("app!=web", false)]
    [InlineData("canary!=true", true)]
    [InlineData("app in (api, web)", true)]
    [InlineData("app notin (api,web)", false)]
    [InlineData("canary notin (true)", true)]
    [InlineData("namespace in (jobs,shop),team.example/tier=front", true)]
    [InlineData("app=", false)]
    public void Matches_ByKubernetesGrammar(string text, bool expected)
    {
        Assert.True(WorkloadSelector.TryParse(text, out var selector, out var problem), problem);
        Assert.Equal(expected, selector!.Matches(s_web));
        Assert.True(WorkloadSelector.TryParse(selector.Text, out var again, out _));
        Assert.Equal(selector.Text, again!.Text);
    }

    [Theory]
    [InlineData("", "has an empty requirement")]
    [InlineData("app=web,", "has an empty requirement")]
    [InlineData("namespace", "has a namespace without a name")]
    [InlineData("!namespace", "has a namespace without a name")]
    [InlineData("app=we b", "has \"we b\", which is no value of a label")]
    [InlineData("a b=web", "has \"a b\", which is no key of a label")]
    [InlineData("app in web", "has \"app in web\", which is no key of a label")]
    [InlineData("app in (web", "has \"app in (web\", which is no key of a label")]
    [InlineData("x/y/z=1", "has \"x/y/z\", which is no key of a label")]
    [InlineData("=web", "has an empty requirement")]
    [InlineData("namespace=", "has a namespace without a name")]
    [InlineData("namespace=shop,namespace=jobs", "wants several values of \"namespace\" at once, and selects no pod")]
    [InlineData("app in (web,api),app=db", "wants several values of \"app\" at once, and selects no pod")]
    public void TryParse_NoSelector_SaysWhy(string text, string problem)
    {
        Assert.False(WorkloadSelector.TryParse(text, out _, out var said));
        Assert.Equal(problem, said);
    }

    [Fact]
    public void Equals_SameContent_InAnyOrder()
    {
        var other = new ClientWorkload("shop", [new("team.example/tier", "front"), new("app", "web")]);
        Assert.Equal((s_web, s_web.GetHashCode()), (other, other.GetHashCode()));
        Assert.NotEqual(s_web, new ClientWorkload("shop", [new("app", "web")]));
        Assert.NotEqual(s_web, new ClientWorkload("shop", s_web.Labels, new OwnKeepalive(new KeepaliveSettings(60, 10, 6), "Pod shop/a")));
    }

    /// <summary>The same destination for all at 600 s, for shop at 300 s, for its web pods at 200 s; another address for web pods only.</summary>
    [Theory]
    [InlineData("other", "x", "10.0.0.1:5432", 600)]
    [InlineData("shop", "x", "10.0.0.1:5432", 300)]
    [InlineData("shop", "web", "10.0.0.1:5432", 200)]
    [InlineData("other", "x", "10.0.0.2:80", null)]
    [InlineData("shop", "web", "10.0.0.2:80", 200)]
    [InlineData("shop", "web", "10.0.0.3:80", null)]
    public void For_EachWorkload_IsItsOwnRule(string ns, string app, string remote, int? time)
    {
        var policy = Compile().For(new ClientWorkload(ns, [new("app", app)]));
        Assert.Equal(time, Match(policy, remote)?.Settings.Time);
    }

    [Fact]
    public void Match_WithoutWorkload_IsTheRuleForAll()
    {
        var policy = Compile();
        Assert.True(policy.DependsOnSource);
        Assert.Equal((600, null), (Match(policy, "10.0.0.1:5432")?.Settings.Time, Match(policy, "10.0.0.2:80")?.Settings.Time));
        Assert.Equal((200, 200), (Match(policy.ForAny(), "10.0.0.1:5432")?.Settings.Time, Match(policy.ForAny(), "10.0.0.2:80")?.Settings.Time));
        Assert.Equal("", policy.KeyOf(new ClientWorkload("other", [])));
        Assert.Same(policy, policy.For(new ClientWorkload("other", [])));
    }

    [Fact]
    public void For_WorkloadThatChoseValues_HasThemBelowAllOtherRules()
    {
        var own = new OwnKeepalive(new KeepaliveSettings(45, 9, 3), "Pod shop/web-0");
        var workload = new ClientWorkload("shop", [new("app", "web")], own);
        Assert.Null(Match(Compile().For(workload), "10.0.0.3:80"));   // not allowed
        var policy = Compile().WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive").WithOwn();
        Assert.Equal((200, 240), (Match(policy.For(new ClientWorkload("shop", [new("app", "web")])), "10.0.0.2:80")?.Settings.Time, Match(policy, "10.0.0.3:80")?.Settings.Time));
        var chosen = policy.For(workload);
        Assert.Equal((200, 45), (Match(chosen, "10.0.0.2:80")?.Settings.Time, Match(chosen, "10.0.0.3:80")?.Settings.Time));
        Assert.Equal("Pod shop/web-0", Match(chosen, "[2001:db8::1]:80")?.From);
        Assert.Null(Match(chosen, "127.0.0.1:80"));
    }

    /// <summary>A policy for every address has the same prefix as what a workload chooses, which is closer.</summary>
    [Fact]
    public void For_WorkloadThatChoseValues_PrecedesAPolicyForEveryAddress()
    {
        var text = Policy("all", "600s", null, "every") + Service("every", "0.0.0.0/0");
        var read = PolicyReader.ReadText(text, "policy.yaml");
        var policy = PolicyCompiler.Compile(read.Resources, new CompilerOptions()).Policy.WithOwn();
        var workload = new ClientWorkload("shop", [], new OwnKeepalive(new KeepaliveSettings(45, 9, 3), "Namespace shop"));
        Assert.Equal((600, 45), (Match(policy, "10.0.0.3:80")?.Settings.Time, Match(policy.For(workload), "10.0.0.3:80")?.Settings.Time));
    }

    /// <summary>A port that a DestinationRule keeps free stays free under values from the command line.</summary>
    [Fact]
    public void WithFallback_KeepsExemptions()
    {
        const string text = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: { name: db, namespace: shop }
            spec:
              host: db.example.com
              trafficPolicy:
                connectionPool: { tcp: { tcpKeepalive: { time: 60s } } }
                portLevelSettings:
                - port: { number: 5432 }
                  connectionPool: { tcp: { maxConnections: 1 } }
            ---
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: { name: db, namespace: shop }
            spec: { hosts: [db.example.com], addresses: [10.0.0.9], resolution: STATIC }
            """;
        var policy = PolicyCompiler.Compile(PolicyReader.ReadText(text, "policy.yaml").Resources, new CompilerOptions()).Policy;
        Assert.NotEmpty(policy.Exemptions);
        var with = policy.WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive");
        Assert.Equal(policy.Exemptions, with.Exemptions);
        Assert.NotEqual(60, Match(with, "10.0.0.9:5432")?.Settings.Time);
        Assert.Equal(60, Match(with, "10.0.0.9:80")?.Settings.Time);
    }

    private static CompiledRule? Match(CompiledPolicy policy, string remote)
    {
        var end = System.Net.IPEndPoint.Parse(remote);
        return policy.Match(Endpoint.From(System.Net.IPAddress.Parse(end.Address.ToString() == "127.0.0.1" ? "127.0.0.1" : "10.9.9.9"), 40000), Endpoint.From(end.Address, (ushort)end.Port));
    }

    private static CompiledPolicy Compile()
    {
        var text = Policy("all", "600s", null, "db") + Policy("shop", "300s", "namespace=shop", "db") + Policy("web", "200s", "namespace=shop,app=web", null)
            + Service("db", "10.0.0.1/32") + Service("cache", "10.0.0.2/32");
        var read = PolicyReader.ReadText(text, "policy.yaml");
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        Assert.DoesNotContain(read.Diagnostics.Concat(compiled.Diagnostics), static one => one.Severity != Severity.Note);
        return compiled.Policy;
    }

    private static string Policy(string name, string time, string? from, string? destination) => $$"""
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: {{name}}
          namespace: ops
          annotations: { {{(from is null ? "" : $"keepalive-agent/from: \"{from}\"")}} }
        spec:
          applyToDestinations:
          - kind: EXTERNAL_SERVICE
            selector: {{(destination is null ? "{}" : $"{{ name: {destination} }}")}}
          config: { tcp: { tcpKeepalive: { time: {{time}}, interval: 10s, probes: 3 } } }
        ---

        """;

    private static string Service(string name, string addresses) => $$"""
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata: { name: {{name}}, namespace: ops }
        spec: { addresses: ["{{addresses}}"] }
        ---

        """;
}
