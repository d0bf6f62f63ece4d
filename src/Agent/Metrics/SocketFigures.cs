namespace Keepalive.Agent.Metrics;

/// <summary>Names the series of sockets that stand alike to a policy: those of one destination, in one of the cluster's namespaces.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="Namespace">The cluster's namespace; empty where it is no pod's.</param>
/// <param name="State">managed, kept, failed or wouldApply.</param>
internal readonly record struct SocketSeries(string Policy, string Destination, string Namespace, string State);

/// <summary>The counts of passes at the end of one of them.</summary>
internal sealed record SocketFigures
{
    /// <summary>Selected sockets.</summary>
    public IReadOnlyCollection<KeyValuePair<SocketSeries, double>> States { get; init; } = [];

    /// <summary>Connections without keepalive.</summary>
    public IReadOnlyCollection<KeyValuePair<(string Namespace, string Reason), double>> Unprotected { get; init; } = [];

    /// <summary>Sockets whose user timeout is too short for their policy.</summary>
    public IReadOnlyCollection<KeyValuePair<(string Policy, string Namespace), double>> ShortUserTimeouts { get; init; } = [];

    /// <summary>How often a policy's values were written.</summary>
    public IReadOnlyCollection<KeyValuePair<(string Policy, string Namespace), long>> Applied { get; init; } = [];

    /// <summary>How many sockets could not be set, by reason, ever.</summary>
    public IReadOnlyCollection<KeyValuePair<string, long>> Failures { get; init; } = [];

    /// <summary>Selected sockets that cannot be set now, and why most of them cannot.</summary>
    public (int Count, string? Reason) Failing { get; init; }

    /// <summary>Sockets restored since the start.</summary>
    public long Restored { get; init; }

    /// <summary>New connections that were set and not reported, ever.</summary>
    public long ArrivalsLost { get; init; }

    /// <summary>New connections that could not be set when they were established and were left to a pass, ever.</summary>
    public long ArrivalsLeft { get; init; }

    /// <summary>Sockets enumerated in the last pass.</summary>
    public int Scanned { get; init; }

    /// <summary>Network namespaces that are looked into, that could not be, and that are not as their owner has too many.</summary>
    public (int Watched, int Failed, int Skipped) Namespaces { get; init; }

    /// <summary>Why the last pass failed: what is said of sockets is not known to be so. Null where it did not.</summary>
    public string? Failure { get; init; }
}
