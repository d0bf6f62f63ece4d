namespace Keepalive.Agent.Liveness;

/// <summary>The connections of one destination, in one of the cluster's namespaces (empty where it is no pod's).</summary>
internal readonly record struct RuleKey(string Policy, string Destination, string Namespace);

/// <summary>What happened to connections.</summary>
/// <param name="Probes">Probes sent.</param>
/// <param name="Replies">Replies to them.</param>
/// <param name="Unanswered">Probes without one.</param>
/// <param name="Deaths">Ends, by cause; causes that did not come are left out.</param>
internal readonly record struct RuleTotals(long Probes, long Replies, long Unanswered, IReadOnlyList<(DeathCause Cause, long Count)> Deaths);

/// <summary>Counts what happens to connections.</summary>
internal sealed class RuleCounts
{
    private static readonly DeathCause[] s_causes = [DeathCause.Probes, DeathCause.Reset, DeathCause.Timeout];

    private readonly long[] _dead = new long[Enum.GetValues<DeathCause>().Length];

    public long Probes { get; set; }

    public long Replies { get; set; }

    public long Unanswered { get; set; }

    public void Die(DeathCause cause) => _dead[(int)cause]++;

    public RuleTotals ToTotals() => new(Probes, Replies, Unanswered, [.. s_causes.Where(cause => _dead[(int)cause] > 0).Select(cause => (cause, _dead[(int)cause]))]);
}
