using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Keepalive.Config.Compilation;

/// <summary>The rules of some grants: at each address the one in force, and those that lost it.</summary>
/// <remarks>
/// <code>
///   grants        0: rules of a, b      1: rules of b, c      2: rules of d          the strongest policy first
///   Rules         a │ b ││ c ││ d                                                    at its first grant each address, with the rule in force there
///   table         a: of grant 0 │ b: claims │ c: of grant 1 │ d: of grant 2
///   claims        b: grant 0, grant 1                                                only where several grants have one address
/// </code>
/// When few grants come, go or have other rules, <see cref="With"/> copies the parts, and makes anew what is about the addresses of these grants. A grant
/// is known by its number, which stays the same while others come before it.
/// </remarks>
internal sealed class RuleSet
{
    private readonly Lazy<IReadOnlyList<Loss>> _losses;

    // By the number of the grant: its rules (null if there is no such grant any more), its place among the others, how many of its addresses no
    // stronger one has.
    private readonly CompiledRule[]?[] _ofGrants;
    private readonly int[] _places;
    private readonly int[] _firsts;

    // The numbers of the grants, the strongest first.
    private readonly int[] _order;

    // For each of Rules, the grant or claims of its address.
    private readonly int[] _holders;
    private readonly Claims _claims;

    // By the number of the grant: the first of the pairs of policies that share addresses there; negative for none.
    private readonly int[] _shared;
    private readonly bool _hasOthers;

    /// <param name="builder">The rules, and the parts that policies select and do not set.</param>
    /// <param name="grants">The grants with their rules, the strongest policy first.</param>
    /// <param name="exemptions">The ports that policies keep free.</param>
    /// <param name="below">The number of rules that <see cref="AddBelow"/> may add.</param>
    public RuleSet(RuleSetBuilder builder, IReadOnlyList<Grant> grants, IReadOnlyCollection<CompiledRule> exemptions, int below)
    {
        _losses = builder.Losses;
        _ofGrants = new CompiledRule[grants.Count][];
        _order = new int[grants.Count];
        var count = 0;
        for (var i = 0; i < _order.Length; i++)
        {
            (_order[i], grants[i].Number) = (i, i);
            _ofGrants[i] = grants[i].Rules!;
            count += grants[i].Rules!.Length;
        }

        _places = _order;
        _firsts = new int[_ofGrants.Length];
        _claims = new Claims();
        _hasOthers = exemptions.Count + below > 0;
        Table = new RuleTable(count + exemptions.Count + below);
        var rules = ImmutableArray.CreateBuilder<CompiledRule>(count);
        var holders = new int[count];
        for (var i = 0; i < _ofGrants.Length; i++)
        {
            foreach (var rule in _ofGrants[i]!)
            {
                if (Table.TryAdd(rule, rules.Count, out var number) is { } first)
                {
                    holders[number] = _claims.Append(holders[number], first, rule, i);
                }
                else
                {
                    holders[number] = i;
                    _firsts[i]++;
                    rules.Add(rule);
                }
            }
        }

        _holders = holders.Length == rules.Count ? holders : holders[..rules.Count];
        Settle(rules);
        if (!_hasOthers)
        {
            Table.Renumber(_holders);
        }

        Exemptions = [.. exemptions.Where(exemption => Table.TryAdd(exemption) is null)];
        Rules = rules.Count == rules.Capacity ? rules.MoveToImmutable() : rules.ToImmutable();
        _shared = new int[_order.Length];
        var at = 0;
        var rivals = new List<CompiledRule>();
        foreach (var number in _order)
        {
            _shared[number] = FindShared(at, _firsts[number], rivals);
            at += _firsts[number];
        }

        _claims.SharedAtFirst = _claims.Shared.Count;
    }

