using System.Numerics;
using System.Runtime.CompilerServices;

namespace Keepalive.Probes.Classify;

/// <summary>So many connections and no more: the one not seen for longest makes room for a new one.</summary>
/// <remarks>
/// <code>
///   slots     hash 9, place 2 │ hash 9, place 0 │ –  │ hash 3, place 1 │ –      open addressing: from a hash's own slot on, up to an empty one
///   flows     flow 0 │ flow 1 │ flow 2                                         in the order in which they came, until places are used again
///   uses      newer, older    │ …                                              the order of use, as a list
/// </code>
/// All are arrays of values, which grow up to the limit; nothing is allocated for a packet of a known flow. Of flows of the same ends the older comes first in the slots.
/// </remarks>
internal sealed class FlowTable
{
    private const int None = -1;
    private const int InitialCapacity = 256;

    /// <summary>Slots for each flow: the way to an empty one is short.</summary>
    private const int SlotsPerFlow = 2;

    /// <summary>Flows of the same ends in different tunnels: more are nobody's traffic, and would have to be looked through for each packet.</summary>
    private const int MaxVariants = 32;

    private readonly int _limit;
    private readonly FlowSeed _seed;
    private Flow[] _flows;
    private Use[] _uses;
    private Slot[] _slots;
    private int _newest = None;
    private int _oldest = None;

    /// <param name="limit">The most flows known at a time.</param>
    /// <param name="random">The source of the hash's seed; a random one by default.</param>
    public FlowTable(int limit, Random? random = null)
    {
        _limit = limit;
        // Seeded by the system: nobody who sends packets, or writes a capture, foresees the hash.
        _seed = new FlowSeed(random ?? new Random());
        _flows = new Flow[Math.Min(limit, InitialCapacity)];
        _uses = new Use[_flows.Length];
        _slots = NewSlots(_flows.Length);
    }

    public int Count { get; private set; }

    /// <summary>The numbers of VLANs and tunnels.</summary>
    public PathTable Paths { get; } = new();

    /// <summary>Whether any packet was in a VLAN or tunnel: then it matters for all packets.</summary>
    public bool HasTunnels { get; private set; }

    /// <summary>The place in <see cref="All"/> of the flow that was asked for last.</summary>
    public int Latest => _newest;

    /// <summary>Flows that made room for others.</summary>
    public long Forgotten { get; private set; }

    /// <summary>The flows in no particular order.</summary>
    public ReadOnlySpan<Flow> All => _flows.AsSpan(0, Count);

    /// <summary>The number of slots.</summary>
    public int Slots => _slots.Length;

    /// <summary>The flow at this place, which may be another one's by now.</summary>
    public ref Flow At(int index) => ref _flows[index];

    /// <summary>The flow of this name, made if it is new. The reference is good until the next call.</summary>
    public ref Flow Get(scoped in FlowKey key) => ref Get(key, PathTable.None, fromLow: true);

    /// <summary>The same, where packets may be in VLANs or tunnels.</summary>
    /// <param name="key">The packet's ends. A copy, which can stay in registers.</param>
    /// <param name="path">The packet's VLANs and tunnels, by their number.</param>
    /// <param name="fromLow">The packet's direction.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref Flow Get(FlowKey key, int path, bool fromLow)
    {
        if (path != PathTable.None || HasTunnels)
        {
            return ref GetInTunnel(key, path, fromLow);
        }
        // Packets come in exchanges: many are of the same flow as the one before.
        if (_newest != None)
        {
            ref var latest = ref _flows[_newest];
            if (latest.Key.Equals(key))
            {
                return ref latest;
            }
        }
        return ref Look(key);
    }

    /// <summary>Forgets a flow of which nothing more is to come. The last one takes its place: references are no longer good.</summary>
    public void Remove(in FlowKey key)
    {
        var hash = key.Hash(in _seed);
        var i = (int)hash & (_slots.Length - 1);
        while (!_slots[i].IsEmpty && !(_slots[i].Hash == hash && _flows[_slots[i].Place].Key == key))
        {
            i = (i + 1) & (_slots.Length - 1);
        }
        if (_slots[i].IsEmpty)
        {
            return;
        }
        var index = _slots[i].Place;
        Unlink(index);
        Clear(i);
        var last = --Count;
        if (index != last)
        {
            _slots[SlotOf(last)] = new Slot(_uses[last].Hash, index);
            _flows[index] = _flows[last];
            _uses[index] = _uses[last];
            Relink(index);
        }
    }

