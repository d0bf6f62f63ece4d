using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Keepalive.Config.Resources;
using Keepalive.Config.Validation;

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
        var diagnostics = new DiagnosticBag();
        var budget = new CompilationBudget();
        var addresses = new DestinationAddresses(resources, options, budget);
        var selector = new Selector(resources, budget, diagnostics);
        var builder = new RuleSetBuilder(addresses, budget, diagnostics);
        var policies = PolicyPrecedence.Rank(resources);
        var selectedCounts = new Dictionary<RankedPolicy, int>();
        var policiesOf = new Dictionary<Destination, List<string>>(ReferenceEqualityComparer.Instance);
        foreach (var policy in policies)
        {
            foreach (var selection in selector.Select(policy))
            {
                selectedCounts[policy] = selectedCounts.GetValueOrDefault(policy) + 1;
                (CollectionsMarshal.GetValueRefOrAddDefault(policiesOf, selection.Destination, out _) ??= []).Add(policy.Name);
                budget.AddComparison();
                if (policy.Settings is not null)
                {
                    builder.Add(selection);
                }

                if (budget.IsExhausted)
                {
                    return Refuse(policy, diagnostics);
                }
            }

            if (budget.IsExhausted)
            {
                return Refuse(policy, diagnostics);
            }
        }

        var destinations = DestinationReport.Create(resources, options, addresses, policiesOf, diagnostics);
        if (budget.IsExhausted && policies.Count > 0)
        {
            return Refuse(policies[^1], diagnostics);
        }

        var (rules, shadowed) = builder.Build();
        return new CompilationResult(new CompiledPolicy(rules, shadowed, options.Side), diagnostics.ToSorted(),
            Summarize(policies, selectedCounts, rules), destinations);
    }

    /// <summary>The host names whose addresses <see cref="Compile"/> wants in <see cref="CompilerOptions.ResolvedHosts"/>.</summary>
    /// <returns>Lower case, without a trailing dot, no duplicates, no wildcards.</returns>
    public static IReadOnlyCollection<string> HostsToResolve(ResourceSet resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        return resources.Valid<Destination>().SelectMany(static destination => destination.Hosts)
            .Where(static host => !HostValidator.IsWildcard(host.Value))
            .Select(static host => HostNames.Canonical(host.Value)).ToHashSet(StringComparer.Ordinal);
    }

    private static CompilationResult Refuse(RankedPolicy policy, DiagnosticBag diagnostics)
    {
        diagnostics.Report(DiagnosticCatalog.TooManyRules, policy.Policy.Position,
            $"{ConnectionPolicy.KindName} {policy.Name}: up to here the policies come to more than {CompilationBudget.MaxRules} rules "
            + $"or {CompilationBudget.MaxComparisons} comparisons; none is enforced",
            "name addresses by CIDR blocks, and leave out ports that are all of them");
        return new CompilationResult(CompiledPolicy.Empty, diagnostics.ToSorted(), [], []);
    }

    private static ImmutableArray<PolicySummary> Summarize(
        IReadOnlyList<RankedPolicy> policies, Dictionary<RankedPolicy, int> selectedCounts, ImmutableArray<CompiledRule> rules)
    {
        var byPolicy = rules.ToLookup(static rule => rule.Policy);
        return
        [
            .. policies.Select(policy => new PolicySummary(policy.Name, policy.Policy.Position, policy.Settings,
                selectedCounts.GetValueOrDefault(policy),
                byPolicy[policy.Name].Select(static rule => rule.Prefix).Distinct().Count(), byPolicy[policy.Name].Count())),
        ];
    }
}
