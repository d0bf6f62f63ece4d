using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>How a scenario is run; what comes out does not depend on it.</summary>
/// <param name="EveryProbe">Each probe an event of its own.</param>
/// <param name="Threads">At most so many.</param>
internal sealed record VirtualOptions(bool EveryProbe = false, int Threads = 1);

/// <summary>Runs a scenario in virtual time.</summary>
internal static class VirtualEngine
{
    /// <summary>Connections of a block: their state and their queue fit in a second-level cache.</summary>
    private const int BlockConnections = 256;

    /// <summary>Runs it.</summary>
    /// <param name="scenario">What.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told the part that is done, 0..1, now and then.</param>
    /// <param name="cancellation">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public static VirtualTotals Run(Scenario scenario, VirtualOptions options, Action<double>? progress = null, CancellationToken cancellation = default)
    {
        var outages = new Outages(scenario);
        var isShared = new VirtualEndpoints(scenario.Endpoints, scenario.RemovalCheck, outages).IsShared;
        var clientsOfBlock = isShared ? scenario.Clients : Math.Max(1, BlockConnections / scenario.Pool);
        var blocks = (scenario.Clients + clientsOfBlock - 1) / clientsOfBlock;
        var totals = new VirtualTotals();
        var (next, done) = (0, 0);
        var threads = Math.Clamp(Math.Min(options.Threads, blocks), 1, Environment.ProcessorCount * 4);
        if (threads == 1)
        {
            totals.Add(Work());
        }
        else
        {
            var parts = new Task<VirtualTotals>[threads];
            for (var i = 0; i < threads; i++)
            {
                parts[i] = Task.Factory.StartNew(Work, cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }
            foreach (var part in parts)
            {
                totals.Add(part.GetAwaiter().GetResult());
            }
        }
        totals.Notices.Sort();
        totals.Deaths.Sort();
        return totals;

        VirtualTotals Work()
        {
            var block = new Block(scenario, outages, new VirtualEndpoints(scenario.Endpoints, scenario.RemovalCheck, outages), options.EveryProbe);
            for (int number; (number = Interlocked.Increment(ref next) - 1) < blocks;)
            {
                var first = number * clientsOfBlock;
                block.Run(first, Math.Min(clientsOfBlock, scenario.Clients - first), cancellation);
                progress?.Invoke((double)Interlocked.Increment(ref done) / blocks);
            }
            return block.Totals;
        }
    }
}
