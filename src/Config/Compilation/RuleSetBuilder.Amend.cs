using System.Runtime.InteropServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <content>Decides again about single destinations.</content>
internal sealed partial class RuleSetBuilder
{
    /// <summary>The decisions about one destination, before a change or after it.</summary>
    /// <param name="Destination">The destination.</param>
    /// <param name="Place">Its number in document order.</param>
    /// <param name="Alone">The decisions about it alone.</param>
    public readonly record struct Outcome(Destination Destination, long Place, RuleSetBuilder Alone);

    /// <summary>Puts the outcomes for some destinations in the place of earlier ones.</summary>
    /// <param name="before">The earlier ones.</param>
    /// <param name="after">The later ones.</param>
    /// <param name="order">Which policies and destinations come first, after the change.</param>
    /// <param name="find">Finds the outcome for the first destination after a place that one policy has and another does not set. It may fail.</param>
    /// <returns>The grants that are gone, and those there are for these destinations; null if <paramref name="find"/> has failed.</returns>
    public (List<Grant> Gone, List<Grant> Here)? Amend(
        IReadOnlyList<Outcome> before, IReadOnlyList<Outcome> after, SelectionOrder order, Func<RankedPolicy, RankedPolicy, long, Outcome?> find)
    {
        var grants = AmendGrants(before, after, order);
        var isSameOrder = AmendLost(before, after, order, out var unknown);
        foreach (var (pair, place) in unknown)
        {
            var lost = _lostDestinations[pair];
            if (find(pair.Loser, pair.Winner, place) is not { } first || !first.Alone._lostDestinations.TryGetValue(pair, out var alone))
            {
                return null;
            }

            _lostDestinations[pair] = new LostDestinations(first.Destination, alone.Text, alone.Number) { Count = lost.Count };
            isSameOrder = false;
        }

        if (!isSameOrder)
        {
            // Policies that select by hosts come last, and in the order that they have.
            _lostDestinations = new(_lostDestinations.OrderBy(pair => order.RankOf(pair.Key.Loser)).ThenBy(pair => Selector.IsByReference(pair.Key.Loser.Policy) ? order[pair.Value.First] : 0)
                .ThenBy(static pair => Selector.IsByReference(pair.Key.Loser.Policy) ? pair.Value.Number : 0));
        }

        return grants;
    }

    /// <summary>Whether one policy has parts of what another selects.</summary>
    public bool HasLost(RankedPolicy loser, RankedPolicy winner) => _lostDestinations.ContainsKey((loser, winner));

    private (List<Grant> Gone, List<Grant> Here) AmendGrants(IReadOnlyList<Outcome> before, IReadOnlyList<Outcome> after, SelectionOrder order)
    {
        var destinations = new DestinationSet([.. before.Select(static one => one.Destination)]);
        var (kept, gone, here, added) = (new List<Grant>(Grants.Count), new List<Grant>(), new List<Grant>(), new List<Grant>());
        foreach (var grant in Grants)
        {
            (destinations.Contains(grant.Selection.Destination) ? gone : kept).Add(grant);
        }

        foreach (var grant in after.SelectMany(static one => one.Alone.Grants))
        {
            // It may be what there was, with its rules.
            var known = gone.FindIndex(grant.Equals);
            here.Add(known < 0 ? grant : gone[known]);
            if (known >= 0)
            {
                gone.RemoveAt(known);
            }
        }

        added.AddRange(here);
        added.Sort(order.Compare);
        var (all, from) = (new List<Grant>(kept.Count + added.Count), 0);
        foreach (var grant in added)
        {
            var (low, high) = (from, kept.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                (low, high) = order.Compare(kept[middle], grant) < 0 ? (middle + 1, high) : (low, middle);
            }

            all.AddRange(CollectionsMarshal.AsSpan(kept)[from..low]);
            all.Add(grant);
            from = low;
        }

        all.AddRange(CollectionsMarshal.AsSpan(kept)[from..]);
        Grants = all;
        return (gone, here);
    }

    /// <summary>Counts the parts that policies do not set.</summary>
    /// <param name="before">The earlier outcomes.</param>
    /// <param name="after">The later outcomes.</param>
    /// <param name="order">Which destinations come first.</param>
    /// <param name="unknown">The pairs of which the first destination is to be found, each with the place of the one before.</param>
    /// <returns>Whether the order of the pairs is the same.</returns>
    private bool AmendLost(IReadOnlyList<Outcome> before, IReadOnlyList<Outcome> after, SelectionOrder order, out List<((RankedPolicy Loser, RankedPolicy Winner) Pair, long Place)> unknown)
    {
        var firsts = new Dictionary<(RankedPolicy, RankedPolicy), long>();
        var isSameOrder = true;
        foreach (var (destination, place, alone) in before)
        {
            foreach (var pair in alone._lostDestinations.Keys)
            {
                var lost = _lostDestinations[pair];
                (lost.Count, lost.Told) = (lost.Count - 1, null);
                if (ReferenceEquals(lost.First, destination))
                {
                    firsts.Add(pair, place);
                }
            }
        }

        foreach (var (destination, place, alone) in after)
        {
            foreach (var (pair, one) in alone._lostDestinations)
            {
                var isKnown = _lostDestinations.TryGetValue(pair, out var lost);
                var isGone = firsts.TryGetValue(pair, out var first);
                if (!isKnown || place < (isGone ? first : order[lost!.First]) || (isGone && (place == first || lost!.Count == 0)))
                {
                    isSameOrder = isSameOrder && isGone && place == first && one.Number == lost!.Number;
                    _lostDestinations[pair] = new LostDestinations(destination, one.Text, one.Number) { Count = (lost?.Count ?? 0) + 1 };
                    firsts.Remove(pair);
                }
                else
                {
                    (lost!.Count, lost.Told) = (lost.Count + 1, null);
                }
            }
        }

        unknown = [];
        foreach (var pair in before.SelectMany(static one => one.Alone._lostDestinations.Keys).Distinct())
        {
            if (_lostDestinations[pair].Count == 0)
            {
                _lostDestinations.Remove(pair);
            }
            else if (firsts.TryGetValue(pair, out var place))
            {
                unknown.Add((pair, place));
            }
        }

        return isSameOrder;
    }
}

/// <summary>The order in which policies have destinations: the strongest policy first, and of one policy, as the destinations are written.</summary>
internal sealed class SelectionOrder(DocumentOrder destinations, Dictionary<RankedPolicy, int> ranks)
{
    public long this[Destination destination] => destinations[destination];

    /// <summary>The rank of a policy that selects by references; all others come after these.</summary>
    public int RankOf(RankedPolicy policy) => Selector.IsByReference(policy.Policy) ? ranks[policy] : int.MaxValue;

    public int Compare(Grant one, Grant other)
    {
        var (rank, otherRank) = (RankOf(one.Selection.Policy), RankOf(other.Selection.Policy));
        return rank != otherRank ? rank.CompareTo(otherRank) : this[one.Selection.Destination].CompareTo(this[other.Selection.Destination]);
    }
}
