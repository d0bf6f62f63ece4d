using System.Collections.Frozen;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Liveness;

/// <summary>The liveness part of the service's loop: the sink of passes, the capture after each pass, and the state to publish.</summary>
internal sealed class LivenessWatch : IHostedService, IDisposable
{
    /// <summary>How long the first changes wait for interfaces to be opened.</summary>
    private static readonly TimeSpan s_maxOpening = TimeSpan.FromSeconds(1);

    private readonly bool _captures;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly int _maxInterfaces;
    private readonly int _maxNamespaces;
    private CaptureKeeper? _keeper;
    private DestroyWatch? _destroyed;
    private PolicySnapshot? _filteredFor;
    private string _filter = "";

    /// <param name="captures">Whether to capture packets. Without them, liveness comes from passes alone.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Receives dead connections and endpoints that leave the pool or return.</param>
    /// <param name="maxInterfaces">The maximum number of interfaces to capture on at a time.</param>
    /// <param name="maxNamespaces">The maximum number of network namespaces in which the kernel reports how sockets ended.</param>
    /// <param name="pods">Finds the pod of a connection; null without a cluster.</param>
    /// <param name="backends">Finds the backends behind virtual addresses; null if they are not looked up.</param>
    public LivenessWatch(bool captures, TimeProvider time, ILogger logger, int maxInterfaces, int maxNamespaces, PodDirectory? pods = null, Backends? backends = null)
    {
        Monitor = new LivenessMonitor(new LivenessLog(logger) { Pods = pods }, time, captures, pods, backends);
        (_captures, _time, _logger, _maxInterfaces, _maxNamespaces) = (captures, time, logger, maxInterfaces, maxNamespaces);
    }

    public LivenessMonitor Monitor { get; }

    /// <summary>Packets captured since the start, and packets that the kernel dropped because they were not read in time.</summary>
    public (long Received, long Dropped) Captured => _keeper?.Counts ?? default;

    /// <summary>Why the capture could not be updated; null if it was.</summary>
    public string? Failure { get; private set; }

    /// <summary>Why packets are not captured everywhere they should be; null if they are.</summary>
    public string? CaptureFailure => _keeper?.Failure;

    /// <summary>Whether passes have to read every socket's timer, because nothing else shows probes.</summary>
    public bool NeedsTimers => !_captures;

    /// <summary>The namespaces whose timers the next pass reads, because captured packets are missing. <see cref="Follow"/> uses them
    /// too.</summary>
    public IReadOnlySet<ulong> Doubtful { get; private set; } = FrozenSet<ulong>.Empty;

    /// <summary>Starts the threads of the capture. Nothing is captured before the first <see cref="Survey"/> or
    /// <see cref="Follow"/>.</summary>
    /// <exception cref="IOException">There are too many descriptors.</exception>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _keeper = _captures ? new CaptureKeeper(Monitor, _logger, _maxInterfaces) : null;
        _destroyed = _maxNamespaces > 0 ? new DestroyWatch(Monitor, _logger, _time, _maxNamespaces) : null;
        return Task.CompletedTask;
    }

    /// <summary>Ends the threads of the capture, and closes everything. No pass may run.</summary>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Finds the namespaces where packets should have been captured and were not.</summary>
    public void Doubt() => Doubtful = Monitor.Doubtful();

    /// <summary>Reads the sockets that a policy selects before any of them is changed, and starts the capture. A write may send a probe at
    /// once, which must be captured too.</summary>
    public void Survey(IDatapath datapath, PolicySnapshot policy, CancellationToken stop)
    {
        if (_keeper is not null)
        {
            datapath.Pass(policy, new PassScope { Full = true, DryRun = true, Stop = stop }, Monitor);
            Follow(policy)?.Wait(s_maxOpening, CancellationToken.None);
        }
    }

    /// <summary>Starts the capture where there are connections now. Returns null if nothing captures, else an event that is set once the
    /// capture runs.</summary>
    public ManualResetEventSlim? Follow(PolicySnapshot policy)
    {
        var demands = Monitor.Demands();
        _destroyed?.Update(demands);
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
            var opening = _keeper.Update(new CaptureOpener.Order([.. demands.Where(demand => demand.Locals.Count > 0)], _filter, Doubtful));
            Failure = null;
            return opening;
        }
        catch (IOException e)
        {
            Failure = e.Message;
            throw;
        }
    }

    public void Dispose()
    {
        _keeper?.Dispose();
        _destroyed?.Dispose();
        (_keeper, _destroyed) = (null, null);
    }
}
