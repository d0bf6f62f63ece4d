using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;

namespace Keepalive.Agent.Sockets;

/// <summary>An entry of a <see cref="SocketTable{T}"/>.</summary>
internal interface ISocketEntry
{
    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    ulong Cookie { get; }
}

/// <summary>Sockets by cookie, in the order in which they were added. Takes less than half of a dictionary's memory: entries have their own key, and room
/// is added in small parts.</summary>
/// <remarks>
/// <code>
///   index (open addressing):   … [hash bits | place] …            places:  0 1 2 … 1023 | 1024 … | …
///                                              └──────────────────────────────► entry
/// </code>
/// A dump shows the sockets in the same order each time, so the entry after the one that was found last is looked at first. The last entry takes the
/// place of one that is removed.
/// </remarks>
/// <typeparam name="T">The entries.</typeparam>
internal sealed class SocketTable<T> : IReadOnlyCollection<T>
    where T : ISocketEntry
{
    private const int PartBits = 10;
    private const int PartSize = 1 << PartBits;
    private const int LeastIndexBits = 3;

    // An odd number near 2^64 divided by the golden ratio: neighbouring cookies are spread over the whole index.
    private const ulong Spread = 0x9E3779B97F4A7C15;

    private T[][] _parts = [];
    private uint[] _index = [];
    private int _indexBits;
    private int _next;

    public int Count { get; private set; }

    /// <summary>The number of entries for which there is memory.</summary>
    public int Capacity => _parts.Length == 0 ? 0 : ((_parts.Length - 1) << PartBits) + _parts[^1].Length;

    /// <summary>Finds a socket.</summary>
    public bool TryGetValue(ulong cookie, [MaybeNullWhen(false)] out T entry)
    {
        var place = Find(cookie);
        entry = place < 0 ? default : At(place);
        return place >= 0;
    }

    public bool ContainsKey(ulong cookie) => Find(cookie) >= 0;

    /// <summary>Returns the place of a socket, until the next removal; -1 if it is not in the table.</summary>
    public int Find(ulong cookie)
    {
        if (_next < Count && At(_next).Cookie == cookie)
        {
            return _next++;
        }
        if (_index.Length == 0)
        {
            return -1;
        }
        var hash = Hash(cookie);
        var (mask, mark) = (_index.Length - 1, hash << _indexBits);
        for (var slot = Home(hash); _index[slot] is var value && value != 0; slot = (slot + 1) & mask)
        {
            var place = (int)(value & (uint)mask) - 1;
            if ((value & ~(uint)mask) == mark && At(place).Cookie == cookie)
            {
                _next = place + 1;
                return place;
            }
        }
        return -1;
    }

    /// <summary>The entry at a place.</summary>
    public ref T At(int place) => ref _parts[place >> PartBits][place & (PartSize - 1)];

    /// <summary>Adds a socket that is not in the table.</summary>
    public void Add(T entry)
    {
        if (Count == Capacity)
        {
            Grow();
        }
        if (Count >= _index.Length - (_index.Length / 8))
        {
            Rebuild(Math.Max(LeastIndexBits, _indexBits + 1));
        }
        var place = Count++;
        At(place) = entry;
        Enter(entry.Cookie, place);
    }

    public bool Remove(ulong cookie) => Remove(cookie, out _);

    public bool Remove(ulong cookie, [MaybeNullWhen(false)] out T entry)
    {
        var place = Find(cookie);
        if (place < 0)
        {
            entry = default;
            return false;
        }
        entry = At(place);
        Leave(SlotOf(cookie, place));
        var last = --Count;
        if (place != last)
        {
            var moved = At(last);
            _index[SlotOf(moved.Cookie, last)] += (uint)place - (uint)last;
            At(place) = moved;
        }
        At(last) = default!;
        return true;
    }

    /// <summary>Releases memory that is not needed.</summary>
    public void TrimExcess()
    {
        var parts = (Count + PartSize - 1) >> PartBits;
        if (parts < _parts.Length)
        {
            Array.Resize(ref _parts, parts);
        }
        if (_indexBits > LeastIndexBits && Count < _index.Length / 4)
        {
            Rebuild(Math.Max(LeastIndexBits, 32 - BitOperations.LeadingZeroCount((uint)(Count + (Count / 4)))));
        }
    }

    /// <summary>Returns the sockets in turn. The one that was returned last may be removed meanwhile.</summary>
    public Enumerator GetEnumerator() => new(this);

    IEnumerator<T> IEnumerable<T>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private void Grow()
    {
        if (_parts.Length > 0 && _parts[^1].Length < PartSize)
        {
            Array.Resize(ref _parts[^1], 4 * _parts[^1].Length);   // only the first part begins small
            return;
        }
        Array.Resize(ref _parts, _parts.Length + 1);
        _parts[^1] = new T[_parts.Length == 1 ? 4 : PartSize];
    }

    private static uint Hash(ulong cookie) => (uint)(cookie * Spread >> 32);

    private int Home(uint hash) => (int)(hash >> (32 - _indexBits));

    private void Enter(ulong cookie, int place)
    {
        var (hash, mask) = (Hash(cookie), _index.Length - 1);
        var slot = Home(hash);
        while (_index[slot] != 0)
        {
            slot = (slot + 1) & mask;
        }
        // An index has more slots than entries: a place, counted from one, takes fewer bits than the slots, and the others are of the hash.
        _index[slot] = (hash << _indexBits) | (uint)(place + 1);
    }

    /// <summary>Returns the slot of an entry in the index.</summary>
    private int SlotOf(ulong cookie, int place)
    {
        var (hash, mask) = (Hash(cookie), _index.Length - 1);
        var slot = Home(hash);
        while ((int)(_index[slot] & (uint)mask) - 1 != place)
        {
            slot = (slot + 1) & mask;
        }
        return slot;
    }

    /// <summary>Empties a slot of the index, and moves entries up that are found behind it.</summary>
    private void Leave(int free)
    {
        var mask = _index.Length - 1;
        for (var slot = (free + 1) & mask; _index[slot] is var value && value != 0; slot = (slot + 1) & mask)
        {
            var home = Home(Hash(At((int)(value & (uint)mask) - 1).Cookie));
            if (((slot - home) & mask) >= ((slot - free) & mask))
            {
                (_index[free], free) = (value, slot);
            }
        }
        _index[free] = 0;
    }

    private void Rebuild(int bits)
    {
        (_index, _indexBits) = (new uint[1 << bits], bits);
        for (var place = 0; place < Count; place++)
        {
            Enter(At(place).Cookie, place);
        }
    }

    /// <summary>Goes through a table.</summary>
    internal struct Enumerator(SocketTable<T> table) : IEnumerator<T>
    {
        private int _place = -1;
        private ulong _cookie;

        public readonly T Current => table.At(_place);

        readonly object IEnumerator.Current => Current;

        public bool MoveNext()
        {
            // If the last one was removed, another entry has taken its place.
            if (_place < 0 || (_place < table.Count && table.At(_place).Cookie == _cookie))
            {
                _place++;
            }
            if (_place >= table.Count)
            {
                return false;
            }
            _cookie = table.At(_place).Cookie;
            return true;
        }

        public void Reset() => _place = -1;

        public readonly void Dispose()
        {
        }
    }
}
