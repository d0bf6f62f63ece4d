using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The selection of each policy, and which policy each port of a destination is under.</summary>
/// <remarks>It does not depend on addresses: while only these change, it stays.</remarks>
internal sealed partial class Assignment
{
    private readonly CompilationBudget _budget;
    private Dictionary<Policy, RankedPolicy> _ranked = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<RankedPolicy, SelectedParts> _selected = [];
    private readonly Dictionary<Destination, PolicyNames?> _policiesOf = new(ReferenceEqualityComparer.Instance);
    private readonly PolicyNames _noPolicies = new();
    private readonly Selector _selector;
    private readonly DiagnosticBag _ofMesh;
    private readonly Side _side;
    private ResourceSet _latest;
    private bool? _hasBehind;
    private List<Selection>? _selections;
    private SelectedParts? _last;
    private Lazy<Assignment>? _whole;

    /// <summary>Assigns all ports.</summary>
    /// <param name="resources">The policies and destinations.</param>
    /// <param name="side">Which ends of connections are looked at.</param>
    /// <param name="budget">Bounds the work.</param>
    /// <param name="earlier">An earlier one, whose policies are used again where they are the same; null for none.</param>
    /// <param name="keepsSelections">Whether it has all selections at once; else they are found again for those that ask.</param>
    public Assignment(ResourceSet resources, Side side, CompilationBudget budget, Assignment? earlier, bool keepsSelections)
    {
        _selections = keepsSelections ? [] : null;
        _latest = resources;
        (_side, _budget) = (side, budget);
        var selector = _selector = new Selector(resources, budget, Diagnostics);
        Mesh = MeshPolicies.Choose(resources, Diagnostics, Make);
        HiddenKeepalive.Report(resources, Diagnostics);
        _ofMesh = Diagnostics.Copy();
        _policiesOf.EnsureCapacity(selector.Count);
        Main.Reserve(selector.Count);
        Policies = PolicyPrecedence.Rank(resources, Mesh, Make);
        Listeners = PolicyPrecedence.RankListeners(resources, Make);
        // Policies for connections of certain workloads do not compete with those for all: each set of workloads has rules of its own.
        Sources =
        [
            .. Policies.Where(static policy => policy.From is not null).GroupBy(static policy => policy.From!.Text)
                .Select(static group => new SourcePolicies(group.First().From!, [.. group], new RuleSetBuilder())),
        ];
        TooMany = Add([.. Policies.Where(static policy => policy.From is null)], selector, Main)
            ?? Sources.Select(source => Add(source.Policies, selector, source.Builder)).FirstOrDefault(static policy => policy is not null)
            ?? Add(Listeners, selector, OfListeners);
        if (TooMany is null)
        {
            Report();
            AddMesh(selector);
        }

        selector.Close();
        Main.Close();
        Sources.ForEach(static source => source.Builder.Close());
        OfListeners.Close();
        Work = budget.Count;
        OfAllPorts.EnsureCapacity(Main.Grants.Count);
        foreach (var grant in Grants.Where(static grant => grant.IsForAllPorts))
        {
            OfAllPorts.TryAdd(grant.Selection.Destination, grant);
        }

        RankedPolicy Make(Policy policy, RankedPolicy? mesh)
        {
            if (_ranked.TryGetValue(policy, out var here))
            {
                return here;
            }

            var ranked = earlier?._ranked.GetValueOrDefault(policy) is { } known && known.Mesh == (policy is DestinationRule ? mesh : null) ? known : new RankedPolicy(policy, mesh);
            _ranked.Add(policy, ranked);
            return ranked;
        }
    }

    /// <summary>The policy at which the work became too much; null if it did not.</summary>
    public RankedPolicy? TooMany { get; }

    /// <summary>Whether it was made from another one, with work that is bounded only.</summary>
    public bool IsAmended { get; private init; }

    public RankedPolicy? Mesh { get; }

    public IReadOnlyList<RankedPolicy> Policies { get; private set; }

    public IReadOnlyList<RankedPolicy> Listeners { get; private set; }

    /// <summary>The policies for connections of all workloads.</summary>
    public RuleSetBuilder Main { get; } = new();

    /// <summary>The policies for connections of certain workloads only.</summary>
    public List<SourcePolicies> Sources { get; }

