using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the destinations whose host names a DestinationRule covers.</summary>
internal sealed class HostSelector
{
    private readonly CompilationBudget _budget;
    private readonly List<(string Host, Destination Destination)> _all;
    private readonly ILookup<string, Destination> _byHost;

    public HostSelector(IEnumerable<Destination> destinations, CompilationBudget budget)
    {
        _budget = budget;
        _all =
        [
            .. destinations.Where(static destination => destination is not (VirtualGateway or Gateway))
                .SelectMany(static destination => destination.DialledHosts.Select(host => (HostName.Canonical(host), destination))),
        ];

        // Meshes make ServiceEntries for their own objects; those say more.
        var claimed = _all.Where(static pair => pair.Destination is not ServiceEntry).Select(static pair => pair.Host)
            .ToHashSet(StringComparer.OrdinalIgnoreCase);
        _all.RemoveAll(pair => pair.Destination is ServiceEntry && claimed.Contains(pair.Host));
        _byHost = _all.ToLookup(static pair => pair.Host, static pair => pair.Destination, StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>All destinations with a host name, in document order, each once.</summary>
    public IEnumerable<Destination> All => _all.Select(static pair => pair.Destination).Distinct<Destination>(ReferenceEqualityComparer.Instance);

    /// <summary>The destinations that a rule covers, in document order, each once.</summary>
    public IEnumerable<Destination> Find(DestinationRule rule) =>
        rule.IsWildcard
            ? Covered(rule).Distinct<Destination>(ReferenceEqualityComparer.Instance)
            : _byHost[HostName.Canonical(rule.FullHost)].Distinct<Destination>(ReferenceEqualityComparer.Instance);

    private IEnumerable<Destination> Covered(DestinationRule rule)
    {
        foreach (var (host, destination) in _all)
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
