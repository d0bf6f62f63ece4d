using System.CommandLine;
using System.Globalization;
using Keepalive.CommandLine;
using Keepalive.Simulator.Commands;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Benchmarks;

/// <summary>The simulator's virtual engine: one day of a million connections. Its events are compared with a bare priority queue; memory
/// and cores are measured.</summary>
internal static class VirtualScenario
{
    public const string Name = "virtual";

    private const int Rounds = 3;
    private const double GoalSeconds = 60;
    private const long EventsAtLeast = 5_000_000;
    private const double EventsGoal = 7;
    private const double CoresGoal = 1.9;
    private const int Pairs = 15;

    /// <summary>A small one, and a sixteenth, a quarter and the whole of a million.</summary>
    private static readonly int[] s_sizes = [1_000, 62_500, 250_000, 1_000_000];

    public static void Run()
    {
        Report.Title($"{Name}: the guide's policy (aws-nlb, a request every 500 s on average, probes after 60 s), {Rounds} rounds");
        _ = VirtualEngine.Run(Guide(2_000, TimeSpan.FromHours(24)), new VirtualOptions());
        _ = VirtualEngine.Run(Guide(2_000, TimeSpan.FromHours(24)), new VirtualOptions(EveryProbe: true));
        Day();
        foreach (var size in s_sizes)
        {
            Events(size);
        }
        Memory();
        Cores();
        Sweep();
    }

    private static void Day()
    {
        VirtualTotals? totals = null;
        var scenario = Guide(1_000_000, TimeSpan.FromHours(24));
        var cost = Cost.Of(() => totals = VirtualEngine.Run(scenario, new VirtualOptions()));
        Report.Goal("1,000,000 connections, 24 h, one core", cost.Processor.TotalSeconds, GoalSeconds, Text($"{cost.Processor.TotalSeconds:0.0}"), "s of a core");
        Report.Line("  by the clock on the wall", Text($"{cost.Wall.TotalSeconds:0.0} s"));
        Report.Line("  requests, and probes counted in sums", Text($"{totals!.Requests:N0}, {totals.ClientProbes:N0}"));
        Report.Line("  peak memory of this process", Text($"{new ProcessFigures(Environment.ProcessId).Megabytes("VmHWM"):0} MB"));
    }

    /// <summary>Each probe and each timer check is an event. The bare queue has as many entries and moves one of them each time.</summary>
    private static void Events(int connections)
    {
        Series engine = new(), peer = new();
        // A connection makes about 120 such events in an hour.
        var duration = TimeSpan.FromHours(Math.Max(0.5, EventsAtLeast / (120.0 * connections)));
        var scenario = Guide(connections, duration);
        for (var round = 0; round < Rounds; round++)
        {
            long events = 0;
            var cost = Cost.Of(() => events = VirtualEngine.Run(scenario, new VirtualOptions(EveryProbe: true)).Events);
            engine.Add(events / cost.Processor.TotalSeconds / 1e6);
            peer.Add(BareQueue(connections));
        }
        Report.AtLeast(Text($"{connections:N0} connections, every probe an event, of processor time"), engine, EventsGoal, "M events/s");
        Report.Line("  a bare PriorityQueue<int, long> of that size", peer, "M events/s");
        Report.Line("  beside it", engine.RelativeTo(peer), "× the bare queue");
    }

    private static double BareQueue(int size)
    {
        var queue = new PriorityQueue<int, long>(size);
        var random = new RandomStream(1, 1, 1);
        for (var i = 0; i < size; i++)
        {
            queue.Enqueue(i, (long)(random.Next() * 1e9));
        }
        const int operations = 3_000_000;
        var cost = Cost.Of(() =>
        {
            for (var i = 0; i < operations; i++)
            {
                queue.TryPeek(out var node, out var time);
                queue.DequeueEnqueue(node, time + (long)(random.Next() * 1e9));
            }
        });
        return operations / cost.Processor.TotalSeconds / 1e6;
    }

    /// <summary>All connections in one block, as with shared endpoints: the cost of a block per connection.</summary>
    private static void Memory()
    {
        const int connections = 100_000;
        var scenario = Guide(connections, TimeSpan.FromMinutes(1));
        var outages = new Outages(scenario);
        var block = new Block(scenario, outages, new VirtualEndpoints(1, null, outages), everyProbe: true);
        var before = GC.GetAllocatedBytesForCurrentThread();
        block.Run(0, connections, CancellationToken.None);
        var first = GC.GetAllocatedBytesForCurrentThread() - before;
        before = GC.GetAllocatedBytesForCurrentThread();
        block.Run(0, connections, CancellationToken.None);
        Report.Line("memory of a connection in a block", Text($"{(double)first / connections:0} bytes"));
        Report.Line("  allocated in a second run of that block", Text($"{GC.GetAllocatedBytesForCurrentThread() - before} bytes"));
    }

    private static void Cores()
    {
        Series scaling = new(), processor = new();
        var scenario = Guide(50_000, TimeSpan.FromHours(12));
        for (var pair = 0; pair < Pairs; pair++)
        {
            var (one, two) = (Run(1), Run(2));
            scaling.Add(one.Wall / two.Wall);
            processor.Add(two.Processor / one.Processor);
        }
        Report.AtLeast(Text($"50,000 connections, 12 h: two threads beside one, {Pairs} pairs"), scaling, CoresGoal, "× as fast");
        Report.Line("  their processor time beside that of one", processor, "×");

        Cost Run(int threads) => Cost.Of(() => _ = VirtualEngine.Run(scenario, new VirtualOptions(Threads: threads)));
    }

    /// <summary>A grid of five scenarios: one is left over where each thread has two.</summary>
    private static void Sweep()
    {
        Series scaling = new(), processor = new();
        for (var pair = 0; pair < Pairs; pair++)
        {
            var (one, two) = pair % 2 == 0 ? (Run(1), Run(2)) : Turned(Run(2), Run(1));
            scaling.Add(one.Wall / two.Wall);
            processor.Add(two.Processor / one.Processor);
        }
        Report.AtLeast(Text($"sweep of 5 scenarios: two threads beside one, {Pairs} pairs"), scaling, CoresGoal, "× as fast");
        Report.Line("  their processor time beside that of one", processor, "×");

        static Cost Run(int threads) => Cost.Of(() =>
        {
            string[] grid = ["guide-policy", "--set", "connections=20000", "--set", "duration=12h", "--set", "keepalive.time=60s,100s,150s,200s,250s", "--threads", Text($"{threads}")];
            if (SweepCommand.Create().Parse(grid).Invoke(new InvocationConfiguration { Output = TextWriter.Null }) != ExitCodes.Done)
            {
                throw new InvalidOperationException("the sweep failed");
            }
        });

        static (Cost, Cost) Turned(Cost two, Cost one) => (one, two);
    }

    private static Scenario Guide(int connections, TimeSpan duration) =>
        ScenarioReader.Read("guide-policy").Scenario! with { Connections = connections, Duration = duration };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
