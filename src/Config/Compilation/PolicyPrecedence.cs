using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>A valid policy and what it sets. Compared by reference.</summary>
internal sealed class RankedPolicy
{
    private readonly Dictionary<long, KeepaliveSettings?> _portLevel = [];
    private PolicyTerms? _ofRules;

    /// <summary>Ranks a policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="mesh">The mesh-wide values, which lie field by field under a DestinationRule's; null for none.</param>
    public RankedPolicy(Policy policy, RankedPolicy? mesh = null)
    {
        Policy = policy;
        Name = policy.RuleName;
        Mesh = policy is DestinationRule ? mesh : null;
        Written = [.. KeepaliveConversion.AllOf(policy).Select(keepalive => (keepalive, Convert(keepalive)!.Value))];
        Settings = Convert(policy switch
        {
            ConnectionPolicy { Tcp: { } tcp } => tcp.TcpKeepalive,
            ListenerConnectionPolicy listener => listener.TcpKeepalive,
            DestinationRule { Tcp: { } tcp } => tcp.TcpKeepalive,
            MeshConfig config => config.TcpKeepalive,
            ProxyPolicy { Kind: not ProxyPolicy.EnvoyFilter, Keepalives: [var (_, keepalive)] } => keepalive,
            _ => null,
        });
        Terms = new SelectionTerms(Settings, [], "");
        foreach (var port in (policy as DestinationRule)?.PortLevelSettings ?? [])
        {
            _portLevel.TryAdd(port.Port, Convert(port.Tcp?.TcpKeepalive));
        }

        Existing = policy.Metadata.Annotations.TryGetValue(AgentAnnotations.Existing, out var text)
            && AgentAnnotations.TryParseExisting(text.Value, out var mode)
                ? mode
                : null;
        UserTimeout = policy.Metadata.Annotations.TryGetValue(AgentAnnotations.UserTimeout, out text)
            && UserTimeoutChoice.TryParse(text.Value, out var choice)
                ? choice
                : default;
        From = policy is ConnectionPolicy && policy.Metadata.Annotations.TryGetValue(AgentAnnotations.From, out text)
            && WorkloadSelector.TryParse(text.Value, out var from, out _)
                ? from
                : null;
    }

    /// <summary>Its name in rules.</summary>
    public string Name { get; }

    /// <summary>The mesh-wide keepalive under it, or null.</summary>
    public RankedPolicy? Mesh { get; }

    /// <summary>As written.</summary>
    public Policy Policy { get; }

    /// <summary>Kind and name, for messages.</summary>
    public string Subject => $"{Policy.Kind} {Policy.QualifiedName}";

    /// <summary>Its values for ports without settings of their own; null if it has no <c>tcpKeepalive</c> there.</summary>
    public KeepaliveSettings? Settings { get; }

    /// <summary>The terms of what it selects by references: the same values everywhere.</summary>
    public SelectionTerms Terms { get; }

    /// <summary>Its own choice for sockets with keepalive on.</summary>
    public ExistingMode? Existing { get; }

    /// <summary>The workloads whose connections it is for; null for all.</summary>
    public WorkloadSelector? From { get; }

    /// <summary>Every <c>tcpKeepalive</c> it has with the values to set, those for single ports included.</summary>
    public ImmutableArray<(TcpKeepalive Keepalive, KeepaliveSettings Settings)> Written { get; }

    /// <summary>Whether it is a DestinationRule that says nothing of keepalive. It still owns its host.</summary>
    public bool IsSilent => Policy is DestinationRule && Written.IsEmpty;

    /// <summary>Its choice about TCP_USER_TIMEOUT.</summary>
    public UserTimeoutChoice UserTimeout { get; }

    /// <summary>Every set of values it has, those for single ports included.</summary>
    public IEnumerable<KeepaliveSettings> AllSettings => _portLevel.Values.Prepend(Settings).OfType<KeepaliveSettings>().Distinct();

