using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <content>Assigns again what single objects touch.</content>
/// <remarks>
/// The decisions about a destination depend on it and on the policies that select it. So these are made anew for the destinations that have changed,
/// and for those that a changed policy selects. Numbers about all of them, such as the destinations that a policy lost, are adjusted.
/// </remarks>
internal sealed partial class Assignment
{
    private DocumentOrder? _order;
    private Dictionary<RankedPolicy, int>? _ranks;

    /// <summary>Another assignment with the same builders, which are to be amended.</summary>
    private Assignment(Assignment earlier, ResourceSet resources)
    {
        (_budget, _policiesOf, _noPolicies, _selector, _ofMesh, _side) = (earlier._budget, earlier._policiesOf, earlier._noPolicies, earlier._selector, earlier._ofMesh, earlier._side);
        IsAmended = true;
        (_latest, _order) = (resources, earlier._order);
        (Main, Sources, OfListeners, OfAllPorts) = (earlier.Main, earlier.Sources, earlier.OfListeners, earlier.OfAllPorts);
        (_ranked, Policies, Listeners, _ranks) = (earlier._ranked, earlier.Policies, earlier.Listeners, earlier._ranks);
    }

    /// <summary>The assignment for a set that differs in few objects. This one must not be used any more.</summary>
    /// <param name="resources">The set.</param>
    /// <param name="side">Which ends of connections are looked at.</param>
    /// <returns>Null if it is to be made from nothing.</returns>
    public Amendment? Amend(ResourceSet resources, Side side)
    {
        if (side != _side || TooMany is not null || Mesh is not null || Work.Comparisons > CompilationBudget.MaxComparisons / 2)
        {
            return null;
        }

        var most = 64 + (Main.Grants.Count / 16);
        if (ResourceChange.Find(_latest.All.AsSpan(), resources.All.AsSpan(), SliceIndex.IsOfSlices, most) is not { } changes || Changes.Of(changes, IsAmendable) is not { } changed)
        {
            return null;
        }

        _order ??= DocumentOrder.Of(_latest);
        _ranks ??= RanksOf(Policies, Listeners);
        if (_order is null || _ranks is null)
        {
            return null;
        }

        var later = new Assignment(this, resources);
        if (changed.HasPolicies && !later.RankAgain(this, resources, changed))
        {
            return null;
        }

        _budget.Restore(Work);
        var touched = PairsOf(later, changed, most);
        if (touched is null || touched.Exists(pair => later.IsSelectedOtherwise(pair.Before) || later.IsSelectedOtherwise(pair.After)))
        {
            return null;
        }

        List<Destination> before = [.. touched.Select(static pair => pair.Before).OfType<Destination>().Where(static one => one.IsValid)];
        var outcomes = Builders.Select((builder, i) => OutcomesOf(before, i)).ToList();
        if (!later.Take(this, changed))
        {
            _order = null;
            return null;
        }

        List<Destination> after = [.. touched.Select(static pair => pair.After).OfType<Destination>().Where(static one => one.IsValid).OrderBy(one => _order[one])];
        return later.Amend(this, changed, before, after, outcomes, touched.Count);
    }

    private Amendment? Amend(Assignment earlier, Changes changed, List<Destination> before, List<Destination> after, List<List<RuleSetBuilder.Outcome>> outcomes, int count)
    {
        foreach (var destination in before)
        {
            _policiesOf.Remove(destination);
            OfAllPorts.Remove(destination);
        }

        var order = new SelectionOrder(_order!, _ranks!);
        var gone = new List<Grant>();
        for (var i = 0; i < outcomes.Count; i++)
        {
            var builder = i;
            if (Builders[i].Amend(outcomes[i], OutcomesOf(after, i), order, (loser, winner, place) => First(loser, winner, place, builder)) is not { } grants)
            {
                return null;
            }

            gone.AddRange(grants.Gone);
            foreach (var grant in grants.Here.Where(static grant => grant.IsForAllPorts))
            {
                OfAllPorts.TryAdd(grant.Selection.Destination, grant);
            }
        }

        foreach (var destination in after)
        {
            NotePolicies(destination);
        }

        ReportAgain();
        FindLossesAgain();
        Work = (earlier.Work.Rules, _budget.Count.Comparisons + ((Policies.Count + Listeners.Count) * 2 * count));
        return new Amendment(this, changed.Destinations, new DestinationSet(before), after, gone, new DestinationSet(Others(changed)), order);
    }

    /// <summary>The grants of all policies, in the order in which they are decided.</summary>
    private RuleSetBuilder[] Builders => _builders ??= [Main, .. Sources.Select(static source => source.Builder), OfListeners];

    /// <summary>The policies of each of the builders that select by references, the strongest first.</summary>
    private RankedPolicy[][] ByReference => _byReference ??=
        [.. Enumerable.Range(0, Builders.Length).Select(builder => PoliciesOf(builder).Where(static policy => Selector.IsByReference(policy.Policy)).ToArray())];

