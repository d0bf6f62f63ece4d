using FsCheck;
using FsCheck.Fluent;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

public sealed class EventQueueTests
{
    private const int Nodes = 50;

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Queue_AfterAnyOperations_YieldsWhatASortedSetDoes() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(byte Node, byte Time, bool Out)[]>(), operations =>
        {
            var queue = new EventQueue();
            queue.Reset(Nodes);
            var times = new Dictionary<int, long>();
            foreach (var (number, time, isOut) in operations)
            {
                var node = number % Nodes;
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
        }).Check(Fuzz.Property(1_000));
}
