namespace Keepalive.Agent.Liveness;

/// <summary>The connections of one destination, in one Kubernetes namespace (empty if they are not of a pod).</summary>
internal readonly record struct RuleKey(string Policy, string Destination, string Namespace);

/// <summary>The counted events of connections.</summary>
/// <param name="Probes">Probes sent.</param>
/// <param name="Replies">Replies to probes.</param>
/// <param name="Unanswered">Probes without a reply.</param>
/// <param name="Deaths">Dead connections by cause, 0 for a cause that did not occur.</param>
internal readonly record struct RuleTotals(long Probes, long Replies, long Unanswered, IReadOnlyList<(DeathCause Cause, long Count)> Deaths);

/// <summary>Counts the events of connections.</summary>
internal sealed class RuleCounts
{
    /// <summary>The causes that are counted.</summary>
    public static readonly IReadOnlyList<DeathCause> Causes = [DeathCause.Probes, DeathCause.Reset, DeathCause.Timeout];

    private readonly long[] _dead = new long[Enum.GetValues<DeathCause>().Length];

    public long Probes { get; set; }

    public long Replies { get; set; }

    public long Unanswered { get; set; }

    public void Die(DeathCause cause) => _dead[(int)cause]++;

    public RuleTotals ToTotals() => new(Probes, Replies, Unanswered, [.. Causes.Select(cause => (cause, _dead[(int)cause]))]);
}
