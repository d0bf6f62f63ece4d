using System.Collections.Immutable;

namespace Keepalive.Config.Compilation;

/// <summary>Why a connection is under the rule it is under.</summary>
/// <param name="Winner">The rule in force for it, or null.</param>
/// <param name="Losers">The rules that would apply if others did not, each with why it does not.</param>
/// <param name="OtherPorts">Rules for the same address whose port is another one.</param>
public sealed record Explanation(CompiledRule? Winner, ImmutableArray<LostRule> Losers, ImmutableArray<CompiledRule> OtherPorts)
{
    /// <summary>Explains what <see cref="CompiledPolicy.Match"/> answers.</summary>
    public static Explanation Of(CompiledPolicy policy, Endpoint local, Endpoint remote)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var winner = policy.Match(local, remote);
        var (losers, others) = (ImmutableArray.CreateBuilder<LostRule>(), ImmutableArray.CreateBuilder<CompiledRule>());
        Endpoint[] ends = policy.Side == Side.Both ? [remote, local] : [remote];
        foreach (var end in ends)
        {
            var rules = policy.Rules.AddRange(policy.Side == Side.Both && end == local ? policy.ListenerRules : []);
            var exemptions = policy.Exemptions.Where(rule => rule.Covers(end.Address, end.Port)).Select(static rule => rule.Policy).ToHashSet();
            foreach (var rule in rules.Where(rule => rule != winner && rule.Prefix.Contains(end.Address)))
            {
                if (rule.Port != 0 && rule.Port != end.Port)
                {
                    others.Add(rule);
                }
                else
                {
                    losers.Add(new LostRule(rule, rule.Port == 0 && exemptions.Contains(rule.Policy) ? RuleSetBuilder.OwnedBySettings(rule.Policy, end.Port)
                        : winner is null ? "" : WhyNot(rule, winner, end != remote)));
                }
            }
        }

        if (policy.Fallback.FirstOrDefault(rule => rule != winner && rule.Prefix.Contains(remote.Address)) is { } fallback && winner is not { IsFallback: true })
        {
            losers.Add(new LostRule(fallback, winner is null ? "the connection does not leave the host" : "it is for connections that no other rule selects"));
        }

        foreach (var rule in policy.BySource.SelectMany(static source => source.Rules).Where(rule => ends.Any(end => rule.Covers(end.Address, end.Port))))
        {
            losers.Add(new LostRule(rule, $"it is for connections from {rule.From} only"));
        }

        losers.AddRange(policy.Shadowed.Where(lost => ends.Any(end => lost.Rule.Covers(end.Address, end.Port))));
        return new Explanation(winner, losers.DrainToImmutable(), others.DrainToImmutable());
    }

    private static string WhyNot(CompiledRule rule, CompiledRule winner, bool isLocal)
    {
        if (winner.Port != 0 && rule.Port == 0)
        {
            return $"it is for any port, and a rule for port {winner.Port} comes first";
        }

        if (rule.Port == winner.Port && rule.Prefix.IsIPv4 == winner.Prefix.IsIPv4 && rule.Prefix.Length < winner.Prefix.Length)
        {
            return $"{winner.Prefix} is the longer prefix";
        }

        return isLocal ? "it is about the connection's own end, and the remote end comes first" : "the connection's own end is a listener with a rule of its own";
    }
}
