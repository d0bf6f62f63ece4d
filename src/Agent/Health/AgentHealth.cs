using System.Globalization;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Config;

namespace Keepalive.Agent.Health;

/// <summary>Whether the service does its work, and what is wrong where it does not. Written by the pass thread, read by any.</summary>
/// <remarks>
/// The service is ready if it keeps sockets by a valid policy now: from the first full pass on, and not while passes fail or the service stops.
/// A file that is refused is reported, and the service stays ready: the file's last good content is in force. Where files are refused, have no last
/// good content, and no other policy is in force, the service does nothing of what it should, and is not ready.
/// </remarks>
/// <param name="time">The clock.</param>
/// <param name="interval">Time between two passes.</param>
internal sealed class AgentHealth(TimeProvider time, TimeSpan interval)
{
    /// <summary>Errors of a refused policy that are listed one by one.</summary>
    private const int MaxErrors = 20;

    private readonly Lock _lock = new();
    private long _beat = time.GetTimestamp();
    private bool _passed;
    private bool _stopping;
    private int _policies;
    private string? _passFailure;
    private string? _captureFailure;
    private string? _failing;
    private IReadOnlyList<string> _impaired = [];
    private DateTimeOffset _lastPass;
    private DateTimeOffset _refusedAt;
    private List<string> _refused = [];
    private IReadOnlyList<BrokenFile> _broken = [];

    /// <summary>Asked for what is wrong with the cluster's API; what was known of it stays in force. Null without one.</summary>
    public Func<IReadOnlyList<string>>? Cluster { get; init; }

    /// <summary>Asked for the cluster's objects that are refused as they are now. Null without a cluster.</summary>
    public Func<IReadOnlyList<string>>? RefusedObjects { get; init; }

    /// <summary>How long nothing may be heard of the pass thread: a pass may be spread over an interval, and take its time besides.</summary>
    public TimeSpan Patience { get; } = TimeSpan.FromSeconds(60) + (2 * Min(interval, TimeSpan.FromSeconds(60)));

    /// <summary>Whether the pass thread hangs.</summary>
    public bool IsStuck => time.GetElapsedTime(Interlocked.Read(ref _beat)) > Patience;

    /// <summary>The pass thread is alive.</summary>
    public void Beat() => Interlocked.Exchange(ref _beat, time.GetTimestamp());

    public void PoliciesLoaded(int policies)
    {
        lock (_lock)
        {
            _policies = policies;
            _refused = [];
        }
    }

    /// <summary>The policy files were read.</summary>
    /// <param name="broken">The files with errors.</param>
    public void FilesRead(IReadOnlyList<BrokenFile> broken)
    {
        lock (_lock)
        {
            _broken = broken;
        }
    }

    public void PoliciesRefused(IEnumerable<string> errors)
    {
        lock (_lock)
        {
            _refused = [];
            AddErrors(_refused, errors.ToList());
            _refusedAt = time.GetUtcNow();
        }
    }

    /// <summary>A full or partial pass is over. True when it is the first that makes the service ready.</summary>
    /// <param name="failure">Why it failed; null where it did not.</param>
    /// <param name="captureFailure">Why probes are not captured everywhere.</param>
    public bool PassDone(string? failure, string? captureFailure)
    {
        Beat();
        lock (_lock)
        {
            (_passFailure, _captureFailure) = (failure, captureFailure);
            if (failure is not null)
            {
                return false;
            }
            _lastPass = time.GetUtcNow();
            var first = !_passed;
            _passed = true;
            return first;
        }
    }

    /// <summary>The obstacle that keeps passes from reaching everything, in words; null if there is none.</summary>
    public void Impaired(params ReadOnlySpan<string?> troubles)
    {
        List<string> impaired = [];
        foreach (var trouble in troubles)
        {
            if (trouble is not null)
            {
                impaired.Add(trouble);
            }
        }
        lock (_lock)
        {
            _impaired = impaired;
        }
    }

