using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Collects candidate rules and settles who applies where: first per destination, then per address.</summary>
internal sealed class RuleSetBuilder(DestinationAddresses addresses, CompilationBudget budget, DiagnosticBag diagnostics)
{
    private static readonly ImmutableArray<DestinationPort?> AnyPort = [null];

    private readonly Dictionary<(Destination Destination, DestinationPort? Port), RankedPolicy> owners = new(OwnerComparer.Instance);
    private readonly Dictionary<WireAddress, List<Candidate>> candidates = [];
    private readonly List<WireAddress> order = [];
    private readonly List<CompiledRule> shadowed = [];

    // One warning for each pair of policies, naming its first case: thousands of destinations are no thousand problems.
    private readonly Dictionary<(RankedPolicy Loser, RankedPolicy Winner), (string First, int Count)> lostDestinations = [];
    private readonly Dictionary<(RankedPolicy Loser, RankedPolicy Winner), (string First, int Count)> lostAddresses = [];

    /// <summary>Adds what a policy selects; policies come strongest first.</summary>
    public void Add(Selection selection)
    {
        var (policy, destination) = (selection.Policy, selection.Destination);
        ImmutableArray<DestinationPort?> ports = destination.Ports.IsEmpty ? AnyPort : selection.Ports.CastArray<DestinationPort?>();
        List<DestinationPort>? owned = null;
        List<DestinationPort>? lost = null;
        RankedPolicy? winner = null;
        foreach (var port in ports)
        {
            var owns = owners.TryAdd((destination, port), policy);
            winner ??= owns ? null : owners[(destination, port)];
            var list = owns ? owned ??= [] : lost ??= [];
            if (port is not null)
            {
                list.Add(port);
            }
        }

        if (owned is not null)
        {
            var candidate = new Candidate(policy, destination.QualifiedName);
            foreach (var address in addresses.Find(destination, owned))
            {
                AddCandidate(address, candidate);
            }
        }

        if (lost is not null)
        {
            Count(lostDestinations, (policy, winner!), destination, static destination => destination.QualifiedName);
            if (shadowed.Count < CompilationBudget.MaxShadowed)
            {
                var candidate = new Candidate(policy, destination.QualifiedName);
                shadowed.AddRange(addresses.Find(destination, lost).Select(address => ToRule(address, candidate)));
            }
        }
    }

    /// <summary>The rules in force and those that lost, after all policies are added.</summary>
    public (ImmutableArray<CompiledRule> Rules, ImmutableArray<CompiledRule> Shadowed) Build()
    {
        var rules = ImmutableArray.CreateBuilder<CompiledRule>(order.Count);
        foreach (var address in order)
        {
            var rivals = candidates[address];
            var winner = rivals[0];
            foreach (var rival in rivals.Skip(1))
            {
                // Strongest first, so that only a really shorter time takes over.
                winner = TimeOf(rival) < TimeOf(winner) ? rival : winner;
            }

            rules.Add(ToRule(address, winner));
            foreach (var rival in rivals.Where(rival => rival.Policy != winner.Policy))
            {
                shadowed.Add(ToRule(address, rival));
                if (rival.Policy.Settings != winner.Policy.Settings || rival.Policy.Existing != winner.Policy.Existing)
                {
                    Count(lostAddresses, (rival.Policy, winner.Policy), address,
                        static address => IpPrefix.Format(address.Prefix, address.Port));
                }
            }
        }

        ReportLosses();
        return (rules.DrainToImmutable(), [.. shadowed]);
    }

    private void AddCandidate(WireAddress address, Candidate candidate)
    {
        budget.AddRules(1);
        if (!candidates.TryGetValue(address, out var rivals))
        {
            candidates.Add(address, rivals = []);
            order.Add(address);
        }

        // Policies are added one after the other: a second destination of the same policy can only be next to its first.
        if (rivals.Count == 0 || rivals[^1].Policy != candidate.Policy)
        {
            rivals.Add(candidate);
        }
    }

    private void ReportLosses()
    {
        foreach (var ((loser, winner), (first, count)) in lostDestinations)
        {
            var what = AndMore(first, count, "destination");
            diagnostics.Report(DiagnosticCatalog.PolicyLost, loser.Policy.Position,
                $"{ConnectionPolicy.KindName} {loser.Name}: {what} is under {winner.Name}, "
                + $"which {PolicyPrecedence.Explain(winner.Policy, loser.Policy)}; this policy does not apply there",
                "narrow the selector of one of the two");
        }

        foreach (var ((loser, winner), (first, count)) in lostAddresses)
        {
            var what = AndMore(first, count, "address");
            diagnostics.Report(DiagnosticCatalog.AddressShared, loser.Policy.Position,
                $"{ConnectionPolicy.KindName} {loser.Name}: {what} is also behind a destination under {winner.Name}, "
                + $"whose time of {Describe(winner)} applies instead of {Describe(loser)}",
                "set the same values in both: connections to one address cannot be told apart");
        }
    }

    private static void Count<T>(Dictionary<(RankedPolicy, RankedPolicy), (string First, int Count)> losses,
        (RankedPolicy, RankedPolicy) pair, T lost, Func<T, string> name) =>
        losses[pair] = losses.TryGetValue(pair, out var loss) ? (loss.First, loss.Count + 1) : (name(lost), 1);

    private static string AndMore(string first, int count, string noun) => count switch
    {
        1 => first,
        2 => $"{first} (and another {noun})",
        _ => $"{first} (the first of {count})",
    };

    private static int TimeOf(Candidate candidate) => candidate.Policy.Settings?.Time ?? int.MaxValue;

    private static string Describe(RankedPolicy policy) => policy.Settings?.Time is { } time ? $"{time}s" : "the socket's own";

    private static CompiledRule ToRule(WireAddress address, Candidate candidate) => new()
    {
        Policy = candidate.Policy.Name,
        Destination = candidate.Destination,
        Settings = candidate.Policy.Settings!.Value,
        Existing = candidate.Policy.Existing,
        Prefix = address.Prefix,
        Port = address.Port,
        Position = candidate.Policy.Policy.Position,
    };

    private sealed record Candidate(RankedPolicy Policy, string Destination);

    /// <summary>By reference: comparing records by value would walk their collections.</summary>
    private sealed class OwnerComparer : IEqualityComparer<(Destination Destination, DestinationPort? Port)>
    {
        public static OwnerComparer Instance { get; } = new();

        public bool Equals((Destination Destination, DestinationPort? Port) x, (Destination Destination, DestinationPort? Port) y) =>
            ReferenceEquals(x.Destination, y.Destination) && ReferenceEquals(x.Port, y.Port);

        public int GetHashCode((Destination Destination, DestinationPort? Port) obj) => HashCode.Combine(
            System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(obj.Destination),
            System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(obj.Port));
    }
}
