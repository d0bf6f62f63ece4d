using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Compiles a set of resources that changes: what depends on no changed object is taken from the compilation before.</summary>
/// <remarks>
/// The result is that of <see cref="PolicyCompiler"/>. Objects count as unchanged if they are the same objects. For one thread at a time; the results
/// may be read by any.
/// <code>
///   policies, destinations ──► Assignment: which policy each port is under ──► Grants ──► RuleSet: which rule is in force at each address
///                                    amended where few objects differ            ▲ kept while its answers hold
///   EndpointSlices, answers about hosts ─────────────────────────────────────────┘
/// </code>
/// </remarks>
public sealed class IncrementalCompiler
{
    private readonly CompilationBudget _budget = new();
    private Dictionary<Destination, DestinationFacts> _facts = new(ReferenceEqualityComparer.Instance);
    private HashSet<(string Namespace, string Name)> _services = [];
    private Assignment? _assignment;
    private DestinationAddresses? _addresses;
    private SliceIndex? _slices;
    private List<Reported> _reported = [];
    private bool _selectedOnly;
    private bool _asksAll;
    private bool _areServicesShared;
    private bool _isAssigned;
    private ulong _marks;

    // Services that something which is gone has asked for.
    private readonly HashSet<(string Namespace, string Name)> _doubted = [];
    private ulong _doubtedMarks;

    /// <summary>The number of objects that the last compilation took from the one before, of all that have addresses.</summary>
    internal (int Kept, int All) Reuse { get; private set; }

    /// <summary>How often the set of rules for all workloads was amended since policies were last assigned.</summary>
    internal int Amended => _assignment?.Main.Amended ?? 0;

    /// <summary>How often policies were assigned from nothing.</summary>
    internal int Assigned { get; private set; }

    /// <summary>Compiles every valid policy against every valid destination.</summary>
    public CompilationResult Compile(ResourceSet resources, CompilerOptions options)
    {
        ArgumentNullException.ThrowIfNull(resources);
        ArgumentNullException.ThrowIfNull(options);
        try
        {
            return Run(resources, options);
        }
        catch
        {
            Forget();
            throw;
        }
    }

    private CompilationResult Run(ResourceSet resources, CompilerOptions options)
    {
        var hosts = new HostAddresses(options);
        var changed = _slices?.Renew(resources) ?? [];
        var slices = _slices ??= new SliceIndex(resources);
        Reuse = default;
        (_asksAll, _areServicesShared) = (false, true);
        Dictionary<Destination, Destination> versions = [];
        _isAssigned = _assignment is not null && _selectedOnly == options.SelectedOnly && _assignment.IsFor(resources, options.Side, out versions);
        if (_assignment is { } same && _isAssigned)
        {
            _budget.Restore(same.Work);
            _addresses!.Renew(hosts);
            Replace(versions, changed);
        }
        else if (_assignment is not null && _selectedOnly == options.SelectedOnly && _assignment.Amend(resources, options.Side) is { } amendment)
        {
            _budget.Restore(amendment.Assignment.Work);
            _addresses!.Renew(hosts);
            (_assignment, _isAssigned) = (amendment.Assignment, true);
            Amend(amendment, resources, options);
        }
        else
        {
            Assigned++;
            _budget.Restore((0, 0));
            var assignment = new Assignment(resources, options.Side, _budget, _assignment, keepsSelections: _assignment is null && !options.SelectedOnly);
            _addresses = new DestinationAddresses(resources, slices, hosts, _budget);
            Inherit(assignment, resources);
            (_assignment, _selectedOnly) = (assignment, options.SelectedOnly);
        }

        if (_assignment.TooMany is { } policy)
        {
            return Refuse(policy, hosts);
        }

        var isAmended = _assignment.IsAmended;
        _marks = Answers.MarksOf(changed);
        foreach (var grant in _assignment.Grants)
        {
            Resolve(grant, changed, hosts);
            if (_budget.IsExhausted)
            {
                return isAmended ? RunFromNothing(resources, options) : Refuse(grant.Selection.Policy, hosts);
            }
        }

        var diagnostics = _assignment.Diagnostics.Copy();
        var destinations = Sum(resources, options, changed, hosts, diagnostics);
        if (_budget.IsExhausted && _assignment.Policies.Concat(_assignment.Listeners).LastOrDefault() is { } last)
        {
            return isAmended ? RunFromNothing(resources, options) : Refuse(last, hosts);
        }

        var isMeshUsed = ResolveMesh(changed, hosts, diagnostics);
        var rules = _assignment.Main.Build(_addresses, diagnostics, isMeshUsed ? _assignment.OfMesh.Sum(static grant => grant.Rules!.Length) : 0);
        var ofListeners = _assignment.OfListeners.Build(_addresses, diagnostics);
        List<(SourcePolicies Of, RuleSet Rules)> bySource = [.. _assignment.Sources.Select(source => (source, source.Builder.Build(_addresses, diagnostics)))];
        var main = rules.Rules;
        var ofMesh = isMeshUsed ? rules.AddBelow(_assignment.OfMesh) : [];
        WantNoMore();
        var selections = _assignment.TakeSelections(out var whole);
        return new CompilationResult(
            new CompiledPolicy(rules.Rules, Shadowed(resources, options, [rules, ofListeners, .. bySource.Select(static source => source.Rules)]), options.Side,
                ofListeners.Rules, rules.Exemptions, rules.Table)
            {
                BySource = [.. bySource.Select(static source => new SourceRules(source.Of.From, source.Rules.Rules))],
            },
            diagnostics.ToSorted(), destinations)
        {
            WantedHosts = hosts.Wanted,
            WantedServices = _services,
            FindsSelections = selections,
            SummarizesPolicies = new(() => [.. whole.Value.Summarize([.. main, .. bySource.SelectMany(static source => source.Rules.Rules)], ofListeners.Rules, ofMesh, isMeshUsed, selections.Value)]),
        };
    }

