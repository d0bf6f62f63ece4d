using System.Runtime.InteropServices;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Liveness;

/// <summary>Records the events of connections: their states, the counts, the endpoints in and out of the pool, and the log.</summary>
/// <remarks>Used under the monitor's lock.</remarks>
internal sealed class LivenessLedger(LivenessLog log)
{
    private const long Millisecond = 1_000_000;

    /// <summary>How long to wait after a reset. The kernel answers at once a reset that it does not accept (RFC 5961, 3.2), and the
    /// connection goes on.</summary>
    private const long Refused = 1000 * Millisecond;

    private readonly Dictionary<RuleKey, RuleCounts> _counts = [];
    private readonly List<WatchedConnection> _probing = [];
    private readonly List<WatchedConnection> _resetting = [];

    public EndpointPool Pool { get; } = new() { Left = log.Out, Returned = log.Back };

    /// <summary>The number of connections whose end, as the kernel reported it, contradicts the captured packets.</summary>
    public long Contradictions { get; private set; }

    /// <summary>The connections with unanswered probes. Some of them may have been answered since.</summary>
    public IReadOnlyCollection<WatchedConnection> Probing => _probing;

    public LivenessLog Log => log;

    /// <summary>The changes of the last minutes.</summary>
    public RecentEvents Recent { get; } = new();

    /// <summary>Receives the time to each reply; null for none.</summary>
    public IRoundTripListener? RoundTrips { get; set; }

    /// <summary>Returns the counts of each destination.</summary>
    public List<KeyValuePair<RuleKey, RuleTotals>> Counts() => [.. _counts.Select(counted => KeyValuePair.Create(counted.Key, counted.Value.ToTotals()))];

    /// <summary>Removes the counts of destinations that are not in the policy any more, and their unused endpoints.</summary>
    public void Retain(CompiledPolicy policy)
    {
        Pool.Retain(policy);
        foreach (var key in _counts.Keys)
        {
            if (!policy.Pairs.Contains((key.Policy, key.Destination)))
            {
                _counts.Remove(key);
            }
        }
    }

    /// <summary>Makes the counts of a connection's destination exist, at 0: the first event is then an increase, which Prometheus sees.</summary>
    public void Know(WatchedConnection connection) => Count(connection);

    /// <summary>Adds a connection whose probes were unanswered when it was first seen.</summary>
    public void EnterProbing(WatchedConnection connection) => _probing.Add(connection);

    /// <summary>Records that a probe was sent, captured or not.</summary>
    public void Probe(WatchedConnection connection, long now)
    {
        Count(connection).Probes++;
        var before = connection.State;
        Apply(connection, LivenessEvent.ProbeSent, now);
        if (before.Unanswered == 0)
        {
            connection.SilentSince = now;
        }
        else if (connection.Vote is { } vote && !connection.IsUncertain)
        {
            Pool.Lost(vote, connection.ProbedAt, now);
        }
        connection.ProbedAt = now;
        if (before.Phase != LivenessPhase.Probing && connection.State.Phase == LivenessPhase.Probing)
        {
            _probing.Add(connection);
        }
        if (before.Unanswered == 0)
        {
            connection.Settle();
        }
        else if (connection.IsUncertain)
        {
            connection.Uncertain++;
        }
        else
        {
            Count(connection).Unanswered++;   // the probe before this one
        }
    }

    /// <summary>Records that a reply was captured.</summary>
    /// <param name="connection">The connection that received it.</param>
    /// <param name="shows">Whether the reply also proves that the segment it answers was a probe.</param>
    /// <param name="roundTrip">Nanoseconds since the probe; negative if unknown, because the clock was set back.</param>
    public void Reply(WatchedConnection connection, bool shows, long roundTrip)
    {
        var counts = Count(connection);
        counts.Replies++;
        counts.Probes += shows ? 1 : 0;
        if (roundTrip >= 0)
        {
            connection.RoundTrip = (int)Math.Min(roundTrip / 1000, int.MaxValue);
            RoundTrips?.Took(roundTrip / 1e9);
        }
    }

    /// <summary>Records a reset that the kernel may not have accepted.</summary>
    public void AwaitReset(WatchedConnection connection, long now)
    {
        connection.ResetAt = now;
        _resetting.Add(connection);
    }

    public void Apply(WatchedConnection connection, LivenessEvent what, long now)
    {
        var before = connection.State;
        connection.State = before.After(what, connection.Limit);
        if (connection.State.Phase != LivenessPhase.Dead || before.Phase == LivenessPhase.Dead)
        {
            return;
        }
        Die(connection, now);
    }