    /// <summary>Among flows of the same ends in different VLANs and tunnels, the one that a packet fits best, of those the newest.</summary>
    /// <remarks>
    /// The ways there and back are often not the same: overlays number by the sender's identity (Cilium) or by the receiver's network (EVPN), MPLS labels have
    /// one direction, and a balancer's tunnel is left out on the way back. So each direction has its own, and the first packet of a direction goes to the flow
    /// that came the same way, or else to one that nothing has answered yet.
    /// </remarks>
    /// <param name="key">The ends.</param>
    /// <param name="hash">The key's.</param>
    /// <param name="path">The packet's.</param>
    /// <param name="fromLow">The packet's direction.</param>
    private int Find(in FlowKey key, uint hash, int path, bool fromLow)
    {
        var (best, bestFit, variants, first) = (None, 0, 0, None);
        for (var i = (int)hash & (_slots.Length - 1); !_slots[i].IsEmpty; i = (i + 1) & (_slots.Length - 1))
        {
            var place = _slots[i].Place;
            ref var flow = ref _flows[place];
            if (_slots[i].Hash != hash || flow.Key != key)
            {
                continue;
            }
            (variants, first) = (variants + 1, first == None ? place : first);
            if (Fit(in flow, path, fromLow) is var fit && fit >= bestFit)
            {
                (best, bestFit) = (place, fit);
            }
        }
        if (best == None && variants >= MaxVariants)
        {
            best = first;
            _flows[best] = new Flow { Key = key };
            Forgotten++;
        }
        if (best != None)
        {
            SetPath(ref _flows[best], path, fromLow);
        }
        return best;
    }

    private static void SetPath(ref Flow flow, int path, bool fromLow) => (fromLow ? ref flow.PathFromLow : ref flow.PathFromHigh) = path;

    /// <summary>How well a packet fits a flow: 3 is best, and a negative number means not at all.</summary>
    private int Fit(in Flow flow, int path, bool fromLow)
    {
        ref readonly var own = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        ref readonly var other = ref fromLow ? ref flow.FromHigh : ref flow.FromLow;
        var (ownPath, otherPath) = fromLow ? (flow.PathFromLow, flow.PathFromHigh) : (flow.PathFromHigh, flow.PathFromLow);
        if (own.HasLast && ownPath != path)
        {
            return -1;
        }
        var isSameWay = !other.HasLast || Paths.IsSameWay(path, otherPath);
        return (own.HasLast, isSameWay) switch
        {
            (true, true) => 3,
            (false, true) => 2,
            (true, false) => 1,
            _ => 0,
        };
    }

    private ref Flow GetInTunnel(FlowKey key, int path, bool fromLow)
    {
        HasTunnels = true;
        var hash = key.Hash(in _seed);
        var index = Find(in key, hash, path, fromLow);
        if (index == None)
        {
            ref var added = ref Add(in key, hash);
            SetPath(ref added, path, fromLow);
            return ref added;
        }
        Touch(index);
        return ref _flows[index];
    }

    private ref Flow Look(FlowKey key)
    {
        var hash = key.Hash(in _seed);
        var slots = _slots;
        for (var i = (int)hash & (slots.Length - 1); ; i = (i + 1) & (slots.Length - 1))
        {
            var slot = slots[i];
            if (slot.IsEmpty)
            {
                return ref Add(in key, hash);
            }
            if (slot.Hash != hash)
            {
                continue;
            }
            ref var flow = ref _flows[slot.Place];
            if (flow.Key.Equals(key))
            {
                Touch(slot.Place);
                return ref flow;
            }
        }
    }

