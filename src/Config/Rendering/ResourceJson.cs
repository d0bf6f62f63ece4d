using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Rendering;

/// <summary>Writes the objects of a cluster as JSON that <see cref="Reading.PolicyReader.ReadObject"/> reads again. It writes only the content that
/// a compilation uses: annotations of others, limits of connections and status are omitted.</summary>
public static class ResourceJson
{
    private const string ClusterAnnotation = "cluster.solo.io/cluster";

    /// <summary>Writes an object. Returns false if its kind is not one that a cluster has.</summary>
    public static bool TryWrite(Utf8JsonWriter json, Resource resource, string apiVersion, string? uid)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(resource);
        Action<Utf8JsonWriter>? body = resource switch
        {
            ConnectionPolicy policy => to => Spec(to, () => WritePolicy(to, policy)),
            ListenerConnectionPolicy policy => to => Spec(to, () => WritePolicy(to, policy)),
            DestinationRule rule => to => Spec(to, () => WriteRule(to, rule)),
            VirtualDestination destination => to => Spec(to, () => WriteDestination(to, destination)),
            ExternalService service => to => Spec(to, () => WriteService(to, service)),
            ExternalEndpoint endpoint => to => Spec(to, () => WriteEndpoint(to, endpoint)),
            VirtualGateway gateway => to => Spec(to, () => WriteGateway(to, gateway)),
            ServiceEntry entry => to => Spec(to, () => WriteEntry(to, entry)),
            WorkloadEntry entry => to => Spec(to, () => WriteEntry(to, entry)),
            Service service => to => WriteService(to, service),
            EndpointSlice slice => to => WriteSlice(to, slice),
            MeshConfig mesh => to => WriteMesh(to, mesh),
            _ => null,
        };
        if (body is null)
        {
            return false;
        }
        json.WriteStartObject();
        json.WriteString("apiVersion", apiVersion);
        json.WriteString("kind", resource is MeshConfig ? "ConfigMap" : resource.Kind);
        WriteMetadata(json, resource is EndpointSlice { Service: { } owner } ? resource.Metadata with
        {
            Labels = resource.Metadata.Labels.SetItem(EndpointSlice.ServiceLabel, owner),
        } : resource.Metadata, uid);
        body(json);
        json.WriteEndObject();
        return true;
    }

    private static void Spec(Utf8JsonWriter json, Action body)
    {
        json.WriteStartObject("spec");
        body();
        json.WriteEndObject();
    }

    private static void WriteMetadata(Utf8JsonWriter json, ObjectMetadata metadata, string? uid)
    {
        json.WriteStartObject("metadata");
        json.WriteString("name", metadata.Name.Value);
        json.WriteString("namespace", metadata.Namespace);
        if (uid is not null)
        {
            json.WriteString("uid", uid);
        }
        if (metadata.CreationTimestamp is { } created)
        {
            json.WriteString("creationTimestamp", created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture));
        }
        WriteMap(json, "labels", metadata.Labels);
        WriteMap(
            json, "annotations",
            metadata.Annotations.Where(static one => one.Key.StartsWith(AgentAnnotations.Prefix, StringComparison.Ordinal) || one.Key == ClusterAnnotation)
                .Select(static one => KeyValuePair.Create(one.Key, one.Value.Value)));
        json.WriteEndObject();
    }

    private static void WritePolicy(Utf8JsonWriter json, ConnectionPolicy policy)
    {
        WriteList(json, "applyToDestinations", policy.ApplyToDestinations, reference =>
        {
            json.WriteString("kind", reference.Kind switch
            {
                DestinationKind.VirtualDestination => "VIRTUAL_DESTINATION",
                DestinationKind.ExternalService => "EXTERNAL_SERVICE",
                _ => "SERVICE",
            });
            WriteSelector(json, "selector", reference.Selector);
            WritePort(json, "port", reference.Port);
        });
        json.WriteStartObject("config");
        WriteTcp(json, policy.Tcp);
        json.WriteEndObject();
    }

    private static void WritePolicy(Utf8JsonWriter json, ListenerConnectionPolicy policy)
    {
        WriteList(json, "applyToListeners", policy.ApplyToListeners, reference =>
        {
            WriteSelector(json, "virtualGateway", reference.Selector);
            WritePort(json, "port", reference.Port);
        });
        json.WriteStartObject("config");
        WriteKeepalive(json, policy.TcpKeepalive);
        json.WriteEndObject();
    }

    private static void WriteRule(Utf8JsonWriter json, DestinationRule rule)
    {
        json.WriteString("host", rule.Host.Value);
        if (!rule.ExportTo.IsEmpty)
        {
            json.WriteStartArray("exportTo");
            foreach (var name in rule.ExportTo)
            {
                json.WriteStringValue(name);
            }
            json.WriteEndArray();
        }
        if (rule.HasWorkloadSelector)
        {
            json.WriteStartObject("workloadSelector");
            json.WriteEndObject();
        }
        if (!rule.HasTrafficPolicy)
        {
            return;
        }
        json.WriteStartObject("trafficPolicy");
        WritePool(json, rule.Tcp);
        WriteList(json, "portLevelSettings", rule.PortLevelSettings, settings =>
        {
            json.WriteStartObject("port");
            json.WriteNumber("number", settings.Port);
            json.WriteEndObject();
            WritePool(json, settings.Tcp);
        });
        json.WriteEndObject();
    }

    private static void WritePool(Utf8JsonWriter json, TcpConfig? tcp)
    {
        if (tcp is not null)
        {
            json.WriteStartObject("connectionPool");
            WriteTcp(json, tcp);
            json.WriteEndObject();
        }
    }

    private static void WriteTcp(Utf8JsonWriter json, TcpConfig? tcp)
    {
        if (tcp is not null)
        {
            json.WriteStartObject("tcp");
            WriteKeepalive(json, tcp.TcpKeepalive);
            json.WriteEndObject();
        }
    }

    private static void WriteKeepalive(Utf8JsonWriter json, TcpKeepalive? keepalive)
    {
        if (keepalive is null)
        {
            return;
        }
        json.WriteStartObject("tcpKeepalive");
        if (keepalive.Probes is { } probes)
        {
            json.WriteNumber("probes", probes.Value);
        }
        if (keepalive.Time is { } time)
        {
            json.WriteString("time", time.Value);
        }
        if (keepalive.Interval is { } interval)
        {
            json.WriteString("interval", interval.Value);
        }
        json.WriteEndObject();
    }

    private static void WriteDestination(Utf8JsonWriter json, VirtualDestination destination)
    {
        WriteTexts(json, "hosts", destination.Hosts);
        WriteList(json, "services", destination.Services, selector => WriteFields(json, selector));
        WriteList(json, "externalServices", destination.ExternalServices, selector => WriteFields(json, selector));
        WriteList(json, "externalWorkloads", destination.ExternalWorkloads, selector => WriteFields(json, selector));
        WritePorts(json, "number", destination.Ports);
    }

    private static void WriteService(Utf8JsonWriter json, ExternalService service)
    {
        WriteTexts(json, "hosts", service.Hosts);
        WriteTexts(json, "addresses", service.Addresses);
        WriteMap(json, "selector", service.Selector);
        WritePorts(json, "number", service.Ports);
    }

    private static void WriteEndpoint(Utf8JsonWriter json, ExternalEndpoint endpoint)
    {
        json.WriteString("address", endpoint.Address?.Value);
        WriteList(json, "ports", endpoint.Ports, port => WriteNamed(json, port, "number"));
    }

    private static void WriteGateway(Utf8JsonWriter json, VirtualGateway gateway)
    {
        WriteList(json, "workloads", gateway.Workloads, selector => WriteSelector(json, "selector", selector));
        WriteList(json, "listeners", gateway.Ports, port =>
        {
            json.WriteStartObject("port");
            json.WriteNumber("number", port.Number.Value);
            WriteText(json, "name", port.Name?.Value);
            json.WriteEndObject();
        });
    }

    private static void WriteEntry(Utf8JsonWriter json, ServiceEntry entry)
    {
        WriteTexts(json, "hosts", entry.Hosts);
        WriteTexts(json, "addresses", entry.Addresses);
        WriteList(json, "ports", entry.Ports, port =>
        {
            WritePort(json, "number", port);
            if (port.Target?.Number is { } target)
            {
                json.WriteNumber("targetPort", target);
            }
        });
        WriteList(json, "endpoints", entry.Endpoints, workload => WriteFields(json, workload));
        if (!entry.WorkloadSelector.IsEmpty)
        {
            json.WriteStartObject("workloadSelector");
            WriteMap(json, "labels", entry.WorkloadSelector);
            json.WriteEndObject();
        }
        json.WriteString("resolution", entry.DialsHosts ? "DNS" : "STATIC");
    }

    private static void WriteEntry(Utf8JsonWriter json, WorkloadEntry entry)
    {
        WriteFields(json, entry.Workload);
        if (entry.HasNetwork)
        {
            json.WriteString("network", "named");
        }
    }

    private static void WriteService(Utf8JsonWriter json, Service service)
    {
        Spec(json, () =>
        {
            // Where an address comes from makes no difference. So it does with a name.
            WriteTexts(json, "externalIPs", service.Addresses);
            WriteMap(json, "selector", service.Selector);
            json.WriteStartArray("ports");
            foreach (var port in service.Ports)
            {
                json.WriteStartObject();
                WritePort(json, "port", port);
                if (port.Target is { } target)
                {
                    if (target.Number is { } number)
                    {
                        json.WriteNumber("targetPort", number);
                    }
                    else
                    {
                        json.WriteString("targetPort", target.Name);
                    }
                }
                json.WriteEndObject();
            }
            if (service.HasOtherProtocols)
            {
                json.WriteStartObject();
                json.WriteNumber("port", 1);
                json.WriteString("protocol", "UDP");
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
        if (!service.Hosts.IsEmpty)
        {
            json.WriteStartObject("status");
            json.WriteStartObject("loadBalancer");
            WriteList(json, "ingress", service.Hosts, host => json.WriteString("hostname", host.Value));
            json.WriteEndObject();
            json.WriteEndObject();
        }
    }

    private static void WriteSlice(Utf8JsonWriter json, EndpointSlice slice)
    {
        json.WriteStartArray("endpoints");
        if (!slice.Addresses.IsEmpty || slice.Packed.Count > 0)
        {
            json.WriteStartObject();
            json.WriteStartArray("addresses");
            foreach (var address in slice.Packed)
            {
                json.WriteStringValue(address.ToString());
            }
            foreach (var address in slice.Addresses)
            {
                json.WriteStringValue(address.Value);
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        WriteList(json, "ports", slice.Ports, port => WriteNamed(json, port, "port"));
    }

    private static void WriteMesh(Utf8JsonWriter json, MeshConfig mesh)
    {
        using var text = new MemoryStream();
        using (var inner = new Utf8JsonWriter(text))
        {
            inner.WriteStartObject();
            WriteKeepalive(inner, mesh.TcpKeepalive);
            inner.WriteEndObject();
        }
        json.WriteStartObject("data");
        json.WriteString("mesh", text.GetBuffer().AsSpan(0, (int)text.Length));
        json.WriteEndObject();
    }

    private static void WriteFields(Utf8JsonWriter json, MeshWorkload workload)
    {
        WriteText(json, "address", workload.Address?.Value);
        if (!workload.Ports.IsEmpty)
        {
            json.WriteStartObject("ports");
            foreach (var (name, number) in workload.Ports)
            {
                json.WriteNumber(name, number);
            }
            json.WriteEndObject();
        }
        WriteMap(json, "labels", workload.Labels);
    }

    private static void WriteSelector(Utf8JsonWriter json, string name, ObjectSelector selector)
    {
        json.WriteStartObject(name);
        WriteFields(json, selector);
        json.WriteEndObject();
    }

    private static void WriteFields(Utf8JsonWriter json, ObjectSelector selector)
    {
        WriteMap(json, "labels", selector.Labels);
        WriteText(json, "name", selector.Name?.Value);
        WriteText(json, "namespace", selector.Namespace?.Value);
        WriteText(json, "cluster", selector.Cluster?.Value);
        WriteText(json, "workspace", selector.Workspace?.Value);
    }

    private static void WritePorts(Utf8JsonWriter json, string number, ImmutableArray<DestinationPort> ports) => WriteList(json, "ports", ports, port =>
    {
        WritePort(json, number, port);
        WritePort(json, "targetPort", port.Target);
    });

    private static void WritePort(Utf8JsonWriter json, string number, DestinationPort port)
    {
        json.WriteNumber(number, port.Number.Value);
        WriteText(json, "name", port.Name?.Value);
        WriteText(json, "protocol", port.Protocol?.Value);
    }

    private static void WritePort(Utf8JsonWriter json, string name, PortSelector? port)
    {
        if (port is null)
        {
            return;
        }
        json.WriteStartObject(name);
        if (port.Number is { } number)
        {
            json.WriteNumber("number", number);
        }
        WriteText(json, "name", port.Name);
        json.WriteEndObject();
    }

    private static void WriteNamed(Utf8JsonWriter json, NamedPort port, string number)
    {
        WriteText(json, "name", port.Name.Length > 0 ? port.Name : null);
        if (port.Number is { } value)
        {
            json.WriteNumber(number, value);
        }
    }

    private static void WriteText(Utf8JsonWriter json, string name, string? value)
    {
        if (value is not null)
        {
            json.WriteString(name, value);
        }
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, ImmutableArray<Positioned<string>> texts)
    {
        if (texts.IsEmpty)
        {
            return;
        }
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(text.Value);
        }
        json.WriteEndArray();
    }

    private static void WriteMap(Utf8JsonWriter json, string name, IEnumerable<KeyValuePair<string, string>> map)
    {
        var any = false;
        foreach (var (key, value) in map)
        {
            if (!any)
            {
                json.WriteStartObject(name);
            }
            any = true;
            json.WriteString(key, value);
        }
        if (any)
        {
            json.WriteEndObject();
        }
    }

    private static void WriteList<T>(Utf8JsonWriter json, string name, ImmutableArray<T> list, Action<T> write)
    {
        if (list.IsEmpty)
        {
            return;
        }
        json.WriteStartArray(name);
        foreach (var one in list)
        {
            json.WriteStartObject();
            write(one);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