    /// <summary>The policies for connections that are accepted.</summary>
    public RuleSetBuilder OfListeners { get; } = new();

    /// <summary>The ports that only the mesh-wide keepalive is for.</summary>
    public List<Grant> OfMesh { get; } = [];

    /// <summary>All grants but those of the mesh-wide keepalive.</summary>
    public IEnumerable<Grant> Grants => Main.Grants.Concat(Sources.SelectMany(static source => source.Builder.Grants)).Concat(OfListeners.Grants);

    /// <summary>Problems that do not depend on addresses.</summary>
    public DiagnosticBag Diagnostics { get; private set; } = new();

    /// <summary>The work of the assignment; at least so much, if it was amended.</summary>
    public (int Rules, int Comparisons) Work { get; private set; }

    /// <summary>Hosts of DestinationRules that no object is about.</summary>
    public IEnumerable<Destination> MadeDestinations => _policiesOf.Keys.OfType<HostDestination>();

    /// <summary>For each destination, a grant for all of its ports, if there is one.</summary>
    public Dictionary<Destination, Grant> OfAllPorts { get; } = new(ReferenceEqualityComparer.Instance);

    /// <summary>The names of the policies that select a destination, the strongest first.</summary>
    public ImmutableArray<string> PoliciesOf(Destination destination) => _policiesOf.GetValueOrDefault(destination)?.All ?? [];

    /// <summary>Whether another set has the same objects, except those that only tell the endpoints of Services, and destinations of which only
    /// the addresses differ.</summary>
    /// <param name="resources">The other set.</param>
    /// <param name="side">Its side.</param>
    /// <param name="versions">The destinations that differ, with their new versions. <see cref="Replace"/> takes them.</param>
    public bool IsFor(ResourceSet resources, Side side, out Dictionary<Destination, Destination> versions)
    {
        versions = new(ReferenceEqualityComparer.Instance);
        if (side != _side || !FindVersions(resources, versions) || (versions.Count > 0 && !IsEachOnce(versions, resources)))
        {
            return false;
        }

        _latest = resources;
        return true;
    }

    private bool FindVersions(ResourceSet resources, Dictionary<Destination, Destination> versions)
    {
        var before = _latest.All.AsSpan();
        var after = resources.All.AsSpan();
        if (before.Length == after.Length)
        {
            // Nearly every change is another version of an object, in its place.
            var i = 0;
            while (i < before.Length && (ReferenceEquals(before[i], after[i]) || (SliceIndex.IsOfSlices(before[i]) && SliceIndex.IsOfSlices(after[i])) || IsVersion(before[i], after[i], versions)))
            {
                i++;
            }

            if (i == before.Length)
            {
                return true;
            }

            versions.Clear();
        }

        for (var (i, j) = (0, 0); ; i++, j++)
        {
            while (i < before.Length && SliceIndex.IsOfSlices(before[i]))
            {
                i++;
            }

            while (j < after.Length && SliceIndex.IsOfSlices(after[j]))
            {
                j++;
            }

            if (i == before.Length || j == after.Length)
            {
                return i == before.Length && j == after.Length;
            }

            if (!ReferenceEquals(before[i], after[j]) && !IsVersion(before[i], after[j], versions))
            {
                return false;
            }
        }
    }

    private bool IsVersion(Resource known, Resource resource, Dictionary<Destination, Destination> versions)
    {
        const int most = 16;
        return versions.Count < most && known is Destination one && resource is Destination other && CanReplace(one, other) && versions.TryAdd(one, other);
    }

