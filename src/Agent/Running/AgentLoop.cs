using System.Diagnostics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Linux;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>The service's one thread: refresh the policy, pass over the sockets, publish, wait.</summary>
internal sealed partial class AgentLoop(
    RunOptions options,
    IDatapath datapath,
    PolicySource policies,
    MetricCatalogue metrics,
    AgentStatus status,
    ChangeLog changes,
    SocketTally tally,
    LivenessWatch liveness,
    ILogger logger) : IDisposable
{
    private readonly AutoResetEvent _wake = new(false);
    private readonly FanOut _sink = new(changes, tally, liveness.Monitor);
    private bool _reload;
    private bool _invalid;
    private double _loadedAt;
    private long _allocatedAtCollection;
    private int _namespaceFailures;
    private bool _alone;
    private string? _trouble;
    private long _lost;

    /// <summary>Reads the policies again although nothing tells that they changed.</summary>
    public void Reload()
    {
        _reload = true;
        _wake.Set();
    }

    /// <summary>Runs until <paramref name="stop"/>, beginning with a policy that was loaded without errors. Returns how many sockets could not
    /// be given back at the end, where that was asked for.</summary>
    public int Run(PolicyLoad first, CancellationToken stop)
    {
        using var registration = stop.Register(() => _wake.Set());
        var policy = first.Snapshot!;
        Loaded(first);
        Survey(policy, stop);
        for (var full = true; !stop.IsCancellationRequested; full = false)
        {
            var begun = Stopwatch.GetTimestamp();
            policy = Refresh(policy, stop);
            Pass(policy, new PassScope { Full = full, DryRun = options.DryRun, Timers = liveness.NeedsTimers, SpreadOver = options.Interval, Stop = stop }, _sink);
            Follow(policy);
            var left = options.Interval - Stopwatch.GetElapsedTime(begun);
            if (left > TimeSpan.Zero)
            {
                _wake.WaitOne(left);
            }
        }
        return options.RestoreOnExit && !options.DryRun ? GiveBack() : 0;
    }

    private void Survey(PolicySnapshot policy, CancellationToken stop)
    {
        try
        {
            liveness.Survey(datapath, policy, stop);
        }
        catch (IOException e)
        {
            LogPassFailed(e.Message);
        }
    }

    /// <summary>What a capture fails of is not to end the passes.</summary>
    private void Follow(PolicySnapshot policy)
    {
        try
        {
            liveness.Follow(policy);
        }
        catch (IOException e)
        {
            LogPassFailed(e.Message);
        }
    }

    private int GiveBack()
    {
        changes.Stopping = true;
        var counter = new FailureCount();
        var passed = Pass(PolicySnapshot.Empty, new PassScope { Full = true, Last = true }, new FanOut(_sink, counter));
        var left = passed ? counter.Failed : 1;
        if (left > 0)
        {
            LogNotGivenBack(counter.Failed);
        }
        return left;
    }

    public void Dispose() => _wake.Dispose();

    private bool Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var passed = true;
        var begun = Stopwatch.GetTimestamp();
        try
        {
            var summary = datapath.Pass(policy, scope, sink);
            var took = Stopwatch.GetElapsedTime(begun) - summary.Waited;
            metrics.ScanDuration.Record(took.TotalSeconds);
            Publish(policy, summary);
            LogPass(summary.NamespacesDumped, summary.Namespaces, summary.Sockets, summary.Read, took.TotalMilliseconds);
            Warn(summary);
        }
        catch (LinuxException e)
        {
            passed = false;
            LogPassFailed(e.Message);
        }
        changes.EndPass();
        CollectGarbage();
        return passed;
    }

    /// <summary>Says once what keeps the agent from seeing everything, and again when it changes.</summary>
    private void Warn(PassSummary summary)
    {
        if (summary.NamespaceFailures != _namespaceFailures)
        {
            _namespaceFailures = summary.NamespaceFailures;
            if (_namespaceFailures > 0)
            {
                LogNamespacesFailed(_namespaceFailures);
            }
        }
        if (summary.Trouble != _trouble)
        {
            _trouble = summary.Trouble;
            if (_trouble is not null)
            {
                LogTrouble(_trouble);
            }
        }
        if (summary.Lost != _lost)
        {
            metrics.ArrivalsLost.Add(summary.Lost - _lost);
            LogLost(summary.Lost - _lost);
            _lost = summary.Lost;
        }
        var alone = summary.Namespaces == 0;
        if (alone && !_alone)
        {
            LogAlone();
        }
        _alone = alone;
    }

    /// <summary>Collects what passes leave behind, a few megabytes at a time.</summary>
    /// <remarks>Left to itself the collector waits for as much as the processor has cache, tens of megabytes on a server: more than everything
    /// else the agent needs. Its own setting for that (GCgen0size) can only be given by the environment.</remarks>
    private void CollectGarbage()
    {
        const long budget = 4 * 1024 * 1024;
        var allocated = GC.GetTotalAllocatedBytes();
        if (allocated - _allocatedAtCollection > budget)
        {
            _allocatedAtCollection = allocated;
            GC.Collect(1, GCCollectionMode.Forced, blocking: true);
        }
    }

    private PolicySnapshot Refresh(PolicySnapshot current, CancellationToken stop)
    {
        PolicyLoad? load;
        try
        {
            load = policies.Refresh(Interlocked.Exchange(ref _reload, false), stop);
        }
        catch (OperationCanceledException)
        {
            return current;
        }
        if (load is null)
        {
            return current;
        }
        if (load.Snapshot is null)
        {
            _invalid = true;
            metrics.PolicyLoadFailures.Add(1);
            LogRefused(load.Errors.Count());
            foreach (var error in load.Errors.Take(20))
            {
                LogDiagnostic(error.ToString());
            }
            return current;
        }
        Loaded(load);
        return load.Snapshot;
    }

    private void Loaded(PolicyLoad load)
    {
        _invalid = false;
        _loadedAt = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        LogLoaded(load.Snapshot!.Policies, load.Snapshot.Policy.Rules.Length);
        foreach (var warning in load.Diagnostics.Where(d => d.Severity == Severity.Warning).Take(20))
        {
            LogWarning(warning.ToString());
        }
    }

    private void Publish(PolicySnapshot policy, PassSummary summary) =>
        status.Publish(new AgentStatus.Gauges(tally.Samples(), summary.Sockets, policy.Policies, _invalid ? 1 : 0, _loadedAt)
        {
            Endpoints = liveness.Publish(),
        });

    [LoggerMessage(EventIds.PolicyLoaded, LogLevel.Information, "Policies in force: {Policies}, with {Rules} address rules")]
    private partial void LogLoaded(int policies, int rules);

    [LoggerMessage(EventIds.PolicyRefused, LogLevel.Error, "The changed policies are refused, errors: {Count}; the last good ones stay in force")]
    private partial void LogRefused(int count);

    [LoggerMessage(EventIds.PolicyDiagnostic, LogLevel.Error, "{Diagnostic}")]
    private partial void LogDiagnostic(string diagnostic);

    [LoggerMessage(EventIds.PassDone, LogLevel.Debug,
        "Pass: {Dumped} of {Namespaces} namespaces dumped, {Sockets} sockets, values of {Read} read, {Milliseconds:F1} ms")]
    private partial void LogPass(int dumped, int namespaces, int sockets, int read, double milliseconds);

    [LoggerMessage(EventIds.PassFailed, LogLevel.Error, "The pass failed: {Reason}")]
    private partial void LogPassFailed(string reason);

    [LoggerMessage(EventIds.NotGivenBack, LogLevel.Error,
        "{Count} sockets could not be given back and keep the policy's values; the state file knows them, and 'run --once --restore-on-exit' "
        + "tries again")]
    private partial void LogNotGivenBack(int count);

    [LoggerMessage(EventIds.NamespacesFailed, LogLevel.Warning, "{Count} network namespaces could not be looked into")]
    private partial void LogNamespacesFailed(int count);

    [LoggerMessage(EventIds.DatapathTrouble, LogLevel.Warning, "{Trouble}")]
    private partial void LogTrouble(string trouble);

    [LoggerMessage(EventIds.ArrivalsLost, LogLevel.Information,
        "{Count} new connections were set and could not be told of, as there were too many since the last pass; those that are still open are "
        + "listed and counted all the same")]
    private partial void LogLost(long count);

    [LoggerMessage(EventIds.NothingToSee, LogLevel.Warning,
        "No process but the agent is to be seen. In Kubernetes the pod needs hostPID: true; with --netns the path must exist")]
    private partial void LogAlone();

    [LoggerMessage(EventIds.PolicyWarning, LogLevel.Warning, "{Diagnostic}")]
    private partial void LogWarning(string diagnostic);
}