    /// <summary>Selected sockets that cannot be set.</summary>
    /// <param name="count">How many.</param>
    /// <param name="reason">Why most of them cannot.</param>
    public void SocketsFailing(int count, string? reason)
    {
        var failing = count == 0 ? null : $"{count} selected {(count == 1 ? "socket" : "sockets")} cannot be set: {FailureReasons.Text(reason)}";
        lock (_lock)
        {
            _failing = failing;
        }
    }

    /// <summary>The time since the last pass that did not fail; null before the first.</summary>
    public TimeSpan? SinceLastPass
    {
        get
        {
            lock (_lock)
            {
                return _passed ? time.GetUtcNow() - _lastPass : null;
            }
        }
    }

    public void Stopping()
    {
        lock (_lock)
        {
            _stopping = true;
        }
    }

    /// <summary>All of it at one moment.</summary>
    public HealthReport Report()
    {
        lock (_lock)
        {
            var problems = new List<string>();
            if (_stopping)
            {
                problems.Add("the agent is stopping");
            }
            if (!_passed && _passFailure is null)
            {
                problems.Add("the first pass over the node's sockets is not finished");
            }
            if (_passFailure is not null)
            {
                problems.Add($"the last pass failed: {_passFailure}");
            }
            if (IsStuck)
            {
                problems.Add("the passes hang: no sign of them for "
                    + time.GetElapsedTime(Interlocked.Read(ref _beat)).TotalSeconds.ToString("F0", CultureInfo.InvariantCulture) + " s");
            }
            if (_policies == 0 && (_refused.Count > 0 || _broken.Any(static file => file.GoodAt is null)))
            {
                problems.Add("no policy is in force, because the policies have errors");
            }
            var ready = problems.Count == 0;
            foreach (var file in _broken.Take(MaxErrors))
            {
                problems.Add($"{TerminalText.Escape(file.Path)} is refused, and {file.Consequence}:");
                AddErrors(problems, file.Errors);
            }
            if (_broken.Count > MaxErrors)
            {
                problems.Add($"and {_broken.Count - MaxErrors} more files");
            }
            if (_refused.Count > 0)
            {
                problems.Add($"the policies changed at {Text(_refusedAt)} are refused and the last good ones stay in force:");
                problems.AddRange(_refused);
            }
            problems.AddRange(_impaired);
            if (_failing is not null)
            {
                problems.Add(_failing);
            }
            if (_captureFailure is not null)
            {
                problems.Add($"probes are not captured everywhere: {_captureFailure}");
            }
            var objects = RefusedObjects?.Invoke() ?? [];
            if (objects.Count > 0)
            {
                problems.Add("objects of the cluster are refused, each here with its first error; the log and their Events have all:");
                AddErrors(problems, objects);
            }
            problems.AddRange(Cluster?.Invoke() ?? []);
            return new HealthReport(ready, _policies, _refused.Count == 0 && _broken.Count == 0 && objects.Count == 0, _passed ? Text(_lastPass) : null, problems);
        }
    }

    private static void AddErrors<T>(List<string> problems, IReadOnlyList<T> errors)
    {
        problems.AddRange(errors.Take(MaxErrors).Select(static error => $"{error}"));
        if (errors.Count > MaxErrors)
        {
            problems.Add($"and {errors.Count - MaxErrors} more");
        }
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static string Text(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
}

/// <summary>The content of <c>/readyz</c>.</summary>
/// <param name="Ready">Whether the service does its work.</param>
/// <param name="Policies">Policies in force.</param>
/// <param name="PoliciesValid">Whether the files and the cluster's objects as they are now are those in force.</param>
/// <param name="LastPass">When the last pass that did not fail was over; null before the first.</param>
/// <param name="Problems">The problems, also those that do not make the service unready.</param>
internal sealed record HealthReport(bool Ready, int Policies, bool PoliciesValid, string? LastPass, IReadOnlyList<string> Problems);
