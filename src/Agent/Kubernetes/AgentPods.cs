using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Config;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A pod of the agent, on one node of the cluster.</summary>
/// <param name="Node">Its node, masked.</param>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name.</param>
/// <param name="Container">The agent's container in it.</param>
/// <param name="WhyNot">Why it cannot be asked: a clause. Null if it can.</param>
internal sealed record AgentPod(string Node, string Namespace, string Name, string Container, string? WhyNot);

/// <summary>The agents of a cluster. They are looked for in one namespace: a tenant could give the agent's label to a pod of its own.</summary>
internal static class AgentPods
{
    public const string DefaultNamespace = "keepalive-agent";

    /// <summary>The label of deploy/daemonset and of the chart.</summary>
    public const string Label = "app.kubernetes.io/name=keepalive-agent";

    private const string Container = "agent";

    /// <exception cref="KubectlException">The pods cannot be read.</exception>
    public static async Task<ImmutableArray<AgentPod>> FindAsync(Kubectl kubectl, string ns, CancellationToken stop)
    {
        var pods = new List<AgentPod>();
        var end = await kubectl.RunAsync(
            ["get", "pods", "--namespace", ns, "--selector", Label, "--output", "json"],
            async (output, token) =>
            {
                await using var list = new JsonStream(output, Timeout.InfiniteTimeSpan, TimeProvider.System, token);
                await list.ReadListAsync((in json) => Read(in json, ns, pods)).ConfigureAwait(false);
            },
            stop,
            withTerminal: true).ConfigureAwait(false);
        return end.ExitCode == 0
            ? [.. pods.OrderBy(static pod => pod.Node, StringComparer.Ordinal).ThenBy(static pod => pod.Name, StringComparer.Ordinal)]
            : throw new KubectlException($"kubectl cannot read the agents' pods in namespace {ns}: {end.Reason}");
    }

    private static void Read(in ReadOnlySequence<byte> json, string ns, List<AgentPod> pods)
    {
        var text = new Utf8JsonReader(json, ApiJson.Reading);
        var pod = JsonSerializer.Deserialize(ref text, AgentPodJsonContext.Default.AgentPodJson);
        if (pod?.Metadata?.Name is not { } name || pod.Metadata.DeletionTimestamp is not null || pod.Status?.Phase is "Succeeded" or "Failed")
        {
            return;   // its successor is in the list too
        }
        var containers = pod.Spec?.Containers?.Select(static one => one.Name).OfType<string>().ToList() ?? [];
        var container = containers.Contains(Container) ? Container : containers.FirstOrDefault() ?? Container;
        var isRunning = pod.Status?.ContainerStatuses?.Any(one => one.Name == container && one.State?.Running is not null) == true;
        var whyNot = pod.Spec?.NodeName is null ? "it has no node yet" : isRunning ? null : $"its container {TerminalText.Mask(container)} does not run ({TerminalText.Mask(pod.Status?.Phase ?? "unknown")})";
        pods.Add(new AgentPod(TerminalText.Mask(pod.Spec?.NodeName ?? "-"), ns, name, container, whyNot));
    }
}

internal sealed record AgentPodJson(AgentPodMetadataJson? Metadata, AgentPodSpecJson? Spec, AgentPodStatusJson? Status);

internal sealed record AgentPodMetadataJson(string? Name, string? DeletionTimestamp);

internal sealed record AgentPodSpecJson(string? NodeName, List<AgentContainerJson>? Containers);

internal sealed record AgentContainerJson(string? Name);

internal sealed record AgentPodStatusJson(string? Phase, List<AgentContainerStatusJson>? ContainerStatuses);

internal sealed record AgentContainerStatusJson(string? Name, AgentContainerStateJson? State);

internal sealed record AgentContainerStateJson(JsonElement? Running);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = ApiJson.Depth)]
[JsonSerializable(typeof(AgentPodJson))]
internal sealed partial class AgentPodJsonContext : JsonSerializerContext;
