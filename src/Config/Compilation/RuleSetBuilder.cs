using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Decides for each port of each destination which policy sets it, and for each address whose rule is in force.</summary>
/// <remarks>The first part depends on policies and destinations only, and is kept while these stay the same. The second depends on addresses.</remarks>
internal sealed partial class RuleSetBuilder
{
    private readonly Dictionary<(Destination Destination, DestinationPort? Port), RankedPolicy> _owners = new(OwnerComparer.Instance);

    // The policy that has a destination with all of its ports: by far the most destinations have one.
    private readonly Dictionary<Destination, RankedPolicy> _wholeOwners = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(Destination Destination, string Host), RankedPolicy> _hostOwners = new(HostComparer.Instance);
    private readonly HashSet<Destination> _inParts = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<Destination, List<DestinationPort?>> _free = new(ReferenceEqualityComparer.Instance);
    private readonly List<Loss> _losses = [];
    private readonly List<Selection> _kept = [];
    private RuleSet? _latest;

    // Many rules about other things may hide one: they are one warning.
    private readonly Dictionary<RankedPolicy, RankedPolicy> _silentWinners = [];

    // One warning for each pair of policies, naming its first case: thousands of destinations are no thousand problems.
    private Dictionary<(RankedPolicy Loser, RankedPolicy Winner), LostDestinations> _lostDestinations = [];

    // DestinationRules for clients of one namespace that are used for all, as nothing else is there.
    private readonly Dictionary<RankedPolicy, (string First, int Count)> _ofClients = [];

    /// <summary>The ports that policies set, the strongest policy first.</summary>
    public List<Grant> Grants { get; private set; } = [];

    /// <summary>The parts that policies select and do not set, in the order of the policies; the first ones, if they are many. Where an assignment was amended,
    /// they are found again for those that ask.</summary>
    public Lazy<IReadOnlyList<Loss>> Losses { get; set; } = new([]);

    /// <summary>How many times <see cref="Build"/> has amended the set before.</summary>
    public int Amended { get; private set; }

    /// <summary>Makes room for destinations.</summary>
    public void Reserve(int destinations)
    {
        _wholeOwners.EnsureCapacity(destinations);
        Grants.EnsureCapacity(destinations);
    }

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

