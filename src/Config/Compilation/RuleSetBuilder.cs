using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Collects candidate rules and settles who applies where: first per destination, then per address.</summary>
internal sealed class RuleSetBuilder(DestinationAddresses addresses, CompilationBudget budget, DiagnosticBag diagnostics)
{
    private readonly Dictionary<(Destination Destination, DestinationPort? Port), RankedPolicy> _owners = new(OwnerComparer.Instance);
    private readonly Dictionary<WireAddress, List<Candidate>> _candidates = [];
    private readonly List<WireAddress> _order = [];
    private readonly List<LostRule> _shadowed = [];

    // One warning for each pair of policies, naming its first case: thousands of destinations are no thousand problems.
    private readonly Dictionary<(RankedPolicy Loser, RankedPolicy Winner), (string First, int Count)> _lostDestinations = [];
    private readonly Dictionary<(RankedPolicy Loser, RankedPolicy Winner), (LostAddress First, int Count)> _lostAddresses = [];

    /// <summary>Adds what a policy selects and sets; policies come strongest first.</summary>
    public void Add(Selection selection)
    {
        var (policy, destination) = (selection.Policy, selection.Destination);
        List<DestinationPort?>? owned = null;
        List<DestinationPort?>? lost = null;
        RankedPolicy? winner = null;
        foreach (var port in selection.Ports)
        {
            var owns = _owners.TryAdd((destination, port), policy);
            winner ??= owns ? null : _owners[(destination, port)];
            (owns ? owned ??= [] : lost ??= []).Add(port);
        }

        if (owned is not null)
        {
            foreach (var (address, origin) in addresses.Find(destination, owned))
            {
                AddCandidate(address, new Candidate(selection, origin));
            }
        }

        if (lost is not null)
        {
            // A DestinationRule that a mesh generated from a policy has the same values: that is not a conflict.
            if (policy.Policy.Kind == winner!.Policy.Kind || winner.SettingsOf(lost[0]?.Number.Value) != selection.Settings)
            {
                Count(_lostDestinations, (policy, winner), destination, static destination => destination.QualifiedName);
            }

            if (_shadowed.Count < CompilationBudget.MaxShadowed)
            {
                var reason = $"{destination.QualifiedName} is under {winner.Name}, which {PolicyPrecedence.Explain(winner.Policy, policy.Policy)}";
                _shadowed.AddRange(addresses.Find(destination, lost)
                    .Select(pair => new LostRule(ToRule(pair.Key, new Candidate(selection, pair.Value)), reason)));
            }
        }
    }

    /// <summary>The rules in force and those that lost, after all policies are added.</summary>
    public (ImmutableArray<CompiledRule> Rules, ImmutableArray<LostRule> Shadowed) Build()
    {
        var rules = ImmutableArray.CreateBuilder<CompiledRule>(_order.Count);
        foreach (var address in _order)
        {
            var rivals = _candidates[address];
            var winner = rivals[0];
            foreach (var rival in rivals.Skip(1))
            {
                // Strongest first, so that only a really shorter time takes over.
                winner = TimeOf(rival) < TimeOf(winner) ? rival : winner;
            }

            rules.Add(ToRule(address, winner));
            foreach (var rival in rivals.Where(rival => rival != winner))
            {
                Lose(address, rival, winner);
            }
        }

        ReportLosses();
        return (rules.DrainToImmutable(), [.. _shadowed]);
    }

    private void AddCandidate(WireAddress address, Candidate candidate)
    {
        budget.AddRules(1);
        if (!_candidates.TryGetValue(address, out var rivals))
        {
            _candidates.Add(address, rivals = []);
            _order.Add(address);
        }

        // Policies are added one after the other: a second destination of the same policy can only be next to its first.
        if (rivals.Count == 0 || rivals[^1].Policy != candidate.Policy || rivals[^1].Settings != candidate.Settings)
        {
            rivals.Add(candidate);
        }
    }

