using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The ports of one destination that one policy selects, and what it sets on them.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="Ports">Its ports; null among them is any.</param>
/// <param name="Terms">The rest. The selections of a policy share it: they are many.</param>
internal sealed record Selection(RankedPolicy Policy, Destination Destination, ImmutableArray<DestinationPort?> Ports, SelectionTerms Terms)
{
    public Selection(RankedPolicy policy, Destination destination, ImmutableArray<DestinationPort?> ports, KeepaliveSettings? settings, ImmutableArray<string> hosts = default)
        : this(policy, destination, ports, new SelectionTerms(
            settings, hosts.IsDefault ? [] : hosts, settings is null ? "" : policy.InheritedAt(ports.IsEmpty ? null : ports[0]?.Number.Value)))
    {
    }

    /// <summary>The values to set; null if the policy sets nothing.</summary>
    public KeepaliveSettings? Settings => Terms.Settings;

    /// <summary>The host names of the destination that a DestinationRule is for; empty for other policies.</summary>
    public ImmutableArray<string> Hosts => Terms.Hosts;

    /// <inheritdoc cref="CompiledRule.Inherited"/>
    public string Inherited => Terms.Inherited;
}

/// <summary>The values that a policy sets on ports, and the host names that it is for.</summary>
/// <param name="Settings">As <see cref="Selection.Settings"/>.</param>
/// <param name="Hosts">As <see cref="Selection.Hosts"/>.</param>
/// <param name="Inherited">As <see cref="Selection.Inherited"/>.</param>
internal sealed record SelectionTerms(KeepaliveSettings? Settings, ImmutableArray<string> Hosts, string Inherited);

/// <summary>Finds out what policies select, and says so when it is nothing.</summary>
internal sealed class Selector
{
    private static readonly ImmutableArray<DestinationPort?> s_anyPort = [null];

    /// <summary>The kinds of objects that a proxy's policy is followed to.</summary>
    private static readonly ImmutableArray<string> s_targetKinds = [Gateway.KindName, Service.KindName, .. GatewayRoute.Kinds];

    private readonly CompilationBudget _budget;
    private readonly Dictionary<DestinationKind, ObjectIndex<Destination>> _kinds = [];
    private Lazy<Dictionary<Destination, int>> _order;
    private readonly Dictionary<string, HostDestination> _made = new(StringComparer.Ordinal);

    // For each policy that selects by references, the matches of each of them; for each policy with diagnostics, these.
    private readonly Dictionary<RankedPolicy, Matches[]> _matches = [];
    private readonly Dictionary<RankedPolicy, List<Diagnostic>> _said = [];
    // The policies whose diagnostics may differ since then; or all.
    private readonly HashSet<RankedPolicy> _doubted = [];
    private readonly List<Selection> _selections = [];
    private bool _isDoubted;
    private DiagnosticBag _diagnostics;
    private List<Destination> _selectable;
    private HostSelector _hosts;
    private ProxySelector _proxies;

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

    /// <summary>The number of destinations that policies select by references.</summary>
    public int Count => _selectable.Count;

    /// <summary>The valid destinations that a mesh knows by host name.</summary>
    public IEnumerable<Destination> InMesh => _hosts.All.Where(static destination => destination.IsValid);

    /// <summary>The valid destinations that one policy selects, in document order. The list is valid until the next call.</summary>
    public IReadOnlyList<Selection> Select(RankedPolicy policy) => policy.Policy switch
    {
        ConnectionPolicy => SelectByReference(policy, _selectable),
        ListenerConnectionPolicy => SelectByReference(policy, _kinds[DestinationKind.VirtualGateway].All),
        DestinationRule rule => Select(policy, rule),
        ProxyPolicy proxy => Select(policy, proxy),
        _ => [],
    };

    /// <summary>Forgets what only a selection from nothing needs: what follows is about single destinations.</summary>
    public void Close()
    {
        (_selectable, _hosts, _proxies, _order) = (null!, null!, null!, null!);
        _selections.Clear();
        _selections.TrimExcess();
    }

