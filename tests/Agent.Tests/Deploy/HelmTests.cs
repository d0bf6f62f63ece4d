using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Keepalive.Agent.Commands;
using Keepalive.Config.Tests;
using Keepalive.Testbed;
using Xunit;
using Command = Keepalive.Testbed.Command;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>deploy/helm, by the real helm, against deploy/daemonset, by the real kustomize.</summary>
public sealed partial class HelmTests
{
    private const string DaemonSetKey = "DaemonSet keepalive-agent/keepalive-agent";

    private static readonly string s_chart = Path.Combine(Repository.Root, "deploy", "helm");

    private static readonly JsonSerializerOptions s_readable = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static TheoryData<string, string[]> Same => new()
    {
        { "deploy/daemonset", [] },
        { "deploy/daemonset/overlays/audit", ["dryRun=true"] },
        { "deploy/daemonset/overlays/mesh", ["meshRevisions=true"] },
        { "deploy/daemonset/overlays/monitored", ["monitors.podMonitor=true", "monitors.prometheusRule=true", "monitors.dashboard=true"] },
    };

    [Theory]
    [MemberData(nameof(Same))]
    public void Chart_AndKustomization_AreTheSameObjects(string kustomization, string[] values) =>
        AssertSame(Objects(Command.Run(Tools.Kubectl, "kustomize", Path.Combine(Repository.Root, kustomization)).Output), Template(values));

    /// <summary>The definitions, with the annotation that keeps them when the release goes.</summary>
    [Fact]
    public void Chart_WithDefinitions_HasThoseOfTheComponent()
    {
        var component = Objects(Command.Run(Tools.Kubectl, "kustomize", Path.Combine(Repository.Root, "deploy", "crds")).Output);
        var chart = Template("crds=true").Where(one => one.Key.StartsWith("CustomResourceDefinition ", StringComparison.Ordinal)).ToDictionary();

        Assert.Equal(4, component.Count);
        Assert.All(chart, one =>
        {
            var metadata = one.Value["metadata"]!.AsObject();
            Assert.Equal("keep", metadata["annotations"]!["helm.sh/resource-policy"]!.GetValue<string>());
            metadata.Remove("annotations");
        });
        AssertSame(component, chart);
    }

    [Theory]
    [InlineData("1.30.14", "crds needs Kubernetes 1.31, whose rules have isIP; this is v1.30.14")]
    [InlineData("1.31.0-eks-1", null)]
    public void Definitions_BeforeTheirFunctions_AreAnError(string version, string? problem)
    {
        var result = Command.Try([Tools.Helm, "template", "x", s_chart, "--set", "crds=true", "--kube-version", version]);
        Assert.Equal(problem is null, result.ExitCode == 0);
        Assert.Contains(problem ?? "", result.Error, StringComparison.Ordinal);
    }

    /// <summary>The tests above see a difference.</summary>
    [Theory]
    [InlineData("resources.limits.memory=512Mi", "DaemonSet keepalive-agent/keepalive-agent: spec.template.spec.containers.0.resources.limits.memory: kustomization \"256Mi\", chart \"512Mi\"")]
    [InlineData("maxUnavailable=1", "DaemonSet keepalive-agent/keepalive-agent: spec.updateStrategy.rollingUpdate.maxUnavailable: kustomization \"10%\", chart 1")]
    [InlineData("resourceQuota=false", "ResourceQuota keepalive-agent/keepalive-agent: only in the kustomization")]
    [InlineData("dryRun=true", "DaemonSet keepalive-agent/keepalive-agent: spec.template.spec.containers.0.args: kustomization [\"run\",")]
    public void Difference_OfAValue_IsNamed(string value, string difference) =>
        Assert.Contains(Differences(Objects(Command.Run(Tools.Kubectl, "kustomize", Manifests.Directory).Output), Template(value)), one => one.StartsWith(difference, StringComparison.Ordinal));

