namespace Keepalive.Agent.Metrics;

/// <summary>Brings the metrics of one concern up to date when somebody asks for them. Used by one thread at a time.</summary>
internal interface IMetricsCollector
{
    /// <summary>What <see cref="MetricCatalogue.CollectorSuccess"/> calls it.</summary>
    string Name { get; }

    /// <summary>Sets the concern's metrics to what they are now.</summary>
    /// <returns>The reason that the gauges are unknown; null if they are known.</returns>
    string? Collect();

    /// <summary>Removes the gauges after a failure: no series is better than an outdated one. Counters stay.</summary>
    void Withdraw();
}