    private RuleSet(RuleSetBuilder builder, RuleSet before, Change change, RuleTable table)
    {
        (_losses, _ofGrants, _order, _places) = (builder.Losses, change.OfGrants, change.Order, change.Places);
        (_claims, Table, Exemptions) = (before._claims, table, []);
        _firsts = new int[_ofGrants.Length];
        before._firsts.CopyTo(_firsts, 0);
        var starts = new int[before._ofGrants.Length];
        var start = 0;
        foreach (var number in before._order)
        {
            starts[number] = start;
            start += before._firsts[number];
        }

        var (rules, holders) = (new List<CompiledRule>(), new List<int>());
        var own = new Dictionary<int, int>(change.Touched.Count);
        foreach (var number in change.Touched)
        {
            own.Add(number, rules.Count);
            foreach (var rule in _ofGrants[number] ?? [])
            {
                var (winner, holder) = table.At(rule);
                if (_claims.FirstOf(holder) == number)
                {
                    rules.Add(winner!);
                    holders.Add(holder);
                }
            }

            _firsts[number] = rules.Count - own[number];
        }

        var length = 0;
        foreach (var number in _order)
        {
            length += _firsts[number];
        }

        _shared = new int[_ofGrants.Length];
        before._shared.CopyTo(_shared, 0);

        // Those that have not changed are copied in long pieces.
        var (allRules, allHolders) = (new CompiledRule[length], new int[length]);
        var (from, to, count) = (0, 0, 0);
        foreach (var number in _order)
        {
            var isTouched = own.TryGetValue(number, out var place);
            if (count > 0 && (isTouched || starts[number] != from + count))
            {
                Copy();
            }

            if (isTouched)
            {
                rules.CopyTo(place, allRules, to, _firsts[number]);
                holders.CopyTo(place, allHolders, to, _firsts[number]);
                own[number] = to;
                to += _firsts[number];
            }
            else
            {
                from = count == 0 ? starts[number] : from;
                count += _firsts[number];
            }
        }

        Copy();
        (Rules, _holders) = (ImmutableCollectionsMarshal.AsImmutableArray(allRules), allHolders);
        rules.Clear();
        foreach (var number in change.Touched)
        {
            _shared[number] = _firsts[number] == 0 ? -1 : FindShared(own[number], _firsts[number], rules);
        }

        void Copy()
        {
            before.Rules.CopyTo(from, allRules, to, count);
            Array.Copy(before._holders, from, allHolders, to, count);
            (to, count) = (to + count, 0);
        }
    }

    /// <summary>The rules in force, in the order of the first policy that has their address.</summary>
    public ImmutableArray<CompiledRule> Rules { get; private set; }

    public ImmutableArray<CompiledRule> Exemptions { get; private set; }

    public RuleTable Table { get; }

    /// <summary>The set for other grants, of which most are the same and have the same rules.</summary>
    /// <param name="builder">The parts that policies select and do not set.</param>
    /// <param name="grants">The grants: those that this set has are in the same order, others have no number yet.</param>
    /// <returns>Null if it is to be made anew: too much has changed, or there is more in it than grants.</returns>
    public RuleSet? With(RuleSetBuilder builder, IReadOnlyList<Grant> grants)
    {
        if (_hasOthers || _ofGrants.Length > (2 * grants.Count) + 1024 || _claims.IsMostlyUnused || Compare(grants) is not { } change || Table.IsTooSmallFor(change.Added))
        {
            return null;
        }

        var table = Table.Copy();
        var (numbers, shared) = (new HashSet<int>(change.Numbers), new Dictionary<int, CompiledRule>());
        foreach (var number in change.Numbers)
        {
            change.Touched.Add(number);
            foreach (var rule in number < _ofGrants.Length ? _ofGrants[number] ?? [] : [])
            {
                var holder = table.At(rule).Number;
                if (holder == number)
                {
                    table.Remove(rule);
                }
                else
                {
                    // Thousands may have one address: its list is made anew once, not for each.
                    shared.TryAdd(~holder, rule);
                }
            }
        }

        _claims.Begin();
        foreach (var (claim, rule) in shared)
        {
            change.Touched.Add(_claims.FirstOf(~claim));
            Put(table, rule, _claims.Without(claim, numbers), change.Touched);
        }

        foreach (var number in change.Numbers)
        {
            foreach (var rule in change.OfGrants[number] ?? [])
            {
                Give(table, rule, number, change);
            }
        }

        return new RuleSet(builder, this, change, table);
    }

    /// <summary>The difference between the grants of this set and others; null if it is large.</summary>
    private Change? Compare(IReadOnlyList<Grant> grants)
    {
        var most = 64 + (grants.Count / 16);
        var (numbers, added, count) = (new List<int>(), 0, _ofGrants.Length);
        var isSameOrder = grants.Count == _order.Length;
        for (var i = 0; i < grants.Count; i++)
        {
            var grant = grants[i];
            if (grant.Number < 0)
            {
                grant.Number = count++;
            }
            else if (ReferenceEquals(grant.Rules, _ofGrants[grant.Number]))
            {
                isSameOrder = isSameOrder && _order[i] == grant.Number;
                continue;
            }

            isSameOrder = isSameOrder && _order[i] == grant.Number;
            numbers.Add(grant.Number);
            added += grant.Rules!.Length;
            if (numbers.Count > most)
            {
                return null;
            }
        }

        var ofGrants = new CompiledRule[count][];
        _ofGrants.CopyTo(ofGrants, 0);
        if (isSameOrder)
        {
            foreach (var i in numbers)
            {
                ofGrants[i] = grants[_places[i]].Rules!;
            }

            return new Change(ofGrants, _order, _places, numbers, added);
        }

        var (order, places) = (new int[grants.Count], new int[count]);
        Array.Fill(places, -1);
        for (var i = 0; i < order.Length; i++)
        {
            var number = grants[i].Number;
            (order[i], places[number], ofGrants[number]) = (number, i, grants[i].Rules!);
        }

        foreach (var number in _order)
        {
            if (places[number] < 0)
            {
                ofGrants[number] = null!;
                numbers.Add(number);
            }
        }

        return numbers.Count > most ? null : new Change(ofGrants, order, places, numbers, added);
    }