    /// <summary>Its part of the terms of rules.</summary>
    public PolicyTerms TermsOfRules(KeepaliveSettings settings, string inherited)
    {
        // Nearly all policies have one set of values. Another thread may be asking, too.
        var known = _ofRules;
        if (known is null || known.Settings != settings || known.Inherited != inherited)
        {
            _ofRules = known = new PolicyTerms(Name, settings, Policy.Position)
            {
                Existing = Existing,
                UserTimeout = UserTimeout,
                From = From?.Text ?? "",
                Inherited = inherited,
                Owner = this,
            };
        }

        return known;
    }

    /// <summary>Which of its values for a port are the mesh's, as in <see cref="CompiledRule.Inherited"/>.</summary>
    public string InheritedAt(long? port)
    {
        var own = KeepaliveConversion.ToSettings((Policy as DestinationRule)?.KeepaliveOf(port));
        if (own is not { } set || Mesh?.Settings is not { } mesh)
        {
            return "";
        }

        var names = new List<string>(3);
        Add("time", set.Time, mesh.Time);
        Add("interval", set.Interval, mesh.Interval);
        Add("probes", set.Probes, mesh.Probes);
        return names.Count == 0 ? "" : $"{string.Join(" and ", names)} by {Mesh.Name}";

        void Add(string name, int? here, int? there)
        {
            if (here is null && there is not null)
            {
                names.Add(name);
            }
        }
    }

    /// <summary>Its values for a port: a DestinationRule's settings for a port replace its others wholesale.</summary>
    public KeepaliveSettings? SettingsOf(long? port) =>
        port is { } number && _portLevel.TryGetValue(number, out var settings) ? settings : Settings;

    private KeepaliveSettings? Convert(TcpKeepalive? keepalive) =>
        KeepaliveConversion.ToSettings(keepalive) is not { } own ? null : Mesh?.Settings is { } mesh ? own.Or(mesh) : own;
}

/// <summary>Which of two policies that select the same destination applies. The first difference decides:</summary>
/// <remarks>
/// <list type="number">
/// <item>a ConnectionPolicy before a DestinationRule, since a mesh makes DestinationRules from ConnectionPolicies, and both before a policy of a
/// proxy;</item>
/// <item>of two DestinationRules, one in the namespace of the service before one in the root namespace, and both before one of any other
/// namespace, which is for clients there; then one for an exact host before one with a wildcard, and a longer wildcard before a shorter one, as in Istio,
/// also if it says nothing of keepalive; for the same host, one without a <c>trafficPolicy</c> comes last;</item>
/// <item>one from a file before one from the API server;</item>
/// <item>the older one, as for Istio's DestinationRules and the Gateway API's policies; one without a creation time is younger than all with one;</item>
/// <item>the lesser name; without a creation time, the one written first.</item>
/// </list>
/// RuleSet then chooses among policies that meet at one address and port, and CompiledPolicy.Match among rules for a socket.
/// </remarks>
internal static class PolicyPrecedence
{
    /// <summary>The valid policies for connections that are opened, the strongest first.</summary>
    /// <param name="resources">The policies.</param>
    /// <param name="mesh">The mesh-wide values under DestinationRules; null for none.</param>
    /// <remarks>
    /// DestinationRules that say nothing of keepalive are among them, since they hide wider ones; not those with a workloadSelector, which hide
    /// them from some clients only.
    /// </remarks>
    /// <param name="known">Makes the object for a policy, or returns an earlier one; null to make all.</param>
    public static IReadOnlyList<RankedPolicy> Rank(ResourceSet resources, RankedPolicy? mesh = null, Func<Policy, RankedPolicy?, RankedPolicy>? known = null)
    {
        var make = known ?? (static (policy, mesh) => new RankedPolicy(policy, mesh));
        List<RankedPolicy> rules =
        [
            .. resources.Valid<DestinationRule>().Where(static rule => !rule.HasWorkloadSelector || KeepaliveConversion.AllOf(rule).Any())
                .OrderByDescending(Closeness).ThenBy(static rule => !rule.HasTrafficPolicy)
                .ThenBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal)
                .Select(rule => make(rule, mesh)),
        ];

