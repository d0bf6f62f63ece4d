using System.Net;

namespace Keepalive.Config.Compilation;

/// <summary>Collects what connections to one destination look like on the wire, and which object says so.</summary>
/// <remarks>One object serves all destinations of a compilation, one after the other: <see cref="Begin"/> empties it at no cost.</remarks>
internal sealed class FoundAddresses(HostAddresses hosts, CompilationBudget budget)
{
    private HostAddresses _addresses = hosts;
    private readonly List<(WireAddress Address, string Origin)> _all = [];
    private readonly ScratchSet<WireAddress> _known = new();
    private readonly ScratchSet<IpPrefix> _prefixes = new();
    private readonly List<(string Host, IReadOnlyList<IPAddress> Addresses)> _hosts = [];
    private readonly HashSet<(string Namespace, string Name)> _services = [];

    /// <summary>The addresses, in the order they were found, each once, with where it is from.</summary>
    public IReadOnlyList<(WireAddress Address, string Origin)> All => _all;

    /// <summary>The number of distinct prefixes.</summary>
    public int Prefixes => _prefixes.Count;

    /// <summary>The host names that were asked for their addresses.</summary>
    public IReadOnlyCollection<(string Host, IReadOnlyList<IPAddress> Addresses)> Asked => _hosts;

    /// <summary>The Services whose EndpointSlices were asked for.</summary>
    public IReadOnlyCollection<(string Namespace, string Name)> Services => _services;

    /// <summary>Takes other answers from now on.</summary>
    public void Renew(HostAddresses hosts) => _addresses = hosts;

    /// <summary>Begins with another destination.</summary>
    public void Begin()
    {
        _all.Clear();
        _known.Clear();
        _prefixes.Clear();
        _hosts.Clear();
        _services.Clear();
    }

    /// <summary>Adds every combination of prefix and port; port 0 is any.</summary>
    public void Add(IEnumerable<IpPrefix> prefixes, ReadOnlySpan<ushort> ports, string origin)
    {
        foreach (var prefix in prefixes)
        {
            if (!Add(prefix, ports, origin))
            {
                return;
            }
        }
    }

    /// <summary>The same with one prefix; returns false if the budget is spent.</summary>
    public bool Add(in IpPrefix prefix, ReadOnlySpan<ushort> ports, string origin)
    {
        budget.AddRules(ports.Length);
        if (budget.IsExhausted)
        {
            return false;
        }

        foreach (var port in ports)
        {
            Add(prefix, port, origin);
        }

        return true;
    }

    /// <summary>The same with what a text stands for: an address, a CIDR block, or the addresses of a host name.</summary>
    public bool Add(string text, ReadOnlySpan<ushort> ports, string origin)
    {
        if (IpPrefix.TryParse(text, out var prefix, out _))
        {
            return Add(prefix, ports, origin);
        }

        Add(PrefixesOf(text), ports, origin);
        return !budget.IsExhausted;
    }

    /// <summary>Adds one prefix.</summary>
    public void Add(in IpPrefix prefix, ushort port, string origin)
    {
        var address = new WireAddress(prefix, port);
        if (_known.Add(address))
        {
            _all.Add((address, origin));
            _prefixes.Add(prefix);
        }
    }

    /// <summary>Notes that the endpoints of a Service were asked for.</summary>
    public void Ask((string Namespace, string Name) service) => _services.Add(service);

    /// <summary>The prefix a text stands for: an address, a CIDR block, or the addresses of a host name.</summary>
    public IEnumerable<IpPrefix> PrefixesOf(string text) =>
        IpPrefix.TryParse(text, out var prefix, out _) ? [prefix]
        : Resources.MeshWorkload.IsPath(text) ? []
        : Resolve(text);

    /// <summary>The addresses of a host name.</summary>
    public IEnumerable<IpPrefix> Resolve(string host)
    {
        var (name, answer) = (HostName.Canonical(host), _addresses.Of(host));
        if (!_hosts.Exists(asked => asked.Host.Equals(name, StringComparison.OrdinalIgnoreCase)))
        {
            _hosts.Add((name, answer));
        }

        return answer.Select(IpPrefix.From);
    }
}

/// <summary>A set that is emptied without touching its memory.</summary>
internal sealed class ScratchSet<T>
    where T : struct, IEquatable<T>
{
    private T[] _items = new T[32];
    private (int Round, int Index)[] _slots = new (int, int)[64];
    private int _round = 1;

    public int Count { get; private set; }

    public void Clear()
    {
        Count = 0;
        if (++_round == int.MaxValue)
        {
            Array.Clear(_slots);
            _round = 1;
        }
    }

    /// <summary>Adds an item; returns false if it is there already.</summary>
    public bool Add(T item)
    {
        if (Count == _items.Length)
        {
            Grow();
        }

        var i = Slot(item);
        if (_slots[i].Round == _round)
        {
            return false;
        }

        _items[Count] = item;
        _slots[i] = (_round, Count++);
        return true;
    }

    private int Slot(T item)
    {
        var mask = _slots.Length - 1;
        // The hash of an address varies in few bits.
        var i = (int)((uint)item.GetHashCode() * 0x9E3779B1 >> 8) & mask;
        while (_slots[i].Round == _round && !_items[_slots[i].Index].Equals(item))
        {
            i = (i + 1) & mask;
        }

        return i;
    }

    private void Grow()
    {
        Array.Resize(ref _items, Count * 2);
        _slots = new (int, int)[_items.Length * 2];
        for (var i = 0; i < Count; i++)
        {
            _slots[Slot(_items[i])] = (_round, i);
        }
    }
}