    private RuleSetBuilder[]? _builders;
    private RankedPolicy[][]? _byReference;

    /// <summary>The policies of one of the builders, the strongest first.</summary>
    private IEnumerable<RankedPolicy> PoliciesOf(int builder) => builder == 0 ? Policies.Where(static policy => policy.From is null)
        : builder <= Sources.Count ? Sources[builder - 1].Policies : Listeners;

    /// <summary>Whether the effect of an object is known by what follows. That of policies which select by hosts, or by what they are attached to, is not.</summary>
    private bool IsAmendable(Resource? resource) => resource switch
    {
        null or EndpointSlice or Endpoints or Service or VirtualDestination or ExternalService or VirtualGateway or ConnectionPolicy or ListenerConnectionPolicy => true,
        // Those that say nothing of keepalive hide others, if there are any.
        DestinationRule rule => !KeepaliveConversion.AllOf(rule).Any() && !Policies.Any(static policy => policy.Policy is DestinationRule),
        _ => false,
    };

    private static Dictionary<RankedPolicy, int>? RanksOf(IReadOnlyList<RankedPolicy> policies, IReadOnlyList<RankedPolicy> listeners)
    {
        var ranks = new Dictionary<RankedPolicy, int>(policies.Count + listeners.Count);
        foreach (var policy in policies.Concat(listeners))
        {
            if (!ranks.TryAdd(policy, ranks.Count))
            {
                return null;
            }
        }

        return ranks;
    }

    /// <summary>Ranks the policies of a later set. Returns false if others than the changed ones come or go.</summary>
    private bool RankAgain(Assignment earlier, ResourceSet resources, Changes changed)
    {
        _ranked = new(ReferenceEqualityComparer.Instance);
        Policies = PolicyPrecedence.Rank(resources, null, Make);
        Listeners = PolicyPrecedence.RankListeners(resources, Make);
        _ranks = RanksOf(Policies, Listeners);
        var (gone, come) = (changed.PoliciesBefore, changed.PoliciesAfter);
        return _ranks is not null
            && !earlier._ranks!.Keys.Concat(_ranks.Keys).Any(policy => policy.From is not null && (gone.Contains(policy.Policy) || come.Contains(policy.Policy)))
            && earlier._ranks.Keys.Where(policy => !gone.Contains(policy.Policy)).SequenceEqual(_ranks.Keys.Where(policy => !come.Contains(policy.Policy)));

        RankedPolicy Make(Policy policy, RankedPolicy? mesh)
        {
            if (!_ranked.TryGetValue(policy, out var ranked))
            {
                _ranked.Add(policy, ranked = earlier._ranked.GetValueOrDefault(policy) ?? new RankedPolicy(policy, mesh));
            }

            return ranked;
        }
    }

    /// <summary>The destinations to decide about again, before and after; null if they are many.</summary>
    private List<(Destination? Before, Destination? After)>? PairsOf(Assignment later, Changes changed, int most)
    {
        List<(Destination? Before, Destination? After)> pairs = [.. changed.Destinations.Select(static one => (one.Before, one.After))];
        var known = new HashSet<Destination>(ReferenceEqualityComparer.Instance);
        if (pairs.Exists(pair => (pair.Before is { } one && !(_order!.Has(one) && known.Add(one))) || (pair.After is { } other && (_order!.Has(other) || !known.Add(other)))))
        {
            return null;
        }

        foreach (var policy in changed.PoliciesBefore.Where(_ranked.ContainsKey).Concat(changed.PoliciesAfter.Where(later._ranked.ContainsKey)))
        {
            foreach (var destination in _selector.Candidates(policy))
            {
                if (destination.IsValid && known.Add(destination))
                {
                    pairs.Add((destination, destination));
                    if (pairs.Count > most)
                    {
                        return null;
                    }
                }
            }
        }

        return pairs;
    }