    private void Lose(WireAddress address, Candidate rival, Candidate winner)
    {
        var differ = rival.Settings != winner.Settings || rival.Policy.Existing != winner.Policy.Existing;
        _shadowed.Add(new LostRule(ToRule(address, rival), $"{winner.Destination}, under {winner.Policy.Name}, has the same address, and "
            + (TimeOf(winner) < TimeOf(rival) ? $"its time of {Describe(winner)} is shorter"
                : differ ? $"its time of {Describe(winner)} is not longer" : "sets the same values")));
        if (differ)
        {
            Count(_lostAddresses, (rival.Policy, winner.Policy), (Address: address, Rival: rival, Winner: winner),
                static lost => new LostAddress(IpPrefix.Format(lost.Address.Prefix, lost.Address.Port), Describe(lost.Rival), Describe(lost.Winner)));
        }
    }

    private void ReportLosses()
    {
        foreach (var ((loser, winner), (first, count)) in _lostDestinations)
        {
            var what = AndMore(first, count, "destination");
            diagnostics.Report(DiagnosticCatalog.PolicyLost, loser.Policy.Position,
                $"{loser.Subject}: {what} is under {winner.Name}, "
                + $"which {PolicyPrecedence.Explain(winner.Policy, loser.Policy)}; this policy is not used there",
                "narrow the selector of one of the two");
        }

        foreach (var ((loser, winner), (first, count)) in _lostAddresses)
        {
            var what = AndMore(first.Address, count, "address");
            diagnostics.Report(DiagnosticCatalog.AddressShared, loser.Policy.Position,
                $"{loser.Subject}: {what} is also behind a destination under {winner.Name}, "
                + $"whose time of {first.Winning} applies instead of {first.Losing}",
                "use the same values in both: connections to one address cannot be distinguished");
        }
    }

    private static void Count<TLost, TFirst>(Dictionary<(RankedPolicy, RankedPolicy), (TFirst First, int Count)> losses,
        (RankedPolicy, RankedPolicy) pair, TLost lost, Func<TLost, TFirst> describe) =>
        losses[pair] = losses.TryGetValue(pair, out var loss) ? (loss.First, loss.Count + 1) : (describe(lost), 1);

    private static string AndMore(string first, int count, string noun) => count switch
    {
        1 => first,
        2 => $"{first} (and another {noun})",
        _ => $"{first} (the first of {count})",
    };

    private static int TimeOf(Candidate candidate) => candidate.Settings.Time ?? int.MaxValue;

    private static string Describe(Candidate candidate) => candidate.Settings.Time is { } time ? $"{time}s" : "the socket's own";

    private static CompiledRule ToRule(WireAddress address, Candidate candidate) => new()
    {
        Policy = candidate.Policy.Name,
        Destination = candidate.Destination,
        Settings = candidate.Settings,
        Existing = candidate.Policy.Existing,
        Prefix = address.Prefix,
        Port = address.Port,
        Position = candidate.Policy.Policy.Position,
        Origin = candidate.Origin,
    };

    private sealed class Candidate(Selection selection, string origin)
    {
        public RankedPolicy Policy => selection.Policy;

        public KeepaliveSettings Settings { get; } = selection.Settings!.Value;

        public string Destination { get; } = selection.Destination.QualifiedName;

        public string Origin => origin;
    }

    private readonly record struct LostAddress(string Address, string Losing, string Winning);

    /// <summary>By reference: comparing records by value would walk their collections.</summary>
    private sealed class OwnerComparer : IEqualityComparer<(Destination Destination, DestinationPort? Port)>
    {
        public static OwnerComparer Instance { get; } = new();

        public bool Equals((Destination Destination, DestinationPort? Port) x, (Destination Destination, DestinationPort? Port) y) =>
            ReferenceEquals(x.Destination, y.Destination) && ReferenceEquals(x.Port, y.Port);

        public int GetHashCode((Destination Destination, DestinationPort? Port) obj) =>
            HashCode.Combine(RuntimeHelpers.GetHashCode(obj.Destination), RuntimeHelpers.GetHashCode(obj.Port));
    }
}
