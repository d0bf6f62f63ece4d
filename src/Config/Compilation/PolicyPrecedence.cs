using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>A valid policy and what it sets. Compared by reference.</summary>
internal sealed class RankedPolicy
{
    private readonly Dictionary<long, KeepaliveSettings?> _portLevel = [];

    public RankedPolicy(Policy policy)
    {
        Policy = policy;
        Name = policy.RuleName;
        Settings = KeepaliveConversion.ToSettings(policy switch
        {
            ConnectionPolicy { Tcp: { } tcp } => tcp.TcpKeepalive,
            ListenerConnectionPolicy listener => listener.TcpKeepalive,
            DestinationRule { Tcp: { } tcp } => tcp.TcpKeepalive,
            _ => null,
        });
        foreach (var port in (policy as DestinationRule)?.PortLevelSettings ?? [])
        {
            _portLevel.TryAdd(port.Port, KeepaliveConversion.ToSettings(port.Tcp?.TcpKeepalive));
        }

        Existing = policy.Metadata.Annotations.TryGetValue(AgentAnnotations.Existing, out var text)
            && AgentAnnotations.TryParseExisting(text.Value, out var mode)
                ? mode
                : null;
    }

    /// <summary>Its name in rules.</summary>
    public string Name { get; }

    /// <summary>As written.</summary>
    public Policy Policy { get; }

    /// <summary>Kind and name, for messages.</summary>
    public string Subject => $"{Policy.Kind} {Policy.QualifiedName}";

    /// <summary>Its values for ports without settings of their own; null if it has no <c>tcpKeepalive</c> there.</summary>
    public KeepaliveSettings? Settings { get; }

    /// <summary>Its own choice for sockets with keepalive on.</summary>
    public ExistingMode? Existing { get; }

    /// <summary>Every set of values it has, those for single ports included.</summary>
    public IEnumerable<KeepaliveSettings> AllSettings => _portLevel.Values.Prepend(Settings).OfType<KeepaliveSettings>().Distinct();

    /// <summary>Its values for a port: a DestinationRule's settings for a port replace its others wholesale.</summary>
    public KeepaliveSettings? SettingsOf(long? port) =>
        port is { } number && _portLevel.TryGetValue(number, out var settings) ? settings : Settings;
}

/// <summary>Which of two policies that select the same destination applies. The first difference decides:</summary>
/// <remarks>
/// <list type="number">
/// <item>a ConnectionPolicy before a DestinationRule: a mesh makes DestinationRules from ConnectionPolicies;</item>
/// <item>of two DestinationRules, one for an exact host before one with a wildcard, and a longer wildcard before a shorter one, as in Istio;</item>
/// <item>one from a file before one from the API server;</item>
/// <item>the older one, as for Istio's DestinationRules and the Gateway API's policies; one without a creation time is younger than all with one;</item>
/// <item>the lesser name; without a creation time, the one written first.</item>
/// </list>
/// RuleSetBuilder then chooses among policies that meet at one address and port, and CompiledPolicy.Match among rules for a socket.
/// </remarks>
internal static class PolicyPrecedence
{
    /// <summary>The valid policies for connections that are opened, the strongest first.</summary>
    /// <remarks>Without the DestinationRules that say nothing of keepalive: a cluster has many, about other things.</remarks>
    public static IReadOnlyList<RankedPolicy> Rank(ResourceSet resources) =>
    [
        .. resources.Valid<ConnectionPolicy>().OrderBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal).Cast<Policy>()
            .Concat(resources.Valid<DestinationRule>().Where(static rule => KeepaliveConversion.AllOf(rule).Any())
                .OrderByDescending(Closeness).ThenBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal))
            .Select(static policy => new RankedPolicy(policy)),
    ];

    /// <summary>The valid policies for connections that are accepted, the strongest first.</summary>
    public static IReadOnlyList<RankedPolicy> RankListeners(ResourceSet resources) =>
    [
        .. resources.Valid<ListenerConnectionPolicy>().OrderBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal)
            .Select(static policy => new RankedPolicy(policy)),
    ];

    /// <summary>Why the first of two applies: reads on after its name.</summary>
    public static string Explain(Policy winner, Policy loser)
    {
        if (winner.Kind != loser.Kind)
        {
            return $"is a {winner.Kind} and so comes before every {loser.Kind}";
        }

        if (winner is DestinationRule rule && loser is DestinationRule other && Closeness(rule) != Closeness(other))
        {
            return "names the host more closely";
        }

        if (IsOfCluster(winner) != IsOfCluster(loser))
        {
            return "is written in a file";
        }

        var (mine, theirs) = (winner.Metadata.CreationTimestamp, loser.Metadata.CreationTimestamp);
        return mine is null ? "is written earlier" : mine == theirs ? "has the same age and the lesser name" : "is older";
    }

    /// <summary>Whether it came from the API server: such an object has no line.</summary>
    private static bool IsOfCluster(Policy policy) => policy.Position.Line == 0;

    private static DateTimeOffset AgeOf(Policy policy) => policy.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue;

    // Those without an age keep the order they are written in.
    private static string NameIfAged(Policy policy) => policy.Metadata.CreationTimestamp is null ? "" : policy.QualifiedName;

    private static int Closeness(DestinationRule rule) => rule.IsWildcard ? rule.Host.Value.Length : int.MaxValue;
}