    /// <summary>Whether a policy selects destinations by references only, and not by their hosts or what is attached to them.</summary>
    public static bool IsByReference(Policy policy) => policy is ConnectionPolicy or ListenerConnectionPolicy;

    /// <summary>The ports of one destination that a policy selects by its references; null for none.</summary>
    public static Selection? Select(RankedPolicy policy, Destination destination)
    {
        if (!destination.IsValid)
        {
            return null;
        }

        var (references, _) = ReferencesOf(policy.Policy);
        if (references.IsEmpty)
        {
            return IsEvery(policy.Policy, destination) ? new Selection(policy, destination, PortsOf(destination), policy.Terms) : null;
        }

        ImmutableArray<DestinationPort> ports = default;
        foreach (var reference in references)
        {
            if (reference.Kind == destination.DestinationKind && reference.Selector.Matches(destination.Metadata)
                && Selected(reference, destination) is var selected && (reference.Port is null || !selected.IsEmpty))
            {
                ports = Merge(destination, ports, selected);
            }
        }

        return ports.IsDefault ? null
            : new Selection(policy, destination, destination.IsAnyPort ? s_anyPort : ports.CastArray<DestinationPort?>(), policy.Terms);
    }

    /// <summary>The destinations of some kinds in document order, those with errors, too.</summary>
    public ObjectIndex<Destination> Of(DestinationKind kind) => _kinds[kind];

    /// <summary>The destinations that a policy selects by its references, and maybe some that it does not.</summary>
    public IEnumerable<Destination> Candidates(Policy policy)
    {
        var (references, _) = ReferencesOf(policy);
        return references.IsEmpty
            ? Enum.GetValues<DestinationKind>().SelectMany(kind => _kinds[kind].All).Where(destination => IsEvery(policy, destination))
            : references.SelectMany(reference => _kinds[reference.Kind].Select(reference.Selector));
    }

    /// <summary>The same for each reference by itself, each time in document order.</summary>
    public IEnumerable<IEnumerable<Destination>> CandidatesInOrder(Policy policy)
    {
        var (references, _) = ReferencesOf(policy);
        return references.IsEmpty
            ? Enum.GetValues<DestinationKind>().Select(kind => _kinds[kind].All.Where(destination => IsEvery(policy, destination)))
            : references.Select(reference => _kinds[reference.Kind].Select(reference.Selector));
    }

    /// <summary>Takes note that diagnostics of policies may differ with another version of a destination.</summary>
    public void Doubt(Destination? before, Destination? after)
    {
        if (before is null || after is null || before.DestinationKind != after.DestinationKind || before.Metadata.Name.Value != after.Metadata.Name.Value
            || before.Metadata.Namespace != after.Metadata.Namespace || before.Metadata.Cluster != after.Metadata.Cluster || before.Metadata.Workspace != after.Metadata.Workspace)
        {
            _isDoubted = true;
            return;
        }

        foreach (var (policy, _) in _said)
        {
            if (IsByReference(policy.Policy) && ReferencesOf(policy.Policy).References.Any(reference => reference.Kind == after.DestinationKind
                && reference.Selector.Labels.Any(label => IsOf(label, before) || IsOf(label, after))))
            {
                _doubted.Add(policy);
            }
        }

        static bool IsOf(KeyValuePair<string, string> label, Destination destination) =>
            destination.Metadata.Labels.TryGetValue(label.Key, out var value) && value == label.Value;
    }

    /// <summary>Takes note that a policy by references has one destination more or less to choose from.</summary>
    public void Add(RankedPolicy policy, Destination destination, int more)
    {
        if (!_matches.TryGetValue(policy, out var matches))
        {
            return;
        }

        var (references, _) = ReferencesOf(policy.Policy);
        for (var i = 0; i < matches.Length; i++)
        {
            if (references[i].Kind == destination.DestinationKind && references[i].Selector.Matches(destination.Metadata))
            {
                var hasPort = references[i].Port is null || !destination.IsValid || !Selected(references[i], destination).IsEmpty;
                matches[i] = new Matches(matches[i].Count + more, matches[i].WithPort + (hasPort ? more : 0));
                _doubted.Add(policy);
            }
        }
    }

