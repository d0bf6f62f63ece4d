using Keepalive.Agent.Liveness;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>What the capture counts. It stays true where packets cannot be captured everywhere any more; it may miss some from then on.</summary>
/// <param name="registry">Has the metrics.</param>
/// <param name="liveness">Has the capture.</param>
/// <param name="whyNot">Why they cannot be from the start; null where they can.</param>
internal sealed class CaptureCollector(MetricRegistry registry, LivenessWatch liveness, string? whyNot) : IMetricsCollector
{
    private readonly Counter _packets = registry.Counter(MetricCatalogue.CapturePacketsTotal);
    private readonly Counter _dropped = registry.Counter(MetricCatalogue.CaptureDroppedTotal);
    private readonly Counter _contradictions = registry.Counter(MetricCatalogue.CaptureContradictionsTotal);

    public string Name => "capture";

    public string? Collect()
    {
        var (received, dropped) = liveness.Captured;
        _packets.IncTo(received);
        _dropped.IncTo(dropped);
        _contradictions.IncTo(liveness.Monitor.Contradictions);
        return whyNot ?? liveness.CaptureFailure;
    }

    public void Withdraw()
    {
        // These are counters.
    }
}