    /// <summary>Whether each is there once: an object that is in a set twice is looked up as one.</summary>
    private static bool IsEachOnce(Dictionary<Destination, Destination> versions, ResourceSet resources)
    {
        foreach (var (one, by) in versions)
        {
            var count = 0;
            foreach (var resource in resources.All)
            {
                count += ReferenceEquals(resource, by) ? 1 : 0;
                if (ReferenceEquals(resource, one))
                {
                    return false;
                }
            }

            if (count != 1)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether every policy selects both or none, with the same ports, and no other destination but one before a Service has their
    /// addresses.</summary>
    private bool CanReplace(Destination one, Destination other) =>
        one.IsValid && other.IsValid && one.GetType() == other.GetType()
        && one.Metadata.HasSameIdentity(other.Metadata)
        && one.Ports.AsSpan().SequenceEqual(other.Ports.AsSpan()) && one.Hosts.AsSpan().SequenceEqual(other.Hosts.AsSpan())
        && (one, other) switch
        {
            (Service earlier, Service later) => earlier.HasOtherProtocols == later.HasOtherProtocols && earlier.Selector.AsSpan().SequenceEqual(later.Selector.AsSpan()),
            (ExternalService earlier, ExternalService later) => earlier.Selector.IsEmpty && later.Selector.IsEmpty
                && !(_hasBehind ??= _latest.Of<VirtualDestination>().Any(static destination => !destination.ExternalServices.IsEmpty)),
            (VirtualDestination, VirtualDestination) => true,
            _ => false,
        };

    /// <summary>Takes the new versions of destinations.</summary>
    public void Replace(IReadOnlyDictionary<Destination, Destination> versions)
    {
        foreach (var (one, by) in versions)
        {
            if (_order is not null && _order.Has(one))
            {
                var place = _order[one];
                _order.Remove(one);
                _order.Add(by, place);
            }

            _selector.Of(one.DestinationKind).Replace(one, by, isSameKey: true);
            _hasBehind = by is VirtualDestination ? null : _hasBehind;
            if (_policiesOf.Remove(one, out var names))
            {
                _policiesOf.Add(by, names);
            }

            OfAllPorts.Remove(one);
        }

        Main.Replace(versions, Index);
        Sources.ForEach(source => source.Builder.Replace(versions, Index));
        OfListeners.Replace(versions, Index);
        FindLossesAgain();
        for (var i = 0; i < OfMesh.Count; i++)
        {
            OfMesh[i] = versions.TryGetValue(OfMesh[i].Selection.Destination, out var by) ? OfMesh[i].For(by) : OfMesh[i];
        }

        void Index(Grant grant)
        {
            if (grant.IsForAllPorts)
            {
                OfAllPorts.TryAdd(grant.Selection.Destination, grant);
            }
        }
    }

    /// <summary>Whether all objects of a kind are the same.</summary>
    public bool HasSame<T>(ResourceSet resources)
        where T : Resource => _latest.Of<T>().SequenceEqual(resources.Of<T>(), ReferenceEqualityComparer.Instance);

    /// <summary>Hands over all selections, the strongest policy first. They are many, and only a first compilation has them.</summary>
    /// <param name="of">The assignment that they are of.</param>
    public Lazy<ImmutableArray<Selection>> TakeSelections(out Lazy<Assignment> of)
    {
        if (_selections is { } taken)
        {
            _selections = null;
            of = new(this);
            return new(() => [.. taken]);
        }

        var whole = of = Whole;
        return new(() => [.. whole.Value._selections!]);
    }

    /// <summary>The same from nothing, with all selections, for those that ask.</summary>
    private Lazy<Assignment> Whole
    {
        get
        {
            // Another thread may be asking: nothing that changes is to be in it.
            if (_whole is null)
            {
                var (others, side) = (WithoutSlices(_latest), _side);
                _whole = new(() => new Assignment(others, side, new CompilationBudget(), null, keepsSelections: true));
            }

            return _whole;
        }
    }

    private static ResourceSet WithoutSlices(ResourceSet resources)
    {
        var others = new Resource[resources.All.Length];
        var count = 0;
        foreach (var resource in resources.All)
        {
            others[count] = resource;
            count += SliceIndex.IsOfSlices(resource) ? 0 : 1;
        }

        return new ResourceSet(ImmutableCollectionsMarshal.AsImmutableArray(others[..count]));
    }

    /// <summary>After a change: the parts that policies do not set are found again for those that ask.</summary>
    private void FindLossesAgain()
    {
        _whole = null;
        var whole = Whole;
        Main.Losses = new(() => whole.Value.Main.Losses.Value);
        OfListeners.Losses = new(() => whole.Value.OfListeners.Losses.Value);
        for (var i = 0; i < Sources.Count; i++)
        {
            var source = i;
            Sources[i].Builder.Losses = new(() => whole.Value.Sources[source].Builder.Losses.Value);
        }
    }

    /// <summary>Adds what policies select; returns the one at which the budget ran out.</summary>
    private RankedPolicy? Add(IReadOnlyList<RankedPolicy> policies, Selector selector, RuleSetBuilder builder)
    {
        var ofHosts = new List<Selection>();
        foreach (var policy in policies)
        {
            var isOfHost = policy.Policy is DestinationRule;
            if (!isOfHost && AddOfHosts(ofHosts, builder) is { } exhausted)
            {
                return exhausted;
            }

            foreach (var selection in selector.Select(policy))
            {
                _budget.AddComparison();
                if (isOfHost)
                {
                    ofHosts.Add(selection);
                }
                else
                {
                    Add(selection, builder);
                }

                if (_budget.IsExhausted)
                {
                    return policy;
                }
            }

            if (_budget.IsExhausted)
            {
                return policy;
            }
        }

        return AddOfHosts(ofHosts, builder);
    }

    /// <summary>Adds what DestinationRules select: first those of the namespace of each service, then those of the root namespace, then
    /// the others.</summary>
    private RankedPolicy? AddOfHosts(List<Selection> selections, RuleSetBuilder builder)
    {
        foreach (var selection in selections.OrderBy(static one => PolicyPrecedence.Standing((DestinationRule)one.Policy.Policy, one.Destination)))
        {
            Add(selection, builder);
            if (_budget.IsExhausted)
            {
                return selection.Policy;
            }
        }

        selections.Clear();
        return null;
    }

    private void Add(Selection selection, RuleSetBuilder builder)
    {
        Note(selection);
        builder.Add(selection);
    }

    private void Note(Selection selection)
    {
        var (policy, destination) = (selection.Policy, selection.Destination);
        if (policy.IsSilent)
        {
            return;
        }

        _selections?.Add(selection);
        // The selections of one policy follow each other, and so do those for one destination.
        if (_last is null || !ReferenceEquals(_last.Policy, policy))
        {
            ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_selected, policy, out _);
            _last = known ??= new SelectedParts(policy);
        }

        _last.Add(destination, selection.Settings is null && policy.Policy is DestinationRule ? 0 : selection.Ports.Length);
        ref var policies = ref CollectionsMarshal.GetValueRefOrAddDefault(_policiesOf, destination, out _);
        policies ??= _noPolicies;
        if (!policies.IsLast(policy.Name))
        {
            policies = policies.And(policy.Name);
        }
    }

    /// <summary>Gives the mesh-wide keepalive the ports that no policy has.</summary>
    private void AddMesh(Selector selector)
    {
        if (Mesh is null)
        {
            return;
        }

        foreach (var destination in selector.InMesh.Concat(MadeDestinations))
        {
            var free = Main.FreePorts(destination);
            if (free.Count > 0)
            {
                OfMesh.Add(new Grant(new Selection(Mesh, destination, [.. free], Mesh.Settings), free));
            }
        }
    }

    private void Report()
    {
        foreach (var policy in Policies.Concat(Listeners).Concat(Mesh is null ? [] : [Mesh]))
        {
            ReportUserTimeout(policy);
            ReportLongUserTimeout(policy);
        }
    }

    /// <summary>Warns of a policy that ends connections before its own probes are spent.</summary>
    private void ReportUserTimeout(RankedPolicy policy)
    {
        if (policy.UserTimeout is { Mode: UserTimeoutMode.Set, Milliseconds: var timeout })
        {
            foreach (var settings in policy.AllSettings)
            {
                ReportShort(policy, policy.Policy.Metadata.Annotations[AgentAnnotations.UserTimeout].Position,
                    $"annotation {AgentAnnotations.UserTimeout}", timeout, settings,
                    $"write raise, or {UserTimeout.Format(UserTimeout.Covering(settings))}");
            }
        }

        foreach (var (keepalive, settings) in policy.Written)
        {
            if (keepalive.UserTimeout is { } option)
            {
                ReportShort(policy, option.Position, "TCP_USER_TIMEOUT ({level: 6, name: 18})", (int)option.Value, settings,
                    $"write int_value: {UserTimeout.Covering(settings)}, which is in milliseconds");
            }
        }
    }

    private void ReportShort(RankedPolicy policy, SourcePosition position, string what, int timeout, KeepaliveSettings settings, string fix)
    {
        if (UserTimeout.IsShort(timeout, settings))
        {
            var (time, interval, probes) = settings.Or(KeepaliveSettings.LinuxDefaults);
            var lost = UserTimeout.LostProbes(timeout, time!.Value, interval!.Value, probes!.Value);
            Diagnostics.Report(DiagnosticCatalog.ShortUserTimeout, position,
                $"{policy.Subject}: {what} of {UserTimeout.Format(timeout)} ends a quiet connection after "
                + $"{lost} lost probe{(lost == 1 ? "" : "s")} in a row, not {probes}: time + interval × probes is {UserTimeout.Format(UserTimeout.Covering(settings))}",
                fix);
        }
    }

    /// <summary>Warns of a user timeout with which connections to dead peers live longer than without.</summary>
    private void ReportLongUserTimeout(RankedPolicy policy)
    {
        if (policy.UserTimeout.Mode is not (UserTimeoutMode.Set or UserTimeoutMode.Raise) || !policy.AllSettings.Any())
        {
            return;
        }

        var covering = policy.AllSettings.Max(UserTimeout.Covering);
        var timeout = policy.UserTimeout.Mode == UserTimeoutMode.Set ? policy.UserTimeout.Milliseconds : covering;
        var (isLater, prolongs) = (timeout > covering, UserTimeout.ProlongsRetransmission(timeout));
        if (isLater || prolongs)
        {
            Diagnostics.Report(DiagnosticCatalog.LongUserTimeout, policy.Policy.Metadata.Annotations[AgentAnnotations.UserTimeout].Position,
                $"{policy.Subject}: annotation {AgentAnnotations.UserTimeout} of {policy.UserTimeout} "
                + (isLater ? $"ends a quiet connection to a dead peer after {UserTimeout.Format(timeout)}, not {UserTimeout.Format(covering)} "
                    + $"(time + interval × probes): with a user timeout the kernel does not count probes{(prolongs ? "; and it " : "")}" : "")
                + (prolongs ? $"lets data in flight wait for {UserTimeout.Format(timeout)}, and without a user timeout it is some 15 minutes (tcp_retries2)" : ""),
                UserTimeout.ProlongsRetransmission(covering)
                    ? $"remove the annotation, or shorten time + interval × probes, {UserTimeout.Format(covering)}, to 15m or less"
                    : $"write {UserTimeout.Format(covering)}");
        }
    }

    /// <summary>The effect of each policy.</summary>
    public IEnumerable<PolicySummary> Summarize(ImmutableArray<CompiledRule> rules, ImmutableArray<CompiledRule> listenerRules, ImmutableArray<CompiledRule> ofMesh,
        bool isMeshUsed, ImmutableArray<Selection> selections) =>
        [.. Summarize(Policies, rules, selections), .. SummarizeMesh(ofMesh, isMeshUsed), .. Summarize(Listeners, listenerRules, selections)];

    private IEnumerable<PolicySummary> Summarize(IReadOnlyList<RankedPolicy> policies, ImmutableArray<CompiledRule> rules, ImmutableArray<Selection> selections)
    {
        var byPolicy = rules.ToLookup(static rule => rule.Policy);
        var groups = selections.Where(static selection => selection.Policy.Policy is DestinationRule { PortLevelSettings.IsEmpty: false })
            .ToLookup(static selection => selection.Policy);
        foreach (var policy in policies.Where(static policy => !policy.IsSilent))
        {
            var (destinations, ports) = _selected.TryGetValue(policy, out var selected) ? (selected.Destinations, selected.Ports) : (0, 0);
            ImmutableArray<PortGroup> ofPorts =
            [
                // Ports that nothing names and nothing sets are of no interest.
                .. groups[policy].Where(static selection => selection.Settings is not null || selection.Ports is not [null])
                    .GroupBy(static selection => selection.Settings).Select(static group => new PortGroup(group.Key,
                    [.. group.SelectMany(static selection => selection.Ports).Select(static port => port?.Number.Value).Distinct()])),
            ];
            IEnumerable<KeepaliveSettings> settings = policy.Policy is ProxyPolicy
                ? policy.Written.Select(static pair => pair.Settings).Distinct()
                : ofPorts.IsEmpty ? policy.AllSettings : ofPorts.Select(static group => group.Settings).OfType<KeepaliveSettings>();
            yield return new PolicySummary(policy.Name, policy.Policy, [.. settings], destinations, ports,
                byPolicy[policy.Name].Select(static rule => rule.Prefix).Distinct().Count(), byPolicy[policy.Name].Count())
            {
                PortGroups = ofPorts,
                Written = WrittenFor(policy, ofPorts),
                UserTimeout = policy.UserTimeout,
            };
        }
    }

    /// <summary>The values of a policy that a port has: those of ports that no destination has are not judged.</summary>
    private static ImmutableArray<(TcpKeepalive, KeepaliveSettings)> WrittenFor(RankedPolicy policy, ImmutableArray<PortGroup> groups)
    {
        if (groups.IsEmpty || policy.Policy is not DestinationRule rule)
        {
            return policy.Written;
        }

        var used = groups.SelectMany(static group => group.Ports).Select(rule.KeepaliveOf).OfType<TcpKeepalive>()
            .ToHashSet<TcpKeepalive>(ReferenceEqualityComparer.Instance);
        return policy.Written.RemoveAll(pair => !used.Contains(pair.Keepalive));
    }

    private IEnumerable<PolicySummary> SummarizeMesh(ImmutableArray<CompiledRule> rules, bool isUsed)
    {
        if (Mesh is not null)
        {
            yield return new PolicySummary(Mesh.Name, Mesh.Policy, [.. Mesh.AllSettings], isUsed ? OfMesh.Count : 0, isUsed ? OfMesh.Sum(static grant => grant.Ports.Count) : 0,
                rules.Select(static rule => rule.Prefix).Distinct().Count(), rules.Length)
            {
                Written = Mesh.Written,
                UserTimeout = Mesh.UserTimeout,
            };
        }
    }
}

/// <summary>How much a policy selects.</summary>
internal sealed class SelectedParts(RankedPolicy policy)
{
    private Destination? _last;

