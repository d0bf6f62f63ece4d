using System.Net;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The ports of one destination that one policy sets, because no stronger one does.</summary>
/// <param name="selection">What the policy selects.</param>
/// <param name="ports">The ports; null among them is any.</param>
internal sealed class Grant(Selection selection, IReadOnlyCollection<DestinationPort?> ports)
{
    public Selection Selection => selection;

    public IReadOnlyCollection<DestinationPort?> Ports => ports;

    /// <summary>Its rules, one for each address; null until they are known.</summary>
    public CompiledRule[]? Rules { get; private set; }

    /// <summary>Another grant for the same destination, while grants are looked up by it.</summary>
    public Grant? Another { get; set; }

    /// <summary>Its number in the set of rules that has it; negative before it is in one.</summary>
    public int Number { get; set; } = -1;

    /// <summary>The answers that the rules are from.</summary>
    public Answers? From { get; private set; }

    /// <summary>Whether it is for all ports of its destination.</summary>
    public bool IsForAllPorts => selection.Destination.IsAnyPort ? ports.Count == 1 && ports.First() is null : ports.Count == selection.Destination.Ports.Length;

    /// <summary>Finds the addresses and makes the rules.</summary>
    public void Resolve(DestinationAddresses addresses, CompilationBudget budget)
    {
        From = Answers.Of(selection.Destination, addresses, ports, budget, out var found);
        Rules = new CompiledRule[found.All.Count];
        var terms = RuleTerms.None;
        for (var i = 0; i < Rules.Length; i++)
        {
            var (address, origin) = found.All[i];
            if (i == 0)
            {
                terms = RuleTerms.For(selection.Policy, selection.Destination, selection.Settings!.Value, origin, selection.Inherited);
            }
            else if (!ReferenceEquals(origin, found.All[i - 1].Origin))
            {
                terms = terms with { Origin = origin };
            }

            Rules[i] = new CompiledRule(terms, address);
        }
    }

    /// <summary>Takes the rules of an equal grant of an earlier compilation.</summary>
    public void Take(Grant earlier) => (Rules, From) = (earlier.Rules, earlier.From);

    /// <summary>The same for another version of the destination, unresolved.</summary>
    public Grant For(Destination destination) => new(selection with { Destination = destination }, ports) { Number = Number };

    /// <summary>Makes it unresolved again.</summary>
    public void Forget() => (Rules, From) = (null, null);

    /// <summary>Whether another is for the same ports of the same objects, with the same values.</summary>
    public bool Equals(Grant other) => ReferenceEquals(selection.Destination, other.Selection.Destination)
        && ReferenceEquals(selection.Policy, other.Selection.Policy) && selection.Settings == other.Selection.Settings
        && selection.Inherited == other.Selection.Inherited && ports.SequenceEqual<DestinationPort?>(other.Ports, ReferenceEqualityComparer.Instance);
}

/// <summary>What the addresses of a destination depend on besides the objects that policies select.</summary>
/// <param name="Prefixes">The number of distinct prefixes that were found.</param>
/// <param name="Services">The Services whose endpoints were asked for; null for the destination itself.</param>
/// <param name="Hosts">The hosts that were asked for their addresses, with the answers.</param>
/// <param name="Work">The work of finding them.</param>
/// <param name="Marks">A bit for each of the Services: nearly all answers are recognised by it as those that no change is about.</param>
internal sealed record Answers(
    int Prefixes, (string Namespace, string Name)[]? Services, (string Host, IReadOnlyList<IPAddress> Addresses)[] Hosts, (int Rules, int Comparisons) Work, ulong Marks)
{
    /// <summary>Finds the addresses of some ports of a destination.</summary>
    public static Answers Of(
        Destination destination, DestinationAddresses addresses, IReadOnlyCollection<DestinationPort?> ports, CompilationBudget budget, out FoundAddresses found)
    {
        var before = budget.Count;
        found = addresses.Find(destination, ports);
        var after = budget.Count;
        return new Answers(
            found.Prefixes,
            destination is Service service && found.Services is { Count: 1 } && found.Services.Contains(KeyOf(service)) ? null : [.. found.Services],
            [.. found.Asked],
            (after.Rules - before.Rules, after.Comparisons - before.Comparisons),
            MarksOf(found.Services));
    }

    /// <summary>A bit for each of some Services, the same one for the same Service; different ones may have the same.</summary>
    public static ulong MarksOf(IReadOnlyCollection<(string Namespace, string Name)> services)
    {
        var marks = 0UL;
        foreach (var service in services)
        {
            marks |= 1UL << (service.GetHashCode() & 63);
        }

        return marks;
    }

    public static (string Namespace, string Name) KeyOf(Service service) => (service.Metadata.Namespace, service.Metadata.Name.Value);

    /// <summary>Whether none of the answers has changed. If so, it asks for the hosts again: they stay wanted.</summary>
    /// <param name="destination">The destination.</param>
    /// <param name="changed">The Services that have other endpoints.</param>
    /// <param name="marks">Their marks.</param>
    /// <param name="hosts">The answers about hosts.</param>
    public bool Hold(Destination destination, HashSet<(string Namespace, string Name)> changed, ulong marks, HostAddresses hosts)
    {
        if ((Marks & marks) != 0 && (Services is null ? changed.Contains(KeyOf((Service)destination)) : Array.Exists(Services, changed.Contains)))
        {
            return false;
        }

        return Hosts.Length == 0 || HostsHold(hosts);
    }

    private bool HostsHold(HostAddresses hosts)
    {
        foreach (var (host, addresses) in Hosts)
        {
            var now = hosts.PeekCanonical(host);
            if (!ReferenceEquals(now, addresses) && !now.SequenceEqual(addresses))
            {
                return false;
            }
        }

        foreach (var (host, _) in Hosts)
        {
            hosts.WantCanonical(host);
        }

        return true;
    }
}
