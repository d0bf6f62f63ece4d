using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the destinations whose host names a DestinationRule covers.</summary>
internal sealed class HostSelector
{
    private readonly CompilationBudget budget;
    private readonly List<(string Host, Destination Destination)> all;
    private readonly ILookup<string, Destination> byHost;

    public HostSelector(IEnumerable<Destination> destinations, CompilationBudget budget)
    {
        this.budget = budget;
        all =
        [
            .. destinations.Where(static destination => destination is not VirtualGateway)
                .SelectMany(static destination => destination.DialledHosts.Select(host => (HostName.Canonical(host), destination))),
        ];

        // Meshes make ServiceEntries for their own objects; those say more.
        var claimed = all.Where(static pair => pair.Destination is not ServiceEntry).Select(static pair => pair.Host)
            .ToHashSet(StringComparer.OrdinalIgnoreCase);
        all.RemoveAll(pair => pair.Destination is ServiceEntry && claimed.Contains(pair.Host));
        byHost = all.ToLookup(static pair => pair.Host, static pair => pair.Destination, StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>The destinations, in document order, each once.</summary>
    public IEnumerable<Destination> Find(DestinationRule rule) =>
        rule.IsWildcard
            ? Covered(rule).Distinct<Destination>(ReferenceEqualityComparer.Instance)
            : byHost[HostName.Canonical(rule.FullHost)].Distinct<Destination>(ReferenceEqualityComparer.Instance);

    private IEnumerable<Destination> Covered(DestinationRule rule)
    {
        foreach (var (host, destination) in all)
        {
            budget.AddComparison();
            if (budget.IsExhausted)
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