        if (policy.Policy is ConnectionPolicy or ListenerConnectionPolicy && IsWhole(selection))
        {
            ref var whole = ref CollectionsMarshal.GetValueRefOrAddDefault(_wholeOwners, destination, out var isOwned);
            if (isOwned && whole != policy)
            {
                Lose(selection, null, whole!);
                return;
            }

            if (!isOwned && !_inParts.Contains(destination))
            {
                whole = policy;
                Grants.Add(new Grant(selection, selection.Ports));
                return;
            }

            if (!isOwned)
            {
                _wholeOwners.Remove(destination);
            }
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
                _inParts.Add(destination);
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
            var number = 0;
            foreach (var to in lost?.GroupBy(static one => one.Winner, static one => one.Port) ?? [])
            {
                Lose(selection, [.. to], to.Key, number++);
            }
        }
    }

    /// <summary>Forgets what only <see cref="Add"/> and <see cref="FreePorts"/> need.</summary>
    public void Close()
    {
        _owners.Clear();
        _owners.TrimExcess();
        _wholeOwners.Clear();
        _wholeOwners.TrimExcess();
        _inParts.Clear();
        _inParts.TrimExcess();
        _hostOwners.Clear();
        _hostOwners.TrimExcess();
        Grants.TrimExcess();
        _losses.TrimExcess();
        var losses = _losses;
        Losses = new(losses);
    }

    /// <summary>Puts other versions of destinations in the place of earlier ones. They have the same ports.</summary>
    public void Replace(IReadOnlyDictionary<Destination, Destination> versions, Action<Grant> added)
    {
        for (var i = 0; i < Grants.Count; i++)
        {
            if (versions.TryGetValue(Grants[i].Selection.Destination, out var by))
            {
                Grants[i] = Grants[i].For(by);
                added(Grants[i]);
            }
        }

        for (var i = 0; i < _kept.Count; i++)
        {
            _kept[i] = versions.TryGetValue(_kept[i].Destination, out var by) ? _kept[i] with { Destination = by } : _kept[i];
        }

        foreach (var lost in _lostDestinations.Values)
        {
            lost.First = versions.GetValueOrDefault(lost.First, lost.First);
        }
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
        _owners.GetValueOrDefault((destination, port)) ?? (port is null ? null : _owners.GetValueOrDefault((destination, null)))
            ?? _wholeOwners.GetValueOrDefault(destination);

    /// <summary>Whether a selection is for a whole destination.</summary>
    private static bool IsWhole(Selection selection) =>
        selection.Destination.IsAnyPort ? selection.Ports is [null] : selection.Ports.Length > 0 && selection.Ports.Length == selection.Destination.Ports.Length;

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
            if (_losses.Count < CompilationBudget.MaxShadowed)
            {
                _losses.Add(new Loss(selection, ports, null));
            }
        }
    }

    /// <summary>The reason why a DestinationRule's own values do not apply to a port.</summary>
    internal static string OwnedBySettings(string policy, int port) =>
        $"portLevelSettings of {policy} own port {port}, have no tcpKeepalive and inherit none";

    /// <param name="selection">The selection.</param>
    /// <param name="ports">The ports that it does not set; null for all.</param>
    /// <param name="winner">The policy that sets them.</param>
    /// <param name="number">How many other policies set ports of the selection before this one.</param>
    private void Lose(Selection selection, IReadOnlyCollection<DestinationPort?>? ports, RankedPolicy winner, int number = 0)
    {
        if (selection.Settings is null)
        {
            return;
        }

        // A DestinationRule that a mesh generated from a policy has the same values: that is not a conflict.
        var (policy, destination) = (selection.Policy, selection.Destination);
        if (policy.Policy.Kind == winner.Policy.Kind || winner.SettingsOf((ports ?? selection.Ports).First()?.Number.Value) != selection.Settings)
        {
            var stronger = winner.IsSilent && !_silentWinners.TryAdd(policy, winner) ? _silentWinners[policy] : winner;
            ref var lost = ref CollectionsMarshal.GetValueRefOrAddDefault(_lostDestinations, (policy, stronger), out _);
            lost ??= new LostDestinations(destination, Describe(destination, ports ?? selection.Ports), number);
            lost.Count++;
        }

        if (_losses.Count < CompilationBudget.MaxShadowed)
        {
            _losses.Add(new Loss(selection, ports ?? selection.Ports, winner));
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
        var exemptions = Exemptions(addresses);
        var amended = exemptions.Count + below == 0 ? _latest?.With(this, Grants) : null;
        var set = _latest = amended ?? new RuleSet(this, Grants, exemptions, below);
        Amended += amended is null ? 0 : 1;
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
                        RuleTerms.For(policy, selection.Destination, default, origin), address, isExemption: true));
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

        foreach (var ((loser, winner), lost) in _lostDestinations)
        {
            var isOfClients = loser.Policy is DestinationRule rule && winner.Policy is DestinationRule && rule.Metadata.Namespace != winner.Policy.Metadata.Namespace
                && PolicyPrecedence.Standing(rule, lost.First) == PolicyPrecedence.OfClients;
            var kind = isOfClients ? DiagnosticCatalog.OneNamespace : DiagnosticCatalog.PolicyLost;
            if (diagnostics.HasRoom(kind.Severity))
            {
                // The next compilation says the same, if only addresses have changed.
                diagnostics.Add(lost.Told ??= Tell(kind, loser, winner, lost));
            }
            else
            {
                diagnostics.Drop(kind.Severity, loser.Policy.Position);
            }
        }

        foreach (var ((loser, winner), (first, count)) in set.LostAddresses())
        {
            if (!diagnostics.HasRoom(DiagnosticCatalog.AddressShared.Severity))
            {
                diagnostics.Drop(DiagnosticCatalog.AddressShared.Severity, loser.Policy.Position);
                continue;
            }

            var what = AndMore(IpPrefix.Format(first.Rival.Prefix, first.Rival.Port), count, "address");
            diagnostics.Report(DiagnosticCatalog.AddressShared, loser.Policy.Position,
                $"{loser.Subject}: {what} is also behind a destination under {winner.Name}, "
                + $"whose time of {RuleSet.Describe(first.Winner)} applies instead of {RuleSet.Describe(first.Rival)}",
                "use the same values in both: connections to one address cannot be distinguished");
        }
    }

    private static Diagnostic Tell(DiagnosticKind kind, RankedPolicy loser, RankedPolicy winner, LostDestinations lost)
    {
        var (what, reason) = (AndMore(lost.Text, lost.Count, "destination"), Reason(winner, loser, lost.First));
        return kind == DiagnosticCatalog.OneNamespace
            ? new Diagnostic(kind.Code, kind.Severity, loser.Policy.Position,
                $"{loser.Subject}: it is not used for {what}: in Istio it is for clients in the namespace {loser.Policy.Metadata.Namespace} only. The agent has one rule "
                + $"for all clients: {winner.Name}, which {reason}",
                "write the same values in both if these clients need them")
            : new Diagnostic(kind.Code, kind.Severity, loser.Policy.Position,
                $"{loser.Subject}: {what} is under {winner.Name}, which {reason}; this policy is not used there",
                winner.IsSilent ? $"write tcpKeepalive in {winner.Name}, too" : Remedy(winner, loser));
    }

    private static string AndMore(string first, int count, string noun) => count switch
    {
        1 => first,
        2 => $"{first} (and another {noun})",
        _ => $"{first} (the first of {count})",
    };

    /// <summary>The destinations that one policy has and another does not set.</summary>
    /// <param name="first">The first of them.</param>
    /// <param name="text">Its name, with the ports.</param>
    /// <param name="number">How many other policies have ports of the first before the one of this pair.</param>
    private sealed class LostDestinations(Destination first, string text, int number)
    {
        public Destination First { get; set; } = first;

        public string Text => text;

        public int Number => number;

        public int Count { get; set; }

        /// <summary>The diagnostic about them; null if it must be made anew.</summary>
        public Diagnostic? Told { get; set; }
    }

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