    private CompilationResult RunFromNothing(ResourceSet resources, CompilerOptions options)
    {
        Forget();
        return Run(resources, options);
    }

    /// <summary>Finds anew which Services are asked for. Results keep the earlier set.</summary>
    private void AskAll() => (_services, _asksAll, _areServicesShared) = ([], true, false);

    /// <summary>Takes new versions of destinations, which policies select as they did the earlier ones.</summary>
    private void Replace(Dictionary<Destination, Destination> versions, HashSet<(string, string)> changed)
    {
        if (versions.Count == 0)
        {
            return;
        }

        _assignment!.Replace(versions);
        foreach (var (one, by) in versions)
        {
            _addresses!.Replace(one, by, isSameKey: true);
            _facts.Remove(one);
            if (by is VirtualDestination)
            {
                // It may have other Services behind it.
                AskAll();
            }
            else if (by is Service service)
            {
                // Whatever is before it has asked for its endpoints.
                changed.Add(Answers.KeyOf(service));
            }
        }

        for (var i = 0; i < _reported.Count; i++)
        {
            if (versions.TryGetValue(_reported[i].Destination, out var by))
            {
                _reported[i] = new Reported(by, _reported[i].Policies, _assignment.OfAllPorts.GetValueOrDefault(by));
            }
        }
    }

    /// <summary>Takes what an amended assignment has of the destinations that were assigned again.</summary>
    private void Amend(Amendment amendment, ResourceSet resources, CompilerOptions options)
    {
        Assignment.Exchange(amendment.Changes, resources, static one => one.IsValid, _ => _addresses!.Replace, _ => _addresses!.Remove, _ => _addresses!.Add);
        if (amendment.Others.Count > 0)
        {
            foreach (var grant in _assignment!.Grants)
            {
                if (amendment.Others.Contains(grant.Selection.Destination))
                {
                    Doubt(grant.Selection.Destination, grant.From);
                    grant.Forget();
                }
            }
        }

        foreach (var (before, _, _) in amendment.Changes)
        {
            if (before is not null)
            {
                _facts.Remove(before);
            }
        }

        List<Reported> added = [.. amendment.After.Select(destination => ToReport(destination, options)).OfType<Reported>()];
        // A destination that stays asks for the same Services under any policy.
        var staying = new DestinationSet([.. added.Select(static one => one.Destination)]);
        foreach (var grant in amendment.Gone.Where(grant => !staying.Contains(grant.Selection.Destination)))
        {
            Doubt(grant.Selection.Destination, grant.From);
        }

        var reported = new List<Reported>(_reported.Count + added.Count);
        foreach (var one in _reported)
        {
            if (amendment.Before.Contains(one.Destination))
            {
                if (!staying.Contains(one.Destination))
                {
                    Doubt(one.Destination, one.Facts?.From);
                    _facts.Remove(one.Destination);
                }

                continue;
            }

            if (amendment.Others.Contains(one.Destination))
            {
                Doubt(one.Destination, one.Facts?.From);
                _facts.Remove(one.Destination);
                one.Facts = null;
            }

            reported.Add(one);
        }

        foreach (var one in added)
        {
            if (amendment.Others.Contains(one.Destination))
            {
                Doubt(one.Destination, one.Facts?.From);
                _facts.Remove(one.Destination);
                one.Facts = null;
            }

            var (low, high, place) = (0, reported.Count, amendment.Order[one.Destination]);
            while (low < high)
            {
                var middle = (low + high) / 2;
                (low, high) = amendment.Order[reported[middle].Destination] < place ? (middle + 1, high) : (low, middle);
            }

            reported.Insert(low, one);
        }

        _reported = reported;
        _doubtedMarks = Answers.MarksOf(_doubted);
    }