    /// <summary>Takes note of a policy by references that came later.</summary>
    public void Add(RankedPolicy policy)
    {
        _doubted.Add(policy);
        var (references, _) = ReferencesOf(policy.Policy);
        if (references.IsEmpty)
        {
            return;
        }

        var matches = _matches[policy] = new Matches[references.Length];
        for (var i = 0; i < matches.Length; i++)
        {
            foreach (var destination in _kinds[references[i].Kind].Select(references[i].Selector))
            {
                var hasPort = references[i].Port is null || !destination.IsValid || !Selected(references[i], destination).IsEmpty;
                matches[i] = new Matches(matches[i].Count + 1, matches[i].WithPort + (hasPort ? 1 : 0));
            }
        }
    }

    /// <summary>Forgets a policy.</summary>
    public void Remove(RankedPolicy policy)
    {
        _matches.Remove(policy);
        _said.Remove(policy);
        _doubted.Remove(policy);
    }

    /// <summary>Reports the diagnostics of policies again.</summary>
    public void Report(IEnumerable<RankedPolicy> policies, DiagnosticBag diagnostics)
    {
        _diagnostics = diagnostics;
        foreach (var policy in policies)
        {
            if (IsByReference(policy.Policy) && (_isDoubted || _doubted.Contains(policy)))
            {
                ReportAgain(policy);
            }
            else if (_said.TryGetValue(policy, out var said))
            {
                foreach (var diagnostic in said)
                {
                    diagnostics.Add(diagnostic);
                }
            }
        }

        _isDoubted = false;
        _doubted.Clear();
    }

    private void ReportAgain(RankedPolicy policy)
    {
        _said.Remove(policy);
        var (references, field) = ReferencesOf(policy.Policy);
        if (references.IsEmpty && !Candidates(policy.Policy).Any())
        {
            ReportNone(policy);
        }

        for (var i = 0; i < references.Length; i++)
        {
            ReportMatches(policy, references[i], field, i, _matches[policy][i]);
        }
    }

    private static (ImmutableArray<DestinationReference> References, string Field) ReferencesOf(Policy policy) => policy switch
    {
        ConnectionPolicy { ApplyToDestinations: var references } => (references, "spec.applyToDestinations"),
        ListenerConnectionPolicy { ApplyToListeners: var references } => (references, "spec.applyToListeners"),
        _ => ([], ""),
    };

    /// <summary>Whether a policy without references selects a destination.</summary>
    private static bool IsEvery(Policy policy, Destination destination) => policy is ListenerConnectionPolicy
        ? destination.DestinationKind == DestinationKind.VirtualGateway
        : destination.DestinationKind is DestinationKind.Service or DestinationKind.VirtualDestination or DestinationKind.ExternalService;

    private void ReportNone(RankedPolicy policy)
    {
        var (nothing, fix) = policy.Policy is ListenerConnectionPolicy
            ? ("selects every listener, but there is no VirtualGateway", "add it to the input")
            : ("selects every destination, but there is none", "add a Service, a VirtualDestination or an ExternalService to the input");
        Report(DiagnosticCatalog.SelectsNothing, policy, policy.Policy.Position, nothing, fix);
    }