    /// <summary>Adds the rules of the mesh-wide keepalive where there is no other.</summary>
    /// <returns>The rules that were added.</returns>
    public ImmutableArray<CompiledRule> AddBelow(IReadOnlyList<Grant> grants)
    {
        // An exemption gives way to them: it lies at an address without a rule.
        var exempted = Exemptions.ToDictionary(static rule => new WireAddress(rule.Prefix, rule.Port));
        var added = ImmutableArray.CreateBuilder<CompiledRule>();
        foreach (var rule in grants.SelectMany(static grant => grant.Rules!))
        {
            if (Table.TryAdd(rule) is not { } known)
            {
                added.Add(rule);
            }
            else if (known.IsExemption)
            {
                Table.Replace(known, rule);
                exempted.Remove(new WireAddress(rule.Prefix, rule.Port));
                added.Add(rule);
            }
        }

        Exemptions = [.. Exemptions.Where(rule => exempted.ContainsKey(new WireAddress(rule.Prefix, rule.Port)))];
        var rules = added.DrainToImmutable();
        Rules = Rules.AddRange(rules);
        return rules;
    }

    /// <summary>The pairs of policies that share addresses and want different things, each with its first case and their number.</summary>
    public Dictionary<(RankedPolicy Loser, RankedPolicy Winner), ((CompiledRule Rival, CompiledRule Winner) First, int Count)> LostAddresses()
    {
        var lost = new Dictionary<(RankedPolicy, RankedPolicy), ((CompiledRule, CompiledRule), int)>();
        foreach (var number in _order)
        {
            for (var i = _shared[number]; i >= 0; i = _claims.Shared[i].Next)
            {
                var (rival, winner, count, _) = _claims.Shared[i];
                ref var pair = ref CollectionsMarshal.GetValueRefOrAddDefault(lost, (rival.Terms.Owner!, winner.Terms.Owner!), out var isKnown);
                pair = (isKnown ? pair.Item1 : (rival, winner), pair.Item2 + count);
            }
        }

        return lost;
    }

    /// <summary>Takes down the pairs of policies that share addresses and want different things, among some of the rules.</summary>
    /// <param name="from">The first of the rules.</param>
    /// <param name="count">How many.</param>
    /// <param name="rivals">An empty list.</param>
    /// <returns>The first of the pairs; negative if there are none.</returns>
    private int FindShared(int from, int count, List<CompiledRule> rivals)
    {
        var (first, last) = (-1, -1);
        for (var i = from; i < from + count; i++)
        {
            FindRivals(i, rivals);
            foreach (var rival in rivals)
            {
                // Those of a destination follow each other.
                if (last >= 0 && ReferenceEquals(rival.Terms, _claims.Shared[last].Rival.Terms) && ReferenceEquals(Rules[i].Terms, _claims.Shared[last].Winner.Terms))
                {
                    _claims.Shared[last] = _claims.Shared[last] with { Count = _claims.Shared[last].Count + 1 };
                }
                else if (Differ(rival, Rules[i]))
                {
                    _claims.Shared.Add(new SharedAddresses(rival, Rules[i], 1, -1));
                    if (last >= 0)
                    {
                        _claims.Shared[last] = _claims.Shared[last] with { Next = _claims.Shared.Count - 1 };
                    }

                    last = _claims.Shared.Count - 1;
                    first = first < 0 ? last : first;
                }
            }
        }

        return first;
    }

