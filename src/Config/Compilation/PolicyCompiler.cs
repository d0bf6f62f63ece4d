using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Turns resources into the rules sockets are matched against.</summary>
/// <remarks>
/// A destination that two policies select is the stronger one's (<see cref="PolicyPrecedence"/>). Where destinations of different
/// policies share an address and port, the shortest <c>time</c> applies: probing too early is harmless, too late is not.
/// </remarks>
public static class PolicyCompiler
{
    /// <summary>Compiles every valid policy against every valid destination.</summary>
    public static CompilationResult Compile(ResourceSet resources, CompilerOptions options)
    {
        ArgumentNullException.ThrowIfNull(resources);
        ArgumentNullException.ThrowIfNull(options);
        return new Compilation(resources, options).Run();
    }

    private sealed class Compilation(ResourceSet resources, CompilerOptions options)
    {
        private readonly DiagnosticBag _diagnostics = new();
        private readonly CompilationBudget _budget = new();
        private readonly Dictionary<RankedPolicy, (HashSet<Destination> Destinations, int Ports)> _selected = [];
        private readonly Dictionary<Destination, List<string>> _policiesOf = new(ReferenceEqualityComparer.Instance);
        private readonly List<Selection> _selections = [];
        private readonly HostAddresses _hosts = new(options);

        public CompilationResult Run()
        {
            var addresses = new DestinationAddresses(resources, _hosts, _budget);
            var selector = new Selector(resources, _budget, _diagnostics);
            var mesh = MeshPolicies.Choose(resources, _diagnostics);
            var policies = PolicyPrecedence.Rank(resources, mesh);
            var listenerPolicies = PolicyPrecedence.RankListeners(resources);
            var builder = new RuleSetBuilder(addresses, _budget, _diagnostics);
            var listenerBuilder = new RuleSetBuilder(addresses, _budget, _diagnostics);
            // Policies for connections of certain workloads do not compete with those for all: each set of workloads has rules of its own.
            var sources = policies.Where(static policy => policy.From is not null).GroupBy(static policy => policy.From!.Text)
                .Select(group => (Policies: group.ToList(), Builder: new RuleSetBuilder(addresses, _budget, _diagnostics))).ToList();
            var exhausted = Add([.. policies.Where(static policy => policy.From is null)], selector, builder)
                ?? sources.Select(source => Add(source.Policies, selector, source.Builder)).FirstOrDefault(static policy => policy is not null)
                ?? Add(listenerPolicies, selector, listenerBuilder);
            if (exhausted is not null)
            {
                return Refuse(exhausted, addresses);
            }

            var destinations = new DestinationReport(resources, options, _hosts, addresses, _diagnostics).Create(_policiesOf);
            if (_budget.IsExhausted && policies.Count + listenerPolicies.Count > 0)
            {
                return Refuse((policies.Count > 0 ? policies : listenerPolicies)[^1], addresses);
            }

            foreach (var policy in policies.Concat(listenerPolicies).Concat(mesh is null ? [] : [mesh]))
            {
                ReportUserTimeout(policy);
                ReportLongUserTimeout(policy);
            }

            var (rules, shadowed) = builder.Build();
            var (listenerRules, listenerShadowed) = listenerBuilder.Build();
            var bySource = sources.Select(static source => (source.Policies[0].From, Built: source.Builder.Build())).ToList();
            var ofMesh = mesh is null ? MeshRules.None : Apply(mesh, selector, builder, addresses, rules);
            return new CompilationResult(
                new CompiledPolicy(rules.AddRange(ofMesh.Rules), [.. shadowed, .. listenerShadowed, .. bySource.SelectMany(static source => source.Built.Shadowed)],
                    options.Side, listenerRules, [.. builder.Exemptions.ExceptBy(ofMesh.Rules.Select(Where), Where)])
                {
                    BySource = [.. bySource.Select(static source => new SourceRules(source.From!, source.Built.Rules))],
                },
                _diagnostics.ToSorted(),
                [.. Summarize(policies, [.. rules, .. bySource.SelectMany(static source => source.Built.Rules)]), .. Summarize(mesh, ofMesh), .. Summarize(listenerPolicies, listenerRules)], destinations)
            {
                WantedHosts = _hosts.Wanted,
                WantedServices = addresses.WantedServices,
                Selections = [.. _selections],
            };
        }

        private static WireAddress Where(CompiledRule rule) => new(rule.Prefix, rule.Port);

        /// <summary>Adds the mesh-wide keepalive, which must not keep other policies from being enforced.</summary>
        private MeshRules Apply(RankedPolicy mesh, Selector selector, RuleSetBuilder builder, DestinationAddresses addresses, ImmutableArray<CompiledRule> rules)
        {
            var before = _budget.Count;
            var destinations = selector.InMesh.Concat(_policiesOf.Keys.OfType<HostDestination>());
            var found = MeshPolicies.Apply(mesh, destinations, builder, addresses, rules, () => _budget.IsExhausted);
            if (found.IsTooMany)
            {
                _budget.Restore(before);
                _diagnostics.Report(DiagnosticCatalog.MeshTooWide, mesh.Policy.Position,
                    $"{mesh.Subject}: with every destination the policies have more than {CompilationBudget.MaxRules} rules; it is used under DestinationRules only",
                    "name the destinations in a DestinationRule or a ConnectionPolicy");
            }

            return found;
        }