    [Fact]
    public void Files_OfTheChart_AreThoseOfTheKustomization()
    {
        var files = Path.Combine(s_chart, "files");
        var origins = new[]
        {
            "daemonset/base/policies/policy.yaml", "daemonset/components/grafana/keepalive.json",
            "daemonset/components/prometheus-operator/podmonitor.yaml", "daemonset/components/prometheus-operator/prometheusrule.yaml",
        }.Concat(CustomResourceText.All.Select(resource => $"crds/{resource.File}")).ToDictionary(path => path.StartsWith("crds/", StringComparison.Ordinal) ? path : Path.GetFileName(path));

        Assert.Equal(origins.Keys.Order(StringComparer.Ordinal), Directory.EnumerateFiles(files, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(files, path)).Order(StringComparer.Ordinal));
        Assert.All(origins, pair => Assert.True(
            File.ReadAllText(Path.Combine(Repository.Root, "deploy", pair.Value)) == File.ReadAllText(Path.Combine(files, pair.Key)), $"deploy/helm/files/{pair.Key} is not deploy/{pair.Value}: run scripts/chart"));
    }

    [Fact]
    public void Lint_Strict_FindsNothing()
    {
        var lint = Command.Run(Tools.Helm, "lint", "--strict", s_chart);
        Assert.Contains("1 chart(s) linted, 0 chart(s) failed", lint.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("[WARNING]", lint.Output, StringComparison.Ordinal);
        Assert.Equal("", lint.Error);
    }

    [Fact]
    public void Arguments_WithValues_AreUnderstoodByTheProgram()
    {
        foreach (var (values, more) in new (string[], string[])[]
        {
            ([], []),
            (["kubernetes=off", "dryRun=true"], ["--dry-run"]),
            (["meshRevisions=true"], ["--mesh-revisions"]),
            (["extraArgs[0]=--keepalive=240s/20s/4", "extraArgs[1]=--restore-on-exit"], ["--keepalive=240s/20s/4", "--restore-on-exit"]),
        })
        {
            var words = Agent(Template(values))["args"]!.AsArray().Select(word => word!.GetValue<string>()).ToArray();
            Assert.Equal(more, words[^more.Length..]);
            // The pod has a service account; the machine of the test does not.
            Assert.DoesNotContain(
                new System.CommandLine.RootCommand { RunCommand.Create() }.Parse(words).Errors,
                static error => !error.Message.EndsWith("but this is not a pod with a service account", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Values_AreWhereTheyBelong()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("keepalive-values").FullName, "values.yaml");
        // "off" without quotes is false for helm.
        File.WriteAllText(file, """
            namespace: {create: false, name: network}
            image: {repository: registry.example.com/keepalive-agent, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000", pullSecrets: [registry]}
            policies: {a.yaml: "kind: Mine", b.yaml: "kind: Other"}
            kubernetes: off
            tolerations: [{key: dedicated, operator: Exists}]
            nodeSelector: {pool: web}
            priorityClassName: ""
            podLabels: {team: net}
            podAnnotations: {checked: "yes"}
            networkPolicy: {namespaces: [{matchLabels: {team: net}}]}
            monitors: {podMonitor: true, prometheusRule: true, dashboard: true, labels: {release: stack}}
            """);
        var objects = Objects(Command.Run(Tools.Helm, "template", "x", s_chart, "-f", file).Output);
        var pod = objects["DaemonSet network/keepalive-agent"]["spec"]!["template"]!;

        // No Namespace, no quota without a priority class, no ClusterRole.
        Assert.Equal(
            [
                "ConfigMap network/keepalive-dashboard", "ConfigMap network/keepalive-policies", "DaemonSet network/keepalive-agent", "NetworkPolicy network/keepalive-agent",
                "PodMonitor network/keepalive-agent", "PrometheusRule network/keepalive-agent", "Service network/keepalive-agent", "ServiceAccount network/keepalive-agent",
            ],
            objects.Keys.Order(StringComparer.Ordinal));
        Assert.Equal($"registry.example.com/keepalive-agent@sha256:{new string('0', 64)}", Agent(objects, "network")["image"]!.GetValue<string>());
        Assert.Contains("--kubernetes=off", Agent(objects, "network")["args"]!.AsArray().Select(word => word!.GetValue<string>()));
        Assert.False(pod["spec"]!["automountServiceAccountToken"]!.GetValue<bool>());
        Assert.Null(pod["spec"]!["priorityClassName"]);
        Assert.Equal("""[{"name":"registry"}]""", pod["spec"]!["imagePullSecrets"]!.ToJsonString());
        Assert.Equal("""[{"key":"dedicated","operator":"Exists"}]""", pod["spec"]!["tolerations"]!.ToJsonString());
        // Values of a map are added to the chart's, as helm does.
        Assert.Equal(("web", "linux"), (pod["spec"]!["nodeSelector"]!["pool"]!.GetValue<string>(), pod["spec"]!["nodeSelector"]!["kubernetes.io/os"]!.GetValue<string>()));
        Assert.Equal(("net", "keepalive-agent"), (pod["metadata"]!["labels"]!["team"]!.GetValue<string>(), pod["metadata"]!["labels"]!["app.kubernetes.io/name"]!.GetValue<string>()));
        Assert.Equal("yes", pod["metadata"]!["annotations"]!["checked"]!.GetValue<string>());
        Assert.Equal(["a.yaml", "b.yaml"], objects["ConfigMap network/keepalive-policies"]["data"]!.AsObject().Select(pair => pair.Key));
        Assert.All(new[] { "PodMonitor network/keepalive-agent", "PrometheusRule network/keepalive-agent", "ConfigMap network/keepalive-dashboard" }, name =>
            Assert.Equal("stack", objects[name]["metadata"]!["labels"]!["release"]!.GetValue<string>()));

        var existing = Template("existingPolicies=mine");
        Assert.DoesNotContain("ConfigMap keepalive-agent/keepalive-policies", existing.Keys);
        Assert.Equal("mine", existing[DaemonSetKey]["spec"]!["template"]!["spec"]!["volumes"]!.AsArray().Single(volume => volume!["name"]!.GetValue<string>() == "policies")!["configMap"]!["name"]!.GetValue<string>());
        var binding = Template("namespace.name=network")["ClusterRoleBinding /keepalive-agent"];
        Assert.Equal("network", binding["subjects"]![0]!["namespace"]!.GetValue<string>());
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Theory]
    [InlineData("imagee.tag=1", "additional properties 'imagee' not allowed")]
    [InlineData("image.tagg=1", "additional properties 'tagg' not allowed")]
    [InlineData("kubernetes=maybe", "at '/kubernetes'")]
    [InlineData("image.digest=sha256:1", "at '/image/digest'")]
    [InlineData("maxUnavailable=0%", "at '/maxUnavailable'")]
    [InlineData("policies.a=b", "invalid propertyName 'a'")]
    [InlineData("namespace.name=Upper", "at '/namespace/name'")]
    [InlineData("maxUnavailable=101%", "at '/maxUnavailable'")]
    [InlineData(@"podLabels.app\.kubernetes\.io/name=other", "invalid propertyName 'app.kubernetes.io/name'")]
    [InlineData("kubernetes=off,meshRevisions=true", "meshRevisions reads from the API server, and kubernetes is off")]
    [InlineData(@"existingPolicies=mine,policies.a\.yaml=b", "policies and existingPolicies exclude each other")]
    public void Value_Invalid_IsAnError(string value, string problem)
    {
        var result = Command.Try([Tools.Helm, "template", "x", s_chart, "--set", value]);
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains(problem, result.Error, StringComparison.Ordinal);
    }

    /// <summary>A key that is in a map twice is refused by what reads it strictly.</summary>
    [Fact]
    public void PodAnnotation_OfTheSameName_ReplacesTheCharts()
    {
        var text = Command.Run(Tools.Helm, "template", "x", s_chart, "--set-string", @"podAnnotations.prometheus\.io/scrape=false").Output;
        Assert.Single(text.Split('\n'), line => line.Contains("prometheus.io/scrape", StringComparison.Ordinal));
        Assert.Equal("false", Objects(text)[DaemonSetKey]["spec"]!["template"]!["metadata"]!["annotations"]!["prometheus.io/scrape"]!.GetValue<string>());
        Assert.Equal("9464", Objects(text)[DaemonSetKey]["spec"]!["template"]!["metadata"]!["annotations"]!["prometheus.io/port"]!.GetValue<string>());
    }

    /// <summary>Each value has a row in the chart's README and a place in its schema.</summary>
    [Fact]
    public void Values_AreDocumentedAndInTheSchema()
    {
        var values = JsonNode.Parse(YamlToJson.Read(File.ReadAllText(Path.Combine(s_chart, "values.yaml")))[0].GetRawText())!.AsObject();
        var schema = JsonNode.Parse(File.ReadAllText(Path.Combine(s_chart, "values.schema.json")))!["properties"]!;
        string[] grouped = ["namespace", "image", "networkPolicy", "monitors"];
        var paths = values.SelectMany(pair => grouped.Contains(pair.Key) ? pair.Value!.AsObject().Select(inner => $"{pair.Key}.{inner.Key}") : [pair.Key]).Order(StringComparer.Ordinal).ToList();
        var rows = File.ReadLines(Path.Combine(s_chart, "README.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal))
            .SelectMany(line => InBackticks().Matches(line.Split('|')[1]).Select(match => match.Groups[1].Value)).Order(StringComparer.Ordinal);

        Assert.Equal(paths, rows);
        Assert.All(paths, path => Assert.True((path.Split('.') is [var group, var name] ? schema[group]!["properties"]![name] : schema[path]) is not null, path));
    }

    [Fact]
    public void Version_OfTheChart_IsTheProgramsAndTheImages()
    {
        var chart = YamlToJson.Read(File.ReadAllText(Path.Combine(s_chart, "Chart.yaml")))[0];
        var tag = Assert.Single(Manifests.Read(Path.Combine(Manifests.Base, "kustomization.yaml")).Single().Root.At("images").Items()).Text("newTag");
        Assert.Equal((tag, tag), (chart.GetProperty("version").GetString(), chart.GetProperty("appVersion").GetString()));
    }

    private static JsonNode Agent(Dictionary<string, JsonNode> objects, string inNamespace = "keepalive-agent") =>
        objects[$"DaemonSet {inNamespace}/keepalive-agent"]["spec"]!["template"]!["spec"]!["containers"]![0]!;

    private static Dictionary<string, JsonNode> Template(params string[] values) =>
        Objects(Command.Run([Tools.Helm, "template", "keepalive-agent", s_chart, .. values.SelectMany(value => new[] { "--set", value })]).Output);

    private static Dictionary<string, JsonNode> Objects(string yaml) =>
        YamlToJson.Read(yaml).Where(document => document.ValueKind == JsonValueKind.Object).Select(document => JsonNode.Parse(document.GetRawText())!).ToDictionary(node =>
            $"{node["kind"]} {node["metadata"]!["namespace"]}/{node["metadata"]!["name"]}");

    private static void AssertSame(Dictionary<string, JsonNode> kustomization, Dictionary<string, JsonNode> chart)
    {
        var differences = Differences(kustomization, chart);
        Assert.True(differences.Count == 0, $"deploy/helm/templates differs from the kustomization:\n{string.Join('\n', differences)}");
    }

    private static List<string> Differences(Dictionary<string, JsonNode> kustomization, Dictionary<string, JsonNode> chart) =>
    [
        .. kustomization.Keys.Except(chart.Keys).Select(key => $"{key}: only in the kustomization"),
        .. chart.Keys.Except(kustomization.Keys).Select(key => $"{key}: only in the chart"),
        .. kustomization.Keys.Intersect(chart.Keys).SelectMany(key => Differences(kustomization[key], chart[key], "").Select(difference => $"{key}: {difference}")),
    ];

    private static IEnumerable<string> Differences(JsonNode? one, JsonNode? other, string path)
    {
        string At(string key) => path.Length == 0 ? key : $"{path}.{key}";
        return (one, other) switch
        {
            (JsonObject left, JsonObject right) => left.Select(pair => pair.Key).Union(right.Select(pair => pair.Key)).SelectMany(key => Differences(left[key], right[key], At(key))),
            (JsonArray left, JsonArray right) when left.Count == right.Count => left.Zip(right).SelectMany((pair, index) => Differences(pair.First, pair.Second, At($"{index}"))),
            _ when JsonNode.DeepEquals(one, other) => [],
            _ => [$"{path}: kustomization {one?.ToJsonString(s_readable) ?? "nothing"}, chart {other?.ToJsonString(s_readable) ?? "nothing"}"],
        };
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex InBackticks();
}