    private ref Flow Add(scoped in FlowKey key, uint hash)
    {
        int index;
        if (Count < _limit)
        {
            if (Count == _flows.Length)
            {
                Grow();
            }
            index = Count++;
        }
        else
        {
            index = _oldest;
            Unlink(index);
            Clear(SlotOf(index));
            Forgotten++;
        }
        ref var flow = ref _flows[index];
        flow = new Flow { Key = key };
        _uses[index].Hash = hash;
        Occupy(index);
        LinkNewest(index);
        return ref flow;
    }

    private void Grow()
    {
        var length = (int)Math.Min(_limit, _flows.Length + (_flows.Length / 2L));
        Array.Resize(ref _flows, length);
        Array.Resize(ref _uses, length);
        _slots = NewSlots(length);
        for (var i = 0; i < Count; i++)
        {
            Occupy(i);
        }
    }

    /// <summary>Puts a flow into the first empty slot from its hash's on.</summary>
    private void Occupy(int index)
    {
        var hash = _uses[index].Hash;
        var i = (int)hash & (_slots.Length - 1);
        while (!_slots[i].IsEmpty)
        {
            i = (i + 1) & (_slots.Length - 1);
        }
        _slots[i] = new Slot(hash, index);
    }

    private int SlotOf(int index)
    {
        var i = (int)_uses[index].Hash & (_slots.Length - 1);
        while (_slots[i].IsEmpty || _slots[i].Place != index)
        {
            i = (i + 1) & (_slots.Length - 1);
        }
        return i;
    }

    /// <summary>Empties a slot. Those behind it that were put there because it was not empty move up, in their order.</summary>
    private void Clear(int hole)
    {
        var mask = _slots.Length - 1;
        for (var i = (hole + 1) & mask; !_slots[i].IsEmpty; i = (i + 1) & mask)
        {
            var way = (i - (int)_slots[i].Hash) & mask;
            if (way >= ((i - hole) & mask))
            {
                _slots[hole] = _slots[i];
                hole = i;
            }
        }
        _slots[hole] = default;
    }

    /// <summary>Makes a known flow the newest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Touch(int index)
    {
        if (index == _newest)
        {
            return;
        }
        // Not the newest, so that there is a newer one.
        var uses = _uses;
        ref var use = ref uses[index];
        var (newer, older) = (use.Newer, use.Older);
        uses[newer].Older = older;
        if (older != None)
        {
            uses[older].Newer = newer;
        }
        else
        {
            _oldest = newer;
        }
        (use.Newer, use.Older) = (None, _newest);
        uses[_newest].Newer = index;
        _newest = index;
    }

    private void LinkNewest(int index)
    {
        _uses[index].Newer = None;
        _uses[index].Older = _newest;
        if (_newest != None)
        {
            _uses[_newest].Newer = index;
        }
        else
        {
            _oldest = index;
        }
        _newest = index;
    }

    /// <summary>Tells the neighbours in the order of use where a flow is now.</summary>
    private void Relink(int index)
    {
        var (newer, older) = (_uses[index].Newer, _uses[index].Older);
        if (newer != None)
        {
            _uses[newer].Older = index;
        }
        else
        {
            _newest = index;
        }
        if (older != None)
        {
            _uses[older].Newer = index;
        }
        else
        {
            _oldest = index;
        }
    }

    private void Unlink(int index)
    {
        var (newer, older) = (_uses[index].Newer, _uses[index].Older);
        if (newer != None)
        {
            _uses[newer].Older = older;
        }
        else
        {
            _newest = older;
        }
        if (older != None)
        {
            _uses[older].Newer = newer;
        }
        else
        {
            _oldest = newer;
        }
    }

    private static Slot[] NewSlots(int capacity) => new Slot[(int)BitOperations.RoundUpToPowerOf2((uint)capacity * SlotsPerFlow)];

    /// <summary>A place in the hash table; the default is an empty one.</summary>
    private readonly struct Slot(uint hash, int place)
    {
        private readonly int _placeAndOne = place + 1;

        public uint Hash { get; } = hash;

        public int Place => _placeAndOne - 1;

        public bool IsEmpty => _placeAndOne == 0;
    }

    /// <summary>A flow's neighbours in the order of use, and its hash. Apart from the flows: small enough for the processor's cache.</summary>
    private struct Use
    {
        public int Newer;
        public int Older;
        public uint Hash;
    }
}
