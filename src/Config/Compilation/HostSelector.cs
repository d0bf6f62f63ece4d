using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the destinations whose host names a DestinationRule covers.</summary>
/// <remarks>Nothing is made of the names before one is asked for: a cluster with ConnectionPolicies may have no DestinationRule.</remarks>
internal sealed class HostSelector
{
    private readonly CompilationBudget _budget;
    private readonly Lazy<List<(string Host, Destination Destination)>> _all;
    private readonly Lazy<ILookup<string, Destination>> _byHost;

    public HostSelector(IReadOnlyList<Destination> destinations, CompilationBudget budget)
    {
        _budget = budget;
        _all = new(() => HostsOf(destinations));
        _byHost = new(() => _all.Value.ToLookup(static pair => pair.Host, static pair => pair.Destination, StringComparer.OrdinalIgnoreCase));
    }

    /// <summary>All destinations with a host name, in document order, each once.</summary>
    public IEnumerable<Destination> All => _all.Value.Select(static pair => pair.Destination).Distinct<Destination>(ReferenceEqualityComparer.Instance);

    /// <summary>The destinations that a rule covers, in document order, each once.</summary>
    public IEnumerable<Destination> Find(DestinationRule rule) =>
        rule.IsWildcard
            ? Covered(rule).Distinct<Destination>(ReferenceEqualityComparer.Instance)
            : _byHost.Value[HostName.Canonical(rule.FullHost)].Distinct<Destination>(ReferenceEqualityComparer.Instance);

    private static List<(string Host, Destination Destination)> HostsOf(IReadOnlyList<Destination> destinations)
    {
        List<(string Host, Destination Destination)> all =
        [
            .. destinations.Where(static destination => destination is not (VirtualGateway or Gateway))
                .SelectMany(static destination => destination.DialledHosts.Select(host => (HostName.Canonical(host), destination))),
        ];

        // Meshes make ServiceEntries for their own objects; those say more.
        var claimed = all.Where(static pair => pair.Destination is not ServiceEntry).Select(static pair => pair.Host)
            .ToHashSet(StringComparer.OrdinalIgnoreCase);
        all.RemoveAll(pair => pair.Destination is ServiceEntry && claimed.Contains(pair.Host));
        return all;
    }

    private IEnumerable<Destination> Covered(DestinationRule rule)
    {
        foreach (var (host, destination) in _all.Value)
        {
            _budget.AddComparison();
            if (_budget.IsExhausted)
            {
                yield break;
            }

            if (rule.Covers(host))
            {
                yield return destination;
            }
        }
    }
}
