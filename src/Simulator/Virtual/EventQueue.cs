using System.Runtime.CompilerServices;

namespace Keepalive.Simulator.Virtual;

/// <summary>The next events: at most one entry for each of a fixed number of nodes, in order of time and then of the node's number.</summary>
/// <remarks>
/// A heap with four children to a node, on flat arrays: half as deep as one with two, and the children share a cache line. An entry that is
/// put off is moved, not left behind, so that there are never more entries than nodes. The node's number stands for priority and sequence:
/// it is the same however many threads there are. Allocates nothing once made.
/// </remarks>
internal sealed class EventQueue
{
    private const int Children = 4;
    private const int Absent = -1;

    private Entry[] _heap = [];
    private int[] _places = [];

    /// <summary>Entries.</summary>
    public int Count { get; private set; }

    /// <summary>Forgets everything, and makes room for nodes 0 to <paramref name="nodes"/> - 1.</summary>
    public void Reset(int nodes)
    {
        if (_places.Length < nodes)
        {
            (_heap, _places) = (new Entry[nodes], new int[nodes]);
        }
        Array.Fill(_places, Absent);
        Count = 0;
    }

    /// <summary>The first entry.</summary>
    public bool TryPeek(out int node, out long time)
    {
        if (Count == 0)
        {
            (node, time) = (Absent, 0);
            return false;
        }
        (time, node) = (_heap[0].Time, _heap[0].Node);
        return true;
    }

    /// <summary>Enters a node, or moves it to another time.</summary>
    public void Set(int node, long time)
    {
        var place = _places[node];
        var entry = new Entry(time, node);
        if (place == Absent)
        {
            Rise(Count++, entry);
        }
        else if (entry.IsBefore(_heap[place]))
        {
            Rise(place, entry);
        }
        else
        {
            Sink(place, entry);
        }
    }

    /// <summary>Takes a node out, if it is in.</summary>
    public void Remove(int node)
    {
        var place = _places[node];
        if (place == Absent)
        {
            return;
        }
        _places[node] = Absent;
        var last = _heap[--Count];
        if (place == Count)
        {
            return;
        }
        if (last.IsBefore(_heap[place]))
        {
            Rise(place, last);
        }
        else
        {
            Sink(place, last);
        }
    }

    private void Rise(int place, Entry entry)
    {
        var heap = _heap;
        while (place > 0)
        {
            var parent = (place - 1) / Children;
            if (!entry.IsBefore(heap[parent]))
            {
                break;
            }
            heap[place] = heap[parent];
            _places[heap[place].Node] = place;
            place = parent;
        }
        heap[place] = entry;
        _places[entry.Node] = place;
    }

    private void Sink(int place, Entry entry)
    {
        var heap = _heap.AsSpan(0, Count);
        var places = _places;
        for (; ; )
        {
            var first = (place * Children) + 1;
            if (first >= heap.Length)
            {
                break;
            }
            var children = heap[first..Math.Min(first + Children, heap.Length)];
            var least = first + (children.Length == Children ? LeastOfFour(children) : Least(children));
            ref readonly var next = ref heap[least];
            if (!next.IsBefore(entry))
            {
                break;
            }
            // Field by field, as it was written: a load of both waits until their two stores have reached the cache.
            var (time, node) = (next.Time, next.Node);
            heap[place] = new Entry(time, node);
            places[node] = place;
            place = least;
        }
        heap[place] = entry;
        places[entry.Node] = place;
    }

    // Two comparisons that do not wait for each other, and a third.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LeastOfFour(ReadOnlySpan<Entry> entries)
    {
        entries = entries[..Children];
        var front = entries[1].IsBefore(entries[0]) ? 1 : 0;
        var back = entries[3].IsBefore(entries[2]) ? 3 : 2;
        return entries[back].IsBefore(entries[front]) ? back : front;
    }

    private static int Least(ReadOnlySpan<Entry> entries)
    {
        var least = 0;
        for (var i = 1; i < entries.Length; i++)
        {
            if (entries[i].IsBefore(entries[least]))
            {
                least = i;
            }
        }
        return least;
    }

    private readonly record struct Entry(long Time, int Node)
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool IsBefore(in Entry other) => Time < other.Time || (Time == other.Time && Node < other.Node);
    }
}
