namespace Keepalive.Agent.Metrics;

/// <summary>Brings the metrics of one concern up to date when somebody asks for them. Used by one thread at a time.</summary>
internal interface IMetricsCollector
{
    /// <summary>What <see cref="MetricCatalogue.CollectorSuccess"/> calls it.</summary>
    string Name { get; }

    /// <summary>Sets the concern's metrics to what they are now.</summary>
    /// <returns>Why the gauges cannot be told; null where they can.</returns>
    string? Collect();

    /// <summary>Takes the gauges away after they could not be told: no series is better than one that is no longer so. Counters stay.</summary>
    void Withdraw();
}