    /// <summary>Takes note that something which asked for Services is gone, or asks again.</summary>
    private void Doubt(Destination destination, Answers? answers)
    {
        if (answers is { Services: { } services })
        {
            _doubted.UnionWith(services);
        }
        else if (answers is not null)
        {
            _doubted.Add(Answers.KeyOf((Service)destination));
        }
    }

    /// <summary>Removes the Services that nothing asks for any more.</summary>
    private void WantNoMore()
    {
        if (_doubted.Count == 0)
        {
            return;
        }

        _services = new(_services);
        _services.ExceptWith(_doubted);
        _doubted.Clear();
        _doubtedMarks = 0;
    }

    /// <summary>Takes note that something asks for Services.</summary>
    private void Trust(Destination destination, Answers answers)
    {
        if ((answers.Marks & _doubtedMarks) == 0)
        {
            return;
        }

        if (answers.Services is { } services)
        {
            _doubted.ExceptWith(services);
        }
        else
        {
            _doubted.Remove(Answers.KeyOf((Service)destination));
        }
    }

    /// <summary>Takes the rules of grants that an earlier assignment had, too.</summary>
    private void Inherit(Assignment assignment, ResourceSet resources)
    {
        AskAll();
        if (_assignment is not { } earlier)
        {
            return;
        }

        // Addresses of other destinations come from objects that a selector finds, or a label: any of them may matter.
        var areOthersSame = earlier.HasSame<ExternalService>(resources) && earlier.HasSame<ExternalEndpoint>(resources) && earlier.HasSame<ServiceEntry>(resources)
            && earlier.HasSame<WorkloadEntry>(resources) && earlier.HasSame<Service>(resources);
        var areWorkloadsSame = earlier.HasSame<WorkloadEntry>(resources);
        var known = new Dictionary<Destination, Grant>(_facts.Count, ReferenceEqualityComparer.Instance);
        foreach (var grant in earlier.Grants.Concat(earlier.OfMesh))
        {
            ref var last = ref CollectionsMarshal.GetValueRefOrAddDefault(known, grant.Selection.Destination, out _);
            (grant.Another, last) = (last, grant);
        }

        foreach (var grant in assignment.Grants.Concat(assignment.OfMesh))
        {
            if (!DependsOnAnswersOnly(grant.Selection.Destination))
            {
                continue;
            }

            for (var one = known.GetValueOrDefault(grant.Selection.Destination); one is not null; one = one.Another)
            {
                if (one.Rules is not null && one.Equals(grant))
                {
                    grant.Take(one);
                    break;
                }
            }
        }

        if (areOthersSame && areWorkloadsSame && earlier.HasSame<Destination>(resources))
        {
            foreach (var made in earlier.MadeDestinations)
            {
                _facts.Remove(made);
            }

            return;
        }

        var facts = new Dictionary<Destination, DestinationFacts>(ReferenceEqualityComparer.Instance);
        foreach (var destination in resources.Of<Destination>().Where(DependsOnAnswersOnly))
        {
            if (_facts.TryGetValue(destination, out var one))
            {
                facts.Add(destination, one);
            }
        }

        _facts = facts;

        bool DependsOnAnswersOnly(Destination destination) => destination switch
        {
            Service => areWorkloadsSame,
            ExternalService { Selector.IsEmpty: true } => true,
            _ => areOthersSame,
        };
    }

