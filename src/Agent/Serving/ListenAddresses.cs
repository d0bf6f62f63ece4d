using System.Net;

namespace Keepalive.Agent.Serving;

/// <summary>Where the service is asked.</summary>
internal sealed record ListenAddresses
{
    /// <summary>Null serves nothing.</summary>
    public required IPEndPoint? Listen { get; init; }

    /// <summary>A loopback address for what shows other people's connections; null serves it on the unix socket alone.</summary>
    public required IPEndPoint? ListenLocal { get; init; }

    /// <summary>Where HAProxy's agent-check is answered.</summary>
    public required IReadOnlyList<IPEndPoint> AgentChecks { get; init; }
}
