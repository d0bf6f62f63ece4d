using System.Runtime.InteropServices;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>An address and port that connections go to, and the votes of the workloads that have connections to it.</summary>
/// <remarks>
/// <code>
///   death by unanswered probes ──► its workload: heard since the first of them? ──yes──► nothing changes
///                                     │ no
///                                     ├──► its workload: another idle connection? ──no──► votes out
///                                     │       └ yes ─► asked by a probe ──► answered: in; silent for a probe interval: out
///                                     └──► workloads that heard nothing since: asked ──► answered: in; silent: abstains
///   out: more votes out than in            back: a workload that did not vote in before hears from it
/// </code>
/// One workload has one vote, however many connections or namespaces it has. All times are nanoseconds of the monitor's clock. Used under
/// the monitor's lock.
/// </remarks>
internal sealed class FarEnd(SocketEndpoint remote)
{
    /// <summary>The maximum number of votes of one far end. All further workloads share one vote.</summary>
    public const int MaxVotes = 1000;

    /// <summary>The name of the vote that all workloads beyond <see cref="MaxVotes"/> share.</summary>
    public const string Others = "other";

    /// <summary>How long a vote against the far end counts without a connection of its workload.</summary>
    public const long Memory = 3600L * 1_000_000_000;

    private readonly Dictionary<string, WorkloadVote> _votes = [];

    public SocketEndpoint Remote { get; } = remote;

    /// <summary>Whether it is in the pool.</summary>
    public bool IsIn { get; private set; } = true;

    /// <summary>When it last left the pool.</summary>
    public long OutSince { get; private set; }

    /// <summary>The number of destinations that contain it.</summary>
    public int Destinations { get; set; }

    /// <summary>The virtual addresses that it is a backend of.</summary>
    public HashSet<SocketEndpoint> Fronts { get; } = [];

    /// <summary>A number that changes with every vote.</summary>
    public long Version { get; private set; }

    public IReadOnlyCollection<WorkloadVote> Votes => _votes.Values;

    public WorkloadVote? Find(string workload) => _votes.GetValueOrDefault(workload);

    /// <summary>Returns the vote of a workload. A new vote is <see cref="Vote.In"/>.</summary>
    public WorkloadVote VoteOf(string workload)
    {
        var name = _votes.Count < MaxVotes || _votes.ContainsKey(workload) ? workload : Others;
        ref var vote = ref CollectionsMarshal.GetValueRefOrAddDefault(_votes, name, out _);
        if (vote is null)
        {
            vote = new WorkloadVote(this, name);
            Version++;
        }
        return vote;
    }

    /// <summary>Removes a vote without a connection. A vote against the far end is kept for some time.</summary>
    /// <returns>Whether the far end returned to the pool because of it.</returns>
    public bool Leave(WorkloadVote vote, long now)
    {
        if (vote.Connections.Count > 0)
        {
            return false;
        }
        Version++;
        if (vote.Says == Vote.Out && now - vote.SilentSince <= Memory)
        {
            return false;
        }
        _votes.Remove(vote.Workload);
        return TryReturn();
    }

    /// <summary>Removes expired votes without a connection. Returns whether the far end returned to the pool.</summary>
    public bool Expire(long now)
    {
        foreach (var vote in _votes.Values)
        {
            if (vote.Connections.Count == 0 && now - vote.SilentSince > Memory)
            {
                _votes.Remove(vote.Workload);
                Version++;
            }
        }
        return TryReturn();
    }

    /// <summary>Records that a connection died of unanswered probes.</summary>
    /// <param name="vote">Its workload's vote.</param>
    /// <param name="silentSince">When the first of these probes was sent.</param>
    /// <param name="interval">The time between two probes, which is also the time to wait for an answer.</param>
    /// <param name="now">The time.</param>
    /// <returns>Whether the far end left the pool.</returns>
    public bool Died(WorkloadVote vote, long silentSince, long interval, long now)
    {
        if (vote.HeardAt > silentSince)
        {
            return false;
        }
        vote.Die(silentSince);
        if (vote.CanAnswer(interval, now))
        {
            vote.Question(silentSince, interval);
        }
        else
        {
            vote.Say(Vote.Out, now);
        }
        foreach (var other in _votes.Values)
        {
            if (other != vote && other is { Says: Vote.In, Connections.Count: > 0 } && other.HeardAt <= silentSince)
            {
                other.Question(silentSince, interval);
            }
        }
        Version++;
        return TryLeave(now);
    }

    /// <summary>Records that something was heard on a connection of a workload, or that the far end answered the workload's
    /// handshake.</summary>
    /// <returns>Whether the far end returned to the pool.</returns>
    public bool Heard(WorkloadVote vote, long at)
    {
        if (!vote.Hear(at, OutSince, out var isNews))
        {
            return false;
        }
        Version++;
        if (isNews && !IsIn)
        {
            // The answer is newer than the votes against it. A workload that still has a connection repeats its vote with the next lost
            // probe.
            foreach (var other in _votes.Values)
            {
                other.Suspend(at);
            }
        }
        return TryReturn();
    }

    /// <summary>Records that another probe was sent, and that the one before is unanswered.</summary>
    /// <returns>Whether the far end left the pool.</returns>
    public bool Lost(WorkloadVote vote, long probedAt, long now)
    {
        if (!vote.Confirm(probedAt, now))
        {
            return false;
        }
        Version++;
        return TryLeave(now);
    }

    /// <summary>Ends the wait for answers that did not come in time.</summary>
    /// <returns>Whether the far end left the pool.</returns>
    public bool CheckOverdue(long now)
    {
        var isChanged = false;
        foreach (var vote in _votes.Values)
        {
            isChanged |= vote.GiveUp(now);
        }
        Version += isChanged ? 1 : 0;
        return isChanged && TryLeave(now);
    }

    /// <summary>Whether an answer is still waited for.</summary>
    public bool IsQuestioned => _votes.Values.Any(vote => vote.IsQuestioned);

    private bool TryLeave(long now)
    {
        if (!IsIn || !IsOutvoted())
        {
            return false;
        }
        (IsIn, OutSince) = (false, now);
        return true;
    }

    private bool TryReturn()
    {
        if (IsIn || IsOutvoted())
        {
            return false;
        }
        IsIn = true;
        return true;
    }

    private bool IsOutvoted()
    {
        var (votesIn, votesOut) = (0, 0);
        foreach (var vote in _votes.Values)
        {
            votesOut += vote.Says == Vote.Out ? 1 : 0;
            votesIn += vote is { Says: Vote.In, Connections.Count: > 0 } ? 1 : 0;
        }
        return votesOut > votesIn;
    }
}
