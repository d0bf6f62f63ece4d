using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The addresses on the wire of destinations that Istio's ServiceEntries and WorkloadEntries describe.</summary>
/// <remarks>
/// A mesh writes them for its VirtualDestinations, with labels that name the object they were made for: between clusters the address is the
/// gateway's balancer, and its port is not the destination's.
/// </remarks>
internal sealed class MeshAddresses
{
    private const string ParentName = "gloo.solo.io/parent_name";
    private const string ParentNamespace = "gloo.solo.io/parent_namespace";
    private const string ParentKind = "gloo.solo.io/parent_kind";

    private readonly ILookup<string, WorkloadEntry> _workloads;
    private readonly ILookup<string?, WorkloadEntry> _workloadsByParent;
    private readonly ILookup<string?, ServiceEntry> _entriesByParent;
    private readonly ILookup<string, ServiceEntry> _entriesByHost;
    private readonly CompilationBudget _budget;
    private readonly bool _isEmpty;

    public MeshAddresses(ResourceSet resources, CompilationBudget budget)
    {
        _budget = budget;
        List<WorkloadEntry> all = [.. resources.Valid<WorkloadEntry>()];
        List<ServiceEntry> entries = [.. resources.Valid<ServiceEntry>()];
        _isEmpty = all.Count == 0 && entries.Count == 0;
        _workloads = all.ToLookup(static entry => entry.Metadata.Namespace);
        _workloadsByParent = all.ToLookup(static entry => entry.Metadata.Labels.GetValueOrDefault(ParentName));
        _entriesByParent = entries.ToLookup(static entry => entry.Metadata.Labels.GetValueOrDefault(ParentName));
        _entriesByHost = entries.SelectMany(static entry => entry.Hosts.Select(host => (Host: host.Value, Entry: entry)))
            .ToLookup(static pair => pair.Host, static pair => pair.Entry, StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>Adds the addresses of a ServiceEntry.</summary>
    /// <param name="found">Where they go.</param>
    /// <param name="entry">The ServiceEntry.</param>
    /// <param name="ports">Which of its ports; null among them is any.</param>
    public void Add(FoundAddresses found, ServiceEntry entry, IReadOnlyCollection<DestinationPort?> ports)
    {
        var origin = $"ServiceEntry {entry.QualifiedName}";
        ushort[] numbers = [.. ports.Select(static port => (ushort)(port?.Number.Value ?? 0)).Distinct()];
        foreach (var address in entry.Addresses)
        {
            found.Add(found.PrefixesOf(address.Value), numbers, origin);
        }

        foreach (var endpoint in entry.Endpoints)
        {
            Add(found, endpoint, ports, origin);
        }

        foreach (var workload in SelectedBy(entry))
        {
            Add(found, workload.Workload, ports, $"WorkloadEntry {workload.QualifiedName}");
        }

        if (entry.DialsHosts && entry.Endpoints.IsEmpty && entry.WorkloadSelector.IsEmpty)
        {
            ushort[] targets = [.. ports.Select(static port => (ushort)(port?.Target?.Number ?? port?.Number.Value ?? 0)).Distinct()];
            foreach (var host in entry.Hosts)
            {
                found.Add(found.Resolve(host.Value), targets, $"host {Quoting.Shorten(host.Value)}");
            }
        }
    }

    /// <summary>Adds what the mesh made for a VirtualDestination.</summary>
    public void AddGenerated(FoundAddresses found, VirtualDestination destination, IReadOnlyCollection<DestinationPort> ports)
    {
        if (_isEmpty)
        {
            return;
        }

        var names = new Dictionary<long, string>();
        var entries = _entriesByParent[destination.Metadata.Name.Value].Where(entry => IsMadeFor(entry, destination))
            .Concat(destination.Hosts.SelectMany(host => _entriesByHost[host.Value]))
            .Distinct<ServiceEntry>(ReferenceEqualityComparer.Instance);
        foreach (var entry in entries)
        {
            DestinationPort?[] same = [.. entry.Ports.Where(port => ports.Any(wanted => wanted.Number.Value == port.Number.Value))];
            foreach (var port in same)
            {
                names.TryAdd(port!.Number.Value, port.Name?.Value ?? "");
            }

            Add(found, entry, same);
        }

        foreach (var workload in _workloadsByParent[destination.Metadata.Name.Value].Where(entry => IsMadeFor(entry, destination)))
        {
            var origin = $"WorkloadEntry {workload.QualifiedName}";
            foreach (var port in ports)
            {
                var number = port.Number.Value;
                Add(found, workload.Workload, PortOf(workload.Workload, names.GetValueOrDefault(number), number), origin);
            }
        }
    }

    /// <summary>Adds the WorkloadEntries that a Service selects. Like Istio, it takes the port that a WorkloadEntry has by the name of the
    /// target port, or of the Service's port; a target port by name that a WorkloadEntry does not have leaves it out.</summary>
    public void Add(FoundAddresses found, Service service, IReadOnlyCollection<DestinationPort?> ports)
    {
        if (service.Selector.IsEmpty)
        {
            return;
        }

        // Those that Gloo makes for its VirtualDestinations have the labels of what they stand for; its Istio does not select them.
        foreach (var workload in With(service.Selector, service.Metadata.Namespace).Where(static one => !one.Metadata.Labels.ContainsKey(ParentName)))
        {
            foreach (var port in ports)
            {
                if (PortBehind(workload.Workload, port) is { } number)
                {
                    Add(found, workload.Workload, number, $"WorkloadEntry {workload.QualifiedName}");
                }
            }
        }
    }

    /// <summary>Whether an object says that the mesh made it for this one.</summary>
    private static bool IsMadeFor(Resource made, Resource parent)
    {
        var labels = made.Metadata.Labels;
        return (!labels.TryGetValue(ParentKind, out var kind) || kind == parent.Kind)
            && (!labels.TryGetValue(ParentNamespace, out var ns) || ns == parent.Metadata.Namespace);
    }

    private IEnumerable<WorkloadEntry> SelectedBy(ServiceEntry entry) =>
        entry.WorkloadSelector.IsEmpty ? [] : With(entry.WorkloadSelector, entry.Metadata.Namespace);

    private IEnumerable<WorkloadEntry> With(ImmutableArray<KeyValuePair<string, string>> labels, string ns)
    {
        foreach (var workload in _workloads[ns])
        {
            _budget.AddComparison();
            if (_budget.IsExhausted)
            {
                yield break;
            }

            if (labels.All(label => workload.Workload.Labels.Contains(label)))
            {
                yield return workload;
            }
        }
    }

    private static void Add(FoundAddresses found, MeshWorkload workload, IReadOnlyCollection<DestinationPort?> ports, string origin)
    {
        foreach (var port in ports)
        {
            Add(found, workload, port is null ? (ushort)0 : (ushort)PortAt(workload, port), origin);
        }
    }

    private static void Add(FoundAddresses found, MeshWorkload workload, ushort port, string origin)
    {
        if (workload.Address is { } address)
        {
            found.Add(found.PrefixesOf(address.Value), [port], origin);
        }
    }

    /// <summary>The port of a workload behind a Service's port; null if it has none.</summary>
    private static ushort? PortBehind(MeshWorkload workload, DestinationPort? port) => port switch
    {
        null => (ushort)0,
        { Target.Name: { } name } => (ushort?)Find(workload, name),
        _ => (ushort)PortAt(workload, port),
    };

    private static long PortAt(MeshWorkload workload, DestinationPort port) =>
        Find(workload, port.Name?.Value) ?? port.Target?.Number ?? port.Number.Value;

    /// <summary>The port for a VirtualDestination's: by the name the ServiceEntry has for it, which ends in its number.</summary>
    private static ushort PortOf(MeshWorkload workload, string? name, long number) => (ushort)(Find(workload, name)
        ?? Find(workload, key => key.EndsWith(string.Create(CultureInfo.InvariantCulture, $"-{number}"), StringComparison.Ordinal))
        ?? (workload.Ports.Length == 1 ? workload.Ports[0].Value : number));

    private static long? Find(MeshWorkload workload, string? name) => name is null ? null : Find(workload, key => key == name);

    private static long? Find(MeshWorkload workload, Func<string, bool> isWanted)
    {
        foreach (var (key, number) in workload.Ports)
        {
            if (isWanted(key))
            {
                return number;
            }
        }

        return null;
    }
}
