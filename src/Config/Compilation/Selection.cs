using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The ports of one destination that one policy selects, and what it sets on them.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="Ports">Its ports; null among them is any.</param>
/// <param name="Settings">The values to set; null if the policy sets nothing.</param>
internal sealed record Selection(
    RankedPolicy Policy, Destination Destination, ImmutableArray<DestinationPort?> Ports, KeepaliveSettings? Settings)
{
    /// <summary>The host names of the destination that a DestinationRule is for; empty for other policies.</summary>
    public ImmutableArray<string> Hosts { get; init; } = [];

    /// <inheritdoc cref="CompiledRule.Inherited"/>
    public string Inherited { get; } = Settings is null ? "" : Policy.InheritedAt(Ports.IsEmpty ? null : Ports[0]?.Number.Value);
}

/// <summary>Finds out what policies select, and says so when it is nothing.</summary>
internal sealed class Selector
{
    private static readonly ImmutableArray<DestinationPort?> s_anyPort = [null];

    /// <summary>The kinds of objects that a proxy's policy is followed to.</summary>
    private static readonly ImmutableArray<string> s_targetKinds = [Gateway.KindName, Service.KindName, .. GatewayRoute.Kinds];

    private readonly CompilationBudget _budget;
    private readonly DiagnosticBag _diagnostics;
    private readonly Dictionary<DestinationKind, ObjectIndex<Destination>> _kinds = [];
    private readonly List<Destination> _selectable;
    private readonly Lazy<Dictionary<Destination, int>> _order;
    private readonly Dictionary<string, HostDestination> _made = new(StringComparer.Ordinal);
    private readonly HostSelector _hosts;
    private readonly ProxySelector _proxies;

    public Selector(ResourceSet resources, CompilationBudget budget, DiagnosticBag diagnostics)
    {
        _budget = budget;
        _diagnostics = diagnostics;
        List<Destination> all = [.. resources.All.OfType<Destination>()];
        _order = new(() =>
        {
            var order = new Dictionary<Destination, int>(all.Count, ReferenceEqualityComparer.Instance);
            foreach (var destination in all)
            {
                order.Add(destination, order.Count);
            }

            return order;
        });
        foreach (var kind in Enum.GetValues<DestinationKind>())
        {
            _kinds.Add(kind, new ObjectIndex<Destination>(all.Where(destination => destination.DestinationKind == kind), budget));
        }

        _selectable =
        [
            .. all.Where(static destination => destination.DestinationKind
                is DestinationKind.Service or DestinationKind.VirtualDestination or DestinationKind.ExternalService),
        ];
        _hosts = new HostSelector(all, budget);
        _proxies = new ProxySelector(resources);
    }

    /// <summary>The valid destinations that a mesh knows by host name.</summary>
    public IEnumerable<Destination> InMesh => _hosts.All.Where(static destination => destination.IsValid);

    /// <summary>The valid destinations that one policy selects, in document order.</summary>
    public IReadOnlyList<Selection> Select(RankedPolicy policy) => policy.Policy switch
    {
        ConnectionPolicy { ApplyToDestinations: var references } => Select(policy, references, "spec.applyToDestinations", _selectable,
            "selects every destination, but there is none", "add a Service, a VirtualDestination or an ExternalService to the input"),
        ListenerConnectionPolicy { ApplyToListeners: var references } => Select(policy, references, "spec.applyToListeners",
            _kinds[DestinationKind.VirtualGateway].All, "selects every listener, but there is no VirtualGateway", "add it to the input"),
        DestinationRule rule => Select(policy, rule),
        ProxyPolicy proxy => Select(policy, proxy),
        _ => [],
    };

