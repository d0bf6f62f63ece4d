using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A pod of this node.</summary>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name.</param>
/// <param name="Ids">Its possible names in a cgroup: its uid, and for a static pod also the hash of its file.</param>
/// <param name="Addresses">Its addresses; empty if it uses the node's network.</param>
/// <param name="IsHostNetwork">Whether it uses the node's network.</param>
/// <param name="IsLeftAlone">Whether the agent must not change its sockets.</param>
internal sealed record Pod(
    string Namespace, string Name, ImmutableArray<string> Ids, ImmutableArray<UInt128> Addresses, bool IsHostNetwork, bool IsLeftAlone)
{
    public const string Kind = "Pod";

    /// <summary>The annotation or label of a pod or a namespace whose value <c>"false"</c> excludes its sockets: the agent does not change
    /// them.</summary>
    public const string Enforce = AgentAnnotations.Prefix + "enforce";

    /// <summary>Its labels.</summary>
    public ImmutableDictionary<string, string> Labels { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>The values that it has chosen for its own connections; null for none, or if no pod may.</summary>
    public KeepaliveSettings? Own { get; init; }

    /// <summary>The names of its containers by their ids.</summary>
    public ImmutableDictionary<string, string> Containers { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Whether an object has <see cref="Enforce"/> with the value <c>"false"</c>. It may be an annotation, or a label for use in
    /// selectors.</summary>
    public static bool LeavesAlone(ApiMetadata of) => IsFalse(of.Annotations) || IsFalse(of.Labels);

    private static bool IsFalse(Dictionary<string, string>? among) =>
        among is not null && among.TryGetValue(Enforce, out var value) && value.Equals("false", StringComparison.OrdinalIgnoreCase);
}

/// <summary>The place of a socket in the cluster.</summary>
/// <param name="Namespace">The pod's namespace.</param>
/// <param name="Pod">The pod's name.</param>
/// <param name="Container">The container's name; null if only the pod is known.</param>
internal readonly record struct Workload(string Namespace, string Pod, string? Container)
{
    /// <summary>Returns <c> of pod shop/cart-7d9f/app</c>; empty for null.</summary>
    public static string OfPod(Workload? workload) => workload is null ? "" : $" of pod {workload}";

    /// <summary><c>shop/cart-7d9f/app</c>.</summary>
    public override string ToString() => Container is null ? $"{Namespace}/{Pod}" : $"{Namespace}/{Pod}/{Container}";
}

/// <summary>The pod of a process, by its cgroup.</summary>
/// <param name="Pod">The pod's uid, or the hash of a static pod's file.</param>
/// <param name="Container">The container's id; null for a process that is in the pod and in none of its containers.</param>
internal readonly partial record struct PodCgroup(string Pod, string? Container)
{
    /// <summary>Finds the pod in /proc/PID/cgroup.</summary>
    /// <remarks>
    /// The kubelet names the pod's cgroup. The container runtime names the cgroups in it (kubernetes pkg/kubelet/cm; systemd writes the
    /// uid's dashes as underscores):
    /// <code>
    ///   systemd   …/kubepods-burstable-pod0b1c…_….slice/cri-containerd-5e2f….scope     also crio-…, docker-…, libpod-…
    ///   cgroupfs  /kubepods/burstable/pod0b1c…-…/5e2f…                                 also …/crio-5e2f…
    /// </code>
    /// A runtime that runs in a container (kind) has a longer prefix.
    /// </remarks>
    public static PodCgroup? Parse(string cgroup)
    {
        var pod = PodPart().Match(cgroup);
        // A user may create cgroups of any name below the own slice.
        while (pod.Success && cgroup.AsSpan(0, pod.Index) is var before && before[(before.LastIndexOf('\n') + 1)..].Contains("/user.slice/", StringComparison.Ordinal))
        {
            pod = pod.NextMatch();
        }
        if (!pod.Success)
        {
            return null;
        }
        var uid = pod.Groups[1].Value.Replace('_', '-').ToLower(CultureInfo.InvariantCulture);
        var rest = cgroup.AsSpan(pod.Index + pod.Length);
        var line = rest[..(rest.IndexOf('\n') is var end and >= 0 ? end : rest.Length)];
        return new PodCgroup(uid, ContainerPart().Match(line.ToString()) is { Success: true } container ? container.Groups[1].Value : null);
    }

    [GeneratedRegex(@"[/-]pod([0-9a-fA-F]{8}([-_])[0-9a-fA-F]{4}\2[0-9a-fA-F]{4}\2[0-9a-fA-F]{4}\2[0-9a-fA-F]{12}|[0-9a-fA-F]{32})(?:\.slice)?(?=[/:]|\s|$)")]
    private static partial Regex PodPart();

    /// <summary>The first part below the pod's; a container may have cgroups of its own below that.</summary>
    [GeneratedRegex(@"^[/:](?:[a-z-]+[-:])?([0-9a-f]{64})(?:\.scope)?(?=/|\s|$)")]
    private static partial Regex ContainerPart();
}
