using System.Reflection;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>The ClusterRole allows exactly the agent's requests.</summary>
public sealed class ClusterRoleTests
{
    private static readonly (string Group, string Resource, string Verb) s_events = ("events.k8s.io", "events", "create");

    [Fact]
    public void Rules_AreTheKindsThatAreWatchedAndEvents()
    {
        var kinds = typeof(WatchedKind).GetProperties(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(property => property.PropertyType == typeof(WatchedKind)).Select(property => (WatchedKind)property.GetValue(null)!).ToList();

        Assert.NotEmpty(kinds);
        Assert.Equal(
            kinds.SelectMany(kind => ((string[])["list", "watch"]).Select(verb => (kind.Group, kind.Plural, verb))).Append(s_events).Order(),
            Allowed().Order());
    }

    [Fact]
    public async Task Requests_OfAClientThatWantsEverything_AreWhatTheRulesAllow()
    {
        using var api = FakeApiServer.Start().WithGloo().WithIstio().WithProxies();
        api.Apply(ClusterText.Policy("""{"time":"one minute"}"""));
        using var cluster = ClusterOf(new ClusterOptions
        {
            Access = ApiAccess.Of(api.Address),
            From = PolicyOrigin.Both,
            Side = Side.Both,
            ProxyPolicies = true,
            NodeName = "node-1",
        });
        await BegunWithASlice(cluster);
        Assert.Contains(": error KA030: ", Assert.Single(cluster.Refused()), StringComparison.Ordinal);

        var allowed = Allowed().Order().ToList();
        Eventually.True(() => api.Requests.Select(Asked).Distinct().Order().SequenceEqual(allowed), TimeSpan.FromSeconds(20));
    }

    /// <summary>With the component, the rules are the requests of an agent in a cluster that has Istio alone.</summary>
    [Fact]
    public async Task IstioOnly_RequestsOfTheAgent_AreWhatTheRulesAllow()
    {
        var kustomization = Manifests.Read(Path.Combine(Manifests.IstioOnly, "kustomization.yaml")).Single().Root;
        var patches = kustomization.At("patches").Items().Select(patch => patch.Text("patch")!).ToList();
        Assert.Contains("value: --from=istio", patches[0], StringComparison.Ordinal);
        var stream = new YamlDotNet.RepresentationModel.YamlStream();
        stream.Load(new StringReader(patches[1]));
        var role = Manifests.Read(Path.Combine(Manifests.IstioOnly, "role.yaml")).Single().Root;
        Assert.Equal(["istio"], Assert.Single(role.At("rules").Items()).At("resourceNames").Texts());
        var allowed = Allowed(stream.Documents[0].RootNode).Concat(Allowed(role)).Order().ToList();
        Assert.Empty(allowed.Except(Allowed()));

        using var api = FakeApiServer.Start().WithIstio();
        api.Apply("""{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"a","namespace":"shop"},"spec":{"host":"a","trafficPolicy":{"connectionPool":{"tcp":{"tcpKeepalive":{"time":"one minute"}}}}}}""");
        using var cluster = ClusterOf(new ClusterOptions { Access = ApiAccess.Of(api.Address), From = PolicyOrigin.Istio, NodeName = "node-1" });
        await BegunWithASlice(cluster);
        // A kind that is not installed is listed and not watched.
        Eventually.True(() => api.Requests.Select(Asked).Distinct().Select(one => (one.Group, one.Resource)).Distinct().Order()
            .SequenceEqual(allowed.Select(one => (one.Group, one.Resource)).Distinct().Order()), TimeSpan.FromSeconds(20));
        Assert.Empty(api.Requests.Select(Asked).Except(allowed));
    }

    [Fact]
    public void Binding_IsOfTheRoleToThePodsAccount()
    {
        var binding = Manifests.Single("ClusterRoleBinding").Root;
        Assert.Equal(("ClusterRole", Manifests.Single("ClusterRole").Name), (binding.Text("roleRef", "kind"), binding.Text("roleRef", "name")));
        var subject = Assert.Single(binding.At("subjects").Items());
        Assert.Equal(
            ("ServiceAccount", Manifests.Single("ServiceAccount").Name, Manifests.Single("Namespace").Name),
            (subject.Text("kind"), subject.Text("name"), subject.Text("namespace")));
    }

    /// <summary>With the component, the agent may read the ConfigMaps of Istio's namespace, and asks for those of revisions only.</summary>
    [Fact]
    public async Task MeshRevisions_RoleAndRequest_AreAboutConfigMapsOfIstiosNamespace()
    {
        var (role, binding) = (Manifests.Single("Role").Root, Manifests.Single("RoleBinding").Root);
        var rule = Assert.Single(role.At("rules").Items());
        Assert.Equal(["", "configmaps", "list", "watch"], [.. rule.At("apiGroups").Texts(), .. rule.At("resources").Texts(), .. rule.At("verbs").Texts()]);
        Assert.Equal((role.Text("kind"), role.Text("metadata", "name")), (binding.Text("roleRef", "kind"), binding.Text("roleRef", "name")));
        var subject = Assert.Single(binding.At("subjects").Items());
        Assert.Equal((Manifests.Single("ServiceAccount").Name, Manifests.Single("Namespace").Name), (subject.Text("name"), subject.Text("namespace")));
        Assert.Equal((MeshConfig.DefaultNamespace, MeshConfig.DefaultNamespace), (role.Text("metadata", "namespace"), binding.Text("metadata", "namespace")));

        using var api = FakeApiServer.Start().WithIstio();
        using var cluster = ClusterOf(new ClusterOptions { Access = ApiAccess.Of(api.Address), From = PolicyOrigin.Istio, MeshRevisions = true });
        foreach (var (name, labels) in (ReadOnlySpan<(string, string)>)[("istio", "\"istio.io/rev\":\"default\""), ("istio-canary", "\"istio.io/rev\":\"canary\""), ("istio-none", "")])
        {
            api.Apply($$$"""
                {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}","namespace":"istio-system","labels":{ {{{labels}}} }},"data":{"mesh":"tcpKeepalive:\n  time: 60s\n"}}
                """);
        }
        await cluster.StartAsync(TestContext.Current.CancellationToken);

        Eventually.True(() => cluster.View().Resources.All.OfType<MeshConfig>().Count() == 2, TimeSpan.FromSeconds(20));
        Assert.Equal(["istio", "istio-canary"], cluster.View().Resources.All.OfType<MeshConfig>().Select(config => config.Metadata.Name.Value).Order());
        Assert.All(api.Requests.Where(request => request.Contains("configmaps", StringComparison.Ordinal)),
            request => Assert.Contains("/namespaces/istio-system/configmaps?", request, StringComparison.Ordinal));
    }

    [Fact]
    public void Pod_HasATokenAndKnowsItsNode()
    {
        var pod = Manifests.DaemonSet().At("spec", "template", "spec")!;
        Assert.Equal("true", pod.Text("automountServiceAccountToken"));
        Assert.Equal("spec.nodeName", Manifests.Container().At("env").Named("NODE_NAME").Text("valueFrom", "fieldRef", "fieldPath"));
        Assert.Contains("--kubernetes=auto", Manifests.Container().At("args").Texts());
    }

    private static Cluster ClusterOf(ClusterOptions options) => new(
        options with { Timing = new WatchTiming { StartWithin = TimeSpan.Zero, EventsWithin = TimeSpan.Zero } }, TimeProvider.System, NullLogger.Instance);

    /// <summary>Starts to read a cluster and the slices of a service, and reports what is wrong with its objects.</summary>
    private static async Task BegunWithASlice(Cluster cluster)
    {
        cluster.WantSlices(new HashSet<(string, string)> { ("shop", "a") });
        await cluster.StartAsync(TestContext.Current.CancellationToken);
        Eventually.True(() => cluster.IsComplete, TimeSpan.FromSeconds(20));
        cluster.Report(cluster.View().Diagnostics);
    }

    private static List<(string Group, string Resource, string Verb)> Allowed() => Allowed(Manifests.Single("ClusterRole").Root);

    private static List<(string Group, string Resource, string Verb)> Allowed(YamlDotNet.RepresentationModel.YamlNode role) =>
    [
        .. role.At("rules").Items().SelectMany(rule => rule.At("apiGroups").Texts().SelectMany(group =>
            rule.At("resources").Texts().SelectMany(resource => rule.At("verbs").Texts().Select(verb => (group, resource, verb))))),
    ];

    /// <summary>The attributes that the server's authorizer derives from <c>GET /apis/GROUP/VERSION/RESOURCE?watch=1</c>.</summary>
    private static (string Group, string Resource, string Verb) Asked(string request)
    {
        var (method, url) = (request[..request.IndexOf(' ', StringComparison.Ordinal)], request[(request.IndexOf(' ', StringComparison.Ordinal) + 1)..]);
        var parts = url.Split('?')[0].Split('/', StringSplitOptions.RemoveEmptyEntries);
        var verb = method == "POST" ? "create" : url.Contains("watch=1", StringComparison.Ordinal) ? "watch" : "list";
        return (parts[0] == "api" ? "" : parts[1], parts[^1], verb);
    }
}
