using System.Runtime.InteropServices;

namespace Keepalive.Config.Compilation;

/// <summary>Numbers by key, those of a key in the order in which they were added. A key with one number costs no object.</summary>
/// <param name="capacity">The numbers that are expected.</param>
internal sealed class NumbersByKey<TKey>(int capacity)
    where TKey : notnull
{
    private readonly Dictionary<TKey, (int First, int Last)> _keys = [];
    private readonly List<(int Number, int Next)> _entries = new(capacity);

    public bool Contains(TKey key) => _keys.ContainsKey(key);

    public void Add(TKey key, int number)
    {
        var i = _entries.Count;
        _entries.Add((number, -1));
        ref var chain = ref CollectionsMarshal.GetValueRefOrAddDefault(_keys, key, out var isKnown);
        if (isKnown)
        {
            CollectionsMarshal.AsSpan(_entries)[chain.Last].Next = i;
        }

        chain = (isKnown ? chain.First : i, i);
    }

    public Numbers Of(TKey key) => new(_entries, _keys.TryGetValue(key, out var chain) ? chain.First : -1);
}

/// <summary>The numbers of a key.</summary>
internal struct Numbers(List<(int Number, int Next)> entries, int first)
{
    private int _next = first;

    public int Current { get; private set; }

    public readonly Numbers GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_next < 0)
        {
            return false;
        }

        (Current, _next) = entries[_next];
        return true;
    }
}