    private List<Selection> SelectByReference(RankedPolicy policy, IReadOnlyList<Destination> every)
    {
        var (references, field) = ReferencesOf(policy.Policy);
        if (references.IsEmpty)
        {
            if (every.Count == 0)
            {
                ReportNone(policy);
            }

            return
            [
                .. every.Where(static destination => destination.IsValid)
                    .Select(destination => new Selection(policy, destination, PortsOf(destination), policy.Terms)),
            ];
        }

        var matches = new Matches[references.Length];
        _matches[policy] = matches;
        if (references is [var only])
        {
            // By far the most policies: nothing is to be merged, and the order is right already.
            var selections = _selections;
            selections.Clear();
            Select(policy, only, field, matches, 0, (destination, selected) =>
            {
                if (destination.IsValid)
                {
                    selections.Add(new Selection(policy, destination, destination.IsAnyPort ? s_anyPort : selected.CastArray<DestinationPort?>(), policy.Terms));
                }
            });
            return selections;
        }

        var ports = new Dictionary<Destination, ImmutableArray<DestinationPort>>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < references.Length && !_budget.IsExhausted; i++)
        {
            Select(policy, references[i], field, matches, i,
                (destination, selected) => ports[destination] = Merge(destination, ports.GetValueOrDefault(destination), selected));
        }

        return
        [
            .. ports.Where(static pair => pair.Key.IsValid).OrderBy(pair => _order.Value[pair.Key]).Select(pair => new Selection(
                policy, pair.Key, pair.Key.IsAnyPort ? s_anyPort : pair.Value.CastArray<DestinationPort?>(), policy.Terms)),
        ];
    }

    private void Select(RankedPolicy policy, DestinationReference reference, string field, Matches[] matches, int i,
        Action<Destination, ImmutableArray<DestinationPort>> add)
    {
        var (matched, withPort) = (0, 0);
        foreach (var destination in _kinds[reference.Kind].Select(reference.Selector))
        {
            matched++;
            var selected = Selected(reference, destination);
            if (reference.Port is not null && selected.IsEmpty)
            {
                // One with errors may well have the port: they are what needs mending first.
                withPort += destination.IsValid ? 0 : 1;
                continue;
            }

            withPort++;
            add(destination, selected);
        }

        matches[i] = new Matches(matched, withPort);
        if (!_budget.IsExhausted)
        {
            ReportMatches(policy, reference, field, i, matches[i]);
        }
    }

    private void ReportMatches(RankedPolicy policy, DestinationReference reference, string field, int i, Matches matches)
    {
        if (matches.Count == 0)
        {
            ReportNothing(policy, reference, $"{field}[{i}]");
        }
        else if (matches.WithPort == 0)
        {
            Report(DiagnosticCatalog.NoSuchPort, policy, reference.Port!.Position,
                matches.Count == 1 ? $"{field}[{i}].port selects {reference.Port}, which the destination it matches does not have"
                    : $"{field}[{i}].port selects {reference.Port}, which none of the {matches.Count} destinations it matches has",
                "name one of the destination's ports by its number or name, or leave the port out");
        }
    }

    private static ImmutableArray<DestinationPort> Selected(DestinationReference reference, Destination destination) => reference.Port is null
        ? destination.Ports
        : [.. destination.Ports.Where(port => reference.Port.Matches(port.Number.Value, port.Name?.Value))];

    /// <summary>The ports that a policy selects by one reference, and those it selects by earlier ones; default for none.</summary>
    private static ImmutableArray<DestinationPort> Merge(
        Destination destination, ImmutableArray<DestinationPort> before, ImmutableArray<DestinationPort> selected) => before.IsDefault ? selected
        : before.Length < destination.Ports.Length ? [.. destination.Ports.Where(port => IsIn(before, port) || IsIn(selected, port))]
        : before;

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
            .Select(group => new Selection(policy, destination, [.. group], group.Key, hosts));
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

    private void Report(DiagnosticKind kind, RankedPolicy policy, SourcePosition position, string message, string fix)
    {
        var diagnostic = new Diagnostic(kind.Code, kind.Severity, position, $"{policy.Subject}: {message}", fix);
        _diagnostics.Add(diagnostic);
        if (!_said.TryGetValue(policy, out var said))
        {
            _said.Add(policy, said = []);
        }

        said.Add(diagnostic);
    }

    /// <summary>The destinations that a reference of a policy matches.</summary>
    /// <param name="Count">The destinations.</param>
    /// <param name="WithPort">Those that have its port.</param>
    private record struct Matches(int Count, int WithPort);
}
