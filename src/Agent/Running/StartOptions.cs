namespace Keepalive.Agent.Running;

/// <summary>The kind of run, and what it requires.</summary>
internal sealed record StartOptions
{
    /// <summary>Whether to make a single pass instead of running the service.</summary>
    public required bool Once { get; init; }

    /// <summary>Whether the run is useless if the cluster's API does not answer.</summary>
    public required bool NeedsCluster { get; init; }

    /// <summary>Whether the run must not start without packet capture.</summary>
    public required bool NeedsCapture { get; init; }

    /// <summary>The only network namespaces to read; empty for all of the node.</summary>
    public required IReadOnlyList<string> Namespaces { get; init; }
}
