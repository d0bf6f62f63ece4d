using Keepalive.Agent.Apply;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Running;

/// <summary>Puts together after each pass what scrapes are to show. Used by the pass thread.</summary>
/// <param name="status">Where it is published.</param>
/// <param name="metrics">The counters.</param>
/// <param name="exposition">Drops the series of what is no longer in force.</param>
/// <param name="tally">The sockets' states.</param>
/// <param name="liveness">The connections' liveness.</param>
/// <param name="wantsCapture">Whether packets are to be captured.</param>
/// <param name="whyNoCapture">Why they cannot be, null where they can.</param>
internal sealed class Publisher(
    AgentStatus status,
    MetricCatalogue metrics,
    Exposition exposition,
    SocketTally tally,
    LivenessWatch liveness,
    bool wantsCapture,
    string? whyNoCapture)
{
    /// <summary>What the first pass under a changed policy still counts may belong to the one before: series are dropped until after the second.</summary>
    private const int Rounds = 3;

    private CompiledPolicy? _inForce;
    private int _rounds;
    private int _policies;
    private int _invalid;
    private double _loadedAt;
    private int _scanned;
    private (int Watched, int Failed, int Skipped) _namespaces;

    public ISocketSink Sink => tally;

    /// <summary>Selected sockets that cannot be set, and why most of them cannot.</summary>
    public (int Count, string? Reason) Failing => tally.Failing;

    public string? CaptureFailure => whyNoCapture ?? liveness.CaptureFailure;

    public string? LivenessFailure { get; set; }

    /// <summary>Objects of the cluster that are refused by themselves.</summary>
    public int RefusedObjects { get; set; }

    public void Loaded(PolicySnapshot policy)
    {
        (_policies, _invalid) = (policy.Policies, 0);
        _loadedAt = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        (_inForce, _rounds) = (policy.Policy, Rounds);
        Publish(status.Current.PassFailure);
    }

    public void Refused()
    {
        _invalid = 1;
        metrics.PolicyLoadFailures.Add(1);
        Publish(status.Current.PassFailure);
    }

    /// <param name="took">How long the pass took.</param>
    /// <param name="summary">What it did.</param>
    public void Passed(TimeSpan took, in PassSummary summary)
    {
        metrics.ScanDuration.Record(took.TotalSeconds);
        _scanned = summary.Sockets;
        _namespaces = (summary.Namespaces, summary.NamespaceFailures, summary.NamespacesLeftOut);
        Publish(null);
    }

    /// <summary>New connections were set and not reported.</summary>
    public void ArrivalsLost(long count) => metrics.ArrivalsLost.Add(count);

    public void Failed(string reason) => Publish(reason);

    private void Publish(string? passFailure)
    {
        var sockets = tally.Samples();
        var endpoints = liveness.Publish();
        if (_rounds > 0 && _inForce is not null)
        {
            _rounds--;
            liveness.Monitor.Retain(_inForce);
            exposition.Retain(_inForce);
        }
        status.Publish(new AgentStatus.Gauges(sockets, _scanned, _policies, _invalid + RefusedObjects, _loadedAt)
        {
            Namespaces = _namespaces,
            Unprotected = tally.Unprotected(),
            Endpoints = endpoints,
            PassFailure = passFailure,
            LivenessFailure = LivenessFailure,
            CaptureFailure = CaptureFailure,
            Captures = wantsCapture,
        });
    }
}
