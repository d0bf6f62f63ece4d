using System.Buffers;
using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The pods of this node.</summary>
/// <param name="own">Reads the values that pods choose for themselves.</param>
internal sealed class PodStore(OwnValuesReader own) : ObjectStore<Pod>
{
    private const string ConfigHash = "kubernetes.io/config.hash";

    private Dictionary<string, Pod>? _byId;
    private Dictionary<UInt128, Pod>? _byAddress;

    /// <summary>Returns the pod with this name in a cgroup.</summary>
    public Pod? ById(string id)
    {
        lock (Gate)
        {
            return (_byId ??= Index(static pod => pod.Ids)).GetValueOrDefault(id);
        }
    }

    /// <summary>Returns the pod with this address. Pods with the node's network have no address of their own.</summary>
    public Pod? ByAddress(UInt128 address)
    {
        lock (Gate)
        {
            return (_byAddress ??= Index(static pod => pod.Addresses)).GetValueOrDefault(address);
        }
    }

    /// <summary>Writes the parts of a pod that <see cref="Read"/> reads.</summary>
    public static void Write(Utf8JsonWriter json, Pod pod)
    {
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteString("namespace", pod.Namespace);
        json.WriteString("name", pod.Name);
        if (pod.Ids is [var uid, ..])
        {
            json.WriteString("uid", uid);
        }
        json.WriteStartObject("annotations");
        if (pod.Ids is [_, var hash, ..])
        {
            json.WriteString(ConfigHash, hash);
        }
        if (pod.IsLeftAlone)
        {
            json.WriteString(Pod.Enforce, "false");
        }
        if (pod.Own is { } values)
        {
            json.WriteString(AgentAnnotations.Keepalive, KeepaliveText.Format(values));
        }
        json.WriteEndObject();
        json.WriteStartObject("labels");
        foreach (var (key, value) in pod.Labels)
        {
            json.WriteString(key, value);
        }
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("spec");
        json.WriteBoolean("hostNetwork", pod.IsHostNetwork);
        json.WriteEndObject();
        json.WriteStartObject("status");
        json.WriteStartArray("podIPs");
        foreach (var address in pod.Addresses)
        {
            json.WriteStartObject();
            json.WriteString("ip", new Endpoint(address, 0).ToIPEndPoint().Address.ToString());
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("containerStatuses");
        foreach (var (id, name) in pod.Containers)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("containerID", id);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    protected override Pod Read(Pod? before, ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        var text = new Utf8JsonReader(json, ApiJson.Reading);
        var pod = JsonSerializer.Deserialize(ref text, PodJsonContext.Default.PodJson)!;
        var isHostNetwork = pod.Spec?.HostNetwork == true;
        var statuses = (pod.Status?.ContainerStatuses ?? []).Concat(pod.Status?.InitContainerStatuses ?? []).Concat(pod.Status?.EphemeralContainerStatuses ?? []);
        var isOver = pod.Status?.Phase is "Succeeded" or "Failed";
        return new Pod(
            TerminalText.Mask(head.Namespace ?? ""),
            TerminalText.Mask(head.Name!),
            [.. new[] { head.Uid, head.Annotations?.GetValueOrDefault(ConfigHash) }.OfType<string>().Select(id => id.ToLowerInvariant())],
            // The address of a finished pod may belong to another pod by now.
            isHostNetwork || isOver ? [] : [.. (pod.Status?.PodIPs ?? []).Select(one => one.Ip).Append(pod.Status?.PodIP).Select(Address).OfType<UInt128>().Distinct()],
            isHostNetwork,
            Pod.LeavesAlone(head))
        {
            Labels = head.Labels?.ToImmutableDictionary() ?? ImmutableDictionary<string, string>.Empty,
            Own = own.Read(Pod.Kind, apiVersion, head),
            Containers = statuses.Where(one => one is { Name: not null, ContainerID: not null })
                .DistinctBy(one => one.ContainerID).ToImmutableDictionary(one => one.ContainerID![(one.ContainerID!.LastIndexOf('/') + 1)..], one => TerminalText.Mask(one.Name!)),
        };
    }

    protected override void Replaced(Pod? before, Pod? now)
    {
        lock (Gate)
        {
            (_byId, _byAddress) = (null, null);
        }
    }

    private Dictionary<TKey, Pod> Index<TKey>(Func<Pod, ImmutableArray<TKey>> keys)
        where TKey : notnull
    {
        var pods = new List<Pod>();
        CopyTo(pods, static pod => pod);
        var index = new Dictionary<TKey, Pod>();
        foreach (var pod in pods)
        {
            foreach (var key in keys(pod))
            {
                index[key] = pod;
            }
        }
        return index;
    }

    private static UInt128? Address(string? text) => IPAddress.TryParse(text, out var address) ? Endpoint.From(address, 0).Address : null;
}

/// <summary>The namespaces of the cluster, and whether the agent must not change the sockets of their pods.</summary>
/// <param name="own">Reads the values that namespaces choose for their pods.</param>
internal sealed class NamespaceStore(OwnValuesReader own) : ObjectStore<NamespaceStore.Entry>
{
    /// <summary>The values that it has chosen for the connections of its pods; null for none.</summary>
    public KeepaliveSettings? Own(string name) => Find("", name)?.Own;

    public bool IsLeftAlone(string name) => Find("", name) is { IsLeftAlone: true };

    /// <summary>Writes the parts of a namespace that <see cref="Read"/> reads.</summary>
    public static void Write(Utf8JsonWriter json, string name, Entry entry)
    {
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteString("name", name);
        json.WriteStartObject("annotations");
        if (entry.IsLeftAlone)
        {
            json.WriteString(Pod.Enforce, "false");
        }
        if (entry.Own is { } values)
        {
            json.WriteString(AgentAnnotations.Keepalive, KeepaliveText.Format(values));
        }
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    protected override Entry Read(Entry? before, ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        var now = new Entry(Pod.LeavesAlone(head), own.Read("Namespace", apiVersion, head));
        return before == now ? before : now;
    }

    internal sealed record Entry(bool IsLeftAlone, KeepaliveSettings? Own);
}

internal sealed record PodJson(PodSpecJson? Spec, PodStatusJson? Status);

internal sealed record PodSpecJson(bool? HostNetwork);

internal sealed record PodStatusJson(
    string? Phase,
    string? PodIP,
    List<PodAddressJson>? PodIPs,
    List<ContainerStatusJson>? ContainerStatuses,
    List<ContainerStatusJson>? InitContainerStatuses,
    List<ContainerStatusJson>? EphemeralContainerStatuses);

internal sealed record PodAddressJson(string? Ip);

internal sealed record ContainerStatusJson(string? Name, string? ContainerID);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = ApiJson.Depth)]
[JsonSerializable(typeof(PodJson))]
internal sealed partial class PodJsonContext : JsonSerializerContext;
