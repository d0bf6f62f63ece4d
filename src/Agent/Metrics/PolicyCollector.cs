using Keepalive.Agent.Policies;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>Policies in force and refused.</summary>
internal sealed class PolicyCollector(MetricRegistry registry, PolicyFigures figures) : IMetricsCollector
{
    private readonly GaugeSeries<string> _policies = new(registry.Gauge(MetricCatalogue.Policies, "state"), static state => [state]);
    private readonly Gauge _loadedAt = registry.Gauge(MetricCatalogue.PolicyLoadedTimestampSeconds);
    private readonly Counter _refusals = registry.Counter(MetricCatalogue.PolicyLoadFailuresTotal);

    public string Name => "policies";

    public string? Collect()
    {
        var now = figures.Now;
        _refusals.IncTo(now.Refusals);
        _policies.Show([new("invalid", now.RefusedSets + now.BrokenFiles + now.RefusedObjects), new("loaded", now.InForce)]);
        _loadedAt.Set(now.LoadedAt.ToUnixTimeMilliseconds() / 1000.0);
        return null;
    }

    public void Withdraw()
    {
        _policies.Withdraw();
        _loadedAt.Unpublish();
    }
}
