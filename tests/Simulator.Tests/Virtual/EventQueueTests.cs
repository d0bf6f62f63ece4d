using FsCheck;
using FsCheck.Fluent;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

public sealed class EventQueueTests
{
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Queue_AfterAnyOperations_YieldsWhatASortedSetDoes() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(byte Nodes, (byte Node, byte Time, bool Out)[] Operations)[]>(), rounds =>
        {
            // One queue serves block after block.
            var queue = new EventQueue();
            return Array.TrueForAll(rounds, round => IsSorted(queue, 1 + (round.Nodes % 70), round.Operations));
        }).Check(Fuzz.Property(1_000));

    private static bool IsSorted(EventQueue queue, int nodes, (byte Node, byte Time, bool Out)[] operations)
    {
        queue.Reset(nodes);
        var times = new Dictionary<int, long>();
        foreach (var (number, time, isOut) in operations)
        {
            var node = number % nodes;
            if (isOut)
            {
                queue.Remove(node);
                times.Remove(node);
            }
            else
            {
                queue.Set(node, time);
                times[node] = time;
            }
        }
        var expected = times.OrderBy(entry => entry.Value).ThenBy(entry => entry.Key).Select(entry => entry.Key).ToList();
        var found = new List<int>();
        while (queue.TryPeek(out var node, out var time))
        {
            if (time != times[node])
            {
                return false;
            }
            found.Add(node);
            queue.Remove(node);
        }
        return found.SequenceEqual(expected);
    }
}