    /// <summary>The rules that are not in force, with the reasons.</summary>
    /// <param name="addresses">Finds the addresses of what is selected and not set; these are not kept.</param>
    public IEnumerable<LostRule> Shadowed(DestinationAddresses addresses)
    {
        var count = 0;
        foreach (var (selection, ports, winner) in _losses.Value)
        {
            if (count >= CompilationBudget.MaxShadowed)
            {
                break;
            }

            var (policy, destination) = (selection.Policy, selection.Destination);
            var reason = winner is null ? "" : $"{destination.QualifiedName} is under {winner.Name}, which {RuleSetBuilder.Reason(winner, policy, destination)}";
            foreach (var (address, origin) in addresses.Find(destination, ports).All)
            {
                count++;
                yield return winner is null
                    ? new LostRule(new CompiledRule(RuleTerms.For(policy, destination, policy.Settings!.Value, ""), address),
                        RuleSetBuilder.OwnedBySettings(policy.Name, address.Port))
                    : new LostRule(new CompiledRule(RuleTerms.For(policy, destination, selection.Settings!.Value, origin, selection.Inherited), address), reason);
            }
        }

        foreach (var (rival, winner) in Lost())
        {
            yield return new LostRule(rival, $"{winner.Destination}, under {winner.Policy}, has the same address, and "
                + (TimeOf(winner) < TimeOf(rival) ? $"its time of {Describe(winner)} is shorter"
                    : Differ(rival, winner) ? $"its time of {Describe(winner)} is not longer" : "sets the same values"));
        }
    }

    internal static string Describe(CompiledRule rule) => rule.Settings.Time is { } time ? $"{time}s" : "the socket's own";

    private static int TimeOf(CompiledRule rule) => rule.Settings.Time ?? int.MaxValue;

    /// <summary>Two destinations of one policy are no rivals.</summary>
    private static bool IsSame(CompiledRule one, CompiledRule other) => one.Terms.Owner == other.Terms.Owner && one.Settings == other.Settings;

    private static bool Differ(CompiledRule one, CompiledRule other) =>
        one.Settings != other.Settings || one.Existing != other.Existing || one.UserTimeout != other.UserTimeout;

    private IEnumerable<(CompiledRule Rival, CompiledRule Winner)> Lost()
    {
        var rivals = new List<CompiledRule>();
        for (var i = 0; i < _holders.Length; i++)
        {
            FindRivals(i, rivals);
            foreach (var rival in rivals)
            {
                yield return (rival, Rules[i]);
            }
        }
    }

    /// <summary>Finds the rules that are not in force at the address of one.</summary>
    private void FindRivals(int rule, List<CompiledRule> rivals)
    {
        rivals.Clear();
        if (_holders[rule] >= 0)
        {
            return;
        }

        for (var claim = ~_holders[rule]; claim >= 0; claim = _claims[claim].Next)
        {
            if (!Has(rivals, _claims[claim].Rule))
            {
                rivals.Add(_claims[claim].Rule);
            }
        }

        rivals.Remove(Rules[rule]);
    }

    private static bool Has(List<CompiledRule> rivals, CompiledRule rule)
    {
        foreach (var rival in rivals)
        {
            if (IsSame(rival, rule))
            {
                return true;
            }
        }

        return false;
    }

    private void Settle(ImmutableArray<CompiledRule>.Builder rules)
    {
        for (var i = 0; i < _holders.Length; i++)
        {
            if (_holders[i] < 0 && WinnerOf(~_holders[i]) is var winner && !ReferenceEquals(winner, rules[i]))
            {
                Table.Replace(rules[i], winner);
                rules[i] = winner;
            }
        }
    }

    private CompiledRule WinnerOf(int claim)
    {
        var winner = _claims[claim].Rule;
        for (var next = _claims[claim].Next; next >= 0; next = _claims[next].Next)
        {
            // Strongest first, so that only a really shorter time takes over.
            winner = TimeOf(_claims[next].Rule) < TimeOf(winner) ? _claims[next].Rule : winner;
        }

        return winner;
    }

    /// <summary>Gives an address to a grant.</summary>
    private void Give(RuleTable table, CompiledRule rule, int grant, Change change)
    {
        if (table.TryAdd(rule, grant, out var holder) is not { } known)
        {
            return;
        }

        change.Touched.Add(_claims.FirstOf(holder));
        Put(table, rule, (_claims.With(holder, known, rule, grant, change.Places), null), change.Touched);
    }

    private void Put(RuleTable table, CompiledRule at, (int Holder, CompiledRule? Only)? held, HashSet<int> touched)
    {
        if (held is not var (holder, only))
        {
            table.Remove(at);
            return;
        }

        table.Set(only ?? WinnerOf(~holder), holder);
        touched.Add(_claims.FirstOf(holder));
    }

    /// <summary>The difference of another set.</summary>
    /// <param name="OfGrants">Its rules, by the number of the grant.</param>
    /// <param name="Order">The numbers of its grants, the strongest first.</param>
    /// <param name="Places">The place of each number in that order.</param>
    /// <param name="Numbers">The grants that come, go or have other rules.</param>
    /// <param name="Added">How many rules these have there.</param>
    private sealed record Change(CompiledRule[]?[] OfGrants, int[] Order, int[] Places, List<int> Numbers, int Added)
    {
        /// <summary>The grants that have other addresses, or share one with such a grant.</summary>
        public HashSet<int> Touched { get; } = [];
    }
}
