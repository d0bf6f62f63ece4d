using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Decides for each port of each destination which policy sets it, and for each address whose rule is in force.</summary>
/// <remarks>The first part depends on policies and destinations only, and is kept while these stay the same. The second depends on addresses.</remarks>
internal sealed class RuleSetBuilder
{
    private readonly Dictionary<(Destination Destination, DestinationPort? Port), RankedPolicy> _owners = new(OwnerComparer.Instance);
    private readonly Dictionary<(Destination Destination, string Host), RankedPolicy> _hostOwners = new(HostComparer.Instance);
    private readonly Dictionary<Destination, List<DestinationPort?>> _free = new(ReferenceEqualityComparer.Instance);
    private readonly List<Loss> _losses = [];
    private readonly List<Selection> _kept = [];

    // Many rules about other things may hide one: they are one warning.
    private readonly Dictionary<RankedPolicy, RankedPolicy> _silentWinners = [];

    // One warning for each pair of policies, naming its first case: thousands of destinations are no thousand problems.
    private readonly Dictionary<(RankedPolicy Loser, RankedPolicy Winner), (LostDestination First, int Count)> _lostDestinations = [];

    // DestinationRules for clients of one namespace that are used for all, as nothing else is there.
    private readonly Dictionary<RankedPolicy, (string First, int Count)> _ofClients = [];

    /// <summary>The ports that policies set, the strongest policy first.</summary>
    public List<Grant> Grants { get; } = [];

    /// <summary>The parts that policies select and do not set, in the order of the policies; the first ones, if they are many.</summary>
    public IReadOnlyList<Loss> Losses => _losses;

    /// <summary>Adds what a policy selects and sets; policies come strongest first.</summary>
    public void Add(Selection selection)
    {
        var (policy, destination) = (selection.Policy, selection.Destination);
        if (policy.Policy is DestinationRule && StrongerForHosts(selection) is { } stronger)
        {
            Lose(selection, selection.Ports, stronger);
            return;
        }

        if (selection.Settings is null)
        {
            KeepFree(selection);
            return;
        }

        List<DestinationPort?>? owned = null;
        List<(RankedPolicy Winner, DestinationPort? Port)>? lost = null;
        foreach (var port in selection.Ports)
        {
            if (OwnerOf(destination, port) is { } owner && owner != policy)
            {
                (lost ??= []).Add((owner, port));
            }
            else
            {
                _owners[(destination, port)] = policy;
                (owned ??= []).Add(port);
            }
        }

        if (owned is not null)
        {
            if (policy.Policy is DestinationRule rule && PolicyPrecedence.Standing(rule, destination) == PolicyPrecedence.OfClients)
            {
                _ofClients[policy] = _ofClients.TryGetValue(policy, out var known) ? (known.First, known.Count + 1) : (destination.QualifiedName, 1);
            }

            Grants.Add(new Grant(selection, lost is null ? selection.Ports : [.. owned]));
        }

        if (lost is not null && lost.TrueForAll(one => one.Winner == lost[0].Winner))
        {
            Lose(selection, owned is null ? selection.Ports : [.. lost.Select(static one => one.Port)], lost[0].Winner);
        }
        else
        {
            foreach (var to in lost?.GroupBy(static one => one.Winner, static one => one.Port) ?? [])
            {
                Lose(selection, [.. to], to.Key);
            }
        }
    }

    /// <summary>Forgets what only <see cref="Add"/> and <see cref="FreePorts"/> need.</summary>
    public void Close()
    {
        _owners.Clear();
        _owners.TrimExcess();
        _hostOwners.Clear();
        _hostOwners.TrimExcess();
        Grants.TrimExcess();
        _losses.TrimExcess();
    }

    /// <summary>The ports of a destination that no policy sets; null among them is any.</summary>
    public IReadOnlyCollection<DestinationPort?> FreePorts(Destination destination) =>
        destination.IsAnyPort
            ? OwnerOf(destination, null) is null ? [null] : [.. _free.GetValueOrDefault(destination) ?? []]
            : [.. destination.Ports.Where(port => OwnerOf(destination, port) is null)];

    /// <summary>Of the DestinationRules that cover a host, the strongest has it whole, with or without keepalive.</summary>
    /// <returns>The rule that has all hosts of the selection; null if this one has any of them.</returns>
    private RankedPolicy? StrongerForHosts(Selection selection)
    {
        var (policy, any) = (selection.Policy, selection.Hosts.IsEmpty);
        RankedPolicy? stronger = null;
        foreach (var host in selection.Hosts)
        {
            if (!_hostOwners.TryGetValue((selection.Destination, host), out var owner) || owner == policy
                || (owner.IsSilent && !Hides(owner.Policy, policy.Policy, selection.Destination)))
            {
                _hostOwners[(selection.Destination, host)] = policy;
                any = true;
            }
            else
            {
                stronger ??= owner;
            }
        }

        return any ? null : stronger;
    }