        /// <summary>Adds what policies select; returns the one at which the budget ran out.</summary>
        private RankedPolicy? Add(IReadOnlyList<RankedPolicy> policies, Selector selector, RuleSetBuilder builder)
        {
            var ofHosts = new List<Selection>();
            foreach (var policy in policies)
            {
                var isOfHost = policy.Policy is DestinationRule;
                if (!isOfHost && AddOfHosts(ofHosts, builder) is { } exhausted)
                {
                    return exhausted;
                }

                foreach (var selection in selector.Select(policy))
                {
                    _budget.AddComparison();
                    if (isOfHost)
                    {
                        ofHosts.Add(selection);
                    }
                    else
                    {
                        Add(selection, builder);
                    }

                    if (_budget.IsExhausted)
                    {
                        return policy;
                    }
                }

                if (_budget.IsExhausted)
                {
                    return policy;
                }
            }

            return AddOfHosts(ofHosts, builder);
        }

        /// <summary>Adds what DestinationRules select: first those of the namespace of each service, then those of the root namespace, then
        /// the others.</summary>
        private RankedPolicy? AddOfHosts(List<Selection> selections, RuleSetBuilder builder)
        {
            foreach (var selection in selections.OrderBy(static one => PolicyPrecedence.Standing((DestinationRule)one.Policy.Policy, one.Destination)))
            {
                Add(selection, builder);
                if (_budget.IsExhausted)
                {
                    return selection.Policy;
                }
            }

            selections.Clear();
            return null;
        }

        private void Add(Selection selection, RuleSetBuilder builder)
        {
            Note(selection);
            builder.Add(selection);
        }

        private void Note(Selection selection)
        {
            if (selection.Policy.IsSilent)
            {
                return;
            }

            _selections.Add(selection);
            var (destinations, ports) = _selected.TryGetValue(selection.Policy, out var known)
                ? known
                : (new HashSet<Destination>(ReferenceEqualityComparer.Instance), 0);
            destinations.Add(selection.Destination);
            var isUnset = selection.Settings is null && selection.Policy.Policy is DestinationRule;
            _selected[selection.Policy] = (destinations, ports + (isUnset ? 0 : selection.Ports.Length));
            if (!_policiesOf.TryGetValue(selection.Destination, out var policies))
            {
                _policiesOf.Add(selection.Destination, policies = []);
            }

            if (policies.Count == 0 || policies[^1] != selection.Policy.Name)
            {
                policies.Add(selection.Policy.Name);
            }
        }

        /// <summary>Warns of a policy that ends connections before its own probes are spent.</summary>
        private void ReportUserTimeout(RankedPolicy policy)
        {
            if (policy.UserTimeout is { Mode: UserTimeoutMode.Set, Milliseconds: var timeout })
            {
                foreach (var settings in policy.AllSettings)
                {
                    ReportShort(policy, policy.Policy.Metadata.Annotations[AgentAnnotations.UserTimeout].Position,
                        $"annotation {AgentAnnotations.UserTimeout}", timeout, settings,
                        $"write raise, or {UserTimeout.Format(UserTimeout.Covering(settings))}");
                }
            }

            foreach (var (keepalive, settings) in policy.Written)
            {
                if (keepalive.UserTimeout is { } option)
                {
                    ReportShort(policy, option.Position, "TCP_USER_TIMEOUT ({level: 6, name: 18})", (int)option.Value, settings,
                        $"write int_value: {UserTimeout.Covering(settings)}, which is in milliseconds");
                }
            }
        }

        private void ReportShort(RankedPolicy policy, SourcePosition position, string what, int timeout, KeepaliveSettings settings, string fix)
        {
            if (UserTimeout.IsShort(timeout, settings))
            {
                var (time, interval, probes) = settings.Or(KeepaliveSettings.LinuxDefaults);
                var lost = UserTimeout.LostProbes(timeout, time!.Value, interval!.Value, probes!.Value);
                _diagnostics.Report(DiagnosticCatalog.ShortUserTimeout, position,
                    $"{policy.Subject}: {what} of {UserTimeout.Format(timeout)} ends a quiet connection after "
                    + $"{lost} lost probe{(lost == 1 ? "" : "s")} in a row, not {probes}: time + interval × probes is {UserTimeout.Format(UserTimeout.Covering(settings))}",
                    fix);
            }
        }

