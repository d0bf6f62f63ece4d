using System.Text.Json.Nodes;
using Keepalive.Config.Tests;
using Keepalive.Testbed;
using Xunit;
using Command = Keepalive.Testbed.Command;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>What the kustomizations make, against the schemas of Kubernetes' own kinds: types, required and unknown fields.</summary>
public sealed class ObjectSchemaTests
{
    [Theory]
    [InlineData("deploy/daemonset", 9)]
    [InlineData("deploy/daemonset/overlays/audit", 9)]
    [InlineData("deploy/daemonset/overlays/monitored", 10)]
    [InlineData("deploy/sweep", 3)]
    [InlineData("deploy/crds", 4)]
    public void Objects_OfAKustomization_AreValid(string kustomization, int count)
    {
        var objects = Build(kustomization).Where(one => !one["apiVersion"]!.GetValue<string>().StartsWith("monitoring.coreos.com/", StringComparison.Ordinal)).ToArray();

        Assert.Equal(count, objects.Length);
        Assert.All(Validators.Objects(new JsonArray([.. objects]).ToJsonString()), Assert.Empty);
    }

    [Theory]
    [InlineData("deploy/sweep", "Job", "spec.backoffLimitPerIndexx", "/spec/backoffLimitPerIndexx: unknown")]
    [InlineData("deploy/sweep", "Job", "spec.completions", "/spec/completions: type {\"type\":\"integer\"}")]
    [InlineData("deploy/daemonset", "DaemonSet", "spec.template.spec.hostPIDs", "/spec/template/spec/hostPIDs: unknown")]
    [InlineData("deploy/crds", "CustomResourceDefinition", "spec.scopes", "/spec/scopes: unknown")]
    public void Field_UnknownOrWrong_IsFound(string kustomization, string kind, string path, string problem)
    {
        var wrong = Build(kustomization).First(one => one["kind"]!.GetValue<string>() == kind);
        var (parent, name) = (wrong, path.Split('.')[^1]);
        foreach (var key in path.Split('.')[..^1])
        {
            parent = parent[key]!;
        }
        parent[name] = "wrong";

        Assert.Contains(problem, Assert.Single(Validators.Objects(new JsonArray(wrong).ToJsonString())));
    }

    private static IEnumerable<JsonNode> Build(string kustomization) =>
        YamlToJson.Read(Command.Run(Tools.Kubectl, "kustomize", Path.Combine(Repository.Root, kustomization)).Output).Select(document => JsonNode.Parse(document.GetRawText())!);
}
