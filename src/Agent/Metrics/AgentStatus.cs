namespace Keepalive.Agent.Metrics;

/// <summary>One series of a gauge.</summary>
internal readonly record struct Sample(string Labels, double Value);

/// <summary>What the last pass published for scrapes: immutable, swapped whole, so a scrape never waits for a pass.</summary>
internal sealed class AgentStatus
{
    private readonly Lock _lock = new();
    private volatile Gauges _gauges = new([], 0, 0, 0, 0);

    public Gauges Current => _gauges;

    /// <summary>The age of what is known of the cluster, asked for at each scrape; null without one.</summary>
    public Func<IReadOnlyList<(string Kind, TimeSpan Age)>>? KubernetesAges { get; init; }

    /// <summary>Asked at each scrape whether endpoints are in the pool, which is not to wait for a pass; null leaves it to these.</summary>
    public Func<IReadOnlyList<Sample>>? EndpointsNow { get; init; }

    public void Publish(Gauges gauges)
    {
        lock (_lock)
        {
            _gauges = gauges;
        }
    }

    /// <summary>Brings what does not wait for passes up to date.</summary>
    public void Renew()
    {
        if (EndpointsNow is not { } endpoints)
        {
            return;
        }
        lock (_lock)
        {
            _gauges = _gauges with { Endpoints = endpoints() };
        }
    }

    /// <param name="Sockets">Selected sockets by policy, destination and state.</param>
    /// <param name="Scanned">Sockets enumerated in the last pass.</param>
    /// <param name="Policies">Policies in force.</param>
    /// <param name="InvalidPolicies">Objects of the cluster that are refused as they are now, and 1 for files that are.</param>
    /// <param name="LoadedAt">When the policies in force were loaded, Unix seconds.</param>
    internal sealed record Gauges(IReadOnlyList<Sample> Sockets, int Scanned, int Policies, int InvalidPolicies, double LoadedAt)
    {
        /// <summary>Network namespaces that are looked into, that could not be, and that are not as their owner has too many.</summary>
        public (int Watched, int Failed, int Skipped) Namespaces { get; init; }

        /// <summary>Connections without keepalive, by reason.</summary>
        public IReadOnlyList<Sample> Unprotected { get; init; } = [];

        /// <summary>Whether endpoints are in the pool.</summary>
        public IReadOnlyList<Sample> Endpoints { get; init; } = [];

        /// <summary>Why the last pass failed: what it says of sockets is not known to be so. Null where it did not.</summary>
        public string? PassFailure { get; init; }

        /// <summary>Why liveness could not be brought up to date; null where it could.</summary>
        public string? LivenessFailure { get; init; }

        /// <summary>Why packets are not captured everywhere they should be; null where they are, and where nobody wants them.</summary>
        public string? CaptureFailure { get; init; }

        /// <summary>Whether packets are to be captured at all.</summary>
        public bool Captures { get; init; }
    }
}
