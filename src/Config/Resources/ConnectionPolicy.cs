using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>A ConnectionPolicy (resilience.policy.gloo.solo.io/v2): settings for connections to the destinations it selects.</summary>
public sealed record ConnectionPolicy : Policy
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "ConnectionPolicy";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <inheritdoc/>
    public override string RuleName => QualifiedName;

    /// <summary>The destinations, any of which; empty is every destination.</summary>
    public ImmutableArray<DestinationReference> ApplyToDestinations { get; init; } = [];

    /// <summary><c>spec.config.tcp</c>, or null.</summary>
    public TcpConfig? Tcp { get; init; }

    /// <summary><c>spec.config.http</c>, or null.</summary>
    public HttpConfig? Http { get; init; }
}