        // Those after the last one with keepalive hide nothing, except those of services from rules of the root namespace. A cluster has many,
        // about other things.
        var last = rules.FindLastIndex(static rule => !rule.IsSilent);
        var isRoot = rules.Exists(static rule => !rule.IsSilent && rule.Policy.Metadata.Namespace == MeshConfig.DefaultNamespace);
        return
        [
            .. resources.Valid<ConnectionPolicy>().OrderBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal)
                .Select(policy => make(policy, null)),
            .. rules.Where((rule, i) => i <= last || (isRoot && rule.Policy.Metadata.Namespace != MeshConfig.DefaultNamespace)),
            .. OfProxies(resources, isAccepted: false).Select(policy => make(policy, null)),
        ];
    }

    /// <summary>The valid policies for connections that are accepted, the strongest first.</summary>
    public static IReadOnlyList<RankedPolicy> RankListeners(ResourceSet resources, Func<Policy, RankedPolicy?, RankedPolicy> make) =>
    [
        .. resources.Valid<ListenerConnectionPolicy>().OrderBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal).Cast<Policy>()
            .Concat(OfProxies(resources, isAccepted: true))
            .Select(policy => make(policy, null)),
    ];

    /// <summary>The policies of proxies that have keepalive: one for a listener or a route before one for a whole Gateway.</summary>
    private static IEnumerable<Policy> OfProxies(ResourceSet resources, bool isAccepted) =>
        resources.Valid<ProxyPolicy>().Where(policy => policy.IsAccepted == isAccepted && !policy.Keepalives.IsEmpty)
            .OrderBy(Breadth).ThenBy(IsOfCluster).ThenBy(AgeOf).ThenBy(NameIfAged, StringComparer.Ordinal);

    /// <summary>How much a proxy's policy is attached to: the lesser comes first.</summary>
    private static int Breadth(ProxyPolicy policy) => policy.Targets.Select(static target => (target.Kind, target.Section) switch
    {
        (Gateway.KindName, null) => 3,
        (Gateway.KindName, _) => 2,
        (_, null) => 1,
        _ => 0,
    }).DefaultIfEmpty(1).Max();

    /// <summary>
    /// Where Istio looks for a DestinationRule, after the client's namespace: the lesser comes first. Sockets do not show the namespace of the
    /// client, so a rule of any other namespace comes last.
    /// </summary>
    public static int Standing(DestinationRule rule, Destination destination) => destination.Home is not { } home ? OfService
        : rule.Metadata.Namespace == home ? OfService
        : rule.Metadata.Namespace == MeshConfig.DefaultNamespace ? OfRoot : OfClients;

    /// <summary>The namespace of the service.</summary>
    public const int OfService = 0;

    /// <summary>The root namespace.</summary>
    public const int OfRoot = 1;

    /// <summary>Any other namespace: the rule is for the clients there.</summary>
    public const int OfClients = 2;

    /// <summary>Why the first of two applies to a destination: reads on after its name.</summary>
    public static string Explain(Policy winner, Policy loser, Destination destination)
    {
        if (winner.Kind != loser.Kind && !(winner is ProxyPolicy && loser is ProxyPolicy))
        {
            return $"is a {winner.Kind} and so comes before every {loser.Kind}";
        }

        if (winner is DestinationRule rule && loser is DestinationRule other)
        {
            if (Standing(rule, destination) != Standing(other, destination))
            {
                return Standing(rule, destination) == OfService ? "is in the namespace of the service" : "is in the root namespace";
            }

            if (Closeness(rule) != Closeness(other))
            {
                return "names the host more closely";
            }
        }

        if (winner is DestinationRule { HasTrafficPolicy: true } && loser is DestinationRule { HasTrafficPolicy: false })
        {
            return "has a trafficPolicy";
        }

        if (winner is ProxyPolicy closer && loser is ProxyPolicy wider && Breadth(closer) != Breadth(wider))
        {
            return Breadth(closer) switch { 0 => "is for one rule or port only", 1 => "is not for a Gateway", _ => "is for one listener only" };
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

    private static int Closeness(DestinationRule rule) => rule.IsWildcard ? rule.FullHost.Length : int.MaxValue;
}