    private List<Selection> Select(RankedPolicy policy, ImmutableArray<DestinationReference> references, string field,
        IReadOnlyList<Destination> every, string nothing, string fix)
    {
        if (references.IsEmpty)
        {
            if (every.Count == 0)
            {
                Report(DiagnosticCatalog.SelectsNothing, policy, policy.Policy.Position, nothing, fix);
            }

            return
            [
                .. every.Where(static destination => destination.IsValid)
                    .Select(destination => new Selection(policy, destination, PortsOf(destination), policy.Settings)),
            ];
        }

        if (references is [var only])
        {
            // By far the most policies: nothing is to be merged, and the order is right already.
            var selections = new List<Selection>();
            Select(policy, only, $"{field}[0]", (destination, selected) =>
            {
                if (destination.IsValid)
                {
                    selections.Add(new Selection(policy, destination, destination.IsAnyPort ? s_anyPort : selected.CastArray<DestinationPort?>(), policy.Settings));
                }
            });
            return selections;
        }

        var ports = new Dictionary<Destination, ImmutableArray<DestinationPort>>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < references.Length && !_budget.IsExhausted; i++)
        {
            Select(policy, references[i], $"{field}[{i}]", (destination, selected) => ports[destination] =
                ports.TryGetValue(destination, out var before) && before.Length < destination.Ports.Length
                    ? [.. destination.Ports.Where(port => IsIn(before, port) || IsIn(selected, port))]
                    : before.IsDefault ? selected : before);
        }