    public RankedPolicy Policy => policy;

    public int Destinations { get; private set; }

    public int Ports { get; private set; }

    public void Add(Destination destination, int ports)
    {
        Destinations += ReferenceEquals(_last, destination) ? 0 : 1;
        Ports += ports;
        _last = destination;
    }
}

/// <summary>The policies for connections of certain workloads.</summary>
internal sealed record SourcePolicies(WorkloadSelector From, IReadOnlyList<RankedPolicy> Policies, RuleSetBuilder Builder);

/// <summary>The names of the policies that select a destination. Destinations under the same policies share one.</summary>
internal sealed class PolicyNames
{
    private readonly PolicyNames? _before;
    private readonly string _last;
    private readonly int _count;
    private PolicyNames? _next;
    private Dictionary<string, PolicyNames>? _others;
    private ImmutableArray<string> _all;

    /// <summary>No policies. Lists that begin with the same policy share that beginning.</summary>
    public PolicyNames() => (_last, _all) = ("", []);

    private PolicyNames(PolicyNames before, string last) => (_before, _last, _count) = (before, last, before._count + 1);

    /// <summary>The names, the strongest policy first. They are in one piece only where somebody asks: each step to them would be one, too.</summary>
    public ImmutableArray<string> All
    {
        get
        {
            if (_all.IsDefault)
            {
                var all = new string[_count];
                for (var names = this; names._count > 0; names = names._before!)
                {
                    all[names._count - 1] = names._last;
                }

                _all = ImmutableCollectionsMarshal.AsImmutableArray(all);
            }

            return _all;
        }
    }

    public bool IsLast(string name) => _count > 0 && _last == name;

    /// <summary>These and one more.</summary>
    public PolicyNames And(string name)
    {
        _next ??= new PolicyNames(this, name);
        if (_next._last == name)
        {
            return _next;
        }

        _others ??= new Dictionary<string, PolicyNames>(StringComparer.Ordinal);
        if (!_others.TryGetValue(name, out var names))
        {
            _others.Add(name, names = new PolicyNames(this, name));
        }

        return names;
    }
}
