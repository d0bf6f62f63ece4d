using System.Numerics;

namespace Keepalive.Probes.Classify;

/// <summary>So many connections and no more: the one not seen for longest makes room for a new one.</summary>
/// <remarks>Flows are values in one array that grows by half up to the limit; nothing is allocated for a packet of a known flow.</remarks>
internal sealed class FlowTable
{
    private const int None = -1;
    private const int InitialCapacity = 256;

    /// <summary>Flows of the same ends in different tunnels: more are nobody's traffic, and would have to be looked through for each packet.</summary>
    private const int MaxVariants = 32;

    /// <summary>A flow that the packet certainly belongs to.</summary>
    private const int BestFit = 3;

    private readonly int _limit;
    private readonly ulong _seed = (ulong)Random.Shared.NextInt64();
    private Flow[] _flows;
    private int[] _buckets;
    private int _newest = None;
    private int _oldest = None;

    /// <param name="limit">The most flows known at a time.</param>
    public FlowTable(int limit)
    {
        _limit = limit;
        _flows = new Flow[Math.Min(limit, InitialCapacity)];
        _buckets = NewBuckets(_flows.Length);
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

    /// <summary>The flow at this place, which may be another one's by now.</summary>
    public ref Flow At(int index) => ref _flows[index];

    /// <summary>The flow of this name, made if it is new. The reference is good until the next call.</summary>
    public ref Flow Get(in FlowKey key)
    {
        var hash = key.Hash(_seed);
        for (var i = _buckets[hash & (uint)(_buckets.Length - 1)]; i != None; i = _flows[i].NextInBucket)
        {
            ref var flow = ref _flows[i];
            if (flow.Hash == hash && flow.Key == key)
            {
                if (i != _newest)
                {
                    Unlink(i);
                    LinkNewest(i);
                }
                return ref flow;
            }
        }
        return ref Add(in key, hash);
    }

    /// <summary>The same, where packets are in VLANs or tunnels.</summary>
    /// <param name="key">The packet's ends.</param>
    /// <param name="path">The packet's VLANs and tunnels, by their number.</param>
    /// <param name="fromLow">The packet's direction.</param>
    public ref Flow Get(in FlowKey key, int path, bool fromLow)
    {
        HasTunnels = true;
        var hash = key.Hash(_seed);
        var index = Find(in key, hash, path, fromLow);
        if (index == None)
        {
            ref var added = ref Add(in key, hash);
            SetPath(ref added, path, fromLow);
            return ref added;
        }
        if (index != _newest)
        {
            Unlink(index);
            LinkNewest(index);
        }
        return ref _flows[index];
    }

    /// <summary>Forgets a flow of which nothing more is to come. The last one takes its place: references are no longer good.</summary>
    public void Remove(in FlowKey key)
    {
        var hash = key.Hash(_seed);
        var index = _buckets[hash & (uint)(_buckets.Length - 1)];
        while (index != None && !(_flows[index].Hash == hash && _flows[index].Key == key))
        {
            index = _flows[index].NextInBucket;
        }
        if (index == None)
        {
            return;
        }
        Unlink(index);
        Unchain(index);
        var last = --Count;
        if (index != last)
        {
            Unchain(last);
            _flows[index] = _flows[last];
            Chain(index);
            Relink(index);
        }
    }

    /// <summary>Among flows of the same ends in different VLANs and tunnels, the one that a packet fits best.</summary>
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
        var (best, bestFit, variants, last) = (None, -1, 0, None);
        for (var i = _buckets[hash & (uint)(_buckets.Length - 1)]; i != None; i = _flows[i].NextInBucket)
        {
            ref var flow = ref _flows[i];
            if (flow.Hash != hash || flow.Key != key)
            {
                continue;
            }
            (variants, last) = (variants + 1, i);
            if (Fit(in flow, path, fromLow) is var fit && fit > bestFit)
            {
                (best, bestFit) = (i, fit);
                if (fit == BestFit)
                {
                    return i;
                }
            }
        }
        if (best == None && variants >= MaxVariants)
        {
            best = last;
            ref var flow = ref _flows[last];
            flow = new Flow { Key = key, Hash = hash, NextInBucket = flow.NextInBucket, Newer = flow.Newer, Older = flow.Older };
            Forgotten++;
        }
        if (best != None)
        {
            SetPath(ref _flows[best], path, fromLow);
        }
        return best;
    }

    private static void SetPath(ref Flow flow, int path, bool fromLow) => (fromLow ? ref flow.PathFromLow : ref flow.PathFromHigh) = path;

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
            (true, true) => BestFit,
            (false, true) => 2,
            (true, false) => 1,
            _ => 0,
        };
    }

    private ref Flow Add(in FlowKey key, uint hash)
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
            Unchain(index);
            Forgotten++;
        }
        ref var flow = ref _flows[index];
        flow = new Flow { Key = key, Hash = hash };
        Chain(index);
        LinkNewest(index);
        return ref flow;
    }

    private void Grow()
    {
        Array.Resize(ref _flows, (int)Math.Min(_limit, _flows.Length + (_flows.Length / 2L)));
        _buckets = NewBuckets(_flows.Length);
        for (var i = 0; i < Count; i++)
        {
            Chain(i);
        }
    }

    private void Chain(int index)
    {
        ref var bucket = ref _buckets[_flows[index].Hash & (uint)(_buckets.Length - 1)];
        _flows[index].NextInBucket = bucket;
        bucket = index;
    }

    private void Unchain(int index)
    {
        ref var link = ref _buckets[_flows[index].Hash & (uint)(_buckets.Length - 1)];
        while (link != index)
        {
            link = ref _flows[link].NextInBucket;
        }
        link = _flows[index].NextInBucket;
    }

    private void LinkNewest(int index)
    {
        _flows[index].Newer = None;
        _flows[index].Older = _newest;
        if (_newest != None)
        {
            _flows[_newest].Newer = index;
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
        var (newer, older) = (_flows[index].Newer, _flows[index].Older);
        if (newer != None)
        {
            _flows[newer].Older = index;
        }
        else
        {
            _newest = index;
        }
        if (older != None)
        {
            _flows[older].Newer = index;
        }
        else
        {
            _oldest = index;
        }
    }

    private void Unlink(int index)
    {
        var (newer, older) = (_flows[index].Newer, _flows[index].Older);
        if (newer != None)
        {
            _flows[newer].Older = older;
        }
        else
        {
            _newest = older;
        }
        if (older != None)
        {
            _flows[older].Newer = newer;
        }
        else
        {
            _oldest = newer;
        }
    }

    private static int[] NewBuckets(int capacity)
    {
        var buckets = new int[(int)BitOperations.RoundUpToPowerOf2((uint)capacity)];
        Array.Fill(buckets, None);
        return buckets;
    }
}
