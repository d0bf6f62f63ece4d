using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>One run of a scenario, which several threads may work at. The result does not depend on their number.</summary>
internal sealed class EngineRun
{
    /// <summary>Connections of a block: their state and their queue fit in a second-level cache.</summary>
    private const int BlockConnections = 256;

    private readonly Scenario _scenario;
    private readonly bool _everyProbe;
    private readonly Outages _outages;
    private readonly int _clientsOfBlock;
    private readonly Lock _gate = new();
    private readonly VirtualTotals _totals = new();
    private int _next;
    private int _done;
    private int _workers;

    /// <summary>Prepares a run.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="everyProbe">Whether each probe is an event of its own.</param>
    public EngineRun(Scenario scenario, bool everyProbe)
    {
        (_scenario, _everyProbe, _outages) = (scenario, everyProbe, new Outages(scenario));
        _clientsOfBlock = Endpoints().IsShared ? scenario.Clients : Math.Max(1, BlockConnections / scenario.Pool);
        Blocks = (scenario.Clients + _clientsOfBlock - 1) / _clientsOfBlock;
    }

    /// <summary>The number of its parts. A part is work for one thread.</summary>
    public int Blocks { get; }

    /// <summary>Works at it until no part is left.</summary>
    /// <param name="progress">Called with the fraction that is done, now and then.</param>
    /// <param name="cancellation">Ends it with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>The totals, for the last of the threads that work at it; null for the others, and if no part was left.</returns>
    public VirtualTotals? Work(Action<double>? progress, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (Volatile.Read(ref _next) >= Blocks)
            {
                return null;
            }
            _workers++;
        }
        var block = new Block(_scenario, _outages, Endpoints(), _everyProbe);
        for (int number; (number = Interlocked.Increment(ref _next) - 1) < Blocks;)
        {
            var first = number * _clientsOfBlock;
            block.Run(first, Math.Min(_clientsOfBlock, _scenario.Clients - first), cancellation);
            progress?.Invoke((double)Interlocked.Increment(ref _done) / Blocks);
        }
        lock (_gate)
        {
            _totals.Add(block.Totals);
            if (--_workers > 0)
            {
                return null;
            }
        }
        _totals.Notices.Sort();
        _totals.Deaths.Sort();
        return _totals;
    }

    private VirtualEndpoints Endpoints() => new(_scenario.Endpoints, _scenario.RemovalCheck, _outages);
}