    /// <summary>Records that a connection that has left the kernel's table was reset by the other end.</summary>
    public void DieByLateReset(WatchedConnection connection, long now)
    {
        connection.State = connection.State with { Cause = DeathCause.Reset };
        connection.Scope.Unexplained.Remove(connection.Cookie);
        Die(connection, now);
    }

    /// <summary>Records how a connection ended, as the kernel reported it. The captured packets did not show this end, or showed another
    /// one.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="unanswered">Its unanswered probes.</param>
    /// <param name="cause">Why it ended.</param>
    /// <param name="now">The time.</param>
    public void DieByKernel(WatchedConnection connection, int unanswered, DeathCause cause, long now)
    {
        if (cause == DeathCause.Probes && connection.State.Unanswered < unanswered)
        {
            Contradictions++;
            Count(connection).Unanswered += unanswered - connection.State.Unanswered - 1;
        }
        connection.SilentSince = now - (unanswered * connection.Interval);
        connection.State = new ConnectionLiveness(LivenessPhase.Dead, unanswered, cause);
        if (connection is { LeftAt: > 0, IsLocal: false, Endpoint: { } left } && now - connection.LeftAt < WatchedScope.Patience)
        {
            // The connection has left the kernel's table, so the pool may have dropped its endpoint.
            var endpoint = connection.Endpoint = Pool.Enter(connection.Rule, left.Remote, left.Front);
            Pool.Enter(connection, connection.Workload);
            Die(connection, now);
            Pool.Leave(connection, now);
            Pool.Leave(endpoint, now);
            return;
        }
        Die(connection, now);
    }

    private void Die(WatchedConnection connection, long now)
    {
        var counts = Count(connection);
        counts.Die(connection.State.Cause);
        counts.Unanswered += (connection.State.Unanswered > 0 ? 1 : 0) + connection.Uncertain;
        log.Dead(connection);
        Recent.Add(new EventKey(EventKind.Dead, connection.Workload, connection.Rule.Policy, connection.Rule.Destination) { Cause = connection.State.Cause }, now);
        if (connection is { State.Cause: DeathCause.Probes, Endpoint: { } endpoint, Vote: { } vote })
        {
            // The first unanswered probe may be one that a pass asked for, long before the others.
            var earliest = now - (connection.State.Unanswered * connection.Interval * 9 / 8) - (1000 * Millisecond);
            Pool.Died(vote, Math.Max(connection.SilentSince, earliest), connection.Interval, now);
            connection.Scope.Awaited[endpoint] = connection.Local;
            connection.Scope.Version++;
        }
    }

    /// <summary>Counts probes as unanswered that were uncertain because packets were dropped. The kernel's count, which is not lower,
    /// confirms them.</summary>
    public void Confirm(WatchedConnection connection) => Count(connection).Unanswered += connection.Uncertain;

    /// <summary>Records that something was heard on a connection at <paramref name="at"/>.</summary>
    public void Heard(WatchedConnection connection, long at)
    {
        if (connection.Vote is { } vote)
        {
            Pool.Heard(vote, at);
        }
    }

    /// <summary>Finds connections whose next probe or end is overdue, because the packet that would show it was not captured.</summary>
    public void CheckOverdue(long now)
    {
        for (var i = _probing.Count - 1; i >= 0; i--)
        {
            var connection = _probing[i];
            if (connection.State.Phase != LivenessPhase.Probing)
            {
                Drop(_probing, i);
            }
            else if (connection is { Interval: > 0, IsUncertain: false, IsReleased: false } && now - connection.ProbedAt > (connection.Interval * 9 / 8) + (1000 * Millisecond))
            {
                Apply(connection, LivenessEvent.Overdue, now);
            }
        }
        for (var i = _resetting.Count - 1; i >= 0; i--)
        {
            if (_resetting[i] is { ResetAt: var at } connection && (at == 0 || now - at >= Refused))
            {
                if (at != 0)
                {
                    ApplyReset(connection, now);
                }
                Drop(_resetting, i);
            }
        }
    }

    /// <summary>Applies the reset that came. The kernel accepted it, or would have answered it by now.</summary>
    public void ApplyReset(WatchedConnection connection, long now)
    {
        if (!connection.IsClosing)
        {
            Apply(connection, LivenessEvent.ResetThere, now);
        }
    }

    private static void Drop(List<WatchedConnection> list, int index)
    {
        list[index] = list[^1];
        list.RemoveAt(list.Count - 1);
    }

    private RuleCounts Count(WatchedConnection connection)
    {
        var (rule, ns) = (connection.Rule, connection.PodNamespace);
        ref var counts = ref CollectionsMarshal.GetValueRefOrAddDefault(_counts, new RuleKey(rule.Policy, rule.Destination, ns), out _);
        return counts ??= new RuleCounts();
    }
}
