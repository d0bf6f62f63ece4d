using System.Numerics;

namespace Keepalive.Simulator.Virtual;

/// <summary>The next events: at most one entry for each of a fixed number of nodes, in order of time and then of the node's number.</summary>
/// <remarks>
/// <para>
/// A tournament. Each node has a leaf; above each pair is the earlier of the two, and at the top the first of all. The place of a node never
/// changes: which entries its path meets is known at once, and on the way up nothing is decided by a jump. A heap is as deep, but each
/// of its levels waits for the one before, and the processor guesses one in two wrong.
/// </para>
/// <para>
/// The node's number stands for priority and sequence: it is the same however many threads there are. Allocates nothing once made.
/// </para>
/// </remarks>
internal sealed class EventQueue
{
    /// <summary>The time of a node that is not in: later than any.</summary>
    private const long Absent = long.MaxValue;

    // The first of all is at 1. Below the entry at i are those at 2i and 2i + 1.
    private Entry[] _entries = [];
    private int _leaves;

    /// <summary>Forgets everything, and makes room for nodes 0 to <paramref name="nodes"/> - 1.</summary>
    public void Reset(int nodes)
    {
        _leaves = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, nodes));
        // The last leaf has one beside it.
        var length = _leaves + nodes + (nodes & 1);
        if (_entries.Length < length)
        {
            _entries = new Entry[length];
        }
        _entries.AsSpan(0, length).Fill(new Entry(Absent, 0));
    }

    /// <summary>The first entry.</summary>
    public bool TryPeek(out int node, out long time)
    {
        (time, node) = (_entries[1].Time, _entries[1].Node);
        return time != Absent;
    }

    /// <summary>Enters a node, or moves it to another time.</summary>
    /// <param name="node">Its number.</param>
    /// <param name="time">0 or later.</param>
    public void Set(int node, long time)
    {
        var entries = _entries;
        var i = _leaves + node;
        entries[i] = new Entry(time, node);
        while (i > 1)
        {
            ref readonly var beside = ref entries[i ^ 1];
            // All ones where the other comes first: it is earlier, or as early and to the left, where numbers are lower.
            var isOther = (beside.Time - time - (i & 1)) >> 63;
            time += (beside.Time - time) & isOther;
            node ^= (node ^ beside.Node) & (int)isOther;
            i >>= 1;
            entries[i] = new Entry(time, node);
        }
    }

    /// <summary>Takes a node out, if it is in.</summary>
    public void Remove(int node)
    {
        if (_entries[_leaves + node].Time != Absent)
        {
            Set(node, Absent);
        }
    }

    private readonly record struct Entry(long Time, int Node);
}
