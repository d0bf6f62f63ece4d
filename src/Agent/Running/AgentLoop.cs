using System.Diagnostics;
using System.Runtime;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Health;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Log;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Processes;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>The service's one thread. It updates the policy, makes a pass over the sockets, publishes the results, and waits.</summary>
internal sealed partial class AgentLoop(
    PassOptions options,
    ChosenDatapath chosen,
    PolicySource policies,
    PolicyFigures figures,
    SocketTally tally,
    SocketCollector metrics,
    CaptureChoice capture,
    ChangeLog changes,
    UnmanagedTally unmanaged,
    LivenessWatch liveness,
    AgentHealth health,
    ServiceManager systemd,
    ILogger logger) : IDisposable
{
    /// <summary>How often to check for changed policies, if a check costs little.</summary>
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromSeconds(2);

    /// <summary>How often to check files that have just changed.</summary>
    private static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(300);

    /// <summary>The longest time to spread changes over. A changed policy waits until it is over.</summary>
    private static readonly TimeSpan s_maxSpread = TimeSpan.FromSeconds(10);

    /// <summary>The minimum time between two spreads without a change of policy.</summary>
    private static readonly TimeSpan s_spreadApart = TimeSpan.FromMinutes(1);

    /// <summary>The longest time in which passes follow each other without a pause after the start. The first pass may not have time for all
    /// sockets of an owner that has very many.</summary>
    private static readonly TimeSpan s_maxStart = TimeSpan.FromSeconds(10);

    private readonly IDatapath _datapath = chosen.Datapath;
    private readonly AutoResetEvent _wake = new(false);
    private readonly FanOut _sink = new(changes, tally, unmanaged, liveness.Monitor);
    private readonly Retirement _retirement = new(tally, liveness.Monitor);
    private bool _reload;
    private bool _wasReloaded;
    private long _heapAtCollection;
    private long? _spreadAt;
    private int _namespaceFailures;
    private bool _alone;
    private string? _trouble;
    private long _lost;
    private bool _isStarting = true;
    private TimeSpan _startTook;

    /// <summary>The time between two passes.</summary>
    public TimeSpan Interval => options.Interval;

    /// <summary>Makes the loop read the policies again, even if no change is visible.</summary>
    public void Reload()
    {
        Volatile.Write(ref _reload, true);
        try
        {
            _wake.Set();
        }
        catch (ObjectDisposedException)
        {
            // The signal came while the service ended.
        }
    }

    /// <summary>Runs until <paramref name="stop"/>, beginning with a policy that was loaded without errors. Returns the number of sockets
    /// that could not be restored at the end, if restoring was asked for.</summary>
    public int Run(PolicyLoad first, CancellationToken stop)
    {
        using var registration = stop.Register(() => _wake.Set());
        var policy = first.Snapshot!;
        figures.ObjectsRefused(policies.RefusedObjects);
        Read(first);
        Loaded(first);
        if (first.Errors.Any())
        {
            Refused(first, policy.Policies);
        }
        if (!stop.IsCancellationRequested)
        {
            Survey(policy, stop);
        }
        PolicySnapshot? before = null;
        for (var full = true; !stop.IsCancellationRequested; full = false)
        {
            var begun = Stopwatch.GetTimestamp();
            health.Beat();
            var spread = Spread(changed: !ReferenceEquals(policy, before));
            liveness.Doubt();
            var scope = new PassScope
            {
                Full = full,
                Continues = _isStarting && !full,
                DryRun = options.DryRun,
                Timers = liveness.NeedsTimers,
                TimersOf = liveness.Doubtful,
                Ask = liveness.Monitor.Questions(),
                SpreadOver = spread,
                Stop = stop,
            };
            Pass(policy, scope, _sink);
            before = policy;
            Follow(policy);
            policy = _isStarting ? policy : Wait(policy, begun, stop);
        }
        return options.RestoreOnExit && !options.DryRun ? GiveBack() : 0;
    }

    /// <summary>Waits for the next pass, which is early if the policy changes. Returns the policy for that pass.</summary>
    private PolicySnapshot Wait(PolicySnapshot policy, long begun, CancellationToken stop)
    {
        const int lookAtMost = 50;   // at most one part in this many of the time is used for checks
        for (; ; )
        {
            health.Beat();
            var looked = Stopwatch.GetTimestamp();
            var isPassDue = Stopwatch.GetElapsedTime(begun) >= options.Interval;
            var next = Refresh(policy, isPassDue, stop);
            var left = options.Interval - Stopwatch.GetElapsedTime(begun);
            if (left <= TimeSpan.Zero && !isPassDue && ReferenceEquals(next, policy))
            {
                continue;   // the interval ended during the check
            }
            if (_wasReloaded || !ReferenceEquals(next, policy) || left <= TimeSpan.Zero || stop.IsCancellationRequested)
            {
                // A reload always causes a pass, even if nothing changed, so that its effect is visible.
                _wasReloaded = false;
                return next;
            }
            var cost = Stopwatch.GetElapsedTime(looked) * lookAtMost;
            var pause = policies.IsChanging ? s_settle : cost > s_lookEvery ? cost : s_lookEvery;
            _wake.WaitOne(left < pause ? left : pause);
        }
    }

    /// <summary>Returns how long changes may be spread over. All other changes wait as long, and a tenant can cause many changes at any
    /// time. So without a change of policy, spreads are rare and shorter.</summary>
    private TimeSpan Spread(bool changed)
    {
        var whole = options.Interval < s_maxSpread ? options.Interval : s_maxSpread;
        return changed ? whole : _spreadAt is { } at && Stopwatch.GetElapsedTime(at) < s_spreadApart ? TimeSpan.Zero : whole / 4;
    }

    private void Survey(PolicySnapshot policy, CancellationToken stop)
    {
        try
        {
            liveness.Survey(_datapath, policy, stop);
        }
        catch (IOException e)
        {
            LogPassFailed(e.Message);
        }
    }

    /// <summary>Updates the capture. A failure of the capture must not end the passes.</summary>
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
        var summary = Pass(PolicySnapshot.Empty, new PassScope { Full = true, Last = true }, new FanOut(_sink, counter));
        if (summary is not { } done)
        {
            return 1;   // the log says why it failed
        }
        var left = counter.Failed + done.NotReached;
        if (left > 0)
        {
            LogNotGivenBack(left);
        }
        return left;
    }

    public void Dispose() => _wake.Dispose();

    /// <summary>Makes a pass. Returns null if it failed as a whole.</summary>
    private PassSummary? Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        PassSummary? passed = null;
        var begun = Stopwatch.GetTimestamp();
        try
        {
            var summary = _datapath.Pass(policy, scope, sink);
            passed = summary;
            var took = Stopwatch.GetElapsedTime(begun) - summary.Waited;
            _spreadAt = summary.Waited > TimeSpan.Zero ? Stopwatch.GetTimestamp() : _spreadAt;
            metrics.Took(took);
            tally.Passed(in summary, _datapath.Counts);
            health.Impaired(summary.NamespacesFailed, summary.Trouble);
            health.SocketsFailing(tally.Now.Failing.Count, tally.Now.Failing.Reason);
            _startTook += _isStarting ? took : TimeSpan.Zero;
            _isStarting &= summary.IsCutShort && _startTook < s_maxStart;
            if (scope.Last || scope.Stop.IsCancellationRequested || _isStarting)
            {
                health.Beat();   // an incomplete pass, or the last one, which keeps nothing set
            }
            else if (health.PassDone(failure: null, capture.WhyNot ?? liveness.CaptureFailure))
            {
                LogReady(_startTook.TotalMilliseconds);
                systemd.Ready();
            }
            LogPass(summary.NamespacesDumped, summary.Namespaces, summary.Sockets, summary.Read, took.TotalMilliseconds);
            Warn(summary);
        }
        catch (LinuxException e)
        {
            _isStarting = false;
            tally.Failed(e.Message, _datapath.Counts);
            health.PassDone(e.Message, capture.WhyNot ?? liveness.CaptureFailure);
            LogPassFailed(e.Message);
        }
        _retirement.Continue();
        liveness.Monitor.EndPass();
        changes.EndPass();
        CollectGarbage();
        return passed;
    }

    /// <summary>Logs once the reasons why the agent cannot see everything, and again when they change.</summary>
    private void Warn(PassSummary summary)
    {
        if (summary.NamespaceFailures != _namespaceFailures)
        {
            _namespaceFailures = summary.NamespaceFailures;
            if (summary.NamespacesFailed is { } failed)
            {
                LogNamespacesFailed(failed);
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
            LogLost(summary.Lost - _lost);
            _lost = summary.Lost;
        }
        var alone = summary is { Namespaces: 0, NamespaceFailures: 0 };
        if (alone && !_alone)
        {
            LogAlone();
        }
        _alone = alone;
    }

    /// <summary>Collects objects that lived for some passes and are garbage now, such as those of short connections, and memory that native
    /// libraries have freed. By themselves, the collector and the allocator would keep it for long.</summary>
    private void CollectGarbage()
    {
        const long budget = 4 * 1024 * 1024;
        const long unused = 8 * 1024 * 1024;
        if (GC.GetTotalMemory(forceFullCollection: false) - _heapAtCollection > budget)
        {
            // A table that has grown leaves a hole as large as it was before; without this such holes stay.
            GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
            if (GC.GetGCMemoryInfo(GCKind.FullBlocking) is var info && info.TotalCommittedBytes - info.HeapSizeBytes > unused)
            {
                // The collector releases memory in the course of many collections. After a start there may be none for long.
                GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }
            _heapAtCollection = GC.GetTotalMemory(forceFullCollection: false);
            NativeHeap.Trim();
        }
    }

    private PolicySnapshot Refresh(PolicySnapshot current, bool isPassDue, CancellationToken stop)
    {
        PolicyLoad? load;
        var forced = Interlocked.Exchange(ref _reload, false);
        if (forced)
        {
            _wasReloaded = true;
            systemd.Reloading();
        }
        try
        {
            load = policies.Refresh(forced, isPassDue, stop);
            figures.ObjectsRefused(policies.RefusedObjects);
        }
        catch (OperationCanceledException)
        {
            return current;
        }
        var next = Take(load, current);
        if (forced)
        {
            systemd.Ready();
        }
        return next;
    }

    private PolicySnapshot Take(PolicyLoad? load, PolicySnapshot current)
    {
        if (load is null)
        {
            return current;
        }
        Read(load);
        if (load.Snapshot is null)
        {
            Refused(load, current.Policies);
            return current;
        }
        Loaded(load);
        return load.Snapshot;
    }

    /// <summary>Reports the files with errors, if files were read.</summary>
    private void Read(PolicyLoad load)
    {
        if (load.Broken is not { } broken)
        {
            return;
        }
        figures.FilesRead(broken.Length);
        health.FilesRead(broken);
        foreach (var file in broken)
        {
            LogFileRefused(TerminalText.Escape(file.Path), file.Errors.Length, file.Consequence);
            foreach (var error in file.Errors.Take(20))
            {
                LogDiagnostic(error.ToString());
            }
        }
    }

    private void Refused(PolicyLoad load, int policies)
    {
        var errors = load.Errors.Select(error => error.ToString()).ToList();
        figures.Refused();
        health.PoliciesRefused(errors);
        systemd.Status($"{Counted.Of(policies, "policy", "policies")} in force; the changed ones are refused, errors: {errors.Count}");
        LogRefused(errors.Count);
        foreach (var error in errors.Take(20))
        {
            LogDiagnostic(error);
        }
    }

    private void Loaded(PolicyLoad load)
    {
        figures.Loaded(load.Snapshot!.Policies);
        _retirement.Begin(load.Snapshot.Policy);
        health.PoliciesLoaded(load.Snapshot!.Policies);
        var broken = figures.Now.BrokenFiles;
        systemd.Status($"{Counted.Of(load.Snapshot.Policies, "policy", "policies")} in force{(broken > 0 ? $"; files with errors: {broken}" : "")}");
        LogLoaded(load.Snapshot.Policies, load.Snapshot.Policy.AllRules.Length);
        foreach (var warning in load.Diagnostics.Where(d => d.Severity == Severity.Warning).Take(20))
        {
            LogWarning(warning.ToString());
        }
    }

    [LoggerMessage(EventIds.PolicyLoaded, LogLevel.Information, "Policies in force: {Policies}; rules for addresses: {Rules}")]
    private partial void LogLoaded(int policies, int rules);

    [LoggerMessage(EventIds.PolicyRefused, LogLevel.Error, "Changed policies are refused, errors: {Count}; the last good ones stay in force")]
    private partial void LogRefused(int count);

    [LoggerMessage(EventIds.PolicyRefused, LogLevel.Error, "{File} is refused, errors: {Count}; {Consequence}")]
    private partial void LogFileRefused(string file, int count, string consequence);

    [LoggerMessage(EventIds.PolicyDiagnostic, LogLevel.Error, "{Diagnostic}")]
    private partial void LogDiagnostic(string diagnostic);

    [LoggerMessage(EventIds.PassDone, LogLevel.Debug,
        "Pass: {Dumped} of {Namespaces} namespaces dumped, {Sockets} sockets, values of {Read} sockets read, {Milliseconds:F1} ms")]
    private partial void LogPass(int dumped, int namespaces, int sockets, int read, double milliseconds);

    [LoggerMessage(EventIds.Ready, LogLevel.Information, "Ready: the first pass took {Milliseconds:F1} ms")]
    private partial void LogReady(double milliseconds);

    [LoggerMessage(EventIds.PassFailed, LogLevel.Error, "The pass failed: {Reason}")]
    private partial void LogPassFailed(string reason);

    [LoggerMessage(EventIds.NotGivenBack, LogLevel.Error,
        "{Count} sockets could not be restored and keep the policy's values; 'run --once --restore-on-exit' tries again")]
    private partial void LogNotGivenBack(int count);

    [LoggerMessage(EventIds.NamespacesFailed, LogLevel.Warning, "{Failed}")]
    private partial void LogNamespacesFailed(string failed);

    [LoggerMessage(EventIds.DatapathTrouble, LogLevel.Warning, "{Trouble}")]
    private partial void LogTrouble(string trouble);

    [LoggerMessage(EventIds.ArrivalsLost, LogLevel.Information,
        "{Count} new connections were set but not reported, because there were too many since the last pass; the next pass lists those that are still open")]
    private partial void LogLost(long count);

    [LoggerMessage(EventIds.NothingToSee, LogLevel.Warning,
        "No other processes are visible. In Kubernetes set hostPID: true; with --netns the path must exist")]
    private partial void LogAlone();

    [LoggerMessage(EventIds.PolicyWarning, LogLevel.Warning, "{Diagnostic}")]
    private partial void LogWarning(string diagnostic);
}
