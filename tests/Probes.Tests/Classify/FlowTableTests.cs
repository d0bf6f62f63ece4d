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

    private static bool Agrees(IReadOnlyList<(bool Remove, ushort Port)> operations)
    {
        var table = new FlowTable(Limit);
        var model = new List<ushort>();
        foreach (var (remove, port) in operations)
        {
            var key = new FlowKey(new SocketEndpoint(1, port), new SocketEndpoint(2, 443), 0);
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
}