        /// <summary>Warns of a user timeout with which connections to dead peers live longer than without.</summary>
        private void ReportLongUserTimeout(RankedPolicy policy)
        {
            if (policy.UserTimeout.Mode is not (UserTimeoutMode.Set or UserTimeoutMode.Raise) || !policy.AllSettings.Any())
            {
                return;
            }

            var covering = policy.AllSettings.Max(UserTimeout.Covering);
            var timeout = policy.UserTimeout.Mode == UserTimeoutMode.Set ? policy.UserTimeout.Milliseconds : covering;
            var (isLater, prolongs) = (timeout > covering, UserTimeout.ProlongsRetransmission(timeout));
            if (isLater || prolongs)
            {
                _diagnostics.Report(DiagnosticCatalog.LongUserTimeout, policy.Policy.Metadata.Annotations[AgentAnnotations.UserTimeout].Position,
                    $"{policy.Subject}: annotation {AgentAnnotations.UserTimeout} of {policy.UserTimeout} "
                    + (isLater ? $"ends a quiet connection to a dead peer after {UserTimeout.Format(timeout)}, not {UserTimeout.Format(covering)} "
                        + $"(time + interval × probes): with a user timeout the kernel does not count probes{(prolongs ? "; and it " : "")}" : "")
                    + (prolongs ? $"lets data in flight wait for {UserTimeout.Format(timeout)}, and without a user timeout it is some 15 minutes (tcp_retries2)" : ""),
                    UserTimeout.ProlongsRetransmission(covering)
                        ? $"remove the annotation, or shorten time + interval × probes, {UserTimeout.Format(covering)}, to 15m or less"
                        : $"write {UserTimeout.Format(covering)}");
            }
        }

        private CompilationResult Refuse(RankedPolicy policy, DestinationAddresses addresses)
        {
            _diagnostics.Report(DiagnosticCatalog.TooManyRules, policy.Policy.Position,
                $"{policy.Subject}: up to here the policies have more than {CompilationBudget.MaxRules} rules "
                + $"or {CompilationBudget.MaxComparisons} comparisons; none is enforced",
                "use CIDR blocks, and omit lists of all ports");
            return new CompilationResult(CompiledPolicy.Empty, _diagnostics.ToSorted(), [], [])
            {
                WantedHosts = _hosts.Wanted,
                WantedServices = addresses.WantedServices,
            };
        }

        private IEnumerable<PolicySummary> Summarize(IReadOnlyList<RankedPolicy> policies, ImmutableArray<CompiledRule> rules)
        {
            var byPolicy = rules.ToLookup(static rule => rule.Policy);
            var groups = _selections.Where(static selection => selection.Policy.Policy is DestinationRule { PortLevelSettings.IsEmpty: false })
                .ToLookup(static selection => selection.Policy);
            foreach (var policy in policies.Where(static policy => !policy.IsSilent))
            {
                var (destinations, ports) = _selected.TryGetValue(policy, out var known) ? known : ([], 0);
                ImmutableArray<PortGroup> ofPorts =
                [
                    // Ports that nothing names and nothing sets are of no interest.
                    .. groups[policy].Where(static selection => selection.Settings is not null || selection.Ports is not [null])
                        .GroupBy(static selection => selection.Settings).Select(static group => new PortGroup(group.Key,
                        [.. group.SelectMany(static selection => selection.Ports).Select(static port => port?.Number.Value).Distinct()])),
                ];
                IEnumerable<KeepaliveSettings> settings = policy.Policy is ProxyPolicy
                    ? policy.Written.Select(static pair => pair.Settings).Distinct()
                    : ofPorts.IsEmpty ? policy.AllSettings : ofPorts.Select(static group => group.Settings).OfType<KeepaliveSettings>();
                yield return new PolicySummary(policy.Name, policy.Policy, [.. settings], destinations.Count, ports,
                    byPolicy[policy.Name].Select(static rule => rule.Prefix).Distinct().Count(), byPolicy[policy.Name].Count())
                {
                    PortGroups = ofPorts,
                    Written = WrittenFor(policy, ofPorts),
                    UserTimeout = policy.UserTimeout,
                };
            }
        }

        /// <summary>The values of a policy that a port has: those of ports that no destination has are not judged.</summary>
        private static ImmutableArray<(TcpKeepalive, KeepaliveSettings)> WrittenFor(RankedPolicy policy, ImmutableArray<PortGroup> groups)
        {
            if (groups.IsEmpty || policy.Policy is not DestinationRule rule)
            {
                return policy.Written;
            }

            var used = groups.SelectMany(static group => group.Ports).Select(rule.KeepaliveOf).OfType<TcpKeepalive>()
                .ToHashSet<TcpKeepalive>(ReferenceEqualityComparer.Instance);
            return policy.Written.RemoveAll(pair => !used.Contains(pair.Keepalive));
        }

        private static IEnumerable<PolicySummary> Summarize(RankedPolicy? mesh, MeshRules found)
        {
            if (mesh is not null)
            {
                yield return new PolicySummary(mesh.Name, mesh.Policy, [.. mesh.AllSettings], found.Destinations, found.Ports,
                    found.Rules.Select(static rule => rule.Prefix).Distinct().Count(), found.Rules.Length)
                {
                    Written = mesh.Written,
                    UserTimeout = mesh.UserTimeout,
                };
            }
        }
    }
}
