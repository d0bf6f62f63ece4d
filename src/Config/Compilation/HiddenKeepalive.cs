using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Keepalive of DestinationRules that Istio's proxies in another namespace do not get.</summary>
/// <remarks>
/// Istio looks in the client's namespace, then in the service's, then in the root namespace, and takes the first rule that covers the host and is
/// exported to the client. An egress gateway is a client, too, and often the only one whose connections leave the cluster. The agent has one rule
/// for all clients, so that the difference is a note and no more.
/// </remarks>
internal static class HiddenKeepalive
{
    /// <summary>Comparisons of two hosts, of which one has a wildcard: a note is not worth more.</summary>
    private const int MaxComparisons = 1_000_000;

    public static void Report(ResourceSet resources, DiagnosticBag diagnostics)
    {
        var rules = resources.Valid<DestinationRule>().ToList();
        var withKeepalive = rules.Where(static rule => KeepaliveConversion.AllOf(rule).Any()).ToList();
        if (withKeepalive.Count == 0)
        {
            return;
        }

        var homes = HomesOf(resources);
        var wide = withKeepalive.Where(rule => IsForAll(rule, homes)).ToList();
        ReportExports(wide, diagnostics);
        var byNamespace = rules.ToLookup(static rule => rule.Metadata.Namespace);
        var byHost = wide.ToLookup(static rule => HostName.Canonical(rule.FullHost));
        var wildcards = wide.Where(static rule => rule.IsWildcard).ToList();
        var left = MaxComparisons;
        foreach (var silent in rules.Where(IsSilent))
        {
            // A host of its own is compared with wildcards only.
            var candidates = silent.IsWildcard ? wide : [.. byHost[HostName.Canonical(silent.FullHost)], .. wildcards];
            var hidden = new List<DestinationRule>();
            foreach (var rule in candidates)
            {
                if (left-- <= 0)
                {
                    return;
                }

                if (IsHidden(rule, silent) && HomeOf(rule, homes) != silent.Metadata.Namespace && !byNamespace[silent.Metadata.Namespace].Any(own => Answers(own, rule, silent)))
                {
                    hidden.Add(rule);
                }
            }

            if (hidden.Count > 0)
            {
                var ns = silent.Metadata.Namespace;
                diagnostics.Report(DiagnosticCatalog.HiddenElsewhere, silent.Position,
                    $"{DestinationRule.KindName} {silent.QualifiedName}: it has no tcpKeepalive, and in Istio it hides that of {hidden[0].RuleName}"
                    + $"{(hidden.Count > 1 ? $" (the first of {hidden.Count})" : "")} from clients in the namespace {ns}, such as a gateway there. "
                    + "The agent uses the tcpKeepalive for every client",
                    $"write tcpKeepalive in {silent.RuleName}, too");
            }
        }
    }

    /// <summary>The namespaces of ServiceEntries by their hosts.</summary>
    private static Dictionary<string, string> HomesOf(ResourceSet resources)
    {
        var homes = new Dictionary<string, string>();
        foreach (var entry in resources.Valid<ServiceEntry>())
        {
            foreach (var host in entry.DialledHosts)
            {
                homes.TryAdd(HostName.Canonical(host), entry.Metadata.Namespace);
            }
        }

        return homes;
    }

    /// <summary>Whether it is in the namespace of its service or in the root namespace; others are for the clients of their own.</summary>
    private static bool IsForAll(DestinationRule rule, Dictionary<string, string> homes)
    {
        var home = HomeOf(rule, homes);
        return home is null || rule.Metadata.Namespace == home || rule.Metadata.Namespace == MeshConfig.DefaultNamespace;
    }

    /// <summary>The namespace of its service; null where that is not known. A silent rule there is also the agent's, and reported as such.</summary>
    private static string? HomeOf(DestinationRule rule, Dictionary<string, string> homes)
    {
        var host = HostName.Canonical(rule.FullHost);
        return host.Split('.') is [_, var ns, "svc", ..] ? ns : homes.GetValueOrDefault(host);
    }

    private static void ReportExports(List<DestinationRule> rules, DiagnosticBag diagnostics)
    {
        foreach (var rule in rules.Where(static rule => !rule.ExportTo.IsEmpty && !rule.ExportTo.Contains("*")))
        {
            List<string> namespaces = [.. rule.ExportTo.Select(name => name == "." ? rule.Metadata.Namespace : name).Distinct().Order(StringComparer.Ordinal)];
            diagnostics.Report(DiagnosticCatalog.OneNamespace, rule.Position,
                $"{DestinationRule.KindName} {rule.QualifiedName}: its exportTo limits it in Istio to clients in "
                + $"{(namespaces.Count == 1 ? "the namespace" : "the namespaces")} {string.Join(", ", namespaces)}. The agent uses it for every client",
                "remove exportTo if it is meant for every client");
        }
    }

    /// <summary>Whether it takes a host without a word about keepalive. One with a workloadSelector is for some clients only.</summary>
    private static bool IsSilent(DestinationRule rule) =>
        rule is { HasTrafficPolicy: true, HasWorkloadSelector: false } && rule.Metadata.Namespace != MeshConfig.DefaultNamespace
        && IsSeenFrom(rule, rule.Metadata.Namespace) && !KeepaliveConversion.AllOf(rule).Any();

    /// <summary>Whether clients in the namespace of one rule would get another, were it not for the first.</summary>
    private static bool IsHidden(DestinationRule rule, DestinationRule silent) =>
        rule.Metadata.Namespace != silent.Metadata.Namespace && !rule.HasWorkloadSelector && IsSeenFrom(rule, silent.Metadata.Namespace)
        && (silent.Covers(HostOf(rule)) || rule.Covers(HostOf(silent)));

    /// <summary>Whether a rule beside the silent one gives these clients a keepalive all the same.</summary>
    private static bool Answers(DestinationRule own, DestinationRule rule, DestinationRule silent) =>
        KeepaliveConversion.AllOf(own).Any() && (own.FullHost.Length >= silent.FullHost.Length || !own.IsWildcard)
        && own.Covers(HostOf(silent.IsWildcard ? rule : silent));

    private static string HostOf(DestinationRule rule) => rule.IsWildcard && rule.FullHost.Length > 1 ? "x" + rule.FullHost[1..] : rule.FullHost;

    private static bool IsSeenFrom(DestinationRule rule, string ns) =>
        rule.ExportTo.IsEmpty || rule.ExportTo.Contains("*") || rule.ExportTo.Contains(ns) || (rule.ExportTo.Contains(".") && rule.Metadata.Namespace == ns);
}
