using FsCheck;
using FsCheck.Fluent;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Probes.Tests.Classify;

/// <summary>Compares the table with the simplest implementation: a list in order of use.</summary>
public sealed class FlowTableTests
{
    private const int Limit = 300;

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void GetAndRemove_AnyOrder_AsAListInOrderOfUse() => Prop.ForAll(
        ArbMap.Default.ArbFor<(bool Remove, ushort Port)[]>(), operations => Agrees([.. operations, .. operations.Reverse()])).Check(Fuzz.Property(100));

    [Fact]
    public void GetAndRemove_ManyMoreThanTheLimit_AsAListInOrderOfUse()
    {
        var random = new Random(11);
        Assert.True(Agrees([.. Enumerable.Range(0, 20_000).Select(_ => (random.Next(3) == 0, (ushort)random.Next(600)))]));
    }

    /// <summary>All keys in one place: what an author of packets would bring about who knew the seed.</summary>
    [Fact]
    public void GetAndRemove_AllKeysCollide_AsAListInOrderOfUse()
    {
        var random = new Random(12);
        Assert.Single(Enumerable.Range(0, 600).Select(port => Key((ushort)port).Hash(new FlowSeed(new Zeros()))).Distinct());

        Assert.True(Agrees([.. Enumerable.Range(0, 5_000).Select(_ => (random.Next(3) == 0, (ushort)random.Next(600)))], new Zeros()));
    }

    [Fact]
    public void Get_UntilItIsFull_GrowsAndKeepsEveryFlow()
    {
        const int limit = 40_000;
        var table = new FlowTable(limit);
        for (var round = 0; round < 2; round++)
        {
            for (var port = 0; port < limit; port++)
            {
                ref var flow = ref table.Get(Key((ushort)port));
                Assert.Equal(round == 0 ? 0u : (uint)port, flow.FromLow.Next);
                flow.FromLow.Next = (uint)port;
            }
        }

        Assert.Equal((limit, 0), (table.Count, (int)table.Forgotten));
    }

    /// <summary>Memory does not grow with the connections that are seen, and a packet of a new one allocates nothing.</summary>
    [Fact]
    public void Get_ManyMoreThanTheLimit_HasBoundedMemory()
    {
        const int limit = 1000;
        var table = new FlowTable(limit);
        var filled = 0;
        Fill(limit);
        var slots = table.Slots;

        Assert.Equal(0, Allocation.Of(() => Fill(200_000)));
        Assert.Equal((limit, slots, filled), (table.Count, table.Slots, (int)table.Forgotten + limit));
        Assert.InRange(slots, 2 * limit, 4 * limit);

        void Fill(int keys)
        {
            for (var last = filled + keys; filled < last; filled++)
            {
                table.Get(new FlowKey(new SocketEndpoint((UInt128)(uint)filled, 40_000), new SocketEndpoint(2, 443), 0));
            }
        }
    }

    /// <summary>Keys as a hostile author would choose them differ in few bits. Under each seed they are spread like others.</summary>
    [Fact]
    public void Hash_KeysThatHardlyDiffer_AreSpreadUnderEverySeed()
    {
        const int keys = 1 << 16, places = 2 * keys;
        Func<int, FlowKey>[] patterns =
        [
            i => Key((ushort)i),
            i => new FlowKey(new SocketEndpoint(Mapped(i), 40_000), new SocketEndpoint(Mapped(-1), 443), 0),
            i => new FlowKey(new SocketEndpoint(Mapped(i << 16), 40_000), new SocketEndpoint(Mapped(-1), (ushort)(i & 15)), 0),
            i => new FlowKey(new SocketEndpoint((UInt128)i << 112, 443), new SocketEndpoint(UInt128.MaxValue, 443), 0),
            i => new FlowKey(new SocketEndpoint(1, 443), new SocketEndpoint(2, 443), i),
            i => new FlowKey(new SocketEndpoint((uint)(i & 255), (ushort)(i >> 8)), new SocketEndpoint(UInt128.MaxValue, (ushort)(i >> 8)), 0),
        ];
        foreach (var seed in Enumerable.Range(0, 8))
        {
            var numbers = new FlowSeed(new Random(seed));
            foreach (var (pattern, index) in patterns.Select(static (pattern, index) => (pattern, index)))
            {
                var counts = new int[places];
                for (var i = 0; i < keys; i++)
                {
                    counts[pattern(i).Hash(in numbers) % places]++;
                }
                Assert.True(counts.Max() <= 24, $"pattern {index}, seed {seed}: {counts.Max()} keys in one place");
            }
        }

        static UInt128 Mapped(int address) => ((UInt128)0xFFFF << 32) | (uint)address;
    }

    /// <summary>Each table has a seed of its own: keys that collide in one do not in the next.</summary>
    [Fact]
    public void Hash_KeysThatCollideUnderOneSeed_DoNotUnderAnother()
    {
        var chosen = Enumerable.Range(0, 1 << 16).Select(port => Key((ushort)port)).GroupBy(key => key.Hash(new FlowSeed(new Random(1))) & 0xFFF).MaxBy(group => group.Count())!;

        Assert.InRange(chosen.Count(), 16, 1 << 16);
        Assert.InRange(chosen.GroupBy(key => key.Hash(new FlowSeed(new Random(2))) & 0xFFF).Max(group => group.Count()), 1, chosen.Count() / 2);
        Assert.NotEqual(Key(1).Hash(new FlowSeed(new Random())), Key(1).Hash(new FlowSeed(new Random())));
    }

    private static FlowKey Key(ushort port) => new(new SocketEndpoint(1, port), new SocketEndpoint(2, 443), 0);

    private static bool Agrees(IReadOnlyList<(bool Remove, ushort Port)> operations, Random? random = null)
    {
        var table = new FlowTable(Limit, random);
        var model = new List<ushort>();
        foreach (var (remove, port) in operations)
        {
            var key = Key(port);
            var known = model.Remove(port);
            if (remove)
            {
                table.Remove(in key);
            }
            else
            {
                ref var flow = ref table.Get(in key);
                // A flow keeps its data when it is moved. A new flow has none.
                if (flow.Key != key || flow.FromLow.Next != (known ? (uint)(port + 1) : 0))
                {
                    return false;
                }
                flow.FromLow.Next = (uint)(port + 1);
                model.Add(port);
                if (model.Count > Limit)
                {
                    model.RemoveAt(0);
                }
            }
            if (table.Count != model.Count)
            {
                return false;
            }
        }
        var left = new HashSet<ushort>();
        foreach (ref readonly var flow in table.All)
        {
            left.Add(flow.Key.Low.Port);
        }
        return left.SetEquals(model);
    }

    /// <summary>A seed under which ports do not matter.</summary>
    private sealed class Zeros : Random
    {
        public override void NextBytes(Span<byte> buffer) => buffer.Clear();
    }
}
