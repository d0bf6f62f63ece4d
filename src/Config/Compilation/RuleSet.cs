using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Keepalive.Config.Compilation;

/// <summary>The rules of some grants: at each address the one in force, and those that lost it.</summary>
internal sealed class RuleSet
{
    private readonly List<Contest> _contests = [];
    private readonly IReadOnlyList<Loss> _losses;

    /// <param name="builder">The rules, and the parts that policies select and do not set.</param>
    /// <param name="grants">The grants with their rules, the strongest policy first.</param>
    /// <param name="exemptions">The ports that policies keep free.</param>
    /// <param name="below">The number of rules that <see cref="AddBelow"/> may add.</param>
    public RuleSet(RuleSetBuilder builder, IReadOnlyList<Grant> grants, IReadOnlyCollection<CompiledRule> exemptions, int below)
    {
        _losses = builder.Losses;
        var count = 0;
        foreach (var grant in grants)
        {
            count += grant.Rules!.Length;
        }

        Table = new RuleTable(count + exemptions.Count + below);
        var rules = ImmutableArray.CreateBuilder<CompiledRule>(count);
        Contest?[]? contests = null;
        foreach (var grant in grants)
        {
            foreach (var rule in grant.Rules!)
            {
                if (Table.TryAdd(rule, rules.Count, out var number) is not { } first)
                {
                    rules.Add(rule);
                    continue;
                }

                if (contests?[number] is not { } contest)
                {
                    if (IsSame(first, rule))
                    {
                        continue;
                    }

                    contests ??= new Contest?[count];
                    contests[number] = contest = new Contest();
                    contest.Rivals.Add(first);
                }

                if (!contest.Has(rule))
                {
                    contest.Rivals.Add(rule);
                }
            }
        }

        if (contests is not null)
        {
            Settle(rules, contests);
        }

        Exemptions = [.. exemptions.Where(exemption => Table.TryAdd(exemption) is null)];
        Rules = rules.Count == rules.Capacity ? rules.MoveToImmutable() : rules.ToImmutable();
    }

    /// <summary>The rules in force, in the order of the first policy that has their address.</summary>
    public ImmutableArray<CompiledRule> Rules { get; private set; }

    public ImmutableArray<CompiledRule> Exemptions { get; private set; }

    public RuleTable Table { get; }

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
        foreach (var (rival, winner) in Lost())
        {
            if (Differ(rival, winner))
            {
                ref var pair = ref CollectionsMarshal.GetValueRefOrAddDefault(lost, (rival.Terms.Owner!, winner.Terms.Owner!), out var isKnown);
                pair = isKnown ? (pair.Item1, pair.Item2 + 1) : ((rival, winner), 1);
            }
        }

        return lost;
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
        foreach (var contest in _contests)
        {
            foreach (var rival in contest.Rivals)
            {
                if (!ReferenceEquals(rival, contest.Winner))
                {
                    yield return (rival, contest.Winner);
                }
            }
        }
    }

    private void Settle(ImmutableArray<CompiledRule>.Builder rules, Contest?[] contests)
    {
        for (var i = 0; i < rules.Count; i++)
        {
            if (contests[i] is not { } contest)
            {
                continue;
            }

            var winner = contest.Rivals[0];
            foreach (var rival in contest.Rivals)
            {
                // Strongest first, so that only a really shorter time takes over.
                winner = TimeOf(rival) < TimeOf(winner) ? rival : winner;
            }

            contest.Winner = winner;
            if (!ReferenceEquals(winner, rules[i]))
            {
                Table.Replace(rules[i], winner);
                rules[i] = winner;
            }

            _contests.Add(contest);
        }
    }

    /// <summary>The rules of several policies for one address, the strongest policy first.</summary>
    private sealed class Contest
    {
        public List<CompiledRule> Rivals { get; } = new(2);

        public CompiledRule Winner { get; set; } = null!;

        public bool Has(CompiledRule rule)
        {
            foreach (var rival in Rivals)
            {
                if (IsSame(rival, rule))
                {
                    return true;
                }
            }

            return false;
        }
    }
}
