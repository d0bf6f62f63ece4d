using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>A valid policy and what it sets. Compared by reference.</summary>
internal sealed class RankedPolicy(ConnectionPolicy policy, KeepaliveSettings? settings, ExistingMode? existing)
{
    /// <summary><c>namespace/name</c>.</summary>
    public string Name { get; } = policy.QualifiedName;

    /// <summary>As written.</summary>
    public ConnectionPolicy Policy => policy;

    /// <summary>What it sets; null when it has no <c>tcpKeepalive</c>.</summary>
    public KeepaliveSettings? Settings => settings;

    /// <summary>Its own choice for sockets with keepalive on.</summary>
    public ExistingMode? Existing => existing;
}

/// <summary>
/// Which of two policies that select the same destination applies. The older one, as for Istio's DestinationRules and the Gateway API's
/// policies. One from a file has no age: it counts as younger than all that have, and among its like the one written first wins.
/// </summary>
internal static class PolicyPrecedence
{
    /// <summary>The valid policies, the strongest first.</summary>
    public static IReadOnlyList<RankedPolicy> Rank(ResourceSet resources) =>
    [
        .. resources.Valid<ConnectionPolicy>()
            .OrderBy(static policy => policy.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue)
            .ThenBy(static policy => policy.Metadata.CreationTimestamp is null ? "" : policy.QualifiedName, StringComparer.Ordinal)
            .Select(static policy => new RankedPolicy(
                policy, KeepaliveConversion.ToSettings(policy.Tcp?.TcpKeepalive), ExistingOf(policy))),
    ];

    /// <summary>Why the first of two applies: reads on after its name.</summary>
    public static string Explain(ConnectionPolicy winner, ConnectionPolicy loser)
    {
        var (mine, other) = (winner.Metadata.CreationTimestamp, loser.Metadata.CreationTimestamp);
        return mine is null ? "is written earlier" : mine == other ? "has the same age and the lesser name" : "is older";
    }

    private static ExistingMode? ExistingOf(ConnectionPolicy policy) =>
        policy.Metadata.Annotations.TryGetValue(AgentAnnotations.Existing, out var text)
        && AgentAnnotations.TryParseExisting(text.Value, out var mode)
            ? mode
            : null;
}
