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
/// When the rules of few grants change, <see cref="With"/> copies the parts, and makes anew what is about the addresses of these grants.
/// </remarks>
internal sealed class RuleSet
{
    private readonly IReadOnlyList<Loss> _losses;
    private readonly CompiledRule[][] _ofGrants;

    // For each grant, how many of its addresses no stronger one has; for each of Rules, the grant or claims of its address.
    private readonly int[] _firsts;
    private readonly int[] _holders;
    private readonly Claims _claims;
    private readonly bool _hasOthers;

    /// <param name="builder">The rules, and the parts that policies select and do not set.</param>
    /// <param name="grants">The grants with their rules, the strongest policy first.</param>
    /// <param name="exemptions">The ports that policies keep free.</param>
    /// <param name="below">The number of rules that <see cref="AddBelow"/> may add.</param>
    public RuleSet(RuleSetBuilder builder, IReadOnlyList<Grant> grants, IReadOnlyCollection<CompiledRule> exemptions, int below)
    {
        _losses = builder.Losses;
        _ofGrants = new CompiledRule[grants.Count][];
        var count = 0;
        for (var i = 0; i < _ofGrants.Length; i++)
        {
            _ofGrants[i] = grants[i].Rules!;
            count += _ofGrants[i].Length;
        }

        _firsts = new int[_ofGrants.Length];
        _claims = new Claims();
        _hasOthers = exemptions.Count + below > 0;
        Table = new RuleTable(count + exemptions.Count + below);
        var rules = ImmutableArray.CreateBuilder<CompiledRule>(count);
        var holders = new int[count];
        for (var i = 0; i < _ofGrants.Length; i++)
        {
            foreach (var rule in _ofGrants[i])
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
    }

    private RuleSet(RuleSetBuilder builder, RuleSet before, CompiledRule[][] ofGrants, RuleTable table, SortedSet<int> touched)
    {
        (_losses, _ofGrants, _claims, Table, Exemptions) = (builder.Losses, ofGrants, before._claims, table, []);
        _firsts = [.. before._firsts];
        var (rules, holders, ends) = (new List<CompiledRule>(), new List<int>(), new List<int>());
        foreach (var i in touched)
        {
            foreach (var rule in ofGrants[i])
            {
                var (winner, holder) = table.At(rule);
                if (_claims.FirstOf(holder) == i)
                {
                    rules.Add(winner!);
                    holders.Add(holder);
                }
            }

            ends.Add(rules.Count);
        }

        var length = before._holders.Length + rules.Count - touched.Sum(i => _firsts[i]);
        var (allRules, allHolders) = (new CompiledRule[length], new int[length]);
        var (from, to, grant, at) = (0, 0, 0, 0);
        foreach (var (i, end) in touched.Zip(ends))
        {
            var kept = 0;
            for (; grant < i; grant++)
            {
                kept += _firsts[grant];
            }

            Copy(kept);
            rules.CopyTo(at, allRules, to, end - at);
            holders.CopyTo(at, allHolders, to, end - at);
            (from, to) = (from + _firsts[i], to + end - at);
            (_firsts[i], at) = (end - at, end);
            grant = i + 1;
        }

        Copy(length - to);
        (Rules, _holders) = (ImmutableCollectionsMarshal.AsImmutableArray(allRules), allHolders);

        void Copy(int count)
        {
            before.Rules.CopyTo(from, allRules, to, count);
            Array.Copy(before._holders, from, allHolders, to, count);
            (from, to) = (from + count, to + count);
        }
    }

    /// <summary>The rules in force, in the order of the first policy that has their address.</summary>
    public ImmutableArray<CompiledRule> Rules { get; private set; }

    public ImmutableArray<CompiledRule> Exemptions { get; private set; }

    public RuleTable Table { get; }

    /// <summary>The set for the same grants with other rules.</summary>
    /// <param name="builder">The parts that policies select and do not set.</param>
    /// <param name="grants">As many grants as this set was made for, in the same order.</param>
    /// <returns>Null if it is to be made anew: too much has changed, or there is more in it than grants.</returns>
    public RuleSet? With(RuleSetBuilder builder, IReadOnlyList<Grant> grants)
    {
        const int most = 64;
        if (_hasOthers || grants.Count != _ofGrants.Length)
        {
            return null;
        }

        var (changed, added) = (new List<int>(), 0);
        for (var i = 0; i < _ofGrants.Length; i++)
        {
            if (ReferenceEquals(grants[i].Rules, _ofGrants[i]))
            {
                continue;
            }

            changed.Add(i);
            added += grants[i].Rules!.Length;
            if (changed.Count > most)
            {
                return null;
            }
        }

        if (Table.IsTooSmallFor(added) || _claims.IsMostlyUnused)
        {
            return null;
        }

        CompiledRule[][] ofGrants = [.. _ofGrants];
        var (table, touched) = (Table.Copy(), new SortedSet<int>());
        foreach (var i in changed)
        {
            touched.Add(i);
            foreach (var rule in _ofGrants[i])
            {
                Take(table, rule, i, touched);
            }
        }

        foreach (var i in changed)
        {
            ofGrants[i] = grants[i].Rules!;
            foreach (var rule in ofGrants[i])
            {
                Give(table, rule, i, touched);
            }
        }

        return new RuleSet(builder, this, ofGrants, table, touched);
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
        var (terms, more) = ((Rival: RuleTerms.None, Winner: RuleTerms.None), 0);
        foreach (var (rival, winner) in Lost())
        {
            // Those of a destination follow each other.
            if (more > 0 && ReferenceEquals(rival.Terms, terms.Rival) && ReferenceEquals(winner.Terms, terms.Winner))
            {
                more++;
            }
            else if (Differ(rival, winner))
            {
                AddMore();
                (terms, more) = ((rival.Terms, winner.Terms), 1);
                lost.TryAdd((rival.Terms.Owner!, winner.Terms.Owner!), ((rival, winner), 0));
            }
        }

        AddMore();
        return lost;

        void AddMore()
        {
            if (more > 0)
            {
                ref var pair = ref CollectionsMarshal.GetValueRefOrNullRef(lost, (terms.Rival.Owner!, terms.Winner.Owner!));
                pair = (pair.Item1, pair.Item2 + more);
            }
        }
    }

    /// <summary>The rules that are not in force, with the reasons.</summary>
    /// <param name="addresses">Finds the addresses of what is selected and not set; these are not kept.</param>
    public IEnumerable<LostRule> Shadowed(DestinationAddresses addresses)
    {
        var count = 0;
        foreach (var (selection, ports, winner) in _losses)
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
                    ? new LostRule(new CompiledRule(RuleTerms.Of(policy, destination, policy.Settings!.Value, ""), address),
                        RuleSetBuilder.OwnedBySettings(policy.Name, address.Port))
                    : new LostRule(new CompiledRule(RuleTerms.Of(policy, destination, selection.Settings!.Value, origin, selection.Inherited), address), reason);
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
            if (_holders[i] >= 0)
            {
                continue;
            }

            rivals.Clear();
            for (var claim = ~_holders[i]; claim >= 0; claim = _claims[claim].Next)
            {
                if (!Has(rivals, _claims[claim].Rule))
                {
                    rivals.Add(_claims[claim].Rule);
                }
            }

            foreach (var rival in rivals)
            {
                if (!ReferenceEquals(rival, Rules[i]))
                {
                    yield return (rival, Rules[i]);
                }
            }
        }
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

    /// <summary>Takes an address from a grant.</summary>
    private void Take(RuleTable table, CompiledRule rule, int grant, SortedSet<int> touched)
    {
        var holder = table.At(rule).Number;
        if (holder == grant)
        {
            table.Remove(rule);
            return;
        }

        touched.Add(_claims.FirstOf(holder));
        holder = _claims.Without(~holder, grant, out var only);
        Put(table, holder, only, touched);
    }

    /// <summary>Gives an address to a grant.</summary>
    private void Give(RuleTable table, CompiledRule rule, int grant, SortedSet<int> touched)
    {
        if (table.TryAdd(rule, grant, out var holder) is not { } known)
        {
            return;
        }

        touched.Add(_claims.FirstOf(holder));
        Put(table, _claims.With(holder, known, rule, grant), null, touched);
    }

    private void Put(RuleTable table, int holder, CompiledRule? only, SortedSet<int> touched)
    {
        table.Set(only ?? WinnerOf(~holder), holder);
        touched.Add(_claims.FirstOf(holder));
    }

    /// <summary>The grants of addresses that several have, the strongest first, each with its rule. Lists that were made stay as they are: earlier sets have them.</summary>
    /// <remarks>The holder of an address is the number of its only grant, or the complement of its list's first claim.</remarks>
    private sealed class Claims
    {
        private Claim[] _all = [];
        private int _count;
        private int _unused;

        public bool IsMostlyUnused => _unused > (_count / 2) + 1024;

        public ref readonly Claim this[int claim] => ref _all[claim];

        public int FirstOf(int holder) => holder >= 0 ? holder : _all[~holder].Grant;

        /// <summary>Adds a weaker grant to an address, before anybody else has its list.</summary>
        public int Append(int holder, CompiledRule first, CompiledRule rule, int grant)
        {
            var head = holder >= 0 ? Add(first, holder) : ~holder;
            var last = Add(rule, grant);
            _all[_all[head].Last].Next = last;
            _all[head].Last = last;
            return ~head;
        }

        /// <summary>The list with a grant more.</summary>
        public int With(int holder, CompiledRule known, CompiledRule rule, int grant)
        {
            if (holder >= 0)
            {
                return holder < grant ? Append(holder, known, rule, grant) : Append(grant, rule, known, holder);
            }

            var (list, isAdded) = (0, false);
            for (var claim = ~holder; claim >= 0; claim = _all[claim].Next)
            {
                if (!isAdded && _all[claim].Grant > grant)
                {
                    (list, isAdded) = (And(list, rule, grant), true);
                }

                list = And(list, _all[claim].Rule, _all[claim].Grant);
                _unused++;
            }

            return isAdded ? list : And(list, rule, grant);
        }

        /// <summary>The list without a grant.</summary>
        /// <param name="head">Its first claim.</param>
        /// <param name="grant">The grant.</param>
        /// <param name="only">The rule of the other one, if there is one only.</param>
        public int Without(int head, int grant, out CompiledRule? only)
        {
            var (list, count, last) = (0, 0, -1);
            for (var claim = head; claim >= 0; claim = _all[claim].Next)
            {
                (count, last) = _all[claim].Grant == grant ? (count, last) : (count + 1, claim);
                _unused++;
            }

            only = count == 1 ? _all[last].Rule : null;
            if (count == 1)
            {
                return _all[last].Grant;
            }

            for (var claim = head; claim >= 0; claim = _all[claim].Next)
            {
                list = _all[claim].Grant == grant ? list : And(list, _all[claim].Rule, _all[claim].Grant);
            }

            return list;
        }

        /// <summary>Adds a claim to a list that is being made; 0 is an empty one.</summary>
        private int And(int list, CompiledRule rule, int grant)
        {
            var added = Add(rule, grant);
            if (list == 0)
            {
                return ~added;
            }

            _all[_all[~list].Last].Next = added;
            _all[~list].Last = added;
            return list;
        }

        private int Add(CompiledRule rule, int grant)
        {
            if (_count == _all.Length)
            {
                Array.Resize(ref _all, Math.Max(16, 2 * _count));
            }

            _all[_count] = new Claim { Rule = rule, Grant = grant, Next = -1, Last = _count };
            return _count++;
        }
    }

    private struct Claim
    {
        public CompiledRule Rule;
        public int Grant;
        public int Next;

        /// <summary>Of a list's first claim: the last one.</summary>
        public int Last;
    }
}
