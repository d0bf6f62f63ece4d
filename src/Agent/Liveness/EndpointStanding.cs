using System.Collections.Immutable;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Whether a far end of a destination is in the pool.</summary>
internal readonly record struct EndpointStanding(string Policy, string Destination, SocketEndpoint Remote, bool IsIn);

/// <summary>The state of a far end, over all destinations that contain it.</summary>
/// <param name="Destinations">The number of destinations that contain it.</param>
/// <param name="IsIn">Whether it is in the pool.</param>
/// <param name="OutSince">When it last left the pool, in nanoseconds of the monitor's clock.</param>
/// <param name="Votes">The votes of the workloads.</param>
internal sealed record RemoteStanding(int Destinations, bool IsIn, long OutSince, ImmutableArray<VoteStanding> Votes)
{
    /// <summary>Returns the vote of a workload by its own connections; null if it has none and none died.</summary>
    public VoteStanding? Of(string workload)
    {
        foreach (var vote in Votes)
        {
            if (vote.Workload == workload)
            {
                return vote;
            }
        }
        return null;
    }
}

/// <summary>The vote of a workload.</summary>
/// <param name="Workload">The workload.</param>
/// <param name="Says">Its vote.</param>
/// <param name="IsSilent">Whether one of its own connections died of unanswered probes, and nothing was heard since.</param>
internal readonly record struct VoteStanding(string Workload, Vote Says, bool IsSilent)
{
    public static VoteStanding Of(WorkloadVote vote) => new(vote.Workload, vote.Says, vote.SilentSince != 0);

    /// <summary>Combines the votes of a workload about the backends of one virtual address. The result is silent only if all votes
    /// are.</summary>
    public static VoteStanding Merge(IGrouping<string, VoteStanding> votes) => new(votes.Key, votes.Min(vote => vote.Says), votes.All(vote => vote.IsSilent));
}
