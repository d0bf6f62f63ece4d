using Keepalive.Agent.Liveness;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>Collects the counters of the capture. They stay valid if packets can no longer be captured everywhere, but may then miss
/// some.</summary>
/// <param name="registry">The registry of the metrics.</param>
/// <param name="liveness">Runs the capture.</param>
/// <param name="whyNot">The reason why packets were never captured; null if there is none.</param>
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
