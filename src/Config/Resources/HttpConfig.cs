namespace Keepalive.Config.Resources;

/// <summary>
/// <c>spec.config.http</c> of a ConnectionPolicy: settings of a proxy's connection pool, which no socket option can carry.
/// </summary>
public sealed record HttpConfig
{
    /// <summary>How long an idle upstream connection is kept; a duration.</summary>
    public Positioned<string>? IdleTimeout { get; init; }

    /// <summary>Requests queued at most.</summary>
    public Positioned<long>? MaxPendingRequests { get; init; }

    /// <summary>Requests under way at most.</summary>
    public Positioned<long>? MaxRequests { get; init; }

    /// <summary>Requests on one connection at most; 0 is no limit.</summary>
    public Positioned<long>? MaxRequestsPerConnection { get; init; }

    /// <summary>Retries under way at most.</summary>
    public Positioned<long>? MaxRetries { get; init; }
}