    private void Resolve(Grant grant, HashSet<(string, string)> changed, HostAddresses hosts)
    {
        var destination = grant.Selection.Destination;
        var isKept = grant.From is { } from && from.Hold(destination, changed, _marks, hosts);
        if (isKept)
        {
            _budget.Add(grant.From!.Work);
        }
        else
        {
            grant.Resolve(_addresses!, _budget);
        }

        Reuse = (Reuse.Kept + (isKept ? 1 : 0), Reuse.All + 1);
        Trust(destination, grant.From!);
        if (!isKept || _asksAll)
        {
            Want(destination, grant.From!);
        }
    }

    /// <summary>Finds the addresses of the mesh-wide keepalive, which must not keep other policies from being enforced.</summary>
    /// <returns>Whether it is used; false if it has too many.</returns>
    private bool ResolveMesh(HashSet<(string, string)> changed, HostAddresses hosts, DiagnosticBag diagnostics)
    {
        var before = _budget.Count;
        foreach (var grant in _assignment!.OfMesh)
        {
            Resolve(grant, changed, hosts);
            if (!_budget.IsExhausted)
            {
                continue;
            }

            _budget.Restore(before);
            var mesh = _assignment.Mesh!;
            diagnostics.Report(DiagnosticCatalog.MeshTooWide, mesh.Policy.Position,
                $"{mesh.Subject}: with every destination the policies have more than {CompilationBudget.MaxRules} rules; it is used under DestinationRules only",
                "name the destinations in a DestinationRule or a ConnectionPolicy");
            _assignment.OfMesh.ForEach(static one => one.Forget());
            return false;
        }

        return _assignment.Mesh is not null;
    }

    /// <summary>Sums up the destinations.</summary>
    private ImmutableArray<DestinationSummary> Sum(
        ResourceSet resources, CompilerOptions options, HashSet<(string, string)> changed, HostAddresses hosts, DiagnosticBag diagnostics)
    {
        var report = new DestinationReport(options, hosts, _addresses!);
        if (!_isAssigned)
        {
            _reported = [.. ToReport(resources, options)];
            KeepFactsOfReported();
        }

        var summaries = ImmutableArray.CreateBuilder<DestinationSummary>(_reported.Count);
        foreach (var one in _reported)
        {
            var (destination, earlier) = (one.Destination, one.Facts);
            var from = one.OfAllPorts?.From ?? Ask(destination, earlier, changed, hosts);
            Trust(destination, from);
            var isSaid = IsSaid(from, options);
            var isKept = earlier is not null && ReferenceEquals(earlier.From, from) && !isSaid && !earlier.IsSaid && AreSame(earlier.Summary.Policies, one.Policies);
            var facts = isKept ? earlier! : new DestinationFacts(from, report.Of(destination, from),
                new DestinationSummary(destination.QualifiedName, destination.Kind, destination.Position, one.Policies, from.Prefixes), isSaid);
            if (!isKept)
            {
                _facts[destination] = one.Facts = facts;
            }

            foreach (var problem in facts.Problems)
            {
                diagnostics.Add(problem);
            }

            summaries.Add(facts.Summary);
        }

        return summaries.DrainToImmutable();
    }

    /// <summary>Forgets the facts of destinations that are not summed up: nobody would notice that their addresses change.</summary>
    private void KeepFactsOfReported()
    {
        var facts = new Dictionary<Destination, DestinationFacts>(_reported.Count, ReferenceEqualityComparer.Instance);
        foreach (var one in _reported)
        {
            if (one.Facts is { } known)
            {
                facts.Add(one.Destination, known);
            }
        }

        _facts = facts;
    }

    /// <summary>The destinations to sum up.</summary>
    private IEnumerable<Reported> ToReport(ResourceSet resources, CompilerOptions options)
    {
        foreach (var destination in resources.Valid<Destination>().Concat(_assignment!.MadeDestinations))
        {
            if (ToReport(destination, options) is { } reported)
            {
                yield return reported;
            }
        }
    }

