using System.Net;

namespace Keepalive.Simulator.Discover;

/// <summary>What to measure, and how much of it.</summary>
internal sealed record DiscoverRequest
{
    public required IPEndPoint Remote { get; init; }

    /// <summary>The longest idle time to try.</summary>
    public required TimeSpan Until { get; init; }

    /// <summary>Connections at a time.</summary>
    public required int Connections { get; init; }

    /// <summary>The part of the timeout that may remain unknown.</summary>
    public required double Precision { get; init; }

    /// <summary>The payload to send on each connection after it was opened; empty for none.</summary>
    public byte[] Payload { get; init; } = [];

    /// <summary>Spaces new connections.</summary>
    public required Pace Pace { get; init; }
}