    /// <summary>Whether a destination may be selected by its host, or by what a policy is attached to.</summary>
    private bool IsSelectedOtherwise(Destination? destination)
    {
        if (destination is null || (Policies.Count > 0 && Selector.IsByReference(Policies[^1].Policy) && (Listeners.Count == 0 || Selector.IsByReference(Listeners[^1].Policy))))
        {
            return false;
        }

        foreach (var policy in Policies.Concat(Listeners))
        {
            if (policy.Policy is ProxyPolicy
                || (policy.Policy is DestinationRule rule && destination.DialledHosts.Any(host => rule.Covers(HostName.Canonical(host)))))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Takes the changed objects into what is looked up. Returns false if there is no room between two destinations for one more.</summary>
    private bool Take(Assignment earlier, Changes changed)
    {
        foreach (var policy in changed.PoliciesBefore)
        {
            if (earlier._ranked.TryGetValue(policy, out var ranked))
            {
                _selector.Remove(ranked);
            }
        }

        var numbers = changed.Destinations.ConvertAll(change => change.Before is null ? 0 : _order![change.Before]);
        foreach (var (before, _, _) in changed.Destinations)
        {
            if (before is not null)
            {
                _order!.Remove(before);
            }
        }

        for (var i = 0; i < numbers.Count; i++)
        {
            if (changed.Destinations[i] is { Before: not null, After: { } after })
            {
                _order!.Add(after, numbers[i]);
            }
        }

        foreach (var (before, after, place) in changed.Destinations)
        {
            if (before is null && !_order!.TryAdd(_latest.All.AsSpan(), place))
            {
                return false;
            }

            _selector.Doubt(before, after);
            foreach (var policy in _ranks!.Keys)
            {
                if (before is not null)
                {
                    _selector.Add(policy, before, -1);
                }

                if (after is not null)
                {
                    _selector.Add(policy, after, 1);
                }
            }
        }

        Exchange(changed.Destinations, _latest, static one => true, kind => _selector.Of(kind).Replace, kind => _selector.Of(kind).Remove, kind => _selector.Of(kind).Add);
        foreach (var policy in changed.PoliciesAfter)
        {
            if (_ranked.TryGetValue(policy, out var ranked))
            {
                _selector.Add(ranked);
            }
        }

        return true;
    }

    /// <summary>Puts destinations in the place of others, in an index of their kind.</summary>
    /// <param name="changes">The destinations.</param>
    /// <param name="resources">The later set.</param>
    /// <param name="isIndexed">Which destinations are there.</param>
    /// <param name="replace">Puts one in the place of another.</param>
    /// <param name="remove">Removes one.</param>
    /// <param name="add">Adds one before another.</param>
    internal static void Exchange(
        IReadOnlyList<DestinationChange> changes, ResourceSet resources, Func<Destination, bool> isIndexed,
        Func<DestinationKind, Action<Destination, Destination, bool>> replace, Func<DestinationKind, Action<Destination>> remove, Func<DestinationKind, Action<Destination, Destination?>> add)
    {
        // From the end: what follows one that comes is there already.
        for (var i = changes.Count - 1; i >= 0; i--)
        {
            var (before, after, place) = changes[i];
            before = before is not null && isIndexed(before) ? before : null;
            after = after is not null && isIndexed(after) ? after : null;
            if (before is not null && after is not null && before.DestinationKind == after.DestinationKind)
            {
                replace(before.DestinationKind)(before, after, before.Metadata.HasSameIdentity(after.Metadata));
                continue;
            }

            if (before is not null)
            {
                remove(before.DestinationKind)(before);
            }

            if (after is not null)
            {
                var next = place + 1;
                while (next < resources.All.Length && !(resources.All[next] is Destination other && other.DestinationKind == after.DestinationKind && isIndexed(other)))
                {
                    next++;
                }

                add(after.DestinationKind)(after, next < resources.All.Length ? (Destination)resources.All[next] : null);
            }
        }
    }

    private List<RuleSetBuilder.Outcome> OutcomesOf(IEnumerable<Destination> destinations, int builder) => [.. destinations.Select(destination => OutcomeOf(destination, builder))];

    /// <summary>The decisions about one destination.</summary>
    private RuleSetBuilder.Outcome OutcomeOf(Destination destination, int builder)
    {
        var alone = new RuleSetBuilder();
        foreach (var policy in ByReference[builder])
        {
            if (Selector.Select(policy, destination) is { } selection)
            {
                alone.Add(selection);
            }
        }

        return new RuleSetBuilder.Outcome(destination, _order![destination], alone);
    }

    /// <summary>The decisions about the first destination after a place that one policy has and another selects.</summary>
    private RuleSetBuilder.Outcome? First(RankedPolicy loser, RankedPolicy winner, long place, int builder)
    {
        RuleSetBuilder.Outcome? first = null;
        foreach (var candidates in _selector.CandidatesInOrder(loser.Policy))
        {
            foreach (var destination in candidates)
            {
                if ((builder == 0 && OfAllPorts.TryGetValue(destination, out var grant) && grant.Selection.Policy is { From: null, Policy: ConnectionPolicy } whole && whole != winner)
                    || _order![destination] <= place || !destination.IsValid || Selector.Select(winner, destination) is null || Selector.Select(loser, destination) is null)
                {
                    continue;
                }

                var outcome = OutcomeOf(destination, builder);
                if (outcome.Alone.HasLost(loser, winner))
                {
                    first = first is { } known && known.Place < outcome.Place ? known : outcome;
                    break;
                }
            }
        }

        return first;
    }

    private void NotePolicies(Destination destination)
    {
        PolicyNames? names = null;
        foreach (var policy in ByReference.SelectMany(static policies => policies))
        {
            if (Selector.Select(policy, destination) is not null)
            {
                names ??= _noPolicies;
                names = names.IsLast(policy.Name) ? names : names.And(policy.Name);
            }
        }

        if (names is not null)
        {
            _policiesOf[destination] = names;
        }
    }

    /// <summary>Reports again the problems that do not depend on addresses.</summary>
    private void ReportAgain()
    {
        Diagnostics = _ofMesh.Copy();
        _selector.Report(Enumerable.Range(0, Builders.Length).SelectMany(PoliciesOf), Diagnostics);
        Report();
    }

    /// <summary>The destinations that have other addresses because of changed ones behind them.</summary>
    private HashSet<Destination> Others(Changes changed)
    {
        var others = new HashSet<Destination>(ReferenceEqualityComparer.Instance);
        List<Destination> versions = [.. changed.Destinations.SelectMany(static change => new[] { change.Before, change.After }).OfType<Destination>().Where(static one => one is Service or ExternalService)];
        if (versions.Count == 0)
        {
            return others;
        }

        foreach (var destination in _selector.Of(DestinationKind.VirtualDestination).All)
        {
            var (services, externals) = destination is VirtualDestination virtualDestination ? (virtualDestination.Services, virtualDestination.ExternalServices) : ([], []);
            foreach (var one in versions)
            {
                foreach (var selector in one is Service ? services : externals)
                {
                    if (selector.Matches(one.Metadata))
                    {
                        others.Add(destination);
                    }
                }
            }
        }

        others.UnionWith(_selector.Of(DestinationKind.VirtualGateway).All.Concat(_selector.Of(DestinationKind.Gateway).All));
        return others;
    }

    /// <summary>The changed objects, by what they are.</summary>
    private sealed record Changes(List<DestinationChange> Destinations, HashSet<Policy> PoliciesBefore, HashSet<Policy> PoliciesAfter)
    {
        public bool HasPolicies => PoliciesBefore.Count + PoliciesAfter.Count > 0;

        /// <summary>Sorts changes; null if the effect of one is not known.</summary>
        public static Changes? Of(List<ResourceChange> all, Func<Resource?, bool> isAmendable)
        {
            var changes = new Changes([], new(ReferenceEqualityComparer.Instance), new(ReferenceEqualityComparer.Instance));
            foreach (var (before, after, place) in all)
            {
                if (!isAmendable(before) || !isAmendable(after))
                {
                    return null;
                }

                if (before is Destination || after is Destination)
                {
                    changes.Destinations.Add(new DestinationChange(before as Destination, after as Destination, place));
                }

                // One that comes again has another place.
                if ((before is Policy one && !changes.PoliciesBefore.Add(one)) || (after is Policy other && !changes.PoliciesAfter.Add(other)))
                {
                    return null;
                }
            }

            return changes.PoliciesBefore.Overlaps(changes.PoliciesAfter) ? null : changes;
        }
    }
}

/// <summary>A destination that has changed.</summary>
/// <param name="Before">The earlier version; null if it is new.</param>
/// <param name="After">The later version; null if it is gone.</param>
/// <param name="Place">The place in the later set.</param>
internal readonly record struct DestinationChange(Destination? Before, Destination? After, int Place);

/// <summary>An assignment that was made from another.</summary>
/// <param name="Assignment">The assignment.</param>
/// <param name="Changes">The destinations that have changed.</param>
/// <param name="Before">The destinations about which was decided again, as they were.</param>
/// <param name="After">The same as they are, in document order.</param>
/// <param name="Gone">The grants that are gone.</param>
/// <param name="Others">Destinations that may have other addresses now.</param>
/// <param name="Order">The order of destinations.</param>
internal sealed record Amendment(
    Assignment Assignment, IReadOnlyList<DestinationChange> Changes, DestinationSet Before, IReadOnlyList<Destination> After, IReadOnlyList<Grant> Gone,
    DestinationSet Others, SelectionOrder Order);

/// <summary>Some destinations, by reference. They are mostly one or two.</summary>
internal sealed class DestinationSet
{
    private const int Few = 8;

    private readonly Destination[]? _few;
    private readonly HashSet<Destination>? _many;

    public DestinationSet(IReadOnlyCollection<Destination> destinations)
    {
        Count = destinations.Count;
        if (Count <= Few)
        {
            _few = [.. destinations];
        }
        else
        {
            _many = new(destinations, ReferenceEqualityComparer.Instance);
        }
    }

    public int Count { get; }

    public bool Contains(Destination destination)
    {
        if (_few is null)
        {
            return _many!.Contains(destination);
        }

        foreach (var one in _few)
        {
            if (ReferenceEquals(one, destination))
            {
                return true;
            }
        }

        return false;
    }
}
