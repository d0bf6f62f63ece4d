using System.CommandLine;
using Keepalive.Agent.Commands;
using Keepalive.CommandLine;
using Xunit;

namespace Keepalive.Agent.Tests.Commands;

/// <summary>Options about the cluster's API, with and without an API server. Tests do not run in a pod.</summary>
public sealed class ClusterArgumentsTests
{
    private const string Api = "--kubernetes-api=http://127.0.0.1:8001";

    private static readonly RootCommand s_root = [RunCommand.Create(), AuditCommand.Create(), SocketsCommand.Create()];

    [Theory]
    [InlineData("run", Api)]
    [InlineData("run", Api, "--kubernetes=on", "--from=istio", "--proxy-policies", "--mesh-revisions")]
    [InlineData("run", Api, "--node-name=node-1", "--namespaces=shop,jobs", "--exclude-namespaces=kube-system")]
    [InlineData("run", "--policies=p.yaml", "--kubernetes=auto")]
    [InlineData("run", "--policies=p.yaml", "--kubernetes=off")]
    [InlineData("audit", Api, "--node-name=node-1")]
    [InlineData("sockets", Api)]
    public void Arguments_Valid_AreAccepted(params string[] words) => Assert.Empty(GivenValues.Problems(s_root.Parse(words)));

    [Theory]
    [InlineData("Option '--policies' or '--keepalive' is required", "run")]
    [InlineData("Option '--policies' or '--keepalive' is required", "run", "--kubernetes=off")]
    [InlineData("--kubernetes on needs a pod", "run", "--policies=p.yaml", "--kubernetes=on")]
    [InlineData("--kubernetes on needs a pod", "sockets", "--kubernetes=on")]
    [InlineData("--kubernetes-api needs the cluster's API, but --kubernetes off excludes it", "run", "--policies=p.yaml", "--kubernetes=off", Api)]
    [InlineData("--from needs the cluster's API, but this is not a pod", "run", "--policies=p.yaml", "--from=gloo")]
    [InlineData("--proxy-policies needs the cluster's API, but this is not a pod", "run", "--policies=p.yaml", "--proxy-policies")]
    [InlineData("--mesh-revisions needs the cluster's API, but this is not a pod", "run", "--policies=p.yaml", "--mesh-revisions")]
    [InlineData("--namespaces needs the cluster's API, but this is not a pod", "run", "--policies=p.yaml", "--namespaces=shop")]
    [InlineData("--exclude-namespaces needs the node's name: give --node-name", "run", Api, "--exclude-namespaces=shop")]
    [InlineData("--node-name needs the cluster's API, but this is not a pod", "audit", "--node-name=node-1")]
    [InlineData("--kubernetes-api takes an address", "run", "--kubernetes-api=ftp://x")]
    [InlineData("--kubernetes-api takes an address", "run", "--kubernetes-api=http://x:8001/?pretty=1")]
    [InlineData("--kubernetes-api takes an address", "run", "--kubernetes-api=http://me:secret@x:8001")]
    [InlineData("--node-name takes a node's name", "run", Api, "--node-name=Node 1")]
    [InlineData("--node-name takes a node's name", "sockets", Api, "--node-name=node-1-")]
    [InlineData("--namespaces takes names of namespaces", "run", Api, "--node-name=node-1", "--namespaces=shop,j*bs")]
    [InlineData("--exclude-namespaces takes names of namespaces", "run", Api, "--node-name=node-1", "--exclude-namespaces=kube.system")]
    public void Arguments_ContradictoryOrWithoutEffect_AreRefused(string problem, params string[] words) =>
        Assert.Contains(GivenValues.Problems(s_root.Parse(words)), told => told.StartsWith(problem, StringComparison.Ordinal));
}
