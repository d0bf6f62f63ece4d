namespace Keepalive.Agent.Metrics;

/// <summary>How old what is known of the cluster is.</summary>
/// <param name="registry">Has the metrics.</param>
/// <param name="ages">Asked at each scrape.</param>
internal sealed class KubernetesCollector(MetricRegistry registry, Func<IReadOnlyList<(string Kind, TimeSpan Age, bool IsStale)>> ages) : IMetricsCollector
{
    private readonly GaugeSeries<string> _ages = new(registry.Gauge(MetricCatalogue.KubernetesStateAgeSeconds, "resource"), static kind => [kind]);

    private readonly GaugeSeries<string> _stale = new(registry.Gauge(MetricCatalogue.KubernetesStateStale, "resource"), static kind => [kind]);

    public string Name => "kubernetes";

    public string? Collect()
    {
        var all = ages();
        _ages.Show([.. all.Select(age => KeyValuePair.Create(age.Kind, Math.Round(age.Age.TotalSeconds, 3)))]);
        _stale.Show([.. all.Select(age => KeyValuePair.Create(age.Kind, age.IsStale ? 1.0 : 0))]);
        return null;
    }

    public void Withdraw()
    {
        _ages.Withdraw();
        _stale.Withdraw();
    }
}