    /// <summary>
    /// Whether a rule without keepalive hides another from every client: Istio looks in the client's namespace, then in the service's, then in
    /// the root namespace. A rule of any other namespace is for clients there only.
    /// </summary>
    private static bool Hides(Policy winner, Policy loser, Destination destination) =>
        winner.Metadata.Namespace == loser.Metadata.Namespace
        || (winner.Metadata.Namespace == (destination.Home ?? destination.Metadata.Namespace) && loser.Metadata.Namespace == MeshConfig.DefaultNamespace);

    private RankedPolicy? OwnerOf(Destination destination, DestinationPort? port) =>
        _owners.GetValueOrDefault((destination, port)) ?? (port is null ? null : _owners.GetValueOrDefault((destination, null)));

    /// <summary>Keeps the values for other ports away from ports that a DestinationRule owns and sets nothing on.</summary>
    private void KeepFree(Selection selection)
    {
        var (policy, destination) = (selection.Policy, selection.Destination);
        var ports = selection.Ports.Where(static port => port is not null).ToList();
        if (policy.Policy is not DestinationRule || policy.Settings is null || ports.Count == 0)
        {
            return;
        }

        if (destination.IsAnyPort)
        {
            _free[destination] = ports;
            _kept.Add(selection);
        }
        else
        {
            Keep(new Loss(selection, ports, null));
        }
    }

    /// <summary>The reason why a DestinationRule's own values do not apply to a port.</summary>
    internal static string OwnedBySettings(string policy, int port) =>
        $"portLevelSettings of {policy} own port {port}, have no tcpKeepalive and inherit none";

    private void Lose(Selection selection, IReadOnlyCollection<DestinationPort?> lost, RankedPolicy winner)
    {
        if (selection.Settings is null)
        {
            return;
        }

        // A DestinationRule that a mesh generated from a policy has the same values: that is not a conflict.
        var (policy, destination) = (selection.Policy, selection.Destination);
        if (policy.Policy.Kind == winner.Policy.Kind || winner.SettingsOf(lost.First()?.Number.Value) != selection.Settings)
        {
            var stronger = winner.IsSilent && !_silentWinners.TryAdd(policy, winner) ? _silentWinners[policy] : winner;
            Count(_lostDestinations, (policy, stronger), (Destination: destination, Ports: lost), static one => new(one.Destination, Describe(one.Destination, one.Ports)));
        }

        Keep(new Loss(selection, lost, winner));
    }

    private void Keep(in Loss loss)
    {
        if (_losses.Count < CompilationBudget.MaxShadowed)
        {
            _losses.Add(loss);
        }
    }

    /// <summary>The destination, with the ports if it is not about all of them.</summary>
    private static string Describe(Destination destination, IReadOnlyCollection<DestinationPort?> ports)
    {
        const int most = 10;
        List<long> numbers = [.. ports.Select(static port => port?.Number.Value).OfType<long>()];
        return numbers.Count == 0 || numbers.Count < ports.Count || (numbers.Count == destination.Ports.Length && !destination.IsAnyPort)
            ? destination.QualifiedName
            : $"port{(numbers.Count == 1 ? "" : "s")} {string.Join(", ", numbers.Take(most))}{(numbers.Count > most ? ", …" : "")} of {destination.QualifiedName}";
    }

    /// <summary>Advice for a policy that another overrides. DestinationRules and the policies of proxies have no selector to be narrowed.</summary>
    private static string Remedy(RankedPolicy winner, RankedPolicy loser) => (HasSelector(winner), HasSelector(loser)) switch
    {
        (true, true) => "narrow the selector of one of the two",
        (true, false) => $"narrow the selector of {winner.Name}, or write the same values in both",
        (false, true) => $"narrow the selector of {loser.Name}, or write the same values in both",
        _ => $"write these values in {winner.Name} if they are meant there",
    };

    private static bool HasSelector(RankedPolicy policy) => policy.Policy is ConnectionPolicy or ListenerConnectionPolicy;

    internal static string Reason(RankedPolicy winner, RankedPolicy loser, Destination destination) =>
        PolicyPrecedence.Explain(winner.Policy, loser.Policy, destination) + (winner.IsSilent ? " and has no tcpKeepalive" : "");

