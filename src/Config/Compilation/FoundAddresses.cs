namespace Keepalive.Config.Compilation;

/// <summary>Collects what connections to one destination look like on the wire, and which object says so.</summary>
internal sealed class FoundAddresses(HostAddresses addresses, CompilationBudget budget)
{
    private readonly Dictionary<WireAddress, string> _origins = [];
    private readonly HashSet<string> _hosts = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The addresses, in the order they were found, with where each is from.</summary>
    public IReadOnlyDictionary<WireAddress, string> All => _origins;

    /// <summary>The host names that were asked for their addresses.</summary>
    public IReadOnlyCollection<string> Hosts => _hosts;

    /// <summary>Adds every combination of prefix and port; port 0 is any.</summary>
    public void Add(IEnumerable<IpPrefix> prefixes, IReadOnlyCollection<ushort> ports, string origin)
    {
        foreach (var prefix in prefixes)
        {
            budget.AddRules(ports.Count);
            if (budget.IsExhausted)
            {
                return;
            }

            foreach (var port in ports)
            {
                _origins.TryAdd(new WireAddress(prefix, port), origin);
            }
        }
    }

    /// <summary>Adds one prefix.</summary>
    public void Add(IpPrefix prefix, ushort port, string origin) => _origins.TryAdd(new WireAddress(prefix, port), origin);

    /// <summary>The prefix a text stands for: an address, a CIDR block, or the addresses of a host name.</summary>
    public IEnumerable<IpPrefix> PrefixesOf(string text) =>
        IpPrefix.TryParse(text, out var prefix, out _) ? [prefix]
        : Resources.MeshWorkload.IsPath(text) ? []
        : Resolve(text);

    /// <summary>The addresses of a host name.</summary>
    public IEnumerable<IpPrefix> Resolve(string host)
    {
        _hosts.Add(HostName.Canonical(host));
        return addresses.Of(host).Select(IpPrefix.From);
    }
}
