using System.Collections.Frozen;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Liveness;

/// <summary>What the service's loop has to do with liveness: whom passes report to, where to capture after each, and what to publish.</summary>
internal sealed class LivenessWatch : IDisposable
{
    /// <summary>How long the first changes wait for interfaces to be opened.</summary>
    private static readonly TimeSpan s_longestOpening = TimeSpan.FromSeconds(1);

    private readonly CaptureKeeper? _keeper;
    private PolicySnapshot? _filteredFor;
    private string _filter = "";

    /// <param name="captures">Whether to capture; without, liveness is what passes report.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told of what dies and comes back.</param>
    /// <param name="mostInterfaces">On how many interfaces to capture at a time.</param>
    /// <param name="pods">Tells whose a connection is; null where there is no cluster.</param>
    public LivenessWatch(bool captures, TimeProvider time, ILogger logger, int mostInterfaces, PodDirectory? pods = null)
    {
        Monitor = new LivenessMonitor(new LivenessLog(logger) { Pods = pods }, time, captures, pods);
        _keeper = captures ? new CaptureKeeper(Monitor, logger, mostInterfaces) : null;
    }

    public LivenessMonitor Monitor { get; }

    /// <summary>Packets captured, and dropped by the kernel as they were not taken in time, ever.</summary>
    public (long Received, long Dropped) Captured => _keeper?.Counts ?? default;

    /// <summary>Why liveness could not be brought up to date; null where it could.</summary>
    public string? Failure { get; private set; }

    /// <summary>Why packets are not captured everywhere they should be, null where they are.</summary>
    public string? CaptureFailure => _keeper?.Failure;

    /// <summary>Whether passes have to read every socket's timer, as nothing else tells of probes.</summary>
    public bool NeedsTimers => _keeper is null;

    /// <summary>The namespaces whose timers the next pass is to read for want of captured packets; kept for <see cref="Follow"/>.</summary>
    public IReadOnlySet<ulong> Doubtful { get; private set; } = FrozenSet<ulong>.Empty;

    /// <summary>Looks where nothing is captured that should be.</summary>
    public void Doubt() => Doubtful = Monitor.Doubtful();

    /// <summary>Looks at what a policy selects before anything is changed: a write may send a probe at once, and that is to be captured, too.</summary>
    public void Survey(IDatapath datapath, PolicySnapshot policy, CancellationToken stop)
    {
        if (_keeper is not null)
        {
            datapath.Pass(policy, new PassScope { Full = true, DryRun = true, Stop = stop }, Monitor);
            Follow(policy)?.Wait(s_longestOpening, CancellationToken.None);
        }
    }

    /// <summary>Captures where there are connections now; null without capture, else set once it does.</summary>
    public ManualResetEventSlim? Follow(PolicySnapshot policy)
    {
        if (_keeper is null)
        {
            return null;
        }
        if (!ReferenceEquals(_filteredFor, policy))
        {
            _filter = CaptureFilter.For(policy.Policy);
            _filteredFor = policy;
        }
        try
        {
            var opening = _keeper.Update(new CaptureOpener.Order(Monitor.Demands(), _filter, Doubtful));
            Failure = null;
            return opening;
        }
        catch (IOException e)
        {
            Failure = e.Message;
            throw;
        }
    }

    public void Dispose() => _keeper?.Dispose();
}