    /// <summary>The rules in force.</summary>
    /// <param name="addresses">Finds the addresses of ports that are kept free.</param>
    /// <param name="diagnostics">Receives the problems of policies that lose.</param>
    /// <param name="below">The number of rules that may be added below.</param>
    public RuleSet Build(DestinationAddresses addresses, DiagnosticBag diagnostics, int below = 0)
    {
        var set = new RuleSet(this, Grants, Exemptions(addresses), below);
        ReportLosses(set, diagnostics);
        return set;
    }

    /// <summary>Ports that rules for any port do not cover: see <see cref="CompiledPolicy.Exemptions"/>.</summary>
    private List<CompiledRule> Exemptions(DestinationAddresses addresses)
    {
        var exemptions = new List<CompiledRule>();
        foreach (var selection in _kept)
        {
            var policy = selection.Policy;
            foreach (var (address, origin) in addresses.Find(selection.Destination, [.. selection.Ports.Where(static port => port is not null)]).All)
            {
                if (address.Port != 0)
                {
                    exemptions.Add(new CompiledRule(
                        RuleTerms.Of(policy, selection.Destination, default, origin) with { IsExemption = true }, address));
                }
            }
        }

        return exemptions;
    }

    private void ReportLosses(RuleSet set, DiagnosticBag diagnostics)
    {
        foreach (var (policy, (first, count)) in _ofClients)
        {
            diagnostics.Report(DiagnosticCatalog.OneNamespace, policy.Policy.Position,
                $"{policy.Subject}: in Istio it is for clients in the namespace {policy.Policy.Metadata.Namespace} only. The agent uses it for every client of "
                + AndMore(first, count, "destination"),
                "write it in the namespace of the service if it is meant for every client");
        }

        foreach (var ((loser, winner), (first, count)) in _lostDestinations)
        {
            var what = AndMore(first.Text, count, "destination");
            if (loser.Policy is DestinationRule rule && winner.Policy is DestinationRule && rule.Metadata.Namespace != winner.Policy.Metadata.Namespace
                && PolicyPrecedence.Standing(rule, first.Destination) == PolicyPrecedence.OfClients)
            {
                diagnostics.Report(DiagnosticCatalog.OneNamespace, rule.Position,
                    $"{loser.Subject}: it is not used for {what}: in Istio it is for clients in the namespace {rule.Metadata.Namespace} only. The agent has one rule "
                    + $"for all clients: {winner.Name}, which {Reason(winner, loser, first.Destination)}",
                    "write the same values in both if these clients need them");
                continue;
            }

            diagnostics.Report(DiagnosticCatalog.PolicyLost, loser.Policy.Position,
                $"{loser.Subject}: {what} is under {winner.Name}, "
                + $"which {Reason(winner, loser, first.Destination)}; this policy is not used there",
                winner.IsSilent ? $"write tcpKeepalive in {winner.Name}, too" : Remedy(winner, loser));
        }

        foreach (var ((loser, winner), (first, count)) in set.LostAddresses())
        {
            var what = AndMore(IpPrefix.Format(first.Rival.Prefix, first.Rival.Port), count, "address");
            diagnostics.Report(DiagnosticCatalog.AddressShared, loser.Policy.Position,
                $"{loser.Subject}: {what} is also behind a destination under {winner.Name}, "
                + $"whose time of {RuleSet.Describe(first.Winner)} applies instead of {RuleSet.Describe(first.Rival)}",
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

    private readonly record struct LostDestination(Destination Destination, string Text);

    /// <summary>Destinations by reference.</summary>
    private sealed class HostComparer : IEqualityComparer<(Destination Destination, string Host)>
    {
        public static HostComparer Instance { get; } = new();

        public bool Equals((Destination Destination, string Host) x, (Destination Destination, string Host) y) =>
            ReferenceEquals(x.Destination, y.Destination) && x.Host == y.Host;

        public int GetHashCode((Destination Destination, string Host) obj) => HashCode.Combine(RuntimeHelpers.GetHashCode(obj.Destination), obj.Host);
    }

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

/// <summary>Ports that a policy selects and does not set.</summary>
/// <param name="Selection">Its selection.</param>
/// <param name="Ports">The ports; null among them is any.</param>
/// <param name="Winner">The policy that sets them; null if the policy itself keeps its values away from them.</param>
internal readonly record struct Loss(Selection Selection, IReadOnlyCollection<DestinationPort?> Ports, RankedPolicy? Winner);