        return
        [
            .. ports.Where(static pair => pair.Key.IsValid).OrderBy(pair => _order.Value[pair.Key]).Select(pair => new Selection(
                policy, pair.Key, pair.Key.IsAnyPort ? s_anyPort : pair.Value.CastArray<DestinationPort?>(), policy.Settings)),
        ];
    }

    private void Select(
        RankedPolicy policy, DestinationReference reference, string field, Action<Destination, ImmutableArray<DestinationPort>> add)
    {
        var matched = 0;
        var withPort = 0;
        foreach (var destination in _kinds[reference.Kind].Select(reference.Selector))
        {
            matched++;
            var selected = reference.Port is null
                ? destination.Ports
                : destination.Ports.Where(port => reference.Port.Matches(port.Number.Value, port.Name?.Value)).ToImmutableArray();
            if (reference.Port is not null && selected.IsEmpty)
            {
                // One with errors may well have the port: they are what needs mending first.
                withPort += destination.IsValid ? 0 : 1;
                continue;
            }

            withPort++;
            add(destination, selected);
        }

        if (_budget.IsExhausted)
        {
            return;
        }

        if (matched == 0)
        {
            ReportNothing(policy, reference, field);
        }
        else if (withPort == 0)
        {
            Report(DiagnosticCatalog.NoSuchPort, policy, reference.Port!.Position,
                matched == 1 ? $"{field}.port selects {reference.Port}, which the destination it matches does not have"
                    : $"{field}.port selects {reference.Port}, which none of the {matched} destinations it matches has",
                "name one of the destination's ports by its number or name, or leave the port out");
        }
    }

    /// <summary>By reference: comparing records by value would walk all of them.</summary>
    private static bool IsIn(ImmutableArray<DestinationPort> ports, DestinationPort port)
    {
        foreach (var one in ports)
        {
            if (ReferenceEquals(one, port))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A DestinationRule selects by host name, and sets what it says for each port.</summary>
    private List<Selection> Select(RankedPolicy policy, DestinationRule rule)
    {
        var found = _hosts.Find(rule).ToList();
        if (found.Count > 0)
        {
            if (!policy.IsSilent)
            {
                ReportPorts(policy, rule, found);
            }

            return [.. found.Where(static destination => destination.IsValid).SelectMany(destination => Select(policy, rule, destination))];
        }

        if (policy.IsSilent)
        {
            return [];
        }

        if (rule.IsWildcard)
        {
            Report(DiagnosticCatalog.SelectsNothing, policy, rule.Host.Position,
                $"spec.host covers no host of an object in the input: {Quoting.Quote(rule.Host.Value)}",
                "add the Service, ServiceEntry, VirtualDestination or ExternalService to the input");
            return [];
        }

        return [.. Select(policy, rule, Made(rule))];
    }

    /// <summary>The destination of a host that no object is about. Rules for the same host share it, unless they name addresses.</summary>
    private HostDestination Made(DestinationRule rule)
    {
        if (rule.Metadata.Annotations.ContainsKey(AgentAnnotations.Addresses))
        {
            return HostDestination.Of(rule);
        }

        var host = HostName.Canonical(rule.FullHost);
        if (!_made.TryGetValue(host, out var made))
        {
            _made.Add(host, made = HostDestination.Of(rule));
        }

        return made;
    }

    /// <summary>One selection for each set of values; that without values is what the rule owns and sets nothing on.</summary>
    private static IEnumerable<Selection> Select(RankedPolicy policy, DestinationRule rule, Destination destination)
    {
        var ports = PortsOf(destination);
        if (destination.IsAnyPort)
        {
            // Ports that no object names are those of the rule.
            ports = [.. rule.PortLevelSettings.DistinctBy(static settings => settings.Port).Select(static settings => settings.Port)
                .Select(number => new DestinationPort(new(number, rule.Position), null, null, null, rule.Position)), .. ports];
        }

        ImmutableArray<string> hosts = [.. destination.DialledHosts.Where(host => rule.Covers(HostName.Canonical(host)))];
        return ports.GroupBy(port => policy.SettingsOf(port?.Number.Value))
            .Select(group => new Selection(policy, destination, [.. group], group.Key) { Hosts = hosts });
    }

    /// <summary>Reports settings of ports that nothing has, and settings that no port is left for.</summary>
    private void ReportPorts(RankedPolicy policy, DestinationRule rule, List<Destination> found)
    {
        if (found.Exists(static destination => destination.IsAnyPort || !destination.IsValid))
        {
            return;
        }

        var what = found.Count == 1 ? $"{found[0].Kind} {found[0].QualifiedName}" : $"the {found.Count} destinations of its host";
        foreach (var settings in rule.PortLevelSettings.Where(settings => !found.Exists(one => HasPort(one, settings.Port))))
        {
            var meant = found.SelectMany(static one => one.Ports).FirstOrDefault(port => port.Target?.Number == settings.Port);
            var known = string.Join(", ", found.SelectMany(static one => one.Ports).Select(static port => port.Number.Value).Distinct().Take(10));
            Report(DiagnosticCatalog.NoSuchPort, policy, settings.Position,
                $"portLevelSettings are for port {settings.Port}, which {what} {(found.Count == 1 ? "does" : "do")} not have"
                    + (meant is null ? "" : $": it is the targetPort of port {meant.Number.Value}"),
                meant is null ? $"write the number of a port of the service: {known}" : $"write {meant.Number.Value}");
        }

        var owned = rule.PortLevelSettings.Where(settings => found.Exists(one => HasPort(one, settings.Port))).ToList();
        if (rule.Tcp?.TcpKeepalive is not { } keepalive || owned.Count == 0)
        {
            return;
        }

        if (found.TrueForAll(one => one.Ports.All(port => owned.Exists(settings => settings.Port == port.Number.Value))))
        {
            Report(DiagnosticCatalog.NoPortLeft, policy, keepalive.Position,
                $"trafficPolicy.connectionPool.tcp.tcpKeepalive is for no port: portLevelSettings own every port of {what} and inherit nothing from it",
                "write tcpKeepalive in portLevelSettings");
        }

        foreach (var settings in owned.Where(static settings => settings.Tcp?.TcpKeepalive is null))
        {
            Report(DiagnosticCatalog.NotInherited, policy, settings.Position,
                $"portLevelSettings for port {settings.Port} have no tcpKeepalive and do not inherit the rule's: "
                    + (policy.Mesh is { } mesh ? $"that port has the values of {mesh.Name}" : "that port is not set"),
                "write tcpKeepalive there, too, if it is meant for this port");
        }
    }

    private static bool HasPort(Destination destination, long port)
    {
        foreach (var one in destination.Ports)
        {
            if (one.Number.Value == port)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A proxy's policy selects what it is attached to, if that is known here.</summary>
    private IReadOnlyList<Selection> Select(RankedPolicy policy, ProxyPolicy proxy)
    {
        var selections = _proxies.Select(policy, proxy);
        var isSaid = false;
        foreach (var (message, fix) in _proxies.MissingSections(proxy))
        {
            isSaid = true;
            Report(DiagnosticCatalog.SelectsNothing, policy, proxy.Position, message, fix);
        }

        var unread = proxy.Targets.Where(static target => !s_targetKinds.Contains(target.Kind)).ToList();
        if (selections.Count == 0 && !isSaid && unread.Count > 0 && unread.Count == proxy.Targets.Length)
        {
            var kinds = string.Join(" and ", unread.Select(static target => Quoting.Shorten(target.Kind)).Distinct().Take(3));
            Report(DiagnosticCatalog.NotAPolicyHere, policy, proxy.Position,
                $"its keepalive is judged and not enforced by the agent: it is for {string.Join(", ", unread.Take(3))}, and objects of the kind {kinds} are not read as targets",
                "write a ConnectionPolicy or a DestinationRule for its destinations");
        }
        else if (selections.Count == 0 && !isSaid)
        {
            Report(DiagnosticCatalog.NotAPolicyHere, policy, proxy.Position,
                proxy.Kind == ProxyPolicy.EnvoyFilter
                    ? "its keepalive is judged and not enforced by the agent: which proxy and listener a connection is of does not show on it"
                    : "its keepalive is judged and not enforced by the agent: "
                        + (proxy.Targets.IsEmpty ? "it names no target" : $"the input has no object behind {string.Join(", ", proxy.Targets.Take(3))}"),
                proxy.Kind == ProxyPolicy.EnvoyFilter || proxy.Targets.IsEmpty ? "write a ConnectionPolicy or a DestinationRule for its destinations"
                    : proxy.IsAccepted ? "add the Gateway, and the Service of its proxy with its EndpointSlices"
                    : "add it, and the Services behind it");
        }

        return selections;
    }

    private static ImmutableArray<DestinationPort?> PortsOf(Destination destination) =>
        destination.IsAnyPort ? s_anyPort : destination.Ports.CastArray<DestinationPort?>();

    private void ReportNothing(RankedPolicy policy, DestinationReference reference, string field)
    {
        var kind = reference.Kind switch
        {
            DestinationKind.VirtualDestination => VirtualDestination.KindName,
            DestinationKind.ExternalService => ExternalService.KindName,
            DestinationKind.VirtualGateway => VirtualGateway.KindName,
            _ => "Kubernetes Service",
        };
        var index = _kinds[reference.Kind];
        var all = index.All;
        if (all.Count == 0)
        {
            Report(DiagnosticCatalog.SelectsNothing, policy, reference.Position, $"{field} selects {kind}s, and none is in the input",
                reference.Kind == DestinationKind.Service
                    ? "add the Service to the input; for another kind, write \"kind: VIRTUAL_DESTINATION\" or \"kind: EXTERNAL_SERVICE\""
                    : $"add the {kind} to the input");
            return;
        }

        Report(DiagnosticCatalog.SelectsNothing, policy, reference.Position,
            (all.Count == 1 ? $"{field} does not match the only {kind} in the input" : $"{field} matches none of the {all.Count} {kind}s in the input")
                + Why(reference.Selector, index),
            "compare its selector with their metadata: name, namespace, labels, cluster and workspace");
    }

    /// <summary>The reason that nothing matches, if there is a single one.</summary>
    private static string Why(ObjectSelector selector, ObjectIndex<Destination> all)
    {
        if (selector.Name is { } name && !all.HasName(name.Value))
        {
            return $": none is named {Quoting.Quote(name.Value)}";
        }

        if (selector.Namespace is { } ns && !all.HasNamespace(ns.Value))
        {
            return $": none is in the namespace {Quoting.Quote(ns.Value)}";
        }

        foreach (var (key, value) in selector.Labels)
        {
            if (!all.HasLabel(key, value))
            {
                return $": none has the label {Quoting.Shorten($"{key}={value}")}";
            }
        }

        return all.All.Any(destination => selector.MatchesPlace(destination.Metadata)) ? ": none has all of it at once"
            : selector.Workspace is { } workspace ? $": none is from the workspace {Quoting.Quote(workspace.Value)}"
            : ": none is from that cluster";
    }

    private void Report(DiagnosticKind kind, RankedPolicy policy, SourcePosition position, string message, string fix) =>
        _diagnostics.Report(kind, position, $"{policy.Subject}: {message}", fix);
}