    private Reported? ToReport(Destination destination, CompilerOptions options)
    {
        // Objects dumped from a cluster include many that no policy selects.
        var policies = _assignment!.PoliciesOf(destination);
        return !policies.IsEmpty || (!options.SelectedOnly && destination is (VirtualDestination or ExternalService))
            ? new Reported(destination, policies, _assignment.OfAllPorts.GetValueOrDefault(destination)) { Facts = _facts.GetValueOrDefault(destination) }
            : null;
    }

    /// <summary>Whether the options say more of a destination's hosts than their addresses.</summary>
    private static bool IsSaid(Answers from, CompilerOptions options)
    {
        if (options.HostsNotResolving.Count + options.HostsCut.Count == 0)
        {
            return false;
        }

        foreach (var (host, _) in from.Hosts)
        {
            if (options.HostsNotResolving.Contains(host) || options.HostsCut.Contains(host))
            {
                return true;
            }
        }

        return false;
    }

    private static bool AreSame(ImmutableArray<string> some, ImmutableArray<string> others) => some == others || some.AsSpan().SequenceEqual(others.AsSpan());

    /// <summary>The answers about all ports of a destination.</summary>
    private Answers Ask(Destination destination, DestinationFacts? earlier, HashSet<(string, string)> changed, HostAddresses hosts)
    {
        if (earlier is not null && earlier.From.Hold(destination, changed, _marks, hosts))
        {
            _budget.Add(earlier.From.Work);
            Want(destination, earlier.From);
            return earlier.From;
        }

        var from = Answers.Of(destination, _addresses!, destination.IsAnyPort ? [null] : destination.Ports.CastArray<DestinationPort?>(), _budget, out _);
        Want(destination, from);
        return from;
    }

    private void Want(Destination destination, Answers answers)
    {
        foreach (var service in answers.Services ?? [Answers.KeyOf((Service)destination)])
        {
            if (_services.Contains(service))
            {
                continue;
            }

            // The result before has the set as it was.
            _services = _areServicesShared ? new(_services) : _services;
            _areServicesShared = false;
            _services.Add(service);
        }
    }

    private static Lazy<ImmutableArray<LostRule>> Shadowed(ResourceSet resources, CompilerOptions options, IReadOnlyList<RuleSet> sets) => new(() =>
    {
        // By its own objects: another thread may be asking while the next compilation is under way.
        var addresses = new DestinationAddresses(resources, new HostAddresses(options), new CompilationBudget());
        return [.. sets.SelectMany(set => set.Shadowed(addresses))];
    });

    private CompilationResult Refuse(RankedPolicy policy, HostAddresses hosts)
    {
        var diagnostics = _assignment!.Diagnostics.Copy();
        diagnostics.Report(DiagnosticCatalog.TooManyRules, policy.Policy.Position,
            $"{policy.Subject}: up to here the policies have more than {CompilationBudget.MaxRules} rules "
            + $"or {CompilationBudget.MaxComparisons} comparisons; none is enforced",
            "use CIDR blocks, and omit lists of all ports");
        var result = new CompilationResult(CompiledPolicy.Empty, diagnostics.ToSorted(), []) { WantedHosts = hosts.Wanted, WantedServices = _services };
        Forget();
        return result;
    }

    private void Forget()
    {
        (_assignment, _addresses, _slices) = (null, null, null);
        _facts.Clear();
        _doubted.Clear();
        (_services, _reported, _doubtedMarks) = ([], [], 0);
    }

    /// <summary>What a destination amounts to.</summary>
    /// <param name="From">The answers about all of its ports.</param>
    /// <param name="Problems">Its problems.</param>
    /// <param name="Summary">Its summary.</param>
    /// <param name="IsSaid">Whether the problems are about more than the addresses of its hosts.</param>
    private sealed record DestinationFacts(Answers From, Diagnostic[] Problems, DestinationSummary Summary, bool IsSaid);

    /// <summary>A destination to sum up.</summary>
    private sealed class Reported(Destination destination, ImmutableArray<string> policies, Grant? ofAllPorts)
    {
        public Destination Destination => destination;

        public ImmutableArray<string> Policies => policies;

        public Grant? OfAllPorts => ofAllPorts;

        public DestinationFacts? Facts { get; set; }
    }
}
