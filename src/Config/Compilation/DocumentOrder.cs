using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Numbers for destinations, which rise in document order. Those of others stay when one comes between them.</summary>
internal sealed class DocumentOrder
{
    private const long Gap = 1L << 32;

    private readonly Dictionary<Destination, long> _numbers = new(ReferenceEqualityComparer.Instance);

    private DocumentOrder()
    {
    }

    /// <summary>The order of a set; null if it has an object twice.</summary>
    public static DocumentOrder? Of(ResourceSet resources)
    {
        var order = new DocumentOrder();
        foreach (var resource in resources.All)
        {
            if (resource is Destination destination && !order._numbers.TryAdd(destination, (order._numbers.Count + 1) * Gap))
            {
                return null;
            }
        }

        return order;
    }

    /// <summary>The number of a destination; the largest there is if it is in no document.</summary>
    public long this[Destination destination] => _numbers.GetValueOrDefault(destination, long.MaxValue);

    public bool Has(Destination destination) => _numbers.ContainsKey(destination);

    public void Remove(Destination destination) => _numbers.Remove(destination);

    /// <summary>Adds a destination with the number of one that it replaces.</summary>
    public void Add(Destination destination, long number) => _numbers.Add(destination, number);

    /// <summary>Adds a destination between those beside it that have a number.</summary>
    /// <param name="resources">The set.</param>
    /// <param name="place">Its place there.</param>
    /// <returns>False if there is no number left between them.</returns>
    public bool TryAdd(ReadOnlySpan<Resource> resources, int place)
    {
        var (before, after) = (0L, 0L);
        for (var i = place - 1; i >= 0 && before == 0; i--)
        {
            before = resources[i] is Destination destination ? _numbers.GetValueOrDefault(destination) : 0;
        }

        for (var i = place + 1; i < resources.Length && after == 0; i++)
        {
            after = resources[i] is Destination destination ? _numbers.GetValueOrDefault(destination) : 0;
        }

        var number = after == 0 ? before + Gap : before + ((after - before) / 2);
        if (number <= before)
        {
            return false;
        }

        _numbers.Add((Destination)resources[place], number);
        return true;
    }
}
