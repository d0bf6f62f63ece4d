using System.Runtime.ExceptionServices;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>How a scenario is run; what comes out does not depend on it.</summary>
/// <param name="EveryProbe">Each probe an event of its own.</param>
/// <param name="Threads">At most so many.</param>
internal sealed record VirtualOptions(bool EveryProbe = false, int Threads = 1);

/// <summary>Runs scenarios in virtual time.</summary>
internal static class VirtualEngine
{
    /// <summary>Runs one.</summary>
    /// <param name="scenario">What.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told the part that is done, 0..1, now and then.</param>
    /// <param name="cancellation">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public static VirtualTotals Run(Scenario scenario, VirtualOptions options, Action<double>? progress = null, CancellationToken cancellation = default)
    {
        var run = new EngineRun(scenario, options.EveryProbe);
        VirtualTotals? totals = null;
        OnThreads(Math.Min(options.Threads, run.Blocks), stop =>
        {
            if (run.Work(progress, stop) is { } all)
            {
                totals = all;
            }
        }, cancellation);
        return totals!;
    }

    /// <summary>Runs several. Threads without a scenario of their own help with those that others are at, so that the last one is not left to one thread.</summary>
    /// <param name="scenarios">What.</param>
    /// <param name="options">How.</param>
    /// <param name="done">Called with the number and the result of each scenario that is done, on any thread.</param>
    /// <param name="cancellation">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public static void RunAll(IReadOnlyList<Scenario> scenarios, VirtualOptions options, Action<int, VirtualTotals> done, CancellationToken cancellation = default)
    {
        // Some cannot be helped with: their connections share endpoints. So the longest come first.
        int[] order = [.. Enumerable.Range(0, scenarios.Count)];
        if (options.Threads > 1)
        {
            order = [.. order.OrderByDescending(number => ScenarioEffort.Steps(scenarios[number]))];
        }
        var runs = new EngineRun?[order.Length];
        var next = 0;
        OnThreads(options.Threads, stop =>
        {
            for (int place; (place = Interlocked.Increment(ref next) - 1) < order.Length;)
            {
                Work(place, runs[place] = new EngineRun(scenarios[order[place]], options.EveryProbe), stop);
            }
            for (var place = 0; place < order.Length; place++)
            {
                if (Volatile.Read(ref runs[place]) is { } run)
                {
                    Work(place, run, stop);
                }
            }
        }, cancellation);

        void Work(int place, EngineRun run, CancellationToken stop)
        {
            if (run.Work(null, stop) is { } totals)
            {
                runs[place] = null;
                done(order[place], totals);
            }
        }
    }

    /// <summary>Does the same on several threads. The first failure of one ends the others.</summary>
    private static void OnThreads(int threads, Action<CancellationToken> work, CancellationToken cancellation)
    {
        threads = Math.Clamp(threads, 1, Environment.ProcessorCount * 4);
        if (threads == 1)
        {
            work(cancellation);
            return;
        }
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Exception? failure = null;
        var tasks = new Task[threads];
        for (var i = 0; i < threads; i++)
        {
            tasks[i] = Task.Factory.StartNew(Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        Task.WaitAll(tasks, CancellationToken.None);
        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }

        void Run()
        {
            try
            {
                work(stop.Token);
            }
            catch (Exception e)
            {
                // Of several failures, those that follow from the first are only that it was stopped.
                Interlocked.CompareExchange(ref failure, e, null);
                stop.Cancel();
            }
        }
    }
}
