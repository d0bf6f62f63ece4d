using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>
/// A ListenerConnectionPolicy (resilience.policy.gloo.solo.io/v2): settings for the connections that gateways accept.
/// </summary>
public sealed record ListenerConnectionPolicy : Policy
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "ListenerConnectionPolicy";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>The listeners, any of which; empty is every listener. Each entry selects VirtualGateways.</summary>
    public ImmutableArray<DestinationReference> ApplyToListeners { get; init; } = [];

    /// <summary>The keepalive settings; null when the policy has none and so enforces nothing.</summary>
    public TcpKeepalive? TcpKeepalive { get; init; }

    /// <summary>A proxy's buffer limit.</summary>
    public Positioned<long>? PerConnectionBufferLimitBytes { get; init; }
}
