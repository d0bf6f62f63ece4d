namespace Keepalive.Agent.Liveness;

/// <summary>What happened to the connections of one destination, in one of the cluster's namespaces, since the last time it was added to the metrics.</summary>
internal sealed class RuleCounts
{
    public long Probes { get; set; }

    public long Replies { get; set; }

    public long Unanswered { get; set; }

    public long[] Dead { get; } = new long[Enum.GetValues<DeathCause>().Length];
}
